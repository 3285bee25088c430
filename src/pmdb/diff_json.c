/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A diff as an object on a line: doc/json.md says what is in it. */
#include "pmdb/diff_impl.h"

#include <inttypes.h>

#include "shell/out_json.h"

static json_t *text_or_null(const char *s)
{
	return s && *s ? out_json_string(s) : json_null();
}

static json_t *json_sum(const struct check_counts *c)
{
	json_t *j = json_object();

	json_object_set_new(j, "buffers", out_json_count(c->nbufs));
	json_object_set_new(j, "bytes", out_json_count(c->bytes));
	return j;
}

/* the sums and what follows from them */
static json_t *json_group(const struct diff *d, const struct diff_group *g)
{
	static const char *const keys[DIFF_WHATS] = {
		[DIFF_OLD] = "old",           [DIFF_NEW] = "new",
		[DIFF_SURVIVED] = "survived", [DIFF_FREED] = "freed",
		[DIFF_ADDED] = "added",       [DIFF_REPLACED] = "replaced",
		[DIFF_UNKNOWN] = "unknown",
	};
	json_t *j = json_object();

	json_object_set_new(j, "state", json_string(diff_state_name(g->state)));
	json_object_set_new(j, "growth_bytes", json_integer(diff_growth(g)));
	json_object_set_new(j, "growth_buffers",
			    json_integer(diff_growth_bufs(g)));
	json_object_set_new(j, "is_over_limit", json_boolean(g->is_over));
	for (int i = 0; i < DIFF_WHATS; i++)
		json_object_set_new(j, keys[i],
				    i <= DIFF_NEW || d->is_same_process
					    ? json_sum(&g->sum[i])
					    : json_null());
	return j;
}

static json_t *json_site(const struct diff *d, const struct diff_group *g)
{
	const struct diff_key *key = diff_key_of(g);
	json_t *j = json_group(d, g);

	json_object_set_new(j, "fingerprint",
			    json_sprintf("%016" PRIx64, g->fingerprint));
	json_object_set_new(j, "cache",
			    key->is_mixed ? json_null()
					  : text_or_null(key->name));
	json_object_set_new(j, "type",
			    key->is_motley ? json_null()
					   : text_or_null(key->type));
	json_object_set_new(j, "addr",
			    g->addr ? out_json_hex(g->addr) : json_null());
	json_object_set_new(j, "allocated_by", text_or_null(key->call));
	json_object_set_new(j, "stack",
			    check_json_stack(&key->stack, d->check->has_root));
	return j;
}

static json_t *json_groups(const struct diff *d, enum diff_by by)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->groups[by].n; i++) {
		const struct diff_group *g = &d->groups[by].v[i];
		json_t *j =
			by == DIFF_SITE ? json_site(d, g) : json_group(d, g);

		if (by != DIFF_SITE)
			json_object_set_new(j, "name",
					    text_or_null(diff_key_of(g)->name));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *json_dump(const struct diff_dump *dump)
{
	json_t *j = json_object();

	json_object_set_new(j, "dump", out_json_string(dump->path));
	json_object_set_new(j, "program", text_or_null(dump->program));
	json_object_set_new(j, "command", text_or_null(dump->psargs));
	json_object_set_new(j, "pid", json_integer(dump->pid));
	json_object_set_new(j, "wall_ns",
			    dump->wall_ns ? out_json_count(dump->wall_ns)
					  : json_null());
	return j;
}

static json_t *json_limit(bool has, uint64_t limit)
{
	return has ? out_json_count(limit) : json_null();
}

void diff_print_json(const struct diff *d, FILE *out)
{
	static const char *const lists[DIFF_BYS] = {
		[DIFF_SITE] = "sites",
		[DIFF_CACHE] = "caches",
		[DIFF_TYPE] = "types",
	};
	json_t *j = json_object();

	json_object_set_new(j, "schema", json_string("pmdb.diff/1"));
	json_object_set_new(j, "status",
			    json_string(d->is_over ? "over-limit" : "clean"));
	json_object_set_new(j, "allocator", out_json_string(d->new.allocator));
	json_object_set_new(j, "old", json_dump(&d->old));
	json_object_set_new(j, "new", json_dump(&d->new));
	json_object_set_new(j, "is_same_process",
			    json_boolean(d->is_same_process));
	json_object_set_new(j, "is_same_build", json_boolean(d->is_same_build));
	json_object_set_new(j, "limit_bytes",
			    json_limit(d->has_limit, d->limit));
	json_object_set_new(j, "total_limit_bytes",
			    json_limit(d->has_total_limit, d->total_limit));
	json_object_set_new(j, "total", json_group(d, &d->total));
	for (int i = 0; i < DIFF_BYS; i++) {
		bool is_there = d->by & 1U << i && !d->missing[i];

		json_object_set_new(j, lists[i],
				    is_there ? json_groups(d, (enum diff_by)i)
					     : json_null());
	}
	json_object_set_new(j, "no_sites_reason",
			    text_or_null(d->missing[DIFF_SITE]));
	json_object_set_new(j, "no_types_reason",
			    text_or_null(d->missing[DIFF_TYPE]));
	json_dumpf(j, out, JSON_COMPACT);
	fputc('\n', out);
	json_decref(j);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A verdict as an object on a line: doc/json.md says what is in it. */
#include "pmdb/check_suppress.h"

#include <inttypes.h>

#include "shell/out_json.h"

static json_t *text_or_null(const char *s)
{
	return s && *s ? out_json_string(s) : json_null();
}

static json_t *print_or_null(const struct verdict *v, size_t i)
{
	return i == ITEM_NONE
		       ? json_null()
		       : json_sprintf("%016" PRIx64, v->items.v[i].fingerprint);
}

static json_t *count_or_null(uint64_t n)
{
	return n == UINT64_MAX ? json_null() : out_json_count(n);
}

static json_t *json_frame(const struct check_frame *f, bool has_root)
{
	json_t *j = json_object();

	json_object_set_new(j, "pc", out_json_hex(f->pc));
	json_object_set_new(j, "function", text_or_null(f->function));
	json_object_set_new(j, "object", text_or_null(f->object));
	json_object_set_new(j, "offset",
			    f->object ? out_json_hex(f->offset) : json_null());
	json_object_set_new(j, "file",
			    text_or_null(has_root ? f->path : f->file));
	json_object_set_new(j, "line",
			    f->file ? json_integer(f->line) : json_null());
	return j;
}

json_t *check_json_stack(const struct check_stack *s, bool has_root)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(list, json_frame(s->v[i], has_root));
	return list;
}

/* what every item has */
static json_t *json_item(const struct item *item)
{
	static const char *const states[] = {
		[ITEM_FAILS] = "fails",
		[ITEM_NOTED] = "tolerated",
		[ITEM_KNOWN] = "known",
		[ITEM_SUPPRESSED] = "suppressed",
	};
	json_t *j = json_object();

	json_object_set_new(j, "fingerprint",
			    json_sprintf("%016" PRIx64, item->fingerprint));
	json_object_set_new(j, "state", json_string(states[item->state]));
	return j;
}

static json_t *json_leak(const struct verdict *v, const struct item *item,
			 bool has_root)
{
	static const char *const kinds[] = {
		[ITEM_LEAK] = "direct",
		[ITEM_INDIRECT] = "indirect",
		[ITEM_POSSIBLE] = "possible",
	};
	json_t *j = json_item(item);

	json_object_set_new(j, "kind", json_string(kinds[item->kind]));
	json_object_set_new(j, "buffers", out_json_count(item->nbufs));
	json_object_set_new(j, "bytes", out_json_count(item->bytes));
	json_object_set_new(j, "direct_buffers", out_json_count(item->ndirect));
	json_object_set_new(j, "cache", out_json_string(item->cache));
	json_object_set_new(j, "caches", out_json_count(item->ncaches));
	json_object_set_new(j, "type", text_or_null(item->type));
	json_object_set_new(j, "shape", text_or_null(item->shape));
	json_object_set_new(j, "allocated_by", text_or_null(item->call));
	json_object_set_new(j, "addr", out_json_hex(item->addr));
	json_object_set_new(j, "kept_buffers", out_json_count(item->kept_bufs));
	json_object_set_new(j, "kept_bytes", out_json_count(item->kept_bytes));
	json_object_set_new(j, "kept_by", print_or_null(v, item->kept_by));
	json_object_set_new(j, "stack",
			    check_json_stack(&item->stack, has_root));
	return j;
}

static json_t *json_damage(const struct item *item, bool has_root)
{
	const char *kind = item->kind == ITEM_PANIC ? "reported"
			   : item->is_structure     ? "structure"
						    : "buffer";
	json_t *j = json_item(item);

	json_object_set_new(j, "kind", json_string(kind));
	json_object_set_new(j, "text", text_or_null(item->text));
	json_object_set_new(
		j, "addr", item->addr ? out_json_hex(item->addr) : json_null());
	json_object_set_new(j, "at",
			    item->at ? out_json_hex(item->at) : json_null());
	json_object_set_new(j, "cache", text_or_null(item->cache));
	json_object_set_new(j, "last", text_or_null(item->did));
	json_object_set_new(j, "thread",
			    item->tid ? json_integer(item->tid) : json_null());
	json_object_set_new(j, "stack",
			    check_json_stack(&item->stack, has_root));
	return j;
}

static json_t *json_call(const char *call, uint64_t bytes, uint32_t tid,
			 const struct check_stack *stack, bool has_root)
{
	json_t *j = json_object();

	json_object_set_new(j, "call", json_string(call));
	json_object_set_new(j, "bytes", count_or_null(bytes));
	json_object_set_new(j, "thread", tid ? json_integer(tid) : json_null());
	json_object_set_new(j, "stack", check_json_stack(stack, has_root));
	return j;
}

static json_t *json_mismatch(const struct item *item, bool has_root)
{
	json_t *j = json_item(item);

	json_object_set_new(j, "addr", out_json_hex(item->addr));
	json_object_set_new(j, "count", out_json_count(item->nbufs));
	json_object_set_new(j, "allocation",
			    json_call(item->call, item->bytes, item->tid,
				      &item->stack, has_root));
	json_object_set_new(j, "free",
			    json_call(item->freed_by, item->freed_bytes,
				      item->freed_tid, &item->freed, has_root));
	return j;
}

static json_t *json_counts(const struct check_counts *c, bool has_groups)
{
	json_t *j = json_object();

	if (has_groups)
		json_object_set_new(j, "groups", out_json_count(c->nitems));
	json_object_set_new(j, "buffers", out_json_count(c->nbufs));
	json_object_set_new(j, "bytes", out_json_count(c->bytes));
	return j;
}

/* the kinds of what fails; of none, why */
static json_t *json_verdicts(const struct verdict *v)
{
	bool has[3] = {false, false, false};
	json_t *list = json_array();

	for (size_t i = 0; i < v->items.n; i++) {
		const struct item *item = &v->items.v[i];

		if (item->state != ITEM_FAILS)
			continue;
		has[item_is_buffers(item)      ? 0
		    : item->kind == ITEM_PANIC ? 2
					       : 1] = true;
	}
	if (has[0])
		json_array_append_new(list, json_string("leaks"));
	if (has[1])
		json_array_append_new(list, json_string("corruption"));
	if (has[2])
		json_array_append_new(list, json_string("panic"));
	if (v->reason)
		json_array_append_new(list, json_string("inconclusive"));
	return list;
}

static void add_items(const struct verdict *v, json_t *j, bool has_root)
{
	json_t *leaks = json_array();
	json_t *damage = json_array();
	json_t *mismatches = json_array();

	for (size_t i = 0; i < v->items.n; i++) {
		const struct item *item = &v->items.v[i];

		if (item_is_buffers(item))
			json_array_append_new(leaks,
					      json_leak(v, item, has_root));
		else if (item->kind == ITEM_MISMATCH)
			json_array_append_new(mismatches,
					      json_mismatch(item, has_root));
		else
			json_array_append_new(damage,
					      json_damage(item, has_root));
	}
	json_object_set_new(j, "leaks", leaks);
	json_object_set_new(j, "corruption", damage);
	json_object_set_new(j, "mismatches", mismatches);
	json_object_set_new(j, "mismatched_frees",
			    out_json_count(v->nmismatches));
}

/* those of the call, not of one dump */
static json_t *json_suppressions(const struct suppressions *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->v.n; i++) {
		const struct suppression *one = &s->v.v[i];
		json_t *j = json_object();

		json_object_set_new(j, "file", out_json_string(one->path));
		json_object_set_new(j, "line", json_integer(one->line));
		json_object_set_new(j, "text", out_json_string(one->text));
		json_object_set_new(j, "expired",
				    json_boolean(one->is_expired));
		json_object_set_new(j, "used", out_json_count(one->nused));
		json_object_set_new(j, "bytes", out_json_count(one->bytes));
		json_array_append_new(list, j);
	}
	return list;
}

static void print_verdict(const struct report *r, const struct verdict *v,
			  FILE *out)
{
	static const char *const words[] = {
		[PMDB_CLEAN] = "clean",
		[PMDB_FINDINGS] = "findings",
		[PMDB_NO_VERDICT] = "no-verdict",
	};
	json_t *j = json_object();

	json_object_set_new(j, "schema", json_string("pmdb.check/1"));
	json_object_set_new(j, "status", json_string(words[v->status]));
	json_object_set_new(j, "verdicts", json_verdicts(v));
	json_object_set_new(j, "reason", text_or_null(v->reason));
	json_object_set_new(j, "dump", out_json_string(v->path));
	json_object_set_new(j, "program", text_or_null(v->program));
	json_object_set_new(j, "command", text_or_null(v->psargs));
	json_object_set_new(j, "pid",
			    v->program ? json_integer(v->pid) : json_null());
	json_object_set_new(j, "live",
			    v->has_leaks ? json_counts(&v->live, false)
					 : json_null());
	json_object_set_new(j, "interior",
			    v->has_leaks ? json_counts(&v->interior, false)
					 : json_null());
	json_object_set_new(j, "failing",
			    json_counts(&v->sums[ITEM_FAILS], true));
	json_object_set_new(j, "tolerated",
			    json_counts(&v->sums[ITEM_NOTED], true));
	json_object_set_new(j, "known",
			    json_counts(&v->sums[ITEM_KNOWN], true));
	json_object_set_new(j, "suppressed",
			    json_counts(&v->sums[ITEM_SUPPRESSED], true));
	add_items(v, j, r->check->has_root);
	json_object_set_new(j, "suppressions",
			    json_suppressions(r->check->suppressions));
	json_dumpf(j, out, JSON_COMPACT);
	fputc('\n', out);
	json_decref(j);
}

void check_print_json(const struct report *r, FILE *out)
{
	for (size_t i = 0; i < r->n; i++)
		print_verdict(r, &r->v[i], out);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folded stacks, comma separated values, and speedscope's JSON. */
#include "pmdb/export_impl.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "shell/out_json.h"

/* ---- folded ---------------------------------------------------------- */

struct folded {
	char *line;
	uint64_t bytes;
};

static int by_line(const void *a, const void *b)
{
	const struct folded *x = a;
	const struct folded *y = b;

	return strcmp(x->line, y->line);
}

/* stacks that differ in addresses only are one */
struct err *export_folded(const struct export *e, FILE *out)
{
	const struct profile *p = &e->profile;
	enum profile_sample what = export_sample(e);
	VEC(struct folded) list = {0};

	for (size_t i = 0; i < p->sites.n; i++) {
		const struct profile_site *s = &p->sites.v[i];

		if (s->count[what])
			VEC_PUSH(&list, ((struct folded){profile_folded(p, s),
							 s->bytes[what]}));
	}
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), by_line);
	for (size_t i = 0; i < list.n; i++) {
		if (i + 1 < list.n &&
		    strcmp(list.v[i].line, list.v[i + 1].line) == 0)
			list.v[i + 1].bytes += list.v[i].bytes;
		else
			fprintf(out, "%s %" PRIu64 "\n", list.v[i].line,
				list.v[i].bytes);
		mem_free(list.v[i].line);
	}
	VEC_FREE(&list);
	return NULL;
}

/* ---- csv ------------------------------------------------------------- */

static void put_quoted(const char *s, FILE *out)
{
	putc('"', out);
	for (; *s; s++) {
		if (*s == '"')
			putc('"', out);
		putc(*s, out);
	}
	putc('"', out);
}

struct err *export_csv(const struct export *e, FILE *out)
{
	const struct profile *p = &e->profile;

	fputs("size_bytes,cache", out);
	for (int i = 0; i < PROFILE_NSAMPLES; i++) {
		const char *name = export_sample_name((enum profile_sample)i);

		if (export_wants(e, (enum profile_sample)i))
			fprintf(out, ",%s_buffers,%s_bytes", name, name);
	}
	fputs(",stack\r\n", out);
	for (size_t i = 0; i < p->sites.n; i++) {
		const struct profile_site *s = &p->sites.v[i];
		_free_ char *stack = profile_folded(p, s);

		if (e->has_sample && !s->count[e->sample])
			continue;
		fprintf(out, "%" PRIu64 ",", s->size_bytes);
		put_quoted(s->cache, out);
		for (int j = 0; j < PROFILE_NSAMPLES; j++)
			if (export_wants(e, (enum profile_sample)j))
				fprintf(out, ",%" PRIu64 ",%" PRIu64,
					s->count[j], s->bytes[j]);
		putc(',', out);
		put_quoted(stack, out);
		fputs("\r\n", out);
	}
	return NULL;
}

/* ---- speedscope ------------------------------------------------------ */

/* the frames of all places, in order; where those of each begin */
struct frames {
	json_t *list;
	size_t *first;
};

static struct frames make_frames(const struct profile *p)
{
	struct frames f = {
		.list = json_array(),
		.first = mem_alloc((p->places.n + 1) * sizeof(size_t)),
	};

	for (size_t i = 0; i < p->places.n; i++) {
		const struct profile_place *place = &p->places.v[i];

		f.first[i] = json_array_size(f.list);
		for (size_t j = 0; j < place->lines.n; j++) {
			const struct profile_line *l = &place->lines.v[j];
			json_t *frame = json_object();

			json_object_set_new(frame, "name",
					    out_json_string(l->function));
			if (l->file)
				json_object_set_new(frame, "file",
						    out_json_string(l->file));
			if (l->line > 0)
				json_object_set_new(frame, "line",
						    json_integer(l->line));
			json_array_append_new(f.list, frame);
		}
	}
	return f;
}

static json_t *make_stack(const struct profile *p, const struct frames *f,
			  const struct profile_site *s)
{
	json_t *list = json_array();

	for (size_t i = s->nplaces; i > 0; i--) {
		size_t place = s->places[i - 1];

		for (size_t j = p->places.v[place].lines.n; j > 0; j--)
			json_array_append_new(
				list,
				json_integer(
					(json_int_t)(f->first[place] + j - 1)));
	}
	return list;
}

static json_t *make_profile(const struct export *e, const struct frames *f,
			    enum profile_sample what, bool is_bytes)
{
	const struct profile *p = &e->profile;
	_free_ char *name = mem_printf("%s %s", export_sample_name(what),
				       is_bytes ? "bytes" : "buffers");
	json_t *samples = json_array();
	json_t *weights = json_array();
	uint64_t total = 0;

	for (size_t i = 0; i < p->sites.n; i++) {
		const struct profile_site *s = &p->sites.v[i];
		uint64_t n = is_bytes ? s->bytes[what] : s->count[what];

		if (!s->count[what])
			continue;
		total += n;
		json_array_append_new(samples, make_stack(p, f, s));
		json_array_append_new(weights, out_json_count(n));
	}
	json_t *ret = json_object();

	json_object_set_new(ret, "type", json_string("sampled"));
	json_object_set_new(ret, "name", json_string(name));
	json_object_set_new(ret, "unit",
			    json_string(is_bytes ? "bytes" : "none"));
	json_object_set_new(ret, "startValue", json_integer(0));
	json_object_set_new(ret, "endValue", out_json_count(total));
	json_object_set_new(ret, "samples", samples);
	json_object_set_new(ret, "weights", weights);
	return ret;
}

struct err *export_speedscope(const struct export *e, FILE *out)
{
	struct frames f = make_frames(&e->profile);
	json_t *profiles = json_array();
	json_t *shared = json_object();
	json_t *file = json_object();

	for (int i = PROFILE_NSAMPLES - 1; i >= 0; i--) {
		enum profile_sample what = (enum profile_sample)i;

		if (!export_wants(e, what))
			continue;
		json_array_append_new(profiles,
				      make_profile(e, &f, what, true));
		json_array_append_new(profiles,
				      make_profile(e, &f, what, false));
	}
	json_object_set_new(shared, "frames", f.list);
	json_object_set_new(
		file, "$schema",
		json_string(
			"https://www.speedscope.app/file-format-schema.json"));
	json_object_set_new(file, "name", out_json_string(e->path));
	json_object_set_new(file, "exporter",
			    json_string("pmdb " PMDB_VERSION));
	json_object_set_new(file, "activeProfileIndex", json_integer(0));
	json_object_set_new(file, "shared", shared);
	json_object_set_new(file, "profiles", profiles);
	(void)json_dumpf(file, out, JSON_COMPACT); /* the caller sees errors */
	putc('\n', out);
	json_decref(file);
	mem_free(f.first);
	return NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A profile as pprof, Pyroscope and Parca read it: profile.proto, in protocol
 * buffers' wire format, gzipped.
 *
 * A message is a row of fields; a field is its number and wire type in a varint
 * (number << 3 | type), then the value: a varint (type 0), or a length and so
 * many bytes (type 2: strings, messages, packed lists of varints).  A varint has
 * 7 bits a byte, lowest first, and the highest bit in all but the last.  A field
 * that is 0 is left out.  Strings are numbers in a table whose first is "".
 */
#include "pmdb/export_impl.h"

#include <string.h>
#include <zlib.h>

#include "base/strbuf.h"

/* fields of Profile */
enum {
	P_SAMPLE_TYPE = 1,
	P_SAMPLE = 2,
	P_MAPPING = 3,
	P_LOCATION = 4,
	P_FUNCTION = 5,
	P_STRING = 6,
	P_TIME = 9,
	P_PERIOD_TYPE = 11,
	P_PERIOD = 12,
	P_DEFAULT_TYPE = 14,
};

struct pprof {
	const struct export *e;
	struct strbuf out;         /* the message Profile */
	struct hash index;         /* of a string -> strings + 1 */
	VEC(const char *) strings; /* borrowed of the profile, or literals */
	struct hash functions;     /* (name, file) -> id */
	uint64_t nfunctions;
};

/* ---- the wire -------------------------------------------------------- */

static void put_varint(struct strbuf *sb, uint64_t v)
{
	for (; v > 0x7f; v >>= 7)
		strbuf_putc(sb, (char)(0x80 | (v & 0x7f)));
	strbuf_putc(sb, (char)v);
}

static void put_number(struct strbuf *sb, unsigned field, uint64_t v)
{
	if (!v)
		return;
	put_varint(sb, field << 3);
	put_varint(sb, v);
}

static void put_bytes(struct strbuf *sb, unsigned field, const char *p,
		      size_t n)
{
	put_varint(sb, field << 3 | 2);
	put_varint(sb, n);
	strbuf_add(sb, p, n);
}

/* a message, or a packed list, which is released */
static void put_message(struct strbuf *sb, unsigned field, struct strbuf *m)
{
	put_bytes(sb, field, m->s ? m->s : "", m->n);
	mem_free(m->s);
	*m = (struct strbuf){0};
}

/* ---- the profile ----------------------------------------------------- */

/* the number of a string */
static uint64_t string(struct pprof *pp, const char *s)
{
	uint64_t key = hash_bytes(s, strlen(s), 0);
	uint64_t *at = hash_put(&pp->index, key, NULL);

	/* a key may be taken by another: then the next one is asked */
	while (*at && strcmp(pp->strings.v[*at - 1], s) != 0)
		at = hash_put(&pp->index, ++key, NULL);
	if (!*at) {
		VEC_PUSH(&pp->strings, s);
		*at = pp->strings.n;
	}
	return *at - 1;
}

static void put_type(struct pprof *pp, unsigned field, const char *type,
		     const char *unit)
{
	struct strbuf m = {0};

	put_number(&m, 1, string(pp, type));
	put_number(&m, 2, string(pp, unit));
	put_message(&pp->out, field, &m);
}

static const char *const type_names[PROFILE_NSAMPLES][2] = {
	[PROFILE_ALLOC] = {"alloc_objects", "alloc_space"},
	[PROFILE_INUSE] = {"inuse_objects", "inuse_space"},
	[PROFILE_LEAKED] = {"leaked_objects", "leaked_space"},
};

/* those that heap profiles have, unless one was asked for: fleets of stores
 * know no others */
static bool has_type(const struct export *e, enum profile_sample what)
{
	return export_wants(e, what) &&
	       (e->has_sample || what != PROFILE_LEAKED);
}

static void put_types(struct pprof *pp)
{
	for (int i = 0; i < PROFILE_NSAMPLES; i++) {
		if (!has_type(pp->e, (enum profile_sample)i))
			continue;
		put_type(pp, P_SAMPLE_TYPE, type_names[i][0], "count");
		put_type(pp, P_SAMPLE_TYPE, type_names[i][1], "bytes");
	}
	put_type(pp, P_PERIOD_TYPE, "space", "bytes");
	put_number(&pp->out, P_PERIOD, 1);
	put_number(&pp->out, P_TIME, pp->e->profile.time_ns);
	put_number(&pp->out, P_DEFAULT_TYPE,
		   string(pp, type_names[export_sample(pp->e)][1]));
}

static void put_label(struct pprof *pp, struct strbuf *sample, const char *key,
		      const char *text, uint64_t n)
{
	struct strbuf m = {0};

	put_number(&m, 1, string(pp, key));
	if (text) {
		put_number(&m, 2, string(pp, text));
	} else {
		put_number(&m, 3, n);
		put_number(&m, 4, string(pp, "bytes"));
	}
	put_message(sample, 3, &m);
}

static void put_sample(struct pprof *pp, const struct profile_site *s)
{
	struct strbuf m = {0};
	struct strbuf list = {0};
	bool is_wanted = false;

	for (size_t i = 0; i < s->nplaces; i++)
		put_varint(&list, s->places[i] + 1);
	put_message(&m, 1, &list);
	for (int i = 0; i < PROFILE_NSAMPLES; i++) {
		if (!has_type(pp->e, (enum profile_sample)i))
			continue;
		is_wanted = is_wanted || s->count[i] > 0;
		put_varint(&list, s->count[i]);
		put_varint(&list, s->bytes[i]);
	}
	put_message(&m, 2, &list);
	put_label(pp, &m, "bytes", NULL, s->size_bytes);
	put_label(pp, &m, "cache", s->cache, 0);
	if (is_wanted)
		put_message(&pp->out, P_SAMPLE, &m);
	mem_free(m.s);
}

static void put_mappings(struct pprof *pp)
{
	const struct profile *p = &pp->e->profile;

	for (size_t i = 0; i < p->objects.n; i++) {
		const struct profile_object *o = &p->objects.v[i];
		struct strbuf m = {0};

		put_number(&m, 1, i + 1);
		put_number(&m, 2, o->start);
		put_number(&m, 3, o->end);
		put_number(&m, 5, string(pp, o->path));
		put_number(&m, 6, string(pp, o->build_id));
		/* names are filled in: nobody else has to */
		put_number(&m, 7, 1);
		put_number(&m, 8, o->has_lines);
		put_number(&m, 9, o->has_lines);
		put_message(&pp->out, P_MAPPING, &m);
	}
}

static uint64_t function(struct pprof *pp, const struct profile_line *l)
{
	const uint64_t words[2] = {string(pp, l->function),
				   string(pp, l->file ? l->file : "")};
	uint64_t *at = hash_put(&pp->functions,
				words[0] << 32 | (uint32_t)words[1], NULL);
	struct strbuf m = {0};

	if (*at)
		return *at;
	*at = ++pp->nfunctions;
	put_number(&m, 1, *at);
	put_number(&m, 2, words[0]);
	put_number(&m, 3, words[0]);
	put_number(&m, 4, words[1]);
	put_message(&pp->out, P_FUNCTION, &m);
	return *at;
}

static void put_locations(struct pprof *pp)
{
	const struct profile *p = &pp->e->profile;

	for (size_t i = 0; i < p->places.n; i++) {
		const struct profile_place *place = &p->places.v[i];
		struct strbuf m = {0};

		put_number(&m, 1, i + 1);
		put_number(&m, 2,
			   place->object == PROFILE_NONE ? 0
							 : place->object + 1);
		/* in the call, not behind it */
		put_number(&m, 3, place->pc ? place->pc - 1 : 0);
		for (size_t j = 0; j < place->lines.n; j++) {
			const struct profile_line *l = &place->lines.v[j];
			struct strbuf line = {0};

			put_number(&line, 1, function(pp, l));
			put_number(&line, 2,
				   (uint64_t)(l->line > 0 ? l->line : 0));
			put_message(&m, 4, &line);
		}
		put_message(&pp->out, P_LOCATION, &m);
	}
}

/* ---- gzip ------------------------------------------------------------ */

#define GZIP_WINDOW (15 + 16) /* the largest, with gzip's header */

static struct err *put_gzip(const struct strbuf *sb, FILE *out)
{
	unsigned char buf[16384];
	z_stream z = {0};
	int rc = Z_OK;

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return err_new(ERR_IO, "zlib cannot begin");
	z.next_in = (Bytef *)sb->s;
	z.avail_in = (uInt)sb->n;
	while (rc == Z_OK) {
		z.next_out = buf;
		z.avail_out = sizeof(buf);
		rc = deflate(&z, Z_FINISH);
		(void)fwrite(buf, 1, sizeof(buf) - z.avail_out, out);
	}
	deflateEnd(&z);
	return rc == Z_STREAM_END ? NULL : err_new(ERR_IO, "zlib failed");
}

struct err *export_pprof(const struct export *e, FILE *out)
{
	struct pprof pp = {.e = e};
	struct err *err = NULL;

	hash_init(&pp.index);
	hash_init(&pp.functions);
	(void)string(&pp, "");
	put_types(&pp);
	for (size_t i = 0; i < e->profile.sites.n; i++)
		put_sample(&pp, &e->profile.sites.v[i]);
	put_mappings(&pp);
	put_locations(&pp);
	for (size_t i = 0; i < pp.strings.n; i++)
		put_bytes(&pp.out, P_STRING, pp.strings.v[i],
			  strlen(pp.strings.v[i]));
	if (pp.out.n > UINT32_MAX)
		err = err_new(ERR_NOSUP, "the profile is larger than 4 GB");
	if (!err)
		err = put_gzip(&pp.out, out);
	mem_free(pp.out.s);
	VEC_FREE(&pp.strings);
	hash_fini(&pp.index);
	hash_fini(&pp.functions);
	return err;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Baselines: the findings of a day, so that only new ones fail.  A file is for
 * people to look at and for git to merge: a line a finding, sorted by its
 * fingerprint, which is all that is read again.
 *
 *	pmdb-baseline 1
 *	6f1ed002ab559585 96 bytes leaked in 3 buffers of kmem_alloc_32: mk leak.c:5
 */
#include "pmdb/check_suppress.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "pmdb-baseline 1"

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* a line of a baseline; false: it is none */
static bool take_line(struct suppressions *s, const char *line)
{
	char *end = NULL;
	uint64_t n = 0;

	if (*line == '\0' || *line == '#')
		return true;
	if (!isxdigit((unsigned char)*line))
		return false;
	n = strtoull(line, &end, 16);
	if (end - line != 16 || (*end && *end != ' '))
		return false;
	VEC_PUSH(&s->known, n);
	return true;
}

struct err *baseline_read(struct suppressions *s, const char *path)
{
	FILE *f = fopen(path, "re");
	struct err *err = NULL;
	char *line = NULL;
	size_t cap = 0;
	unsigned n = 0;

	if (!f)
		return err_new(ERR_IO, "%s: %s", path, strerror(errno));
	while (!err && getline(&line, &cap, f) >= 0) {
		line[strcspn(line, "\r\n")] = '\0';
		if (n++ == 0 ? strcmp(line, HEADER) != 0 : !take_line(s, line))
			err = err_new(ERR_USAGE, "%s:%u: no baseline: %.60s",
				      path, n, line);
	}
	if (!err && ferror(f))
		err = err_new(ERR_IO, "%s: %s", path, strerror(errno));
	if (!err && n == 0)
		err = err_new(ERR_USAGE, "%s: no baseline: it is empty", path);
	fclose(f);
	free(line); /* getline()'s */
	s->has_baseline = true;
	if (s->known.n)
		qsort(s->known.v, s->known.n, sizeof(uint64_t), by_number);
	return err;
}

struct entry {
	uint64_t print;
	const struct item *item;
};

static int by_print(const void *a, const void *b)
{
	return by_number(&((const struct entry *)a)->print,
			 &((const struct entry *)b)->print);
}

static void write_all(const void *arg, FILE *out)
{
	const struct report *r = arg;
	VEC(struct entry) list = {0};

	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < r->v[i].items.n; k++) {
			const struct item *item = &r->v[i].items.v[k];
			struct entry e = {item->fingerprint, item};

			if (item->state != ITEM_SUPPRESSED)
				VEC_PUSH(&list, e);
		}
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), by_print);
	fputs(HEADER "\n", out);
	for (size_t i = 0; i < list.n; i++) {
		const struct check_frame *f = check_where(list.v[i].item);
		struct strbuf sb = {0};

		if (i > 0 && list.v[i].print == list.v[i - 1].print)
			continue; /* of another dump */
		check_item_words(list.v[i].item, &sb);
		if (f) {
			strbuf_puts(&sb, ": ");
			check_frame_words(f, &sb);
		}
		for (char *p = sb.s; *p; p++)
			if (iscntrl((unsigned char)*p))
				*p = '?';
		fprintf(out, "%016" PRIx64 " %s\n", list.v[i].print, sb.s);
		strbuf_free(&sb);
	}
	VEC_FREE(&list);
}

struct err *baseline_write(const struct report *r, const char *path)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].status == PMDB_NO_VERDICT)
			return err_new(
				ERR_BADDATA,
				"%s: not written: there is no verdict on "
				"%s",
				path, r->v[i].path);
	return check_write_file(path, write_all, r);
}

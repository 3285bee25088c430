/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Suppression files.  Two kinds are read as they are, and may be mixed:
 *
 *	leak:PATTERN		LeakSanitizer's, matched with the function, source
 *				file or object of any frame
 *
 *	{			valgrind's, of Memcheck:Leak and Memcheck:Free; those
 *	   name			of other tools and kinds are passed over
 *	   Memcheck:Leak
 *	   match-leak-kinds: definite,indirect
 *	   fun:malloc
 *	   ...
 *	   obj:*libfoo.so*
 *	}
 *
 * In a line of the first kind qualifiers of our own may stand, before the leak:
 * or alone, all of which have to hold:
 *
 *	cache:PATTERN  stack:FINGERPRINT  until:2027-12-31
 */
#include "pmdb/check_suppress.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ALL_BUFFERS \
	(1U << ITEM_LEAK | 1U << ITEM_INDIRECT | 1U << ITEM_POSSIBLE)
#define ALL_KINDS (ALL_BUFFERS | 1U << ITEM_DAMAGE | 1U << ITEM_MISMATCH)

/* ---- reading ------------------------------------------------------------- */

/* a file, line by line */
struct reader {
	FILE *file;
	const char *path;
	unsigned line;
	char *buf; /* the line, without what is blank at its ends */
	size_t cap;
	char *text;
};

static bool next_line(struct reader *r)
{
	ssize_t n = getline(&r->buf, &r->cap, r->file);

	if (n < 0)
		return false;
	r->line++;
	while (n > 0 && isspace((unsigned char)r->buf[n - 1]))
		r->buf[--n] = '\0';
	r->text = r->buf;
	while (isspace((unsigned char)*r->text))
		r->text++;
	return true;
}

static struct err *bad_line(const struct reader *r, const char *what)
{
	return err_new(ERR_USAGE, "%s:%u: %s: %.60s", r->path, r->line, what,
		       r->text);
}

/* the rest of s if it begins with a word, or NULL */
static char *after(char *s, const char *word)
{
	size_t n = strlen(word);

	return strncmp(s, word, n) == 0 ? s + n : NULL;
}

static int today(void)
{
	time_t now = time(NULL);
	struct tm tm = {0};

	if (!localtime_r(&now, &tm))
		return 0;
	return (tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday;
}

/* 2027-12-31 as 20271231; 0: it is no date */
static int date_of(const char *s)
{
	unsigned year = 0;
	unsigned month = 0;
	unsigned day = 0;
	int n = 0;

	if (strlen(s) != 10 ||
	    sscanf(s, "%4u-%2u-%2u%n", &year, &month, &day, &n) != 3 ||
	    n != 10 || month < 1 || month > 12 || day < 1 || day > 31)
		return 0;
	return (int)(year * 10000 + month * 100 + day);
}

/* takes a qualifier; its value ends at value[n] */
static struct err *take_qualifier(const struct reader *r, char *value, size_t n,
				  char kind, struct suppression *s)
{
	_free_ char *text = mem_strndup(value, n);
	char *end = NULL;

	switch (kind) {
	case 'c':
		if (n == 0)
			return bad_line(r, "no pattern after cache:");
		mem_free(s->cache);
		s->cache = mem_strdup(text);
		return NULL;
	case 's':
		s->print = strtoull(text, &end, 16);
		s->has_print = true;
		if (n != 16 || *end || !isxdigit((unsigned char)*text))
			return bad_line(r, "no fingerprint of 16 digits");
		return NULL;
	default:
		s->until = date_of(text);
		s->is_expired = s->until < today();
		if (s->until == 0)
			return bad_line(r, "no date like 2027-12-31");
		return NULL;
	}
}

/* a line of LeakSanitizer, with our qualifiers */
static struct err *take_line(const struct reader *r, struct suppression *s)
{
	static const char *const words[] = {"cache:", "stack:", "until:"};
	char *p = r->text;

	s->text = mem_strdup(r->text);
	while (*p) {
		char *value = after(p, "leak:");
		struct err *err = NULL;

		if (value) {
			if (!*value)
				return bad_line(r, "no pattern after leak:");
			if (strstr(value, " until:") ||
			    strstr(value, " cache:") ||
			    strstr(value, " stack:"))
				return bad_line(r, "put it before leak:, whose "
						   "pattern is the rest");
			s->leak = mem_strdup(value);
			break;
		}
		for (size_t i = 0; !value && i < 3; i++)
			value = after(p, words[i]);
		if (!value)
			return bad_line(r, "no kind of suppression");
		size_t n = strcspn(value, " \t");

		err = take_qualifier(r, value, n, *p, s);
		if (err)
			return err;
		p = value + n;
		p += strspn(p, " \t");
	}
	if (!s->leak && !s->cache && !s->has_print)
		return bad_line(r, "nothing to suppress");
	s->kinds = s->leak || s->cache ? ALL_BUFFERS : ALL_KINDS;
	return NULL;
}

/* "definite,possible" */
static struct err *take_kinds(const struct reader *r, char *list,
			      struct suppression *s)
{
	static const struct {
		const char *name;
		unsigned kinds;
	} words[] = {
		{"definite", 1U << ITEM_LEAK},
		{"indirect", 1U << ITEM_INDIRECT},
		{"possible", 1U << ITEM_POSSIBLE},
		{"all", ALL_BUFFERS},
		{"reachable", 0}, /* what is reachable is not told anyway */
		{"none", 0},
	};

	s->kinds = 0;
	for (char *p = list; *p;) {
		p += strspn(p, " \t,");
		size_t n = strcspn(p, " \t,");
		size_t i = 0;

		while (n && i < 6 &&
		       (strlen(words[i].name) != n ||
			strncmp(p, words[i].name, n) != 0))
			i++;
		if (i == 6)
			return bad_line(r, "no kind of leaks");
		if (n)
			s->kinds |= words[i].kinds;
		p += n;
	}
	return NULL;
}

static struct err *take_frame(const struct reader *r, struct suppression *s)
{
	static const char *const words[] = {
		[RULE_FUN] = "fun:", [RULE_OBJ] = "obj:", [RULE_SRC] = "src:"};
	struct frame_rule rule = {RULE_ANY, NULL};

	for (int i = RULE_FUN; i < RULE_ANY; i++) {
		char *value = after(r->text, words[i]);

		if (!value)
			continue;
		rule.kind = (enum rule_kind)i;
		rule.pattern = mem_strdup(value);
	}
	if (rule.kind == RULE_ANY && strcmp(r->text, "...") != 0)
		return bad_line(r, "no frame of a suppression");
	VEC_PUSH(&s->frames, rule);
	return NULL;
}

/* is a block for us?  "Memcheck,Addrcheck:Leak" */
static bool is_ours(char *kind, struct suppression *s)
{
	char *colon = strchr(kind, ':');

	if (!colon)
		return false;
	*colon = '\0';
	bool is_memcheck = strstr(kind, "Memcheck");

	*colon++ = ':';
	s->kinds = strcmp(colon, "Leak") == 0   ? ALL_BUFFERS
		   : strcmp(colon, "Free") == 0 ? 1U << ITEM_MISMATCH
						: 0;
	return is_memcheck && s->kinds;
}

/* a block of valgrind, whose "{" has been read; *ret_is_ours tells whether it
 * is one of those that we have a use for */
static struct err *take_block(struct reader *r, struct suppression *s,
			      bool *ret_is_ours)
{
	unsigned n = 0;

	while (next_line(r)) {
		struct err *err = NULL;
		char *kinds = NULL;

		if (!*r->text || *r->text == '#')
			continue;
		if (strcmp(r->text, "}") == 0)
			return n < 2 ? bad_line(r, "no name or kind before it")
				     : NULL;
		if (n++ == 0) {
			s->text = mem_strdup(r->text);
		} else if (n == 2) {
			*ret_is_ours = is_ours(r->text, s);
		} else if (*ret_is_ours) {
			kinds = after(r->text, "match-leak-kinds:");
			err = kinds ? take_kinds(r, kinds, s)
				    : take_frame(r, s);
		}
		if (err)
			return err;
	}
	return err_new(ERR_USAGE, "%s:%u: the file ends in a suppression",
		       r->path, s->line);
}

static void suppression_fini(struct suppression *s)
{
	mem_free(s->path);
	mem_free(s->text);
	mem_free(s->leak);
	mem_free(s->cache);
	for (size_t i = 0; i < s->frames.n; i++)
		mem_free(s->frames.v[i].pattern);
	VEC_FREE(&s->frames);
}

static struct err *read_all(struct suppressions *list, struct reader *r)
{
	while (next_line(r)) {
		struct suppression s = {0};
		bool is_used = true;
		struct err *err = NULL;

		if (!*r->text || *r->text == '#')
			continue;
		s.path = mem_strdup(r->path);
		s.line = r->line;
		err = strcmp(r->text, "{") == 0 ? take_block(r, &s, &is_used)
						: take_line(r, &s);
		if (err || !is_used) {
			suppression_fini(&s);
			if (err)
				return err;
		} else {
			VEC_PUSH(&list->v, s);
		}
	}
	return ferror(r->file)
		       ? err_new(ERR_IO, "%s: %s", r->path, strerror(errno))
		       : NULL;
}

struct err *suppressions_read(struct suppressions *s, const char *path)
{
	struct reader r = {.file = fopen(path, "re"), .path = path};
	struct err *err = NULL;

	if (!r.file)
		return err_new(ERR_IO, "%s: %s", path, strerror(errno));
	err = read_all(s, &r);
	fclose(r.file);
	free(r.buf); /* getline()'s */
	return err;
}

void suppressions_fini(struct suppressions *s)
{
	for (size_t i = 0; i < s->v.n; i++)
		suppression_fini(&s->v.v[i]);
	VEC_FREE(&s->v);
	VEC_FREE(&s->known);
}

/* ---- using --------------------------------------------------------------- */

/* some frame is matched, by any of its names */
static bool is_leak_of(const char *pattern, const struct check_stack *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct check_frame *f = s->v[i];

		if ((f->function && match_leak(pattern, f->function)) ||
		    (f->linkname && match_leak(pattern, f->linkname)) ||
		    (f->file && match_leak(pattern, f->file)) ||
		    (f->object && match_leak(pattern, f->object)))
			return true;
	}
	return false;
}

static bool is_suppressed_by(const struct suppression *s,
			     const struct item *item)
{
	if (s->is_expired || !(s->kinds & 1U << item->kind))
		return false;
	if (s->has_print && s->print != item->fingerprint)
		return false;
	if (s->cache && (!item->cache || !match_glob(s->cache, item->cache)))
		return false;
	if (s->leak && !is_leak_of(s->leak, &item->stack))
		return false;
	return s->frames.n == 0 ||
	       match_stack(s->frames.v, s->frames.n,
			   item->kind == ITEM_MISMATCH ? &item->freed
						       : &item->stack);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void check_suppress(struct suppressions *s, struct verdict *v)
{
	for (size_t i = 0; i < v->items.n; i++) {
		struct item *item = &v->items.v[i];

		if (s->known.n &&
		    bsearch(&item->fingerprint, s->known.v, s->known.n,
			    sizeof(uint64_t), by_number))
			item->state = ITEM_KNOWN;
		for (size_t k = 0; k < s->v.n; k++) {
			if (!is_suppressed_by(&s->v.v[k], item))
				continue;
			item->state = ITEM_SUPPRESSED;
			s->v.v[k].nused +=
				item_is_buffers(item) ? item->nbufs : 1;
			if (item_is_buffers(item))
				s->v.v[k].bytes += item->bytes;
			break;
		}
	}
}

/* a pattern, or the name of a block */
static const char *name_of(const struct suppression *s)
{
	bool is_plain = s->leak && !s->cache && !s->has_print && !s->until;

	return is_plain ? s->leak : s->text;
}

size_t suppressions_unused(const struct suppressions *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->v.n; i++) {
		const struct suppression *one = &s->v.v[i];

		if (one->nused)
			continue;
		n++;
		fprintf(stderr, "pmdb: %s:%u: %s suppression: %s\n", one->path,
			one->line, one->is_expired ? "expired" : "unused",
			one->text);
	}
	return n;
}

void suppressions_print(const struct suppressions *s, FILE *out)
{
	static const char rule[] =
		"-----------------------------------------------------\n";
	bool is_begun = false;

	for (size_t i = 0; i < s->v.n; i++) {
		const struct suppression *one = &s->v.v[i];

		if (one->nused == 0)
			continue;
		if (!is_begun)
			fprintf(out,
				"%sSuppressions used:\n"
				"  count      bytes template\n",
				rule);
		is_begun = true;
		fprintf(out, "%7" PRIu64 " %10" PRIu64 " %s\n", one->nused,
			one->bytes, name_of(one));
	}
	if (is_begun)
		fprintf(out, "%s\n", rule);
}

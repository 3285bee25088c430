/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Groups of buffers that look alike: of leaks that nobody recorded the caller
 * of, this is what tells one kind from another.
 *
 * A word of a buffer is zero, a number, text, or a pointer to a thing of some
 * kind (shape_look.c).  Two buffers of one struct need not agree in each: a
 * list ends in a zero, a tree's node has one child or two, a name is short.  So
 * looks are joined to shapes, those of most buffers first, each to the shape it
 * agrees with best, until nothing joins:
 *
 *  (S1) Kinds that exclude each other are a conflict.  Shapes that conflict are
 *       not one; but a few buffers against very many may do so in one word (a
 *       number that looks like text), and any in the last word, which may be
 *       beyond what was asked for, if one leads to the other.
 *  (S2) A word that is zero in one of them and not in the other is a step.  One
 *       step joins, if another word agrees.  Of more, the shapes in between are
 *       missing: then it takes a pointer from a buffer of the one to one of
 *       the other, and a word that agrees, or few against many.
 *  (S3) Two shapes that lead to their own like often, and hardly ever to each
 *       other, are the lists of two structs, unless they agree in all words.
 *  (S4) Objects with another table of functions (in C++, of another class) are
 *       never one; one that has a table is never without.
 *
 * The result depends on what is in the buffers only, not on the order in which
 * they are looked at.  Bounds: SHAPE_WORDS words a buffer; LOOKS_MAX looks of a
 * cache are compared, what is left of them goes to the shape that it fits, or is
 * "mixed".
 *
 * Cost: a look a buffer, 24 bytes for each; LOOKS_MAX^2 for a cache.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/strbuf.h"
#include "graph/shape.h"

#define LOOKS_MAX 128u
#define LINKED    4u /* so many pointers are a habit */

/* few against many (S1, S2) */
static bool is_few(uint64_t few, uint64_t many)
{
	return few * 32 <= many || (few <= 4 && few * 8 <= many);
}

/* ---- how two shapes compare ---------------------------------------------- */

struct comparison {
	unsigned nagree; /* words that are something, and the same */
	unsigned nsteps, nconflicts;
	bool is_last;   /* the conflict is in the last word */
	bool is_linked; /* a buffer of the one points at one of the other */
};

static bool is_heap(enum word_kind k)
{
	return k >= WORD_OWN && k <= WORD_FREED;
}

/* which of two kinds says more, 0 for both: they conflict.  is_text: in a
 * buffer that begins with text, what follows may be anything. */
static int says_more(enum word_kind a, enum word_kind b, bool is_text)
{
	if (a == WORD_SHORT)
		return b == WORD_NUMBER || b == WORD_TEXT ? 2 : 0;
	if (b == WORD_SHORT)
		return says_more(b, a, is_text) ? 1 : 0;
	if (is_text && a == WORD_TEXT && b == WORD_NUMBER)
		return 1;
	if (is_text && a == WORD_NUMBER && b == WORD_TEXT)
		return 2;
	if (!is_heap(a) || !is_heap(b))
		return 0;
	if (a == WORD_FREED || a == WORD_SELF)
		return 2;
	if (b == WORD_FREED || b == WORD_SELF)
		return 1;
	if (a == WORD_VAGUE)
		return b == WORD_INSIDE ? 0 : 2;
	if (b == WORD_VAGUE)
		return a == WORD_INSIDE ? 0 : 1;
	return 0;
}

static bool is_text_led(const struct shape_look *look)
{
	return shape_kind(look->kinds, 0) == WORD_TEXT;
}

/* false: never one (S4) */
static bool compare(const struct shape *a, const struct shape *b,
		    struct comparison *ret)
{
	bool is_text = is_text_led(&a->look) && is_text_led(&b->look);
	unsigned n = a->nwords > b->nwords ? a->nwords : b->nwords;

	*ret = (struct comparison){0};
	if ((a->look.table == SHAPE_STRING) !=
		    (b->look.table == SHAPE_STRING) ||
	    (a->look.table && b->look.table && a->look.table != b->look.table))
		return false;
	for (unsigned w = 0; w < n; w++) {
		enum word_kind ka = shape_kind(a->look.kinds, w);
		enum word_kind kb = shape_kind(b->look.kinds, w);
		unsigned maybe = (unsigned)(a->maybe | b->maybe) >> w & 1;

		if (ka == kb) {
			ret->nagree += ka != WORD_ZERO;
		} else if ((ka == WORD_ZERO && kb != WORD_TABLE) ||
			   (kb == WORD_ZERO && ka != WORD_TABLE)) {
			ret->nsteps += !maybe;
		} else if (says_more(ka, kb, is_text && w > 0)) {
			ret->nagree++;
		} else {
			ret->nconflicts++;
			ret->is_last = w + 1 == n;
		}
	}
	return true;
}

int shape_distance(const struct shape *shape, const struct shape_look *look)
{
	const struct shape other = {.look = *look, .nwords = shape->nwords};
	struct comparison c;

	return !shape->is_mixed && compare(shape, &other, &c) &&
			       c.nconflicts == 0 && c.nagree > 0
		       ? (int)c.nsteps
		       : -1;
}

bool shape_is_telling(const struct shape *shape)
{
	for (unsigned w = 0; w < shape->nwords; w++)
		if (shape_kind(shape->look.kinds, w) >= WORD_OWN)
			return !shape->is_mixed;
	return false;
}

/* ---- joining ------------------------------------------------------------- */

/* a look, and what became of it */
struct sort {
	struct shape s;
	uint32_t into; /* another sort, or itself */
};

struct joiner {
	struct heap *heap;
	const struct bufset *set;
	struct shape_looker *lk;
	struct shape_buf *v; /* of one cache, by address */
	size_t n;
	VEC(struct sort) sorts; /* most buffers first, after order() */
	struct hash by_look;
	/* of the first LOOKS_MAX: buffers of the one that point at the other */
	uint32_t links[LOOKS_MAX][LOOKS_MAX];
};

static uint32_t ends_in(const struct joiner *j, uint32_t i)
{
	while (j->sorts.v[i].into != i)
		i = j->sorts.v[i].into;
	return i;
}

/* may b, of fewer buffers, be joined to a?  By (S1) to (S4) */
static bool is_one(const struct joiner *j, size_t a, size_t b,
		   struct comparison *c)
{
	const struct shape *x = &j->sorts.v[a].s;
	const struct shape *y = &j->sorts.v[b].s;
	bool is_known = a < LOOKS_MAX && b < LOOKS_MAX;
	uint64_t nlinks =
		is_known ? (uint64_t)j->links[a][b] + j->links[b][a] : 0;
	bool is_little = is_few(y->nbufs, x->nbufs);

	if (!compare(x, y, c))
		return false;
	c->is_linked = nlinks > 0;
	if (is_known && nlinks < LINKED && c->nsteps + c->nconflicts > 0 &&
	    j->links[a][a] >= LINKED && j->links[b][b] >= LINKED)
		return false;
	if (c->nconflicts == 0)
		return c->nsteps == 0 ||
		       (c->is_linked && (c->nagree > 0 || c->nsteps == 1)) ||
		       (c->nagree > 0 &&
			(c->nsteps == 1 ||
			 (is_little && c->nsteps <= c->nagree)));
	if (c->nconflicts > 1)
		return false;
	return (is_little && c->nagree >= 2 && c->nsteps <= 1) ||
	       (c->is_linked && c->is_last);
}

static void join(struct joiner *j, size_t a, size_t b)
{
	struct shape *x = &j->sorts.v[a].s;
	struct shape *y = &j->sorts.v[b].s;
	bool is_text = is_text_led(&x->look) && is_text_led(&y->look);

	for (unsigned w = 0; w < SHAPE_WORDS; w++) {
		enum word_kind ka = shape_kind(x->look.kinds, w);
		enum word_kind kb = shape_kind(y->look.kinds, w);
		bool is_taken = ka == WORD_ZERO ||
				says_more(ka, kb, is_text && w > 0) == 2;

		if ((ka == WORD_ZERO) != (kb == WORD_ZERO))
			x->maybe |= (uint16_t)(1U << w);
		if (is_taken && kb != WORD_ZERO)
			x->look.kinds =
				(x->look.kinds & ~((uint64_t)15 << 4 * w)) |
				(uint64_t)kb << 4 * w;
	}
	x->maybe |= y->maybe;
	x->nbufs += y->nbufs;
	if (!x->look.table)
		x->look.table = y->look.table;
	if (y->min_bytes < x->min_bytes)
		x->min_bytes = y->min_bytes;
	if (y->max_bytes > x->max_bytes)
		x->max_bytes = y->max_bytes;
	j->sorts.v[b].into = (uint32_t)a;
	if (b >= LOOKS_MAX)
		return;
	for (size_t i = 0; i < LOOKS_MAX; i++)
		j->links[a][i] += j->links[b][i];
	for (size_t i = 0; i < LOOKS_MAX; i++)
		j->links[i][a] += j->links[i][b];
}

static bool is_better(const struct comparison *c, const struct comparison *best)
{
	if (c->nconflicts != best->nconflicts)
		return c->nconflicts < best->nconflicts;
	if (c->nsteps != best->nsteps)
		return c->nsteps < best->nsteps;
	if (c->is_linked != best->is_linked)
		return c->is_linked;
	return c->nagree > best->nagree;
}

/* the one among the first n that b is to be joined to, or n */
static size_t best_for(const struct joiner *j, size_t b, size_t n)
{
	struct comparison best = {0};
	size_t found = n;

	for (size_t a = 0; a < n; a++) {
		struct comparison c;

		if (j->sorts.v[a].into != a || !is_one(j, a, b, &c))
			continue;
		if (found < n && !is_better(&c, &best))
			continue;
		best = c;
		found = a;
	}
	return found;
}

static void join_all(struct joiner *j)
{
	size_t n = j->sorts.n < LOOKS_MAX ? j->sorts.n : LOOKS_MAX;
	bool is_changed = true;

	while (is_changed) {
		is_changed = false;
		for (size_t b = n; b-- > 1;) {
			size_t a =
				j->sorts.v[b].into == b ? best_for(j, b, b) : b;

			if (a == b)
				continue;
			join(j, a, b);
			is_changed = true;
		}
	}
	size_t mixed = j->sorts.n; /* the first of those that fit nowhere */

	for (size_t b = n; b < j->sorts.n; b++) {
		size_t a = best_for(j, b, n);

		if (a < n) {
			join(j, a, b);
		} else if (mixed == j->sorts.n) {
			mixed = b;
			j->sorts.v[b].s.is_mixed = true;
		} else {
			j->sorts.v[b].into = (uint32_t)mixed;
			j->sorts.v[mixed].s.nbufs += j->sorts.v[b].s.nbufs;
		}
	}
}

/* ---- looks --------------------------------------------------------------- */

static bool is_same(const struct shape_look *a, const struct shape_look *b)
{
	return a->kinds == b->kinds && a->table == b->table;
}

static void add_look(struct joiner *j, struct shape_buf *b)
{
	struct shape_look look = shape_look(j->lk, b->buf);
	uint64_t size = bufset_at(j->set, b->buf).size_bytes;
	uint64_t key = hash_bytes(&look, sizeof(look), 0);
	uint64_t *at = hash_put(&j->by_look, key, NULL);

	while (*at && !is_same(&j->sorts.v[*at - 1].s.look, &look))
		at = hash_put(&j->by_look, ++key, NULL);
	if (!*at) {
		struct sort sort = {.s = {.cache = b->cache, .look = look}};

		VEC_PUSH(&j->sorts, sort);
		*at = j->sorts.n;
	}
	struct shape *s = &j->sorts.v[*at - 1].s;

	b->shape = (uint32_t)*at - 1;
	if (s->nbufs++ == 0 || size < s->min_bytes)
		s->min_bytes = size;
	if (size > s->max_bytes)
		s->max_bytes = size;
	if (size / 8 > s->nwords)
		s->nwords = size / 8 > SHAPE_WORDS ? SHAPE_WORDS
						   : (unsigned)(size / 8);
	s->is_more |= size > SHAPE_WORDS * 8;
}

static int by_number(const void *a, const void *b)
{
	const struct sort *x = a;
	const struct sort *y = b;

	if (x->s.nbufs != y->s.nbufs)
		return x->s.nbufs > y->s.nbufs ? -1 : 1;
	if (x->s.look.kinds != y->s.look.kinds)
		return x->s.look.kinds < y->s.look.kinds ? -1 : 1;
	return x->s.look.table < y->s.look.table ? -1 : 1;
}

/* sorts by number of buffers; what the buffers say follows */
static void order(struct joiner *j)
{
	_free_ uint32_t *place = mem_array(j->sorts.n + 1, sizeof(*place));

	for (size_t i = 0; i < j->sorts.n; i++)
		j->sorts.v[i].into = (uint32_t)i;
	qsort(j->sorts.v, j->sorts.n, sizeof(*j->sorts.v), by_number);
	for (size_t i = 0; i < j->sorts.n; i++) {
		place[j->sorts.v[i].into] = (uint32_t)i;
		j->sorts.v[i].into = (uint32_t)i;
	}
	for (size_t i = 0; i < j->n; i++)
		j->v[i].shape = place[j->v[i].shape];
}

static int by_buf(const void *a, const void *b)
{
	const struct shape_buf *x = a;
	const struct shape_buf *y = b;

	if (x->cache != y->cache)
		return x->cache < y->cache ? -1 : 1;
	return x->buf < y->buf ? -1 : x->buf > y->buf;
}

static void find_links(struct joiner *j)
{
	size_t to[SHAPE_WORDS];

	memset(j->links, 0, sizeof(j->links));
	for (size_t i = 0; j->sorts.n > 1 && i < j->n; i++) {
		const struct shape_buf *b = &j->v[i];
		size_t n =
			b->shape < LOOKS_MAX
				? shape_links(j->lk, b->buf,
					      j->sorts.v[b->shape].s.look, to)
				: 0;

		for (size_t k = 0; k < n; k++) {
			struct shape_buf key = {to[k], b->cache, 0};
			const struct shape_buf *other =
				bsearch(&key, j->v, j->n, sizeof(key), by_buf);

			if (other && other->shape < LOOKS_MAX)
				j->links[b->shape][other->shape]++;
		}
	}
}

/* ---- the result ---------------------------------------------------------- */

/* the same in every run: no address */
static char *table_name(struct types *types, taddr_t addr)
{
	struct symbol sym;

	return types_symbol_at(types, addr, &sym)
		       ? types_addr_name(types, addr)
		       : types_place_name(types, addr);
}

static void add_word(struct strbuf *sb, struct heap *heap,
		     const struct shape *s, unsigned w)
{
	static const char *const names[] = {
		[WORD_ZERO] = "0",        [WORD_SHORT] = "num",
		[WORD_NUMBER] = "num",    [WORD_TEXT] = "text",
		[WORD_OWN] = "own",       [WORD_BUF] = "ptr",
		[WORD_STR] = "str",       [WORD_VAGUE] = "ptr",
		[WORD_INSIDE] = "inside", [WORD_SELF] = "self",
		[WORD_FREED] = "freed",   [WORD_CODE] = "code",
		[WORD_DATA] = "data",     [WORD_TABLE] = "table",
		[WORD_STACK] = "stack",   [WORD_MAPPED] = "map",
	};
	enum word_kind kind = shape_kind(s->look.kinds, w);

	strbuf_puts(sb, names[kind]);
	if (kind == WORD_TABLE && heap->types) {
		_free_ char *name = table_name(heap->types, s->look.table);

		strbuf_printf(sb, ":%s", name);
	}
	if (s->maybe >> w & 1)
		strbuf_putc(sb, '?');
}

static char *text_of(struct heap *heap, const struct shape *s)
{
	struct strbuf sb = {0};
	unsigned last = 0;

	if (s->is_mixed)
		return mem_strdup("{mixed}");
	if (s->look.table == SHAPE_STRING)
		return mem_strdup("{string}");
	strbuf_putc(&sb, '{');
	for (unsigned w = 0; w < s->nwords; w += last) {
		struct strbuf word = {0};
		struct strbuf next = {0};

		add_word(&word, heap, s, w);
		for (last = 1; w + last < s->nwords; last++) {
			strbuf_reset(&next);
			add_word(&next, heap, s, w + last);
			if (strcmp(word.s, next.s) != 0)
				break;
		}
		strbuf_printf(&sb, "%s%s", w ? " " : "", word.s);
		if (last > 1)
			strbuf_printf(&sb, "*%u", last);
		strbuf_free(&word);
		strbuf_free(&next);
	}
	strbuf_puts(&sb, s->is_more ? " ...}" : "}");
	return sb.s;
}

static void keep(struct joiner *j, struct shapes *ret)
{
	_free_ uint32_t *kept = mem_array(j->sorts.n + 1, sizeof(*kept));

	for (size_t i = 0; i < j->sorts.n; i++) {
		struct sort *s = &j->sorts.v[i];

		if (s->into != i)
			continue;
		s->s.text = text_of(j->heap, &s->s);
		VEC_PUSH(&ret->v, s->s);
		kept[i] = (uint32_t)ret->v.n;
	}
	for (size_t i = 0; i < j->n; i++)
		j->v[i].shape = kept[ends_in(j, j->v[i].shape)];
}

static struct err *group_cache(struct joiner *j, struct shapes *ret)
{
	struct err *err = NULL;

	hash_init(&j->by_look);
	for (size_t i = 0; !err && i < j->n; i++) {
		add_look(j, &j->v[i]);
		if ((i & 0xffff) != 0)
			continue;
		progress_set("looking at leaks", i, j->n);
		err = interrupt_check();
	}
	if (!err) {
		order(j);
		find_links(j);
		join_all(j);
		keep(j, ret);
	}
	hash_fini(&j->by_look);
	VEC_FREE(&j->sorts);
	return err;
}

struct err *shapes_find(struct heap *heap, const struct bufset *set,
			struct shape_buf *v, size_t n, struct shapes **ret)
{
	_free_ struct joiner *j = mem_zalloc(sizeof(*j));
	struct shapes *shapes = mem_zalloc(sizeof(*shapes));
	struct err *err = NULL;

	j->heap = heap;
	j->set = set;
	j->lk = shape_looker_create(heap, set);
	if (n)
		qsort(v, n, sizeof(*v), by_buf);
	for (size_t i = 0; !err && i < n; i += j->n) {
		j->v = v + i;
		j->n = 1;
		while (i + j->n < n && v[i + j->n].cache == v[i].cache)
			j->n++;
		err = group_cache(j, shapes);
	}
	shape_looker_free(j->lk);
	if (err) {
		shapes_free(shapes);
		return err;
	}
	*ret = shapes;
	return NULL;
}

void shapes_free(struct shapes *shapes)
{
	if (!shapes)
		return;
	for (size_t i = 0; i < shapes->v.n; i++)
		mem_free(shapes->v.v[i].text);
	VEC_FREE(&shapes->v);
	mem_free(shapes);
}

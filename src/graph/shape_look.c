/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What each word of a buffer is, by its value and by what lies where it points;
 * shape.c says what for. */
#include <elf.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "graph/shape.h"

#define TEXT_MIN    4u /* letters that are no accident */
#define POINTER_MIN 0x10000u
#define POINTER_MAX ((uint64_t)1 << 47)
#define TABLE_WORDS 8u /* one of so many is a function's address */
/* a size class of malloc() is no coarser than this */
#define SLACK_BYTES 16u
#define SMALLEST    24u /* buffer of glibc's */

struct shape_looker {
	const struct target *t;
	struct types *types;
	const struct bufset *set;
	struct heap_range *own; /* the allocator's */
	size_t nown;
	struct hash tables; /* address -> 1 no table of functions, 2 one */
};

struct shape_looker *shape_looker_create(struct heap *heap,
					 const struct bufset *set)
{
	struct shape_looker *lk = mem_zalloc(sizeof(*lk));

	lk->t = heap->target;
	lk->types = heap->types;
	lk->set = set;
	hash_init(&lk->tables);
	/* what cannot be told from other memory then is "mapped" */
	if (heap->ops->own)
		err_free(heap->ops->own(heap, &lk->own, &lk->nown));
	return lk;
}

void shape_looker_free(struct shape_looker *lk)
{
	if (!lk)
		return;
	hash_fini(&lk->tables);
	mem_free(lk->own);
	mem_free(lk);
}

static bool word_at(const struct shape_looker *lk, taddr_t at, uint64_t *ret)
{
	size_t len = 0;
	const unsigned char *p = target_peek(lk->t, at, &len);

	if (!p || len < sizeof(*ret))
		return false;
	memcpy(ret, p, sizeof(*ret));
	return true;
}

/* ---- text ---------------------------------------------------------------- */

static bool is_letter(unsigned char c)
{
	return (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n' || c == '\r';
}

/* letters that a word begins with, as bytes in memory; *ret_ended: what follows
 * them in it are zeros */
static unsigned letters(uint64_t word, bool *ret_ended)
{
	unsigned n = 0;

	while (n < 8 && is_letter((unsigned char)(word >> 8 * n)))
		n++;
	*ret_ended = n == 8 || word >> 8 * n == 0;
	return n;
}

/* letters in [addr, addr + size) before a NUL; 0: no NUL, or something else
 * than letters */
static uint64_t text_bytes(const struct shape_looker *lk, taddr_t addr,
			   uint64_t size)
{
	const unsigned char *p = NULL;
	size_t len = 0;

	for (uint64_t n = 0; n < size; n++, p++, len--) {
		if (len == 0)
			p = target_peek(lk->t, addr + n, &len);
		if (!p || len == 0)
			return 0;
		if (*p == 0)
			return n;
		if (!is_letter(*p))
			return 0;
	}
	return 0;
}

static bool is_text_at(const struct shape_looker *lk, taddr_t addr)
{
	uint64_t word = 0;
	bool is_ended = false;

	if (!word_at(lk, addr, &word))
		return false;
	unsigned n = letters(word, &is_ended);

	return n == 8 || (n >= TEXT_MIN && (word >> 8 * n & 0xff) == 0);
}

/* a text that needs a buffer of this size; of the smallest size, one that
 * nothing follows */
static bool is_string(const struct shape_looker *lk, struct bufset_buf b)
{
	uint64_t n = text_bytes(lk, b.addr, b.size_bytes);
	uint64_t word = 0;

	if (n + 1 < TEXT_MIN)
		return false;
	return n + 1 + SLACK_BYTES > b.size_bytes ||
	       (n < 8 && b.size_bytes <= SMALLEST &&
		word_at(lk, b.addr + 8, &word) && word == 0);
}

/* ---- pointers ------------------------------------------------------------ */

static bool is_own(const struct shape_looker *lk, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = lk->nown;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (lk->own[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < lk->nown && lk->own[lo].start <= addr;
}

static bool is_stack(const struct target *t, const struct target_map *map)
{
	for (size_t i = 0; i < target_nthreads(t); i++) {
		const struct target_thread *th = target_thread(t, i);

		if (th->has_regs && th->regs.rsp >= map->start &&
		    th->regs.rsp < map->end)
			return true;
	}
	return false;
}

static bool is_code(const struct target *t, uint64_t value)
{
	const struct target_map *map =
		value >= POINTER_MIN ? target_map_at(t, value) : NULL;

	return map && map->prot & PF_X;
}

/* does an object of a program lie there that holds addresses of functions? */
static bool is_table(struct shape_looker *lk, taddr_t addr)
{
	uint64_t *known = addr % 8 ? NULL : hash_put(&lk->tables, addr, NULL);
	uint64_t word = 0;

	if (!known)
		return false;
	if (*known)
		return *known == 2;
	*known = 1;
	for (unsigned i = 0; i < TABLE_WORDS; i++)
		if (word_at(lk, addr + i * 8ull, &word) && is_code(lk->t, word))
			*known = 2;
	return *known == 2;
}

static enum word_kind to_buffer(const struct shape_looker *lk, size_t from,
				size_t to, uint64_t value)
{
	struct bufset_buf b = bufset_at(lk->set, to);
	uint64_t word = 0;
	bool is_ended = false;

	if (to == from)
		return WORD_SELF;
	if (value != b.addr)
		return WORD_INSIDE;
	/* a struct may begin with a name */
	if (b.size_bytes == bufset_at(lk->set, from).size_bytes)
		return is_string(lk, b) ? WORD_STR : WORD_OWN;
	if (is_text_at(lk, value))
		return WORD_STR;
	if (word_at(lk, value, &word) &&
	    (word == 0 || (letters(word, &is_ended) && is_ended)))
		return WORD_VAGUE;
	return WORD_BUF;
}

/* WORD_NUMBER: it points nowhere */
static enum word_kind pointer_kind(struct shape_looker *lk, size_t from,
				   unsigned index, uint64_t value)
{
	if (value < POINTER_MIN || value >= POINTER_MAX)
		return WORD_NUMBER;
	size_t to = bufset_find(lk->set, value);

	if (to != BUFSET_NONE)
		return to_buffer(lk, from, to, value);
	const struct target_map *map = target_map_at(lk->t, value);

	if (!map || map->prot == 0)
		return WORD_NUMBER;
	if (map->prot & PF_X)
		return WORD_CODE;
	if (map->path || (lk->types && types_object_at(lk->types, value))) {
		if (!(map->prot & PF_W) && is_text_at(lk, value))
			return WORD_STR;
		return index < 2 && is_table(lk, value) ? WORD_TABLE
							: WORD_DATA;
	}
	if (is_own(lk, value))
		return WORD_FREED;
	return is_stack(lk->t, map) ? WORD_STACK : WORD_MAPPED;
}

/* ---- buffers ------------------------------------------------------------- */

static enum word_kind value_kind(struct shape_looker *lk, size_t from,
				 unsigned index, uint64_t value, bool is_led)
{
	enum word_kind kind = pointer_kind(lk, from, index, value);
	bool is_ended = false;

	if (value == 0)
		return WORD_ZERO;
	if (kind != WORD_NUMBER)
		return kind;
	unsigned n = letters(value, &is_ended);

	/* 3.3 is "ffffff\n@" */
	if (n == 8 && !is_led && (value >> 56 == 0x3f || value >> 56 == 0x40))
		return WORD_SHORT;
	/* what follows the NUL in the last word of a text is anything */
	if (n == 8 ||
	    (n >= TEXT_MIN && (is_ended || (value >> 8 * n & 0xff) == 0)) ||
	    (is_led && n && is_ended))
		return WORD_TEXT;
	return n && is_ended ? WORD_SHORT : WORD_NUMBER;
}

struct shape_look shape_look(struct shape_looker *lk, size_t i)
{
	struct bufset_buf b = bufset_at(lk->set, i);
	struct shape_look look = {0};
	uint64_t word = 0;

	if (is_string(lk, b)) {
		look.kinds = WORD_TEXT;
		look.table = SHAPE_STRING;
		return look;
	}
	for (unsigned w = 0; w < SHAPE_WORDS && w * 8 + 8 <= b.size_bytes;
	     w++) {
		bool is_led = w && shape_kind(look.kinds, w - 1) == WORD_TEXT;

		if (!word_at(lk, b.addr + w * 8, &word))
			break;
		enum word_kind kind = value_kind(lk, i, w, word, is_led);

		look.kinds |= (uint64_t)kind << 4 * w;
		if (kind == WORD_TABLE && !look.table)
			look.table = word;
	}
	return look;
}

size_t shape_links(struct shape_looker *lk, size_t i, struct shape_look look,
		   size_t ret[SHAPE_WORDS])
{
	struct bufset_buf b = bufset_at(lk->set, i);
	uint64_t word = 0;
	size_t n = 0;

	for (unsigned w = 0; w < SHAPE_WORDS; w++)
		if (shape_kind(look.kinds, w) == WORD_OWN &&
		    word_at(lk, b.addr + w * 8ull, &word))
			ret[n++] = bufset_find(lk->set, word);
	return n;
}

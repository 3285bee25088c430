/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Suppressions for what was found, as blocks that valgrind reads too.  One that
 * has many frames stops to match when any of them changes, so there are two: the
 * innermost functions that are of the project, with "..." for what is between.
 *
 * One function that has called the allocator itself stands beside that, without
 * "...".  All that hangs below main(), or uses a library, is not meant: where no
 * more is known than that, it is the fingerprint that is suppressed.
 */
#include "pmdb/check_suppress.h"

#include <inttypes.h>
#include <string.h>

#define FRAMES_MAX 2

static bool is_worth(const struct check_frame *f)
{
	const char *name = f->linkname ? f->linkname : f->function;

	/* the C++ library's own, inlined, tell nothing */
	return !f->is_own && !f->is_system && name &&
	       strncmp(name, "_ZNSt", 5) != 0 &&
	       strncmp(name, "_ZSt", 4) != 0 &&
	       strncmp(name, "_ZN9__gnu_cxx", 13) != 0 &&
	       strcmp(name, "_start") != 0;
}

/* the frames of a block */
struct block {
	VEC(struct frame_rule) rules;
	enum item_kind kind;
};

static void add_rule(struct block *b, enum rule_kind kind, const char *pattern)
{
	struct frame_rule rule = {kind, pattern ? mem_strdup(pattern) : NULL};

	VEC_PUSH(&b->rules, rule);
}

static void block_fini(struct block *b)
{
	for (size_t i = 0; i < b->rules.n; i++)
		mem_free(b->rules.v[i].pattern);
	VEC_FREE(&b->rules);
}

/* of one function, what it has called; nothing if that is not the allocator */
static void choose_callee(struct block *b, const struct check_stack *s,
			  size_t caller)
{
	const struct check_frame *callee = caller == 1 ? s->v[0] : NULL;

	block_fini(b);
	if (!callee || !callee->is_own || !callee->linkname)
		return;
	add_rule(b, RULE_FUN, callee->linkname);
	add_rule(b, RULE_FUN,
		 s->v[caller]->linkname ? s->v[caller]->linkname
					: s->v[caller]->function);
}

/* chooses the frames; none: there is none that says anything */
static void choose_frames(struct block *b, const struct check_stack *s)
{
	size_t n = 0;
	size_t last = ITEM_NONE;

	for (size_t i = 0; i < s->n && n < FRAMES_MAX; i++) {
		const struct check_frame *f = s->v[i];

		if (!is_worth(f))
			continue;
		if (last == ITEM_NONE ? i > 0 : i > last + 1)
			add_rule(b, RULE_ANY, NULL);
		add_rule(b, RULE_FUN, f->linkname ? f->linkname : f->function);
		last = i;
		n++;
	}
	if (n == 1)
		choose_callee(b, s, last);
}

static void print_block(FILE *out, const struct block *b,
			const struct item *item, const char *words)
{
	static const char *const prefixes[] = {
		[RULE_FUN] = "fun:", [RULE_OBJ] = "obj:", [RULE_SRC] = "src:"};

	fprintf(out, "{\n   %s [%016" PRIx64 "]\n   Memcheck:%s\n", words,
		item->fingerprint, b->kind == ITEM_MISMATCH ? "Free" : "Leak");
	for (size_t i = 0; i < b->rules.n; i++) {
		const struct frame_rule *rule = &b->rules.v[i];

		if (rule->kind == RULE_ANY)
			fputs("   ...\n", out);
		else
			fprintf(out, "   %s%s\n", prefixes[rule->kind],
				rule->pattern);
	}
	fputs("}\n", out);
}

struct generator {
	FILE *out;
	VEC(struct block) blocks;
};

static void generate(struct generator *g, const struct item *item)
{
	struct block b = {.kind = item_is_buffers(item) ? ITEM_LEAK
							: item->kind};
	const struct check_stack *stack =
		item->kind == ITEM_MISMATCH ? &item->freed : &item->stack;
	struct strbuf words = {0};

	/* one that an earlier block matches has that one; else there would be
	 * a block that is never used */
	for (size_t i = 0; i < g->blocks.n; i++)
		if (g->blocks.v[i].kind == b.kind &&
		    match_stack(g->blocks.v[i].rules.v, g->blocks.v[i].rules.n,
				stack))
			return;
	check_item_words(item, &words);
	if (b.kind == ITEM_LEAK || b.kind == ITEM_MISMATCH)
		choose_frames(&b, stack);
	if (b.rules.n > 0) {
		print_block(g->out, &b, item, strbuf_str(&words));
		VEC_PUSH(&g->blocks, b);
	} else {
		fprintf(g->out, "# %s\nstack:%016" PRIx64 "\n",
			strbuf_str(&words), item->fingerprint);
	}
	strbuf_free(&words);
}

void check_print_suppressions(const struct report *r, FILE *out)
{
	struct generator g = {.out = out};

	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < r->v[i].items.n; k++)
			if (r->v[i].items.v[k].state == ITEM_FAILS)
				generate(&g, &r->v[i].items.v[k]);
	for (size_t i = 0; i < g.blocks.n; i++)
		block_fini(&g.blocks.v[i]);
	VEC_FREE(&g.blocks);
}

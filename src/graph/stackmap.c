/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the words of the stacks are: variables, saved registers, or nothing that
 * is in use.
 *
 * Each thread is unwound.  Of a frame whose function has debug information, the
 * variables in scope at its pc are listed with their places, and so are the
 * registers it has saved.  What is left of such a frame is dead: no variable is
 * there.  That is a likelihood, not a proof, as the compiler also spills values
 * that have no name.  Of other frames nothing is said.
 *
 *      sp                                              cfa = sp of the caller
 *      | dead | variable | dead | saved rbx | return address |
 *
 * A caller's variable may be in a register.  Then it is in the register itself,
 * unless a frame further in has saved it; then it is there.  Frames come from the
 * innermost out, so it is enough to remember for each register which slot had
 * it last.
 *
 * Invariants: (I1) dead ranges ascend and are disjoint, and no slot of any
 * frame is in one.  (I2) the slots of frames[i] are slots[first..first + n).
 *
 * Cost: the unwinding of each thread, the scopes around each frame's pc.
 */
#include "graph/stackmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define RED_ZONE 128
#define NREGS    16
/* saved by whoever is called: rbx, rbp, r12 to r15 */
#define CALLEE_SAVED (1u << 3 | 1u << 6 | 0xf000u)
#define NOT_SAVED    SIZE_MAX

static const char *const reg_names[NREGS] = {
	"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};

struct builder {
	struct stackmap *map;
	struct types *types;
	const struct target_thread *thread;
	const struct frame *frame;
	size_t saved[NREGS]; /* the slot that has it; NOT_SAVED: the register */
	unsigned nframes;    /* of the thread */
};

static struct stack_slot slot_of(const struct builder *b,
				 const struct frame_var *v)
{
	return (struct stack_slot){
		.start = v->addr,
		.end = v->addr + v->size_bytes,
		.frame = b->map->frames.n - 1,
		.variable = v->name,
		.function = v->function,
		.type = v->type,
		.is_listed = v->is_listed,
		.offset_bytes = v->offset_bytes,
	};
}

static void in_register(struct builder *b, const struct frame_var *v)
{
	struct stack_slot slot = slot_of(b, v);
	size_t saved = b->saved[v->reg];

	if (!b->frame->is_activation && !(CALLEE_SAVED & 1u << v->reg))
		return; /* gone since the call */
	if (saved == NOT_SAVED) {
		slot.reg = reg_names[v->reg];
		slot.tid = b->thread->tid;
		slot.value = b->frame->regs[v->reg];
		VEC_PUSH(&b->map->in_regs, slot);
		return;
	}
	if (b->map->slots.v[saved].variable)
		return; /* the innermost scope was first */
	slot.start = b->map->slots.v[saved].start;
	slot.end = b->map->slots.v[saved].end;
	slot.reg = reg_names[v->reg];
	slot.saved_by = b->map->slots.v[saved].saved_by;
	b->map->slots.v[saved] = slot;
}

static struct err *on_variable(void *arg, const struct frame_var *v)
{
	struct builder *b = arg;

	if (v->reg >= 0)
		in_register(b, v);
	else if (v->size_bytes && v->addr + v->size_bytes > v->addr)
		VEC_PUSH(&b->map->slots, slot_of(b, v));
	return NULL;
}

static void on_saved(struct builder *b)
{
	taddr_t at[NREGS];
	unsigned mask = types_frame_saved(b->types, b->frame, at);

	for (unsigned reg = 0; reg < NREGS; reg++) {
		struct stack_slot slot = {
			.start = at[reg],
			.end = at[reg] + 8,
			.frame = b->map->frames.n - 1,
			.reg = reg_names[reg],
		};

		if (!(mask & 1u << reg))
			continue;
		slot.saved_by = slot.frame;
		b->saved[reg] = b->map->slots.n;
		VEC_PUSH(&b->map->slots, slot);
	}
}

static struct err *on_frame(void *arg, const struct frame *frame)
{
	struct builder *b = arg;
	struct stack_frame f = {
		.tid = b->thread->tid,
		.number = b->nframes++,
		.pc = frame->pc,
		.is_activation = frame->is_activation,
		.start = frame->sp,
		.end = frame->cfa,
		.first = b->map->slots.n,
	};

	if (f.number == 0 && !b->thread->is_at_call && f.start > RED_ZONE)
		f.start -= RED_ZONE;
	b->frame = frame;
	VEC_PUSH(&b->map->frames, f);
	struct stack_frame *mine = &b->map->frames.v[b->map->frames.n - 1];
	struct err *err = types_frame_vars(b->types, frame, on_variable, b,
					   &mine->is_known);

	if (!err)
		on_saved(b);
	mine->n = b->map->slots.n - mine->first;
	return err;
}

static int by_start(const void *a, const void *b)
{
	const struct heap_range *x = a;
	const struct heap_range *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void add_dead(struct stackmap *map, taddr_t start, taddr_t end)
{
	struct heap_range r = {start, end};

	if (start < end)
		VEC_PUSH(&map->dead, r);
}

/* the first of the ranges, ascending and disjoint, that ends beyond addr */
static size_t first_beyond(const struct heap_range *v, size_t n, taddr_t addr)
{
	size_t lo = 0;

	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;

		if (v[mid].end <= addr)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

/* what no slot takes of a frame; live: all slots, ascending and disjoint */
static void dead_of(struct stackmap *map, const struct stack_frame *f,
		    const struct heap_range *live, size_t n)
{
	taddr_t at = f->start;

	if (!f->is_known || f->start >= f->end)
		return;
	for (size_t i = first_beyond(live, n, at);
	     i < n && live[i].start < f->end; i++) {
		add_dead(map, at, live[i].start);
		at = live[i].end;
	}
	add_dead(map, at, f->end);
}

/* ranges that overlap or touch become one; returns how many are left */
static size_t join(struct heap_range *v, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(v, n, sizeof(*v), by_start);
	for (size_t i = 0; i < n; i++) {
		if (kept && v[i].start <= v[kept - 1].end) {
			if (v[i].end > v[kept - 1].end)
				v[kept - 1].end = v[i].end;
			continue;
		}
		v[kept++] = v[i];
	}
	return kept;
}

/* establishes (I1) */
static void find_dead(struct stackmap *map)
{
	VEC(struct heap_range) live = {0};

	for (size_t i = 0; i < map->slots.n; i++) {
		struct heap_range r = {map->slots.v[i].start,
				       map->slots.v[i].end};

		VEC_PUSH(&live, r);
	}
	live.n = join(live.v, live.n);
	for (size_t i = 0; i < map->frames.n; i++)
		dead_of(map, &map->frames.v[i], live.v, live.n);
	VEC_FREE(&live);
	map->dead.n = join(map->dead.v, map->dead.n);
}

struct err *stackmap_build(const struct target *t, struct types *types,
			   struct stackmap **ret)
{
	struct stackmap *map = mem_zalloc(sizeof(*map));
	struct builder b = {.map = map, .types = types};
	struct err *err = NULL;

	for (size_t i = 0; types && !err && i < target_nthreads(t); i++) {
		b.thread = target_thread(t, i);
		b.nframes = 0;
		for (unsigned reg = 0; reg < NREGS; reg++)
			b.saved[reg] = NOT_SAVED;
		err = types_unwind(types, b.thread, on_frame, &b);
	}
	if (err) {
		stackmap_free(map);
		return err;
	}
	find_dead(map);
	*ret = map;
	return NULL;
}

void stackmap_free(struct stackmap *map)
{
	if (!map)
		return;
	VEC_FREE(&map->frames);
	VEC_FREE(&map->slots);
	VEC_FREE(&map->in_regs);
	VEC_FREE(&map->dead);
	mem_free(map);
}

const struct stack_frame *stackmap_frame(const struct stackmap *map,
					 taddr_t addr)
{
	for (size_t i = 0; i < map->frames.n; i++) {
		const struct stack_frame *f = &map->frames.v[i];

		if (addr >= f->start && addr < f->end)
			return f;
	}
	return NULL;
}

const struct stack_slot *stackmap_slot(const struct stackmap *map, taddr_t addr)
{
	const struct stack_slot *found = NULL;

	for (size_t i = 0; i < map->slots.n; i++) {
		const struct stack_slot *s = &map->slots.v[i];

		if (addr < s->start || addr >= s->end)
			continue;
		if (s->variable)
			return s;
		found = s;
	}
	return found;
}

const struct stack_slot *stackmap_register(const struct stackmap *map,
					   uint32_t tid, const char *name)
{
	for (size_t i = 0; i < map->in_regs.n; i++) {
		const struct stack_slot *s = &map->in_regs.v[i];

		if (s->tid == tid && strcmp(s->reg, name) == 0)
			return s;
	}
	return NULL;
}

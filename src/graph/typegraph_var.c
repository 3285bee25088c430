/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The variables a type graph begins at: those with a fixed place, what each
 * thread has of its own, and those of every frame of every stack.
 *
 * A variable of a frame is sure when a location list has it at the frame's pc.
 * One that has one place for its whole scope may not be set yet, or hold what it
 * was left with.  One that lies in pieces is left out.
 */
#include <stdlib.h>
#include "base/interrupt.h"
#include "graph/stackmap.h"
#include "graph/typegraph_impl.h"

/* completes a variable by its type; what has no size is none */
static void add_var(struct typegraph *g, struct tg_var var)
{
	struct type_info ti = type_info(var.whole);
	const struct type *elem = var.whole;

	if (ti.size_bytes == 0 || var.addr + ti.size_bytes < var.addr)
		return;
	var.size_bytes = ti.size_bytes;
	var.nelems = 1;
	while (ti.kind == TYPE_ARRAY && ti.nelems <= TG_ELEMS_MAX) {
		if (__builtin_mul_overflow(var.nelems, ti.nelems, &var.nelems))
			return;
		elem = ti.elem;
		ti = type_info(elem);
	}
	var.type = tg_type_of(g, elem);
	if (var.type && var.nelems)
		VEC_PUSH(&g->vars, var);
}

static struct err *add_fixed(void *arg, const struct types_variable *v)
{
	struct typegraph *g = arg;
	struct tg_var var = {
		.addr = v->addr,
		.tid = v->tid,
		.name = v->name,
		.whole = v->type,
		.is_sure = true,
	};

	g->nvariables++;
	add_var(g, var);
	return interrupt_check();
}

static void add_slot(struct typegraph *g, const struct stackmap *map,
		     const struct stack_slot *s)
{
	uint64_t size = s->type ? type_info(s->type).size_bytes : 0;
	struct tg_var var = {
		.addr = s->start,
		.tid = s->reg ? s->tid : map->frames.v[s->frame].tid,
		.name = s->variable,
		.whole = s->type,
		.is_stack = true,
		.is_sure = s->is_listed,
		.value = s->value,
		.is_value = s->reg != NULL,
	};

	if (!s->variable || size == 0 || s->offset_bytes)
		return;
	g->nframe_variables++;
	if (var.is_value)
		var.addr = 0;
	else if (s->end - s->start < size)
		return;
	add_var(g, var);
}

static struct err *add_frames(struct typegraph *g)
{
	struct stackmap *map = NULL;
	struct err *err = stackmap_build(g->heap->target, g->heap->types, &map);

	if (err)
		return err;
	for (size_t i = 0; i < map->slots.n; i++)
		add_slot(g, map, &map->slots.v[i]);
	for (size_t i = 0; i < map->in_regs.n; i++)
		add_slot(g, map, &map->in_regs.v[i]);
	stackmap_free(map);
	return NULL;
}

static int by_addr(const void *a, const void *b)
{
	const struct tg_var *x = a;
	const struct tg_var *y = b;

	if (x->is_value != y->is_value)
		return x->is_value ? 1 : -1;
	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	/* the same place under two names: always the same one */
	return x->type < y->type ? -1 : x->type > y->type;
}

/* no address is looked at twice: what is declared in several units, or lies in
 * what is listed already */
static void drop_repeats(struct typegraph *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < g->vars.n; i++) {
		const struct tg_var *v = &g->vars.v[i];
		const struct tg_var *last = kept ? &g->vars.v[kept - 1] : NULL;

		if (last && !v->is_value && !last->is_value &&
		    v->addr < last->addr + last->size_bytes)
			continue;
		g->vars.v[kept++] = *v;
	}
	g->vars.n = kept;
}

struct err *tg_find_vars(struct typegraph *g)
{
	struct err *err = NULL;

	if (g->heap->types)
		err = types_variables(g->heap->types, add_fixed, g);
	if (!err)
		err = add_frames(g);
	if (!err && g->vars.n) {
		qsort(g->vars.v, g->vars.n, sizeof(*g->vars.v), by_addr);
		drop_repeats(g);
	}
	return err;
}

const struct tg_var *tg_var_at(const struct typegraph *g, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = g->vars.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct tg_var *v = &g->vars.v[mid];

		if (!v->is_value && v->addr + v->size_bytes <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == g->vars.n || g->vars.v[lo].is_value ||
	    addr < g->vars.v[lo].addr)
		return NULL;
	return &g->vars.v[lo];
}

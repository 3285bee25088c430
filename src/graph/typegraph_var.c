/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The variables a type graph begins at: those with a fixed place, and what each
 * thread has of its own. */
#include <stdlib.h>
#include "base/interrupt.h"
#include "graph/typegraph_impl.h"

static struct err *add_var(void *arg, const struct types_variable *v)
{
	struct typegraph *g = arg;
	struct type_info ti = type_info(v->type);
	struct tg_var var = {
		.addr = v->addr,
		.size_bytes = ti.size_bytes,
		.nelems = 1,
		.tid = v->tid,
		.name = v->name,
		.whole = v->type,
		.is_sure = true,
	};

	if (ti.size_bytes == 0 || v->addr + ti.size_bytes < v->addr)
		return NULL;
	const struct type *elem = v->type;

	while (ti.kind == TYPE_ARRAY && ti.nelems <= TG_ELEMS_MAX) {
		if (__builtin_mul_overflow(var.nelems, ti.nelems, &var.nelems))
			return NULL;
		elem = ti.elem;
		ti = type_info(elem);
	}
	var.type = tg_type_of(g, elem);
	g->nvariables++;
	if (var.type && var.nelems)
		VEC_PUSH(&g->vars, var);
	return interrupt_check();
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
		err = types_variables(g->heap->types, add_var, g);
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

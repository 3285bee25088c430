/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a type graph answers when it is built. */
#include <inttypes.h>
#include "graph/typegraph_impl.h"

static enum type_grade grade_of(const struct tg_node *n)
{
	if (n->reason == REASON_NONE)
		return GRADE_NONE;
	if (n->flags & NODE_CONFLICT)
		return GRADE_CONFLICT;
	return n->flags & NODE_CERTAIN ? GRADE_CERTAIN : GRADE_PROBABLE;
}

bool typegraph_node(struct typegraph *g, size_t i, struct typed *ret)
{
	const struct tg_node *n = &g->nodes[i];
	uint64_t size = tg_buf(g, i).size_bytes;
	uint64_t one = g->types.v[n->type].size_bytes;

	if (n->reason == REASON_NONE)
		return false;
	*ret = (struct typed){
		.base = tg_buf(g, i).addr,
		.size_bytes = size,
		.type = g->types.v[n->type].type,
		.name = tg_type_name(g, n->type),
		.nelems = 1,
		.grade = grade_of(n),
		.reason = (enum type_reason)n->reason,
		.other = n->other ? tg_type_name(g, n->other) : NULL,
		.from = n->from,
	};
	bool is_scalar = n->reason == REASON_SCALAR;

	if (one && n->reason != REASON_PART && size >= 2 * one &&
	    (is_scalar || (size % one == 0 && !g->types.v[n->type].fam_elem)))
		ret->nelems = size / one;
	return true;
}

bool typegraph_leak(struct typegraph *g, const struct leak *leak,
		    struct typed *ret)
{
	for (size_t i = 0; i < leak->nbufs; i++) {
		struct typed t;

		if (!typegraph_node(g, leak->members[i], &t) ||
		    (i && g->nodes[leak->members[i]].type !=
				  g->nodes[leak->members[0]].type))
			return false;
		if (i && t.nelems != ret->nelems)
			t.nelems = ret->nelems = 0;
		if (i == 0 || t.grade < ret->grade)
			*ret = t;
	}
	return leak->nbufs > 0;
}

bool typegraph_is_pointed(const struct typegraph *g, size_t i)
{
	return g->nodes[i].flags & NODE_POINTED;
}

struct err *typegraph_each(struct typegraph *g, typed_fn *fn, void *arg)
{
	struct err *err = NULL;
	struct typed t;

	for (size_t i = 0; !err && i < g->vars.n; i++) {
		const struct tg_var *v = &g->vars.v[i];

		if (v->is_value)
			continue;
		t = (struct typed){
			.base = v->addr,
			.size_bytes = v->size_bytes,
			.type = g->types.v[v->type].type,
			.name = tg_type_name(g, v->type),
			.nelems = v->nelems,
			.grade = v->is_sure ? GRADE_CERTAIN : GRADE_PROBABLE,
			.variable = v->name,
			.tid = v->tid,
		};
		err = fn(arg, &t);
	}
	for (size_t i = 0; !err && i < g->set->n; i++) {
		if (typegraph_node(g, i, &t))
			err = fn(arg, &t);
		if (!err)
			err = tg_poll(g, "counting types", i, g->set->n);
	}
	return err;
}

bool typegraph_type_of(struct typegraph *g, taddr_t addr, struct typed *ret)
{
	size_t i = bufset_find(g->set, addr);
	const struct tg_var *v = NULL;

	if (i != BUFSET_NONE)
		return typegraph_node(g, i, ret);
	v = tg_var_at(g, addr);
	if (!v)
		return false;
	*ret = (struct typed){
		.base = v->addr,
		.size_bytes = v->size_bytes,
		.type = v->whole,
		.name = type_name(v->whole),
		.nelems = 1,
		.grade = v->is_sure ? GRADE_CERTAIN : GRADE_PROBABLE,
		.from = v->addr,
		.variable = v->name,
		.tid = v->tid,
	};
	return true;
}

char *typegraph_text(const struct typed *t)
{
	_free_ char *count = t->nelems > 1
				     ? mem_printf(" [%" PRIu64 "]", t->nelems)
				     : mem_strdup(t->nelems == 0 ? " []" : "");

	switch (t->grade) {
	case GRADE_NONE:
		break;
	case GRADE_CONFLICT:
		return mem_printf("%s%s or %s", t->name, count, t->other);
	case GRADE_PROBABLE:
		return mem_printf("probably %s%s%s",
				  t->reason == REASON_PART ? "begins with "
							   : "",
				  t->name, count);
	case GRADE_CERTAIN:
		return mem_printf("%s%s", t->name, count);
	}
	return mem_strdup("unknown type");
}

const char *typegraph_grade_name(enum type_grade grade)
{
	static const char *const names[] = {
		[GRADE_NONE] = "unknown",
		[GRADE_CONFLICT] = "conflict",
		[GRADE_PROBABLE] = "probable",
		[GRADE_CERTAIN] = "certain",
	};

	return names[grade];
}

const char *typegraph_reason_name(enum type_reason reason)
{
	static const char *const names[] = {
		[REASON_NONE] = "",
		[REASON_PART] = "begins with it",
		[REASON_SCALAR] = "pointers to scalars",
		[REASON_INFERRED] = "others like it",
		[REASON_ARRAY] = "pointers to an array",
		[REASON_GUESS] = "weak pointers",
		[REASON_POINTER] = "pointers",
		[REASON_VTABLE] = "virtual table",
		[REASON_ASSERTION] = "asserted",
	};

	return names[reason];
}

void typegraph_count(const struct typegraph *g, struct typegraph_stats *ret)
{
	*ret = (struct typegraph_stats){
		.nbufs = g->set->n,
		.ntypes = g->types.n - 1,
		.nvariables = g->nvariables,
		.nframe_variables = g->nframe_variables,
	};
	for (size_t i = 0; i < g->set->n; i++) {
		const struct tg_node *n = &g->nodes[i];

		ret->npointed += (n->flags & NODE_POINTED) != 0;
		ret->by_reason[n->reason]++;
		ret->by_grade[grade_of(n)]++;
		ret->nparts += n->reason == REASON_PART;
	}
}

/* ---- who says so --------------------------------------------------------- */

struct refs_arg {
	taddr_t start, end;
	const char *holder;
	taddr_t base;
	bool is_sure;
	typed_ref_fn *fn;
	void *arg;
	struct err *err;
};

static void show_ref(struct typegraph *g, const struct tg_pointer *p, void *arg)
{
	struct refs_arg *a = arg;
	struct typed_ref ref = {
		.at = p->at,
		.holder = a->holder,
		.base = a->base,
		.type = p->to ? tg_type_name(g, p->to) : "void",
		.to_offset = p->value - a->start,
		.is_sure = a->is_sure && p->reason >= REASON_POINTER,
	};

	if (!a->err && p->value >= a->start && p->value < a->end)
		a->err = a->fn(a->arg, &ref);
}

struct err *typegraph_refs(struct typegraph *g, taddr_t start, taddr_t end,
			   typed_ref_fn *fn, void *arg)
{
	struct refs_arg a = {.start = start, .end = end, .fn = fn, .arg = arg};

	for (size_t i = 0; !a.err && i < g->vars.n; i++) {
		a.holder = g->vars.v[i].name;
		a.base = g->vars.v[i].addr;
		a.is_sure = g->vars.v[i].is_sure;
		tg_pointers_of_var(g, &g->vars.v[i], show_ref, &a);
	}
	for (size_t i = 0; !a.err && i < g->set->n; i++) {
		const struct tg_node *n = &g->nodes[i];

		if (n->reason == REASON_NONE)
			continue;
		a.holder = tg_type_name(g, n->type);
		a.base = tg_buf(g, i).addr;
		a.is_sure = n->flags & NODE_CERTAIN;
		tg_pointers_of_node(g, i, show_ref, &a);
		if (!a.err)
			a.err = tg_poll(g, "looking for references", i,
					g->set->n);
	}
	return a.err;
}

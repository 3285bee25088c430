/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The type of a buffer, as far as it is known without a search. */
#include "typed.h"

/* members of a leak that are compared */
#define MEMBERS_MAX 1000

static char *class_text(struct session *s, taddr_t base)
{
	_free_ char *name =
		vtable_class(session_types(s), session_target(s), base);

	/* that its size is that of the class is not known */
	return name ? mem_printf("probably %s", name) : NULL;
}

char *known_type(struct session *s, taddr_t base)
{
	struct typegraph *g = session_try_typegraph(s);
	struct typed t;

	if (!g)
		return class_text(s, base);
	return typegraph_type_of(g, base, &t) && t.grade != GRADE_NONE
		       ? typegraph_text(&t)
		       : NULL;
}

static char *class_of_leak(struct session *s, const struct leaks *leaks,
			   const struct leak *l)
{
	char *text = NULL;

	for (size_t i = 0; i < l->nbufs && i < MEMBERS_MAX; i++) {
		taddr_t base = bufset_at(leaks->set, l->members[i]).addr;
		_free_ char *next = class_text(s, base);

		if (!next || (text && strcmp(next, text) != 0)) {
			mem_free(text);
			return NULL;
		}
		if (!text)
			text = mem_strdup(next);
	}
	return text;
}

char *known_type_of_leak(struct session *s, const struct leaks *leaks,
			 const struct leak *l)
{
	struct typegraph *g = session_try_typegraph(s);
	struct typed t;

	if (!g)
		return class_of_leak(s, leaks, l);
	return typegraph_leak(g, l, &t) ? typegraph_text(&t) : NULL;
}

struct err *typed_graph(struct dcmd_call *call, struct typegraph **ret)
{
	if (session_is_replaying(call->s))
		out_warn(call->out, "types are told by contents and pointers "
				    "of the dump, not of that moment");
	return session_typegraph(call->s, ret);
}

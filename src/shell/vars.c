/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Variables, and the registers of the current thread that are named alike. */
#include "shell/shell_impl.h"

#include <stdlib.h>

struct reg {
	const char *name;
	size_t offset; /* in user_regs_struct */
	unsigned size_bytes;
	unsigned shift; /* ah, bh, ... */
};

#define R(name, member, size, shift)                                         \
	{                                                                    \
		name, offsetof(struct user_regs_struct, member), size, shift \
	}
/* a general register by its four names */
#define WIDE(r, d, w, b, member)                                    \
	R(r, member, 8, 0), R(d, member, 4, 0), R(w, member, 2, 0), \
		R(b, member, 1, 0)

static const struct reg regs[] = {
	WIDE("rax", "eax", "ax", "al", rax),
	WIDE("rbx", "ebx", "bx", "bl", rbx),
	WIDE("rcx", "ecx", "cx", "cl", rcx),
	WIDE("rdx", "edx", "dx", "dl", rdx),
	WIDE("rsi", "esi", "si", "sil", rsi),
	WIDE("rdi", "edi", "di", "dil", rdi),
	WIDE("rbp", "ebp", "bp", "bpl", rbp),
	WIDE("rsp", "esp", "sp", "spl", rsp),
	WIDE("r8", "r8d", "r8w", "r8l", r8),
	WIDE("r9", "r9d", "r9w", "r9l", r9),
	WIDE("r10", "r10d", "r10w", "r10l", r10),
	WIDE("r11", "r11d", "r11w", "r11l", r11),
	WIDE("r12", "r12d", "r12w", "r12l", r12),
	WIDE("r13", "r13d", "r13w", "r13l", r13),
	WIDE("r14", "r14d", "r14w", "r14l", r14),
	WIDE("r15", "r15d", "r15w", "r15l", r15),
	R("ah", rax, 1, 8),
	R("bh", rbx, 1, 8),
	R("ch", rcx, 1, 8),
	R("dh", rdx, 1, 8),
	R("rip", rip, 8, 0),
	R("eip", rip, 4, 0),
	R("rflags", eflags, 8, 0),
	R("eflags", eflags, 4, 0),
	R("cs", cs, 8, 0),
	R("ds", ds, 8, 0),
	R("es", es, 8, 0),
	R("fs", fs, 8, 0),
	R("gs", gs, 8, 0),
	R("ss", ss, 8, 0),
	R("fsbase", fs_base, 8, 0),
	R("gsbase", gs_base, 8, 0),
};

static const struct reg *reg_find(const char *name)
{
	for (size_t i = 0; i < sizeof(regs) / sizeof(*regs); i++)
		if (!strcmp(regs[i].name, name))
			return &regs[i];
	return NULL;
}

static bool reg_get(struct session *s, const struct reg *r, uint64_t *ret)
{
	const struct target_thread *t = session_thread(s);
	uint64_t value = 0;

	if (!t || !t->has_regs)
		return false;
	if (t->regs_partial && strcmp(r->name, "rip") && strcmp(r->name, "rsp"))
		return false;
	memcpy(&value, (const char *)&t->regs + r->offset, sizeof(value));
	value >>= r->shift;
	if (r->size_bytes < 8)
		value &= (1ull << (r->size_bytes * 8)) - 1;
	*ret = value;
	return true;
}

static struct named_value *find(struct session *s, const char *name)
{
	for (size_t i = 0; i < s->nvars; i++)
		if (!strcmp(s->vars[i].name, name))
			return &s->vars[i];
	return NULL;
}

bool vars_get(struct session *s, const char *name, uint64_t *ret)
{
	const struct named_value *v = find(s, name);
	const struct reg *r = reg_find(name);
	const struct target_thread *t = session_thread(s);

	if (v) {
		*ret = v->value;
		return true;
	}
	if (!strcmp(name, "thread") && t) {
		*ret = t->tid;
		return true;
	}
	return r && reg_get(s, r, ret);
}

struct err *session_set_var(struct session *s, const char *name, uint64_t value)
{
	struct named_value *v = find(s, name);

	if (reg_find(name) || !strcmp(name, "thread"))
		return err_new(ERR_USAGE,
			       "variable '%s' is read-only: the target is a "
			       "core file",
			       name);
	if (v) {
		v->value = value;
		return NULL;
	}
	if (s->nvars == s->cap_vars) {
		s->cap_vars = s->cap_vars ? s->cap_vars * 2 : 16;
		s->vars = mem_realloc(s->vars, s->cap_vars, sizeof(*s->vars));
	}
	s->vars[s->nvars++] = (struct named_value){mem_strdup(name), value};
	return NULL;
}

struct err *session_bind_var(struct session *s, const char *name,
			     uint64_t value)
{
	struct err *err = session_set_var(s, name, value);
	struct pipeline *pl = s->loop ? s->loop->pipeline : NULL;

	if (err || !pl)
		return err;
	for (size_t i = 0; i < pl->bound.n; i++)
		if (!strcmp(pl->bound.v[i], name))
			return NULL;
	VEC_PUSH(&pl->bound, mem_strdup(name));
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct variable *x = a;
	const struct variable *y = b;

	return strcmp(x->name, y->name);
}

size_t session_vars(struct session *s, struct variable **ret)
{
	*ret = mem_array(s->nvars + 1, sizeof(**ret));
	for (size_t i = 0; i < s->nvars; i++)
		(*ret)[i] =
			(struct variable){s->vars[i].name, s->vars[i].value};
	qsort(*ret, s->nvars, sizeof(**ret), by_name);
	return s->nvars;
}

void vars_free(struct session *s)
{
	for (size_t i = 0; i < s->nvars; i++)
		mem_free(s->vars[i].name);
	mem_free(s->vars);
	s->vars = NULL;
	s->nvars = s->cap_vars = 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Variables, and the registers of the current thread that are named alike.
 *
 * I1  The first variables are those the language itself sets, in the order of
 *     enum own_var; they cannot be unset, so they stay where they are.
 */
#include "shell/shell_impl.h"

#include <elf.h>
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

enum own_var {
	VAR_VALUE,      /* 0: what the last format printed */
	VAR_OFFSET,     /* 1: the last offset in "symbol+offset" */
	VAR_OLD_OFFSET, /* 2: the one before */
	VAR_COUNT,      /* 9: count of the last macro */
	VAR_DATA,       /* b: where the program's data begins */
	VAR_DATA_SIZE,  /* d */
	VAR_ENTRY,      /* e: where it is entered */
	VAR_MAGIC,      /* m: first four bytes of its file */
	VAR_TEXT_SIZE,  /* t */
	NOWN
};
static const char *const own_names[NOWN] = {"0", "1", "2", "9", "b",
					    "d", "e", "m", "t"};

static struct named_value *find(struct session *s, const char *name)
{
	for (size_t i = 0; i < s->nvars; i++)
		if (!strcmp(s->vars[i].name, name))
			return &s->vars[i];
	return NULL;
}

static struct named_value *add(struct session *s, const char *name)
{
	struct named_value *v = NULL;

	if (s->nvars == s->cap_vars) {
		s->cap_vars = s->cap_vars ? s->cap_vars * 2 : 16;
		s->vars = mem_realloc(s->vars, s->cap_vars, sizeof(*s->vars));
	}
	v = &s->vars[s->nvars++];
	*v = (struct named_value){.name = mem_strdup(name)};
	return v;
}

/* the program's sizes, from the maps of its file */
static void set_sizes(struct session *s, const struct object *exec)
{
	for (size_t i = 0; i < target_nmaps(s->target); i++) {
		const struct target_map *m = target_map(s->target, i);

		if (m->start < exec->start || m->end > exec->end)
			continue;
		if (m->prot & PF_X)
			s->vars[VAR_TEXT_SIZE].value = m->end - m->start;
		if (!(m->prot & PF_W))
			continue;
		if (s->vars[VAR_DATA].value == 0)
			s->vars[VAR_DATA].value = m->start;
		s->vars[VAR_DATA_SIZE].value = m->end - s->vars[VAR_DATA].value;
	}
}

void vars_init(struct session *s)
{
	const struct object *exec = NULL;
	uint32_t magic = 0;
	struct err *err = NULL;

	for (size_t i = 0; i < NOWN; i++) /* I1 */
		add(s, own_names[i])->is_persistent = true;
	if (!s->target || !s->types)
		return;
	(void)target_auxv(s->target, AT_ENTRY, &s->vars[VAR_ENTRY].value);
	for (size_t i = 0; i < types_nobjects(s->types); i++)
		if (types_object(s->types, i)->is_exec)
			exec = types_object(s->types, i);
	if (!exec)
		return;
	err = target_read(s->target, exec->start, &magic, sizeof(magic));
	if (!err)
		s->vars[VAR_MAGIC].value = magic;
	err_free(err); /* unknown: 0 */
	set_sizes(s, exec);
}

void vars_last_value(struct session *s, uint64_t value)
{
	s->vars[VAR_VALUE].value = value;
}

void vars_offset(struct session *s, uint64_t offset)
{
	s->vars[VAR_OLD_OFFSET].value = s->vars[VAR_OFFSET].value;
	s->vars[VAR_OFFSET].value = offset;
}

void vars_macro_count(struct session *s, uint64_t count)
{
	s->vars[VAR_COUNT].value = count;
}

const char *vars_register(size_t i)
{
	return i < sizeof(regs) / sizeof(*regs) ? regs[i].name : NULL;
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

static struct err *check_writable(const char *name)
{
	if (!reg_find(name) && strcmp(name, "thread"))
		return NULL;
	return err_new(ERR_USAGE,
		       "variable '%s' is read-only: the target is a core file",
		       name);
}

struct err *session_set_var(struct session *s, const char *name, uint64_t value)
{
	struct named_value *v = find(s, name);
	struct err *err = check_writable(name);

	if (err)
		return err;
	if (!v)
		v = add(s, name);
	v->value = value;
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

struct err *session_tag_var(struct session *s, const char *name, bool is_tagged)
{
	struct named_value *v = find(s, name);
	struct err *err = check_writable(name);

	if (err)
		return err;
	if (!v)
		v = add(s, name);
	v->is_tagged = is_tagged;
	return NULL;
}

struct err *session_unset_var(struct session *s, const char *name)
{
	struct named_value *v = find(s, name);
	struct err *err = check_writable(name);

	if (err)
		return err;
	if (!v)
		return err_new(ERR_NOTFOUND, "variable '%s' is not defined",
			       name);
	if (v->is_persistent)
		return err_new(ERR_NOTFOUND,
			       "variable '%s' is persistent: it cannot be "
			       "unset",
			       name);
	mem_free(v->name);
	*v = s->vars[--s->nvars]; /* I1: v is behind NOWN */
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
	const struct target_thread *t = session_thread(s);
	size_t n = s->nvars;

	*ret = mem_array(n + 2, sizeof(**ret));
	for (size_t i = 0; i < n; i++)
		(*ret)[i] = (struct variable){
			.name = s->vars[i].name,
			.value = s->vars[i].value,
			.is_persistent = s->vars[i].is_persistent,
			.is_tagged = s->vars[i].is_tagged};
	if (t)
		(*ret)[n++] = (struct variable){.name = "thread",
						.value = t->tid,
						.is_persistent = true,
						.is_readonly = true};
	qsort(*ret, n, sizeof(**ret), by_name);
	return n;
}

void vars_free(struct session *s)
{
	for (size_t i = 0; i < s->nvars; i++)
		mem_free(s->vars[i].name);
	mem_free(s->vars);
	s->vars = NULL;
	s->nvars = s->cap_vars = 0;
}

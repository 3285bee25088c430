/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::stacks: the threads by what they are doing.  Threads whose stacks are equal
 * are one group; what they wait for is told by the functions they are in.
 */
#include "thread.h"

#include <stdlib.h>

enum {
	STACKS_FRAMES_MAX = 256,
	NR_FUTEX = 202, /* of x86-64 */
};

struct stack_of {
	const struct target_thread *thread;
	VEC(taddr_t) pcs;
	const char *sobj;
	uint64_t key; /* equal stacks have equal ones */
	bool is_parked;
	bool is_taken; /* in a group already, or not wanted */
};

struct stacks {
	struct dcmd_call *call;
	VEC(struct stack_of) all;
	bool list_all, recollect, ignored, verbose;
	const char *with_func, *without_func, *with_mod, *without_mod;
	const char *with_sobj, *without_sobj, *with_state, *without_state;
};

static const struct opt stacks_opts[] = {
	{'C', OPT_STRING, "func", "only stacks without this function"},
	{'M', OPT_STRING, "object", "only stacks without this object"},
	{'S', OPT_STRING, "type", "only threads that do not wait for this"},
	{'T', OPT_STRING, "state", "only threads not in this state"},
	{'a', OPT_FLAG, NULL, "all threads of a group, not the first"},
	{'c', OPT_STRING, "func", "only stacks with this function"},
	{'f', OPT_FLAG, NULL, "collect again: a dump does not change"},
	{'i', OPT_FLAG, NULL, "accepted"},
	{'m', OPT_STRING, "object", "only stacks with this object"},
	{'s', OPT_STRING, "type", "only threads that wait for this"},
	{'t', OPT_STRING, "state", "only threads in this state"},
	{'v', OPT_FLAG, NULL, "addresses of the frames, too"},
	{0},
};

/* ---- what a thread waits for --------------------------------------------- */

static const struct {
	const char *begin, *sobj;
} waits[] = {
	{"pthread_cond_", "cond"},
	{"pthread_mutex_", "mutex"},
	{"lll_lock_wait", "mutex"},
	{"lll_mutex_lock", "mutex"},
	{"sem_", "sema"},
	{"new_sem_wait", "sema"},
	{"pthread_rwlock_", "rwlock"},
	{"pthread_barrier_wait", "barrier"},
	{"pthread_join", "thread"},
	{"pthread_clockjoin", "thread"},
	{"pthread_timedjoin", "thread"},
};

/* the name of the function at a return address, without "_" before it */
static const char *function_at(const struct stacks *st, taddr_t pc,
			       struct symbol *sym)
{
	if (!types_symbol_at(session_types(st->call->s), pc, sym))
		return NULL;
	return sym->name + strspn(sym->name, "_");
}

static void find_wait(const struct stacks *st, struct stack_of *s)
{
	const struct user_regs_struct *r = &s->thread->regs;

	s->sobj = NULL;
	for (size_t i = 0; i < s->pcs.n && !s->sobj; i++) {
		struct symbol sym;
		const char *name = function_at(st, s->pcs.v[i], &sym);

		for (size_t k = 0; name && k < sizeof(waits) / sizeof(*waits);
		     k++)
			if (!strncmp(name, waits[k].begin,
				     strlen(waits[k].begin)))
				s->sobj = waits[k].sobj;
		/* what the wait was called from does not matter */
		if (name && sym.object->is_exec)
			break;
	}
	s->is_parked = s->sobj ||
		       (!s->thread->regs_partial && r->orig_rax == NR_FUTEX);
}

/* ---- collecting ---------------------------------------------------------- */

static struct err *take_frame(void *arg, const struct frame *f)
{
	struct stack_of *s = arg;

	/* the address of the call, so that names and groups are right */
	VEC_PUSH(&s->pcs, f->is_activation ? f->pc : f->pc - 1);
	if (s->pcs.n >= STACKS_FRAMES_MAX)
		return err_new(ERR_STOP, "so many are enough");
	return interrupt_check();
}

static struct err *collect(struct stacks *st, const struct target_thread *th)
{
	struct stack_of s = {.thread = th};
	struct err *err =
		types_unwind(session_types(st->call->s), th, take_frame, &s);

	find_wait(st, &s);
	s.key = hash_bytes(s.pcs.v, s.pcs.n * sizeof(*s.pcs.v), s.is_parked);
	VEC_PUSH(&st->all, s);
	return err;
}

/* those whose ids come in, or all */
static struct err *collect_all(struct stacks *st)
{
	struct dcmd_call *call = st->call;
	struct target *t = session_target(call->s);
	struct err *err = NULL;

	if (!(call->flags & DCMD_ADDRSPEC)) {
		for (size_t i = 0; i < target_nthreads(t) && !err; i++)
			err = collect(st, target_thread(t, i));
		return err;
	}
	do {
		const struct target_thread *th = thread_by_id(t, call->addr);

		if (!th)
			return err_new(ERR_NOTFOUND,
				       "invalid thread identifier 0x%" PRIx64,
				       call->addr);
		err = collect(st, th);
	} while (!err && session_next(call));
	return err;
}

/* ---- choosing ------------------------------------------------------------ */

static bool has_function(const struct stacks *st, const struct stack_of *s,
			 const char *want)
{
	for (size_t i = 0; i < s->pcs.n; i++) {
		struct symbol sym;
		_free_ char *plain = NULL;

		if (!function_at(st, s->pcs.v[i], &sym))
			continue;
		plain = types_demangle(sym.name);
		plain[strcspn(plain, "(")] = '\0';
		if (!strcmp(sym.name, want) || !strcmp(plain, want))
			return true;
	}
	return false;
}

static bool has_object(const struct stacks *st, const struct stack_of *s,
		       const struct object *want)
{
	for (size_t i = 0; want && i < s->pcs.n; i++)
		if (types_object_at(session_types(st->call->s), s->pcs.v[i]) ==
		    want)
			return true;
	return false;
}

static const char *state_text(const struct stack_of *s)
{
	return s->is_parked ? "PARKED" : "UNPARKED";
}

static const char *sobj_text(const struct stack_of *s)
{
	return s->sobj ? s->sobj : "<none>";
}

static bool is_wanted(const struct stacks *st, const struct stack_of *s)
{
	struct types *types = session_types(st->call->s);

	if (st->with_func && !has_function(st, s, st->with_func))
		return false;
	if (st->without_func && has_function(st, s, st->without_func))
		return false;
	if (st->with_mod &&
	    !has_object(st, s, types_object_named(types, st->with_mod)))
		return false;
	if (st->without_mod &&
	    has_object(st, s, types_object_named(types, st->without_mod)))
		return false;
	if (st->with_sobj && strcasecmp(st->with_sobj, sobj_text(s)) != 0)
		return false;
	if (st->without_sobj && !strcasecmp(st->without_sobj, sobj_text(s)))
		return false;
	if (st->with_state && strcasecmp(st->with_state, state_text(s)) != 0)
		return false;
	return !st->without_state ||
	       strcasecmp(st->without_state, state_text(s)) != 0;
}

/* ---- groups -------------------------------------------------------------- */

static bool is_same(const struct stack_of *a, const struct stack_of *b)
{
	return a->key == b->key && a->pcs.n == b->pcs.n &&
	       a->is_parked == b->is_parked &&
	       (a->pcs.n == 0 ||
		!memcmp(a->pcs.v, b->pcs.v, a->pcs.n * sizeof(*a->pcs.v)));
}

static const struct column stacks_cols[] = {
	{"thread", "THREAD", CELL_HEX, -16}, {"state", "STATE", CELL_TEXT, -8},
	{"sobj", "SOBJ", CELL_TEXT, -16},    {"count", "COUNT", CELL_COUNT, 8},
	{"threads", NULL, CELL_TEXT, 0},     {"stack", NULL, CELL_TEXT, 0},
};

static char *pc_name(const struct stacks *st, const struct stack_of *s,
		     size_t i)
{
	taddr_t pc = s->pcs.v[i];

	/* the innermost was not called from where it is */
	return i == 0 ? types_addr_name(session_types(st->call->s), pc)
		      : session_frame_name(st->call->s, pc + 1);
}

static void put_frames(const struct stacks *st, const struct stack_of *s)
{
	for (size_t i = 0; i < s->pcs.n; i++) {
		_free_ char *name = pc_name(st, s, i);

		if (st->verbose)
			out_text(st->call->out, "%17s%016" PRIx64 " %s\n", "",
				 s->pcs.v[i] + (i > 0), name);
		else
			out_text(st->call->out, "%17s%s\n", "", name);
	}
	out_text(st->call->out, "\n");
}

static void put_row(const struct stacks *st, const struct stack_of *s,
		    uint64_t count, const char *tids)
{
	struct out *o = st->call->out;
	struct strbuf frames = {0};

	strbuf_puts(&frames, "");
	for (size_t i = 0; i < s->pcs.n && out_is_json(o); i++) {
		_free_ char *name = pc_name(st, s, i);

		strbuf_printf(&frames, "%s%s", i ? "\n" : "", name);
	}
	out_u64(o, s->thread->tid);
	out_str(o, state_text(s));
	out_str(o, sobj_text(s));
	out_u64(o, count);
	out_str(o, tids);
	out_str(o, frames.s);
	out_end_row(o, s->thread->tid);
	strbuf_free(&frames);
}

/* the group that a stack begins; its members are taken */
static void put_group(struct stacks *st, size_t first)
{
	struct stack_of *s = &st->all.v[first];
	bool is_pipe = out_is_pipe(st->call->out);
	struct strbuf tids = {0};
	uint64_t n = 0;

	for (size_t i = 0; i < st->all.n; i++) {
		struct stack_of *t = &st->all.v[i];

		if (t->is_taken || !is_same(s, t))
			continue;
		t->is_taken = true;
		strbuf_printf(&tids, "%s0x%x", n++ ? " " : "", t->thread->tid);
		if (i != first && (st->list_all || is_pipe) &&
		    !out_is_json(st->call->out))
			put_row(st, t, 1, NULL);
	}
	put_row(st, s, n, tids.s);
	strbuf_free(&tids);
	if (!is_pipe && !out_is_json(st->call->out))
		put_frames(st, s);
}

struct size_order {
	size_t i;
	uint64_t n;
};

static int by_size(const void *a, const void *b)
{
	const struct size_order *x = a;
	const struct size_order *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return (x->i > y->i) - (x->i < y->i);
}

/* the largest first; of equal ones the first */
static void put_groups(struct stacks *st)
{
	struct size_order *order = mem_array(st->all.n + 1, sizeof(*order));
	struct hash sizes;

	hash_init(&sizes);
	for (size_t i = 0; i < st->all.n; i++)
		(*hash_put(&sizes, st->all.v[i].key, NULL))++;
	for (size_t i = 0; i < st->all.n; i++)
		order[i] = (struct size_order){
			i, *hash_get(&sizes, st->all.v[i].key)};
	qsort(order, st->all.n, sizeof(*order), by_size);
	for (size_t i = 0; i < st->all.n; i++)
		if (!st->all.v[order[i].i].is_taken)
			put_group(st, order[i].i);
	hash_fini(&sizes);
	mem_free(order);
}

static struct err *dcmd_stacks(struct dcmd_call *call)
{
	struct stacks st = {.call = call};
	void *const values[] = {
		&st.without_func,  &st.without_mod, &st.without_sobj,
		&st.without_state, &st.list_all,    &st.with_func,
		&st.recollect,     &st.ignored,     &st.with_mod,
		&st.with_sobj,     &st.with_state,  &st.verbose,
	};
	size_t first = 0;
	struct err *err = dcmd_options(call, stacks_opts, values, &first);

	if (!err && first < call->argc)
		err = err_new(ERR_USAGE, "it takes no arguments");
	if (!err)
		err = collect_all(&st);
	for (size_t i = 0; i < st.all.n; i++)
		st.all.v[i].is_taken = !is_wanted(&st, &st.all.v[i]);
	if (!err) {
		out_begin(call->out, stacks_cols, 6, NULL);
		put_groups(&st);
		out_end(call->out);
	}
	for (size_t i = 0; i < st.all.n; i++)
		VEC_FREE(&st.all.v[i].pcs);
	VEC_FREE(&st.all);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "stacks",
	 .addr = ADDR_OPTIONAL,
	 .opts = stacks_opts,
	 .usage = "",
	 .brief = "threads by their stacks",
	 .run = dcmd_stacks},
	{0},
};

const struct group group_stacks = {.name = "session", .dcmds = dcmds};

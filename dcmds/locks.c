/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::findlocks: the mutexes that threads own.
 *
 * A locked mutex of glibc says who has it, and can be told by its bytes in any
 * memory, typed or not:
 *
 *	0 lock    1, or 2 when somebody waits; with priority inheritance the
 *	          owner and flags
 *	4 count   of a recursive one
 *	8 owner   id of a thread
 *	c nusers  1 or more
 *	10 kind   type in the low 2 bits, flags up to bit 8
 */
#include "pmdb_mod.h"

#define KIND_MAX  0x1ff
#define USERS_MAX 100000
#define LOCK_TID  0x3fffffffu

static const struct column cols[] = {
	{"addr", NULL, CELL_ADDR, 0},   {"owner", NULL, CELL_COUNT, 0},
	{"where", NULL, CELL_TEXT, 0},  {"is_waited_for", NULL, CELL_COUNT, 0},
	{"count", NULL, CELL_COUNT, 0},
};

struct locks_arg {
	struct dcmd_call *call;
	struct target *t;
	struct heap *heap;  /* NULL: there is none */
	struct hash owners; /* ids of the threads wanted */
	taddr_t prev_at;
	uint64_t prev; /* word at prev_at */
};

/* "stock_lock", or the buffer it is in */
static char *where_is(const struct locks_arg *a, taddr_t addr)
{
	struct types *types = session_types(a->call->s);
	struct symbol sym;
	struct heap_buf b;

	if (types_symbol_at(types, addr, &sym))
		return types_addr_name(types, addr);
	if (!a->heap || !a->heap->ops->buf_at(a->heap, addr, &b))
		return mem_strdup("?");
	return mem_printf("%" PRIx64 "+%" PRIx64 ", %s from %s", b.addr,
			  addr - b.addr,
			  b.state == BUF_ALLOCATED ? "allocated" : "freed",
			  heap_buf_from(a->heap, &b));
}

static void lock_row(const struct locks_arg *a, taddr_t addr, uint32_t owner,
		     uint64_t first)
{
	struct out *o = a->call->out;
	uint32_t lock = (uint32_t)first;
	bool is_waited_for = lock == 2 || (lock != 1 && lock >> 31);
	_free_ char *where = where_is(a, addr);

	if (!out_is_json(o) && !out_is_pipe(o)) {
		out_text(o, "%" PRIx64 " (%s) is owned by thread %x%s\n", addr,
			 where, owner,
			 is_waited_for ? ", others wait for it" : "");
		return;
	}
	out_addr(o, addr);
	out_u64(o, owner);
	out_str(o, where);
	out_u64(o, is_waited_for);
	out_u64(o, first >> 32);
	out_end_row(o, addr);
}

/* value is the second word of what may be a mutex: owner and nusers */
static struct err *look_at(void *arg, taddr_t at, uint64_t value)
{
	struct locks_arg *a = arg;
	uint32_t owner = (uint32_t)value;
	uint32_t lock = (uint32_t)a->prev;
	bool is_next = a->prev_at + 8 == at;
	uint64_t first = a->prev;
	uint64_t kind = 0;

	a->prev_at = at;
	a->prev = value;
	if (!is_next || owner == 0 || value >> 32 == 0 ||
	    value >> 32 > USERS_MAX ||
	    (lock != 1 && lock != 2 && (lock & LOCK_TID) != owner) ||
	    !hash_get(&a->owners, owner))
		return NULL;
	struct err *err = target_read_u64(a->t, at + 8, &kind);

	if (err) {
		err_free(err);
		return NULL;
	}
	if ((uint32_t)kind <= KIND_MAX)
		lock_row(a, at - 8, owner, first);
	return NULL;
}

static struct err *find_owners(struct locks_arg *a)
{
	bool is_one = a->call->flags & DCMD_ADDRSPEC;

	for (size_t i = 0; i < target_nthreads(a->t); i++) {
		uint32_t tid = target_thread(a->t, i)->tid;

		if (!is_one || tid == a->call->addr)
			hash_put(&a->owners, tid, NULL);
	}
	if (is_one && a->owners.n == 0)
		return err_new(ERR_NOTFOUND,
			       "invalid thread identifier 0x%" PRIx64,
			       a->call->addr);
	return NULL;
}

static struct err *dcmd_findlocks(struct dcmd_call *call)
{
	struct locks_arg a = {.call = call, .t = session_target(call->s)};
	struct err *err = NULL;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	a.heap = session_try_heap(call->s, NULL);
	hash_init(&a.owners);
	err = find_owners(&a);
	out_begin(call->out, cols, 5, "");
	for (size_t i = 0; !err && i < target_nmaps(a.t); i++) {
		const struct target_map *map = target_map(a.t, i);

		progress_set("looking for locks", i, target_nmaps(a.t));
		if ((map->prot & 2) && map->core_end > map->start)
			err = words_scan(a.t, map->start, map->core_end,
					 look_at, &a, NULL);
		if (!err)
			err = interrupt_check();
	}
	out_end(call->out);
	hash_fini(&a.owners);
	return err;
}

static const struct dcmd dcmds[] = {
	{.name = "findlocks",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .brief = "find the mutexes that threads own",
	 .run = dcmd_findlocks},
	{0},
};

const struct group group_locks = {.name = "locks", .dcmds = dcmds};

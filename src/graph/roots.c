/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The roots: where a program may keep the pointers it works with.
 *
 *   registers   general and vector registers of every thread.  By the ABI no
 *               vector register survives a call: those of a thread that called
 *               (it asked for the dump, or is in a system call of libc's) hold
 *               what libc's last copy left there, and are left out.  A thread
 *               interrupted elsewhere may have its only pointer in one.
 *   memory      all that is writable, and what is not but private to the
 *               process (relro; what mprotect() closed); minus what is listed
 *               below
 *
 * Left out, because no pointer in it is the program's any more, or ever was:
 *
 *   own         the allocator's memory (heap_ops.own).  Buffers in it are
 *               reached through marking only.
 *   below sp    of a thread's stack, less the 128 bytes a leaf function may use
 *               (a thread known to be in a call it made uses none)
 *   dead stack  of a thread that ended.  glibc keeps such stacks for reuse, and
 *               they are full of pointers that were once true.
 *
 * Finding the stacks.  The main stack is the map that holds the random bytes
 * the kernel put there (AT_RANDOM).  A stack that glibc made has at its top a
 * thread descriptor:
 *
 *      S          S+guard                       A                S+size
 *      | no access |  <- stack grows down | TLS | descriptor .... |
 *
 *   A is 64-byte aligned; the words at A and A + 0x10 hold A itself, and words
 *   further on hold S, size, guard.  All five conditions together do not happen
 *   by chance, so neither guard maps (which some producers of cores omit) nor
 *   the bounds of maps (which the kernel merges) are needed.  The thread lives
 *   if a thread of the core has fs_base = A, or its sp in the stack.
 *
 *   Of a thread that ended, glibc keeps the vector of TLS blocks (dtv) for the
 *   next thread, and with it the blocks of libraries loaded later.  They are not
 *   leaked, but what they hold is as dead as the static TLS below the
 *   descriptor: they are shallow roots.  A thread that was not joined still holds
 *   what pthread_join() will return; the rest of its descriptor stays a root.
 *   glibc has such threads on its list of stacks in use, found by the names it
 *   exports for debuggers.
 *
 *      A+8 -> dtv[0]   dtv[-1] = length   dtv[i] = { block's TLS, block }
 *
 * A descriptor with a tid whose thread is not in the dump is one of another process
 * with this memory: what that has in its registers is not known.
 *
 * A living thread whose sp is elsewhere (alternate signal stack, coroutine) has
 * its whole stack scanned: where it was left cannot be known.
 *
 * Invariants: (I1) exclusions ascend and are disjoint.  (I2) a root range is in
 * the dump; a range that should be one and is not is counted as absent.
 */
#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "graph/graph.h"

#define RED_ZONE  128
#define ZEROS_MIN 16u /* words at sp */
#define PAGE      4096u
#define TCB_ALIGN 64
#define TCB_DTV   0x8
#define TCB_SELF  0x10
/* where in a descriptor S, size and guard are looked for */
#define TCB_SEARCH_FROM 0x100
#define TCB_SEARCH_TO   0x1000
/* longest distance of the descriptor from the top of its stack */
#define TCB_BELOW_TOP 0x10000
#define USED_LIST_MAX (1u << 20)
#define DTV_SLOT      16
#define DTV_MAX       65536

struct range {
	taddr_t start, end;
	bool is_dead_stack;
};

/* a stack glibc made */
struct pstack {
	taddr_t tcb;
	taddr_t start, end;                 /* above the guard, to its top */
	const struct target_thread *thread; /* NULL: it ended */
};

struct roots_ctx {
	struct heap *heap;
	const struct target *t;
	struct roots *roots;
	VEC(struct root) list;
	VEC(struct range) out; /* exclusions; (I1) once sorted */
	VEC(struct pstack) stacks;
	struct hash used; /* descriptors on glibc's list of stacks in use */
	bool has_used;
	taddr_t main_lo, main_hi; /* the main stack's map */
};

__attribute__((format(printf, 2, 3))) static void doubt(struct roots *roots,
							const char *fmt, ...)
{
	va_list ap;

	if (roots->why)
		return;
	va_start(ap, fmt);
	roots->why = mem_vprintf(fmt, ap);
	va_end(ap);
}

/* ---- registers ------------------------------------------------------- */

#define REG(name)                                                     \
	{                                                             \
#name, offsetof(struct user_regs_struct, name), false \
	}
static const struct {
	const char *name;
	size_t offset;
	bool is_partial; /* known even when only pc and sp are */
} regs[] = {
	REG(r15),
	REG(r14),
	REG(r13),
	REG(r12),
	REG(rbp),
	REG(rbx),
	REG(r11),
	REG(r10),
	REG(r9),
	REG(r8),
	REG(rax),
	REG(rcx),
	REG(rdx),
	REG(rsi),
	REG(rdi),
	REG(fs_base),
	REG(gs_base),
	{"rip", offsetof(struct user_regs_struct, rip), true},
	{"rsp", offsetof(struct user_regs_struct, rsp), true},
};

static void add_register(struct roots_ctx *c, uint32_t tid, const char *name,
			 uint64_t value)
{
	struct root r = {
		.kind = ROOT_REGISTER,
		.tid = tid,
		.value = value,
		.what = name,
	};

	if (value)
		VEC_PUSH(&c->list, r);
}

static void add_words(struct roots_ctx *c, uint32_t tid, const char *name,
		      const void *bytes, size_t n, size_t from, size_t to)
{
	const unsigned char *p = bytes;

	for (size_t i = from; i + 8 <= to && i + 8 <= n; i += 8) {
		uint64_t value = 0;

		memcpy(&value, p + i, sizeof(value));
		add_register(c, tid, name, value);
	}
}

/* libc, its threads, the loader, libkmem: who calls them expects nothing of
 * the vector registers, and they keep no pointer there over a system call */
static bool is_abi_object(const struct object *obj)
{
	static const char *const prefixes[] = {
		"libc.so", "libc-2.", "libpthread", "ld-linux", "libkmem"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (strncmp(obj->name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static bool is_syscall_insn(const struct target *t, taddr_t pc)
{
	unsigned char insn[2] = {0};

	err_free(target_read(t, pc, insn, sizeof(insn)));
	return insn[0] == 0x0f && insn[1] == 0x05;
}

/* does the thread stand in a function it called?  A system call is seen by its
 * instruction: just before pc, or at pc when the kernel means to restart it.
 * That of the program's own code may stand amid vector code. */
static bool is_in_call(const struct roots_ctx *c,
		       const struct target_thread *th)
{
	const struct object *obj = NULL;
	taddr_t pc = th->regs.rip;

	if (th->is_at_call)
		return true;
	if (c->heap->types)
		obj = types_object_at(c->heap->types, pc);
	return obj && is_abi_object(obj) &&
	       (is_syscall_insn(c->t, pc - 2) || is_syscall_insn(c->t, pc));
}

static void add_vector_registers(struct roots_ctx *c,
				 const struct target_thread *th)
{
	/* x87 and SSE are at 32..416 of either area; what lies from 576 on in
	 * the extended one are the upper parts of the vector registers */
	if (th->xstate) {
		add_words(c, th->tid, "vector register", th->xstate,
			  th->xstate_bytes, 32, 416);
		add_words(c, th->tid, "vector register", th->xstate,
			  th->xstate_bytes, 576, th->xstate_bytes);
	} else if (th->fpregs) {
		add_words(c, th->tid, "vector register", th->fpregs,
			  th->fpregs_bytes, 32, 416);
	}
}

static void add_thread_registers(struct roots_ctx *c,
				 const struct target_thread *th)
{
	const unsigned char *raw = (const unsigned char *)&th->regs;

	if (!th->has_regs || th->regs_partial)
		c->roots->nthreads_lost++;
	if (!th->has_regs)
		return;
	for (size_t i = 0; i < sizeof(regs) / sizeof(*regs); i++) {
		uint64_t value = 0;

		if (th->regs_partial && !regs[i].is_partial)
			continue;
		memcpy(&value, raw + regs[i].offset, sizeof(value));
		add_register(c, th->tid, regs[i].name, value);
	}
	if (!is_in_call(c, th))
		add_vector_registers(c, th);
}

/* ---- stacks ---------------------------------------------------------- */

static uint64_t word_at(const struct target *t, taddr_t addr)
{
	uint64_t value = 0;

	err_free(target_read_u64(t, addr, &value));
	return value;
}

/* reads S, size and guard of a descriptor */
static bool read_bounds(const struct target *t, taddr_t tcb, struct pstack *ret)
{
	for (size_t off = TCB_SEARCH_FROM; off < TCB_SEARCH_TO; off += 8) {
		taddr_t start = word_at(t, tcb + off);
		uint64_t size = 0;
		uint64_t guard = 0;

		if (start == 0 || start % PAGE || start >= tcb)
			continue;
		size = word_at(t, tcb + off + 8);
		guard = word_at(t, tcb + off + 16);
		if (size % PAGE || guard % PAGE || guard == 0 ||
		    guard >= size || start + size < start)
			continue;
		if (start + size <= tcb || start + size - tcb > TCB_BELOW_TOP ||
		    start + guard >= tcb)
			continue;
		ret->tcb = tcb;
		ret->start = start + guard;
		ret->end = start + size;
		return true;
	}
	return false;
}

static const struct target_thread *owner_of(const struct target *t,
					    const struct pstack *s)
{
	for (size_t i = 0; i < target_nthreads(t); i++) {
		const struct target_thread *th = target_thread(t, i);

		if (!th->has_regs)
			continue;
		if (!th->regs_partial && th->regs.fs_base == s->tcb)
			return th;
		if (th->regs.rsp >= s->start && th->regs.rsp < s->end)
			return th;
	}
	return NULL;
}

static void find_stacks_at(struct roots_ctx *c, taddr_t start, taddr_t end)
{
	taddr_t at = (start + TCB_ALIGN - 1) & ~(taddr_t)(TCB_ALIGN - 1);

	while (at < end) {
		size_t len = 0;
		const unsigned char *p = target_peek(c->t, at, &len);

		if (!p || len < TCB_ALIGN)
			return;
		if (len > end - at)
			len = end - at;
		for (size_t i = 0; i + TCB_ALIGN <= len; i += TCB_ALIGN) {
			uint64_t value = 0;
			struct pstack s = {0};

			memcpy(&value, p + i, sizeof(value));
			if (value != at + i)
				continue;
			memcpy(&value, p + i + TCB_SELF, sizeof(value));
			if (value != at + i || !read_bounds(c->t, value, &s))
				continue;
			s.thread = owner_of(c->t, &s);
			VEC_PUSH(&c->stacks, s);
		}
		at += len / TCB_ALIGN * TCB_ALIGN;
		if (len < TCB_ALIGN)
			return;
	}
}

static void find_stacks_in(struct roots_ctx *c, taddr_t start, taddr_t end)
{
	taddr_t stop = 0;

	for (taddr_t at = start; at < end; at = stop) {
		at = target_past_zeros(c->t, at, end, &stop);
		find_stacks_at(c, at, stop);
	}
}

static void exclude(struct roots_ctx *c, taddr_t start, taddr_t end,
		    bool is_dead_stack)
{
	struct range r = {start, end, is_dead_stack};

	if (start < end)
		VEC_PUSH(&c->out, r);
}

/* offset of a member as glibc tells debuggers: { bits, count, offset } */
static bool db_offset(struct roots_ctx *c, const char *name, uint32_t *ret)
{
	struct symbol sym;
	uint32_t desc[3] = {0};

	if (!types_symbol_named(c->heap->types, NULL, name, &sym))
		return false;
	struct err *err = target_read(c->t, sym.value, desc, sizeof(desc));

	if (err) {
		err_free(err);
		return false;
	}
	*ret = desc[2];
	return desc[2] < (1u << 20);
}

/* Threads that run and are not in the dump: they are of a process that has lent its
 * memory to this one (vfork).  The kernel leaves 0 as the tid of one that ended,
 * pthread_join() -1.  Of a child made by clone(), past libc, its parent's are there,
 * too, with a copy of the memory: no matter to libkmem, which takes no snapshot on
 * memory that was lent. */
static void count_elsewhere(struct roots_ctx *c)
{
	const struct target_info *info = target_info(c->t);
	uint32_t off = 0;
	unsigned n = 0;

	if (!c->heap->types || c->roots->nthreads_lost ||
	    (info->is_snapshot && !info->is_outside) ||
	    !db_offset(c, "_thread_db_pthread_tid", &off))
		return;
	for (size_t i = 0; i < c->stacks.n; i++) {
		const struct pstack *s = &c->stacks.v[i];
		uint64_t word = word_at(c->t, s->tcb + (off & ~7u));

		if (!s->thread && (int32_t)(word >> (off & 7) * 8) > 0)
			n++;
	}
	c->roots->nthreads_lost = n;
	if (n)
		doubt(c->roots, "%u threads run, and are not in the dump", n);
}

/* lists the descriptors of threads that run or wait to be joined */
static void read_used(struct roots_ctx *c)
{
	struct symbol rtld;
	uint32_t head_off = 0;
	uint32_t link_off = 0;

	if (!c->heap->types ||
	    !types_symbol_named(c->heap->types, NULL, "_rtld_global", &rtld) ||
	    !db_offset(c, "_thread_db_rtld_global__dl_stack_used", &head_off) ||
	    !db_offset(c, "_thread_db_pthread_list", &link_off))
		return;
	taddr_t head = rtld.value + head_off;
	taddr_t node = word_at(c->t, head);

	for (unsigned n = 0; node && node != head; n++) {
		bool is_new = false;

		hash_put(&c->used, node - link_off, &is_new);
		if (!is_new || n == USED_LIST_MAX)
			return; /* a ring that misses its head: damaged */
		node = word_at(c->t, node);
	}
	c->has_used = node == head;
}

/* the lowest address of its stack that a thread may use */
static taddr_t lowest_live(const struct target_thread *th)
{
	return th->is_at_call ? th->regs.rsp : th->regs.rsp - RED_ZONE;
}

static void add_shallow(struct roots_ctx *c, uint64_t value)
{
	struct root r = {
		.kind = ROOT_TLS,
		.value = value,
		.is_shallow = true,
	};

	if (value)
		VEC_PUSH(&c->list, r);
}

/* the vector of TLS blocks of a thread that ended, and the blocks */
static void keep_dtv(struct roots_ctx *c, taddr_t tcb)
{
	taddr_t dtv = word_at(c->t, tcb + TCB_DTV);
	uint64_t n = dtv ? word_at(c->t, dtv - DTV_SLOT) : 0;

	add_shallow(c, dtv);
	for (uint64_t i = 1; i <= n && i <= DTV_MAX; i++)
		add_shallow(c, word_at(c->t, dtv + i * DTV_SLOT + 8));
}

static void exclude_stack(struct roots_ctx *c, const struct pstack *s)
{
	if (!s->thread) {
		/* a thread that cannot be seen may be the one */
		if (c->roots->nthreads_lost)
			return;
		bool is_joinable = c->has_used && hash_get(&c->used, s->tcb);

		exclude(c, s->start, is_joinable ? s->tcb + TCB_SELF : s->end,
			true);
		keep_dtv(c, s->tcb);
		return;
	}
	taddr_t sp = s->thread->regs.rsp;

	if (sp >= s->start && sp < s->end)
		exclude(c, s->start, lowest_live(s->thread), true);
}

/* the main stack: below the lowest address in use */
static void exclude_main_stack(struct roots_ctx *c)
{
	uint64_t random = 0;
	taddr_t lowest = 0;

	if (!target_auxv(c->t, AT_RANDOM, &random))
		return;
	const struct target_map *map = target_map_at(c->t, random);

	if (!map)
		return;
	c->main_lo = map->start;
	c->main_hi = map->end;
	for (size_t i = 0; i < target_nthreads(c->t); i++) {
		const struct target_thread *th = target_thread(c->t, i);

		if (th->has_regs && th->regs.rsp >= map->start + RED_ZONE &&
		    th->regs.rsp < map->end &&
		    (lowest == 0 || lowest_live(th) < lowest))
			lowest = lowest_live(th);
	}
	if (lowest)
		exclude(c, map->start, lowest, true);
}

/* ---- memory ---------------------------------------------------------- */

static bool is_root_map(const struct target_map *map)
{
	if (map->prot & PF_W)
		return true;
	/* unwritable, or closed for now: only what the process has a copy of its
	 * own of.  Code of a file is never that. */
	if (map->path && (map->prot & PF_X))
		return false;
	return map->presence == MAP_IN_CORE || map->presence == MAP_PARTLY;
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a;
	const struct range *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* establishes (I1) */
static void sort_exclusions(struct roots_ctx *c)
{
	size_t kept = 0;

	if (c->out.n == 0)
		return;
	qsort(c->out.v, c->out.n, sizeof(*c->out.v), by_start);
	for (size_t i = 0; i < c->out.n; i++) {
		struct range r = c->out.v[i];

		if (kept && r.start < c->out.v[kept - 1].end)
			r.start = c->out.v[kept - 1].end;
		if (r.start < r.end)
			c->out.v[kept++] = r;
	}
	c->out.n = kept;
}

static void name_root(struct roots_ctx *c, const struct target_map *map,
		      struct root *r)
{
	const struct object *obj = NULL;

	r->kind = ROOT_ANON;
	if (r->start >= c->main_lo && r->start < c->main_hi) {
		r->kind = ROOT_STACK;
		return;
	}
	for (size_t i = 0; i < c->stacks.n; i++) {
		const struct pstack *s = &c->stacks.v[i];

		if (r->start < s->start || r->start >= s->end)
			continue;
		r->kind = r->start >= s->tcb ? ROOT_TLS : ROOT_STACK;
		r->tid = s->thread ? s->thread->tid : 0;
		return;
	}
	if (c->heap->types)
		obj = types_object_at(c->heap->types, r->start);
	if (obj || map->path) {
		r->kind = ROOT_DATA;
		r->what = obj ? obj->name : map->path;
	}
}

/* a piece of a map that no exclusion touches; (I2) */
static void add_piece(struct roots_ctx *c, const struct target_map *map,
		      taddr_t start, taddr_t end)
{
	taddr_t have = map->presence == MAP_FROM_FILE ? end : map->core_end;
	struct root r = {.start = start, .end = end < have ? end : have};

	/* an unmodified file holds no pointer of this process.  Of an object it
	 * is known to be one: data that was written is in every core; other
	 * files gdb's gcore leaves out, written or not */
	if (map->presence == MAP_FROM_FILE) {
		if (map->path && (map->prot & PF_W) && c->heap->types &&
		    !types_object_at(c->heap->types, start)) {
			c->roots->absent_bytes += end - start;
			doubt(c->roots,
			      "what was written to the mapping of %s is not in "
			      "the dump",
			      map->path);
		}
		return;
	}
	if (r.start < r.end) {
		name_root(c, map, &r);
		c->roots->scanned_bytes += r.end - r.start;
		VEC_PUSH(&c->list, r);
	} else {
		r.end = start;
	}
	if (r.end < end && (map->prot & PF_W)) {
		c->roots->absent_bytes += end - r.end;
		doubt(c->roots,
		      "writable memory 0x%" PRIx64 "-0x%" PRIx64
		      " is not in the dump",
		      r.end, end);
	}
}

static size_t first_exclusion(const struct roots_ctx *c, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = c->out.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->out.v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void add_map(struct roots_ctx *c, const struct target_map *map)
{
	taddr_t at = map->start;

	for (size_t i = first_exclusion(c, at); i < c->out.n; i++) {
		const struct range *x = &c->out.v[i];

		if (x->start >= map->end)
			break;
		if (x->start > at)
			add_piece(c, map, at, x->start);
		taddr_t end = x->end < map->end ? x->end : map->end;

		if (x->is_dead_stack)
			c->roots->dead_stack_bytes +=
				end - (x->start > at ? x->start : at);
		at = end;
	}
	if (at < map->end)
		add_piece(c, map, at, map->end);
}

static struct err *exclude_own(struct roots_ctx *c)
{
	_free_ struct heap_range *own = NULL;
	size_t n = 0;

	if (!c->heap->ops->own)
		return NULL;
	struct err *err = c->heap->ops->own(c->heap, &own, &n);

	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		exclude(c, own[i].start, own[i].end, false);
	return NULL;
}

/* gcore writes zeros for a map of which it could not read a page, such as one with
 * guard pages within: the thread's own variables begin with their address, and
 * what it goes back to is above its sp */
static void doubt_zeros(struct roots_ctx *c, const struct target_thread *th)
{
	uint64_t word = 0;

	if (!th->has_regs || th->regs_partial || th->regs.fs_base == 0 ||
	    !target_map_at(c->t, th->regs.fs_base) ||
	    word_at(c->t, th->regs.fs_base))
		return;
	for (unsigned i = 0; i < ZEROS_MIN && word == 0; i++)
		word = word_at(c->t, th->regs.rsp + i * 8ull);
	if (word == 0)
		doubt(c->roots,
		      "the stack of thread %u is all zeros in the dump: whoever "
		      "wrote it could not read it",
		      th->tid);
}

/* looks for stacks where the allocator has nothing */
static void find_stacks(struct roots_ctx *c)
{
	for (size_t i = 0; i < target_nmaps(c->t); i++) {
		const struct target_map *map = target_map(c->t, i);
		taddr_t at = map->start;

		if (!(map->prot & PF_W) || map->path)
			continue;
		for (size_t k = first_exclusion(c, at);
		     k < c->out.n && c->out.v[k].start < map->end; k++) {
			find_stacks_in(c, at, c->out.v[k].start);
			at = c->out.v[k].end;
		}
		find_stacks_in(c, at, map->end);
	}
}

static struct err *collect(struct roots_ctx *c)
{
	for (size_t i = 0; i < target_nthreads(c->t); i++)
		add_thread_registers(c, target_thread(c->t, i));
	/* the producer may know of threads the dump does not list */
	if (c->roots->nthreads_lost < c->heap->health.nthreads_lost)
		c->roots->nthreads_lost = c->heap->health.nthreads_lost;
	if (c->roots->nthreads_lost)
		doubt(c->roots, "registers of %u threads are not in the dump",
		      c->roots->nthreads_lost);
	else if (target_nthreads(c->t) == 0)
		doubt(c->roots, "the dump has no threads");
	struct err *err = exclude_own(c);

	if (err)
		return err;
	for (size_t i = 0; i < target_nthreads(c->t); i++)
		doubt_zeros(c, target_thread(c->t, i));
	sort_exclusions(c);
	find_stacks(c);
	count_elsewhere(c);
	read_used(c);
	for (size_t i = 0; i < c->stacks.n; i++)
		exclude_stack(c, &c->stacks.v[i]);
	exclude_main_stack(c);
	sort_exclusions(c);
	for (size_t i = 0; i < target_nmaps(c->t); i++)
		if (is_root_map(target_map(c->t, i)))
			add_map(c, target_map(c->t, i));
	return NULL;
}

struct err *roots_build(struct heap *heap, struct roots **ret)
{
	struct roots *roots = mem_zalloc(sizeof(*roots));
	struct roots_ctx c = {
		.heap = heap,
		.t = heap->target,
		.roots = roots,
	};

	hash_init(&c.used);
	struct err *err = collect(&c);

	hash_fini(&c.used);
	VEC_FREE(&c.out);
	VEC_FREE(&c.stacks);
	roots->v = c.list.v;
	roots->n = c.list.n;
	if (err) {
		roots_free(roots);
		return err;
	}
	*ret = roots;
	return NULL;
}

void roots_free(struct roots *roots)
{
	if (!roots)
		return;
	mem_free(roots->why);
	mem_free(roots->v);
	mem_free(roots);
}

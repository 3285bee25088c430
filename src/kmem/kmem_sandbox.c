/* SPDX-License-Identifier: MIT */
/*
 * Which system calls a process may still make once it has put itself into a
 * sandbox.
 *
 * A filter (seccomp) may answer a call with the death of the process.  What
 * the allocator calls is what any malloc calls; a snapshot and the unwinder
 * call more, and a program that would have ended well must not die of them.
 * So each filter is run here, before the kernel gets it, for every number of a
 * system call, and the ones that it kills for are not made any more.
 *
 * A filter is a program of the classic Berkeley packet filter over struct
 * seccomp_data: accumulator A, index X, sixteen words of scratch memory, jumps
 * forwards only, so that it ends.  The arguments of the call are taken to be
 * 0: a filter that kills for some arguments only is judged by those.  What
 * cannot be understood counts as deadly.
 *
 *   S1  A bit in forbidden is never cleared by another filter: all of them
 *       stay, and the strictest answer counts.
 *
 * A filter the kernel refuses counts all the same.  Filters from before the
 * program was started are not seen; containers have such, and theirs answer
 * with an error.
 */
#define _GNU_SOURCE
#include "kmem_sandbox.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

#define MAX_CALLS  512 /* system calls of x86-64 have lower numbers */
#define MAX_INSNS  4096
#define WORD_BITS  64
#define FILTER_ARG ((uint32_t)sizeof(struct seccomp_data))

/* by number: the call is deadly (S1); written before the filter is in force */
static uint64_t forbidden[MAX_CALLS / WORD_BITS];
static int is_sandboxed; /* by one filter or more */

/* a run of a filter */
struct machine {
	uint32_t a, x, mem[BPF_MEMWORDS];
	struct seccomp_data data;
};

static uint32_t alu(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	case BPF_RSH:
		return b < 32 ? a >> b : 0;
	default: /* BPF_NEG */
		return -a;
	}
}

static int is_taken(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default: /* BPF_JSET */
		return (a & b) != 0;
	}
}

/** What a load gives; *is_bad when it is none that a filter may make. */
static uint32_t load(const struct machine *m, const struct sock_filter *f,
		     int *is_bad)
{
	uint32_t value = 0;

	switch (BPF_MODE(f->code)) {
	case BPF_IMM:
		return f->k;
	case BPF_LEN:
		return FILTER_ARG;
	case BPF_MEM:
		return m->mem[f->k % BPF_MEMWORDS];
	default: /* BPF_ABS */
		*is_bad |= f->k % 4 != 0 || f->k >= FILTER_ARG;
		if (!*is_bad)
			memcpy(&value, (const char *)&m->data + f->k, 4);
		return value;
	}
}

/** Does the instruction that changes no flow; 0, or -1: unknown. */
static int step(struct machine *m, const struct sock_filter *f)
{
	int is_bad = 0;

	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
		m->a = load(m, f, &is_bad);
		return is_bad ? -1 : 0;
	case BPF_LDX:
		m->x = load(m, f, &is_bad);
		return is_bad ? -1 : 0;
	case BPF_ST:
		m->mem[f->k % BPF_MEMWORDS] = m->a;
		return 0;
	case BPF_STX:
		m->mem[f->k % BPF_MEMWORDS] = m->x;
		return 0;
	case BPF_ALU:
		m->a = alu(BPF_OP(f->code), m->a,
			   BPF_SRC(f->code) == BPF_X ? m->x : f->k);
		return 0;
	default: /* BPF_MISC */
		if (BPF_MISCOP(f->code) == BPF_TXA)
			m->a = m->x;
		else
			m->x = m->a;
		return 0;
	}
}

/** What a filter answers to a call. */
static uint32_t answer(const struct sock_fprog *prog, int nr)
{
	struct machine m = {
		.data = {.nr = nr, .arch = AUDIT_ARCH_X86_64},
	};

	for (uint32_t pc = 0; pc < prog->len; pc++) {
		const struct sock_filter *f = &prog->filter[pc];
		uint16_t class = BPF_CLASS(f->code);

		if (class == BPF_RET)
			return BPF_RVAL(f->code) == BPF_A ? m.a : f->k;
		if (class != BPF_JMP) {
			if (step(&m, f) != 0)
				break;
			continue;
		}
		if (BPF_OP(f->code) == BPF_JA)
			pc += f->k;
		else
			pc += is_taken(BPF_OP(f->code), m.a,
				       BPF_SRC(f->code) == BPF_X ? m.x : f->k)
				      ? f->jt
				      : f->jf;
	}
	return SECCOMP_RET_KILL_PROCESS;
}

static int is_deadly(uint32_t what)
{
	switch (what & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_USER_NOTIF:
		return 0;
	default: /* kill, trap, trace */
		return 1;
	}
}

void kmem_sandbox_filter(const struct sock_fprog *prog)
{
	if (prog->len > MAX_INSNS)
		return; /* the kernel will not take it */
	__atomic_store_n(&is_sandboxed, 1, __ATOMIC_RELAXED);
	for (int nr = 0; nr < MAX_CALLS; nr++)
		if (is_deadly(answer(prog, nr)))
			__atomic_fetch_or(&forbidden[nr / WORD_BITS],
					  (uint64_t)1 << nr % WORD_BITS,
					  __ATOMIC_RELAXED);
}

void kmem_sandbox_strict(void)
{
	__atomic_store_n(&is_sandboxed, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < MAX_CALLS / WORD_BITS; i++)
		__atomic_store_n(&forbidden[i], ~(uint64_t)0, __ATOMIC_RELAXED);
}

int kmem_is_sandboxed(void)
{
	return __atomic_load_n(&is_sandboxed, __ATOMIC_RELAXED);
}

int kmem_may_call(long nr)
{
	uint64_t word;

	if (nr < 0 || nr >= MAX_CALLS)
		return 1;
	word = __atomic_load_n(&forbidden[nr / WORD_BITS], __ATOMIC_RELAXED);
	return (word >> nr % WORD_BITS & 1) == 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * kmem_unwind() where stacks are not what they should be: smashed, made of
 * random words, in code without tables, at the end of memory, in itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>

#include "kmem/unwind_impl.h"

#define DEEP 200
#define PAGE 4096

#define noinline   __attribute__((noinline))
#define not_tail() __asm__ volatile("" ::: "memory")

static uintptr_t pcs[DEEP];
static unsigned npcs;

static noinline void capture(void)
{
	npcs = kmem_unwind(pcs, DEEP, 0);
}

/* is one of the frames in the first bytes of a function? */
static bool met(void *fn, unsigned bytes)
{
	unsigned i;

	for (i = 0; i < npcs; i++)
		if (pcs[i] - (uintptr_t)fn < bytes)
			return true;
	return false;
}

/* ---- before everything ---------------------------------------------------- */

static unsigned n_early;

static void early(void)
{
	uintptr_t early_pcs[DEEP];

	n_early = kmem_unwind(early_pcs, DEEP, 0);
}

__attribute__((section(".preinit_array"),
	       used)) static void (*early_fn)(void) = early;

static void works_before_libc_is_initialised(void **state)
{
	(void)state;
	assert_true(n_early > 0);
}

/* ---- smashed ---------------------------------------------------------------- */

static noinline void smash(uintptr_t ra, uintptr_t bp)
{
	volatile uintptr_t *frame = __builtin_frame_address(0);
	uintptr_t old_bp = frame[0];
	uintptr_t old_ra = frame[1];

	frame[0] = bp;
	frame[1] = ra;
	capture();
	frame[0] = old_bp;
	frame[1] = old_ra;
}

static void stops_at_an_overwritten_return_address(void **state)
{
	static const uintptr_t junk[] = {
		0x4141414141414141, 0x1,  0xfff,     0x1000,
		0x7fffffffffff,     ~0ul, 1ul << 47, 0xffffffffff600400};
	unsigned i;
	unsigned k;

	(void)state;
	for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++)
		for (k = 0; k < sizeof(junk) / sizeof(junk[0]); k++) {
			smash(junk[i], junk[k]);
			/* in smash(), and the junk when it could be one */
			assert_true(met((void *)smash, 200));
			assert_int_equal(npcs, junk[i] < PAGE ? 1 : 2);
			assert_true(npcs < 2 || pcs[1] == junk[i]);
		}
}

/* ---- random stacks ----------------------------------------------------------- */

struct code {
	uintptr_t start;
	uintptr_t bytes;
};

static struct code codes[64];
static unsigned ncodes;

static int code_seen(struct dl_phdr_info *info, size_t size, void *arg)
{
	unsigned i;

	(void)size;
	(void)arg;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD && ph->p_flags & PF_X && ncodes < 64)
			codes[ncodes++] = (struct code){
				info->dlpi_addr + ph->p_vaddr, ph->p_memsz};
	}
	return 0;
}

static uint64_t random_state = 88172645463325252;

static uint64_t any(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static char *arena; /* guard page, stack, garbage, guard page */
#define STACK_BYTES ((size_t)64 << 10)
#define JUNK_BYTES  ((size_t)4096)
#define ARENA_BYTES (STACK_BYTES + JUNK_BYTES)

static uintptr_t sigreturn_pc;

static void find_sigreturn(int sig)
{
	(void)sig;
	sigreturn_pc = (uintptr_t)__builtin_return_address(0);
}

static uintptr_t junk_word(void)
{
	const struct code *code = &codes[any() % ncodes];

	switch (any() % 10) {
	case 0:
		return any();
	case 1:
		return any() % 64 * 8;
	case 2:
		return (uintptr_t)arena + any() % (ARENA_BYTES + 64);
	case 3:
		return sigreturn_pc;
	case 4:
	case 5:
		return (uintptr_t)arena + any() % ARENA_BYTES / 16 * 16;
	default:
		return code->start + any() % code->bytes;
	}
}

static ucontext_t home;
static ucontext_t away;

/* replaces all above its own frame by junk, looks, and never returns */
static noinline void lost(void)
{
	volatile uintptr_t *frame = __builtin_frame_address(0);
	volatile uintptr_t *end = (volatile uintptr_t *)(arena + ARENA_BYTES);

	for (; frame < end; frame++)
		*frame = junk_word();
	capture();
	swapcontext(&away, &home);
}

static unsigned long wander(unsigned rounds)
{
	unsigned long nframes = 0;
	unsigned i;

	for (i = 0; i < rounds; i++) {
		getcontext(&away);
		away.uc_stack.ss_sp = arena;
		away.uc_stack.ss_size = STACK_BYTES;
		away.uc_link = NULL;
		makecontext(&away, lost, 0);
		swapcontext(&home, &away);
		nframes += npcs;
		if (npcs == 0 || npcs > DEEP)
			fail();
	}
	return nframes;
}

static void never_faults_on_random_stacks(void **state)
{
	char *map = mmap(NULL, ARENA_BYTES + 2 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long nframes;

	(void)state;
	assert_int_equal(mprotect(map, PAGE, PROT_NONE), 0);
	assert_int_equal(mprotect(map + PAGE + ARENA_BYTES, PAGE, PROT_NONE),
			 0);
	arena = map + PAGE;
	dl_iterate_phdr(code_seen, NULL);
	signal(SIGUSR1, find_sigreturn);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	nframes = wander(20000);
	print_message("# %lu frames on 20000 random stacks\n", nframes);
	assert_true(nframes > 30000); /* or the test tests nothing */
}

/* ---- the end of the stack ------------------------------------------------------ */

static volatile sig_atomic_t n_overflow;
static sigjmp_buf overflow_out;

static void on_overflow(int sig)
{
	(void)sig;
	capture();
	n_overflow = (sig_atomic_t)npcs;
	siglongjmp(overflow_out, 1);
}

static noinline int endless(volatile int n)
{
	volatile char room[1000];

	room[0] = (char)n;
	return n < 0 ? 0 : endless(n + 1) + room[0];
}

static void *overflow(void *arg)
{
	static char alt[64 << 10];
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
	struct sigaction sa = {.sa_flags = SA_ONSTACK};

	sa.sa_handler = on_overflow;
	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	if (!sigsetjmp(overflow_out, 1))
		endless(0);
	signal(SIGSEGV, SIG_DFL);
	return arg;
}

static void walks_a_stack_that_overflowed(void **state)
{
	pthread_t tid;

	(void)state;
	assert_int_equal(pthread_create(&tid, NULL, overflow, NULL), 0);
	pthread_join(tid, NULL);
	assert_int_equal(n_overflow, DEEP);
	assert_true(met((void *)endless, 100));
}

/* ---- code without tables --------------------------------------------------------- */

typedef void (*jit_fn)(void (*fn)(void));

static void *make_jit(const void *code, size_t bytes)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(page, code, bytes);
	mprotect(page, PAGE, PROT_READ | PROT_EXEC);
	return page;
}

static noinline void call_jit(jit_fn jit)
{
	jit(capture);
	not_tail();
}

static void steps_over_generated_code_with_a_frame_pointer(void **state)
{
	/* push %rbp; mov %rsp,%rbp; sub $32,%rsp; call *%rdi; leave; ret */
	static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83,
				       0xec, 0x20, 0xff, 0xd7, 0xc9, 0xc3};
	jit_fn jit = make_jit(code, sizeof(code));

	(void)state;
	call_jit(jit);
	assert_true(pcs[0] == (uintptr_t)jit + 10);
	assert_true(met((void *)call_jit, 100));
	assert_true(npcs > 4);
}

static void stops_in_generated_code_without_one(void **state)
{
	/* push %rbp; mov $K,%ebp; sub $32,%rsp; call *%rdi; add..; pop; ret */
	static const uint8_t code[] = {0x55, 0xbd, 0x21, 0x43, 0x65, 0x07,
				       0x48, 0x83, 0xec, 0x20, 0xff, 0xd7,
				       0x48, 0x83, 0xc4, 0x20, 0x5d, 0xc3};
	jit_fn jit = make_jit(code, sizeof(code));

	(void)state;
	call_jit(jit);
	assert_int_equal(npcs, 1);
	assert_true(pcs[0] == (uintptr_t)jit + 12);
}

typedef void (*jit_bp_fn)(void (*fn)(void), void *bp);

/* the generated code keeps a pointer of its own in rbp */
static void believes_no_frame_that_is_not_after_a_call(void **state)
{
	/* push %rbp; mov %rsi,%rbp; sub $32,%rsp; call *%rdi; add; pop; ret */
	static const uint8_t code[] = {0x55, 0x48, 0x89, 0xf5, 0x48, 0x83,
				       0xec, 0x20, 0xff, 0xd7, 0x48, 0x83,
				       0xc4, 0x20, 0x5d, 0xc3};
	uintptr_t none[2] = {0, 0};
	uintptr_t code_of_libc[2] = {0, (uintptr_t)qsort};
	uintptr_t far_away[2] = {0, 0x123456789000};
	uintptr_t *words[] = {none, code_of_libc, far_away};
	jit_bp_fn jit = make_jit(code, sizeof(code));
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		jit(capture, words[i]);
		assert_int_equal(npcs, 1);
		assert_true(pcs[0] == (uintptr_t)jit + 10);
	}
}

static sigjmp_buf null_out;

static void on_null(int sig)
{
	(void)sig;
	capture();
	siglongjmp(null_out, 1);
}

static noinline void call_null(void (*volatile fn)(void))
{
	fn();
	not_tail();
}

static void finds_who_called_a_null_pointer(void **state)
{
	(void)state;
	signal(SIGSEGV, on_null);
	if (!sigsetjmp(null_out, 1))
		call_null(NULL);
	signal(SIGSEGV, SIG_DFL);
	assert_true(met((void *)call_null, 100));
	assert_true(met((void *)finds_who_called_a_null_pointer, 300));
}

/* ---- in itself ------------------------------------------------------------------ */

static volatile sig_atomic_t is_stepping;
static unsigned long nself;
static unsigned nself_short;

/* counts frames up to main(), which every stack here must reach */
static void on_step(int sig, siginfo_t *info, void *arg)
{
	ucontext_t *ctx = arg;
	uintptr_t here[DEEP];
	unsigned n = kmem_unwind(here, DEEP, 0);

	(void)sig;
	(void)info;
	nself++;
	if (n < 8)
		nself_short++;
	if (is_stepping)
		ctx->uc_mcontext.gregs[REG_EFL] |= 0x100; /* trap flag */
	else
		ctx->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

static noinline void step_through_itself(void)
{
	is_stepping = 1;
	raise(SIGTRAP);
	capture();
	kmem_unwind_flush();
	capture();
	is_stepping = 0;
}

static void may_interrupt_itself_at_any_instruction(void **state)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO};
	uintptr_t before[DEEP];
	unsigned n;

	(void)state;
	capture();
	n = npcs;
	memcpy(before, pcs, sizeof(pcs));
	sa.sa_sigaction = on_step;
	sigaction(SIGTRAP, &sa, NULL);
	step_through_itself();
	signal(SIGTRAP, SIG_DFL);
	assert_int_equal(npcs, n + 1);
	assert_memory_equal(pcs + 2, before + 1, (n - 1) * sizeof(pcs[0]));
	assert_true(nself > 10000);
	assert_int_equal(nself_short, 0);
}

static void makes_no_system_call_when_warm(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		capture();
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		capture();
		syscall(SYS_exit, npcs > 4 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static jit_fn jit_page;

static noinline void capture_twice(void)
{
	capture();
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	capture();
	syscall(SYS_exit,
		npcs > 5 && pcs[1] - (uintptr_t)jit_page < PAGE ? 0 : 1);
}

/* the bytes before a return address into an object are read once */
static void makes_none_in_generated_code_either(void **state)
{
	/* push %rbp; mov %rsp,%rbp; sub $32,%rsp; call *%rdi; leave; ret */
	static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83,
				       0xec, 0x20, 0xff, 0xd7, 0xc9, 0xc3};
	int status = -1;
	pid_t pid;

	(void)state;
	jit_page = make_jit(code, sizeof(code));
	pid = fork();
	if (pid == 0)
		jit_page(capture_twice);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void opens_no_file(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct rlimit_none {
			unsigned long cur, max;
		} none = {0, 0};

		syscall(SYS_prlimit64, 0, 7 /* NOFILE */, &none, NULL);
		kmem_unwind_flush();
		capture();
		_exit(npcs > 4 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(works_before_libc_is_initialised),
		cmocka_unit_test(stops_at_an_overwritten_return_address),
		cmocka_unit_test(never_faults_on_random_stacks),
		cmocka_unit_test(walks_a_stack_that_overflowed),
		cmocka_unit_test(
			steps_over_generated_code_with_a_frame_pointer),
		cmocka_unit_test(stops_in_generated_code_without_one),
		cmocka_unit_test(believes_no_frame_that_is_not_after_a_call),
		cmocka_unit_test(finds_who_called_a_null_pointer),
		cmocka_unit_test(may_interrupt_itself_at_any_instruction),
		cmocka_unit_test(makes_no_system_call_when_warm),
		cmocka_unit_test(makes_none_in_generated_code_either),
		cmocka_unit_test(opens_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

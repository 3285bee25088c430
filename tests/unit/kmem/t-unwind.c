/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * kmem_unwind() gives the frames libgcc's unwinder gives, wherever it is asked:
 * below libc's callbacks, in signal handlers at every instruction, on threads,
 * coroutines and alternate stacks.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <regex.h>
#include <search.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>
#include <cmocka.h>

#include "kmem/unwind_impl.h"

#define DEEP 200

#define noinline __attribute__((noinline))
/* keeps a call from becoming a jump */
#define not_tail() __asm__ volatile("" ::: "memory")

/* ---- the comparison ----------------------------------------------------- */

struct truth {
	uintptr_t pcs[DEEP];
	unsigned n;
};

static _Atomic unsigned long ncompared;
static _Atomic unsigned long nwrong;
static _Atomic unsigned deepest;

static _Unwind_Reason_Code one_frame(struct _Unwind_Context *ctx, void *arg)
{
	struct truth *t = arg;
	int is_exact = 0;
	uintptr_t pc = _Unwind_GetIPInfo(ctx, &is_exact);

	if (pc && t->n < DEEP)
		t->pcs[t->n++] = pc + (is_exact ? 1 : 0);
	return _URC_NO_REASON;
}

static void complain(const struct truth *t, const uintptr_t *pcs, unsigned n)
{
	unsigned i;

	if (nwrong++ > 3)
		return;
	for (i = 0; i < n || i + 1 < t->n; i++)
		dprintf(2, "%3u %16lx %16lx%s\n", i,
			i + 1 < t->n ? t->pcs[i + 1] : 0, i < n ? pcs[i] : 0,
			i + 1 < t->n && i < n && t->pcs[i + 1] == pcs[i]
				? ""
				: "  <--");
}

/* compares the stacks of the function that calls this one */
static noinline unsigned check_here(void)
{
	struct truth t = {.n = 0};
	uintptr_t pcs[DEEP];
	int saved = errno;
	unsigned n;

	errno = 4711;
	n = kmem_unwind(pcs, DEEP, 0);
	if (errno != 4711)
		nwrong++;
	errno = saved;
	_Unwind_Backtrace(one_frame, &t);
	ncompared++;
	if (n + 1 != t.n || memcmp(pcs, t.pcs + 1, n * sizeof(pcs[0])) != 0)
		complain(&t, pcs, n);
	if (n > deepest)
		deepest = n;
	return n;
}

static void expect_right(void)
{
	assert_int_equal(nwrong, 0);
	assert_true(ncompared > 0);
}

static int start(void **state)
{
	(void)state;
	ncompared = 0;
	nwrong = 0;
	deepest = 0;
	return 0;
}

/* ---- plain code --------------------------------------------------------- */

static noinline unsigned recurse(unsigned n)
{
	unsigned r = n == 0 ? check_here() : recurse(n - 1);

	not_tail();
	return r;
}

static void agrees_in_recursion_of_any_depth(void **state)
{
	unsigned n;

	(void)state;
	for (n = 0; n < 150; n++)
		recurse(n);
	expect_right();
	assert_true(deepest > 150);
}

static noinline void skip_two(uintptr_t *all, uintptr_t *some)
{
	assert_int_equal(kmem_unwind(all, 8, 0), 8);
	assert_int_equal(kmem_unwind(some, 6, 2), 6);
	assert_memory_equal(all + 2, some, 6 * sizeof(*all));
	assert_int_equal(kmem_unwind(some, 1, 3), 1);
	assert_true(some[0] == all[3]);
	assert_int_equal(kmem_unwind(some, 0, 0), 0);
	assert_int_equal(kmem_unwind(some, 6, 1000), 0);
}

static noinline void call_skip(unsigned n, uintptr_t *all, uintptr_t *some)
{
	if (n)
		call_skip(n - 1, all, some);
	else
		skip_two(all, some);
	not_tail();
}

static void skips_and_stores_as_many_as_asked(void **state)
{
	uintptr_t all[8];
	uintptr_t some[8];

	(void)state;
	call_skip(10, all, some);
	/* the first is the return address of kmem_unwind()'s caller */
	assert_true(all[0] > (uintptr_t)call_skip &&
		    all[0] < (uintptr_t)call_skip + 200);
}

static noinline void with_alloca(unsigned n)
{
	volatile char *p = alloca(n * 16 + 1);

	p[0] = 1;
	check_here();
	if (n)
		with_alloca(n - 1);
	p[0] = 2;
}

static noinline __attribute__((target("avx"))) void realigned(unsigned n)
{
	volatile char wide[96] __attribute__((aligned(64)));
	volatile char *p = alloca(n + 1);

	wide[n] = 1;
	p[0] = wide[n];
	check_here();
	if (n)
		realigned(n - 1);
	wide[0] = 2;
}

static noinline __attribute__((force_align_arg_pointer)) void forced(unsigned n,
								     ...)
{
	volatile char wide[96] __attribute__((aligned(32)));
	va_list ap;

	va_start(ap, n);
	wide[n] = (char)va_arg(ap, int);
	va_end(ap);
	check_here();
	if (n && wide[n])
		forced(n - 1, 1, 2, 3, 4, 5, 6, 7, 8);
	wide[0] = 2;
}

static void agrees_in_frames_with_a_variable_part(void **state)
{
	(void)state;
	with_alloca(5);
	realigned(5);
	forced(5, 1, 2, 3, 4, 5, 6, 7, 8);
	expect_right();
}

/*
 * Frames whose CFA is in a register that only the walk with all registers
 * knows, as the loader's lazy binding has it in rbx.
 */
extern void cfa_in_rbx(void (*fn)(void));
extern void cfa_in_r13(void (*fn)(void));
#define CFA_IN(reg)                                                   \
	__asm__(".text\n.type cfa_in_" reg ", @function\n"            \
		"cfa_in_" reg ": .cfi_startproc\n"                    \
		"push %" reg "\n.cfi_def_cfa_offset 16\n"             \
		".cfi_offset " reg ", -16\n"                          \
		"mov %rsp, %" reg "\n.cfi_def_cfa_register " reg "\n" \
		"and $-64, %rsp\n"                                    \
		"call *%rdi\n"                                        \
		"mov %" reg ", %rsp\n.cfi_def_cfa_register rsp\n"     \
		"pop %" reg "\n.cfi_def_cfa_offset 8\nret\n"          \
		".cfi_endproc\n.size cfa_in_" reg ", .-cfa_in_" reg "\n")
CFA_IN("rbx");
CFA_IN("r13");

static void check_all_registers(void)
{
	recurse(3);
	check_here();
}

static void nest_registers(void)
{
	cfa_in_r13(check_all_registers);
	not_tail();
}

static void agrees_where_the_cfa_is_in_another_register(void **state)
{
	(void)state;
	cfa_in_rbx(check_all_registers);
	cfa_in_rbx(nest_registers);
	expect_right();
}

#define BIG_FRAME(name, bytes)            \
	static noinline void name(void)   \
	{                                 \
		volatile char big[bytes]; \
		big[0] = 1;               \
		check_here();             \
		check_here();             \
		big[sizeof(big) - 1] = 1; \
	}
BIG_FRAME(frame_of_30k, 30000)
BIG_FRAME(frame_of_64k, 65536)
BIG_FRAME(frame_of_1m, 1 << 20)
BIG_FRAME(frame_of_odd, 40001)

static void agrees_in_large_frames(void **state)
{
	(void)state;
	frame_of_30k();
	frame_of_64k();
	frame_of_1m();
	frame_of_odd();
	expect_right();
}

/* ---- called back by libc, which has no frame pointers -------------------- */

static int compare_ints(const void *a, const void *b)
{
	check_here();
	return *(const int *)a - *(const int *)b;
}

static int compare_ints_r(const void *a, const void *b, void *arg)
{
	qsort(arg, 3, sizeof(int), compare_ints);
	return *(const int *)a - *(const int *)b;
}

static void visit(const void *node, VISIT which, int depth)
{
	(void)node;
	(void)which;
	(void)depth;
	check_here();
}

static int object_seen(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	(void)size;
	(void)arg;
	check_here();
	return 0;
}

static void once(void)
{
	check_here();
}

static void agrees_below_callbacks_of_libc(void **state)
{
	int v[] = {5, 3, 9, 1, 7, 2, 8};
	int w[] = {3, 1, 2};
	pthread_once_t control = PTHREAD_ONCE_INIT;
	void *root = NULL;
	int key = 7;
	int i;

	(void)state;
	qsort_r(v, 7, sizeof(int), compare_ints_r, w);
	bsearch(&key, v, 7, sizeof(int), compare_ints);
	for (i = 0; i < 7; i++)
		tsearch(&v[i], &root, compare_ints);
	twalk(root, visit);
	while (root)
		tdelete(*(int **)root, &root, compare_ints);
	dl_iterate_phdr(object_seen, NULL);
	pthread_once(&control, once);
	expect_right();
	assert_true(ncompared > 50);
}

/* ---- every instruction --------------------------------------------------- */

static void catch (int sig, int flags, void (*fn)(int, siginfo_t *, void *))
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | flags};

	sa.sa_sigaction = fn;
	assert_int_equal(sigaction(sig, &sa, NULL), 0);
}

#define TRAP_FLAG 0x100

static volatile sig_atomic_t is_stepping;
static volatile sig_atomic_t nsteps;

/* sets the trap flag of what it returns to, so is called at each instruction */
static void on_step(int sig, siginfo_t *info, void *arg)
{
	ucontext_t *ctx = arg;

	(void)sig;
	(void)info;
	nsteps++;
	check_here();
	if (is_stepping)
		ctx->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	else
		ctx->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static noinline void step_through(void)
{
	struct timespec ts;
	char buf[64];
	volatile double d = 1.5;

	is_stepping = 1;
	raise(SIGTRAP);
	/* the PLT, bound lazily: _dl_runtime_resolve, whose CFA is in rbx */
	(void)!getlogin_r(buf, 0);
	clock_gettime(CLOCK_MONOTONIC, &ts); /* the vdso */
	snprintf(buf, sizeof(buf), "%g %d", d, 5);
	free(malloc(5000));
	is_stepping = 0;
}

static void agrees_at_every_instruction(void **state)
{
	(void)state;
	catch (SIGTRAP, 0, on_step);
	step_through();
	signal(SIGTRAP, SIG_DFL);
	printf("# %d instructions\n", (int)nsteps);
	expect_right();
	assert_true(nsteps > 2000);
}

static void on_timer(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)info;
	(void)ctx;
	check_here();
}

static noinline void work(void)
{
	char text[256];
	regex_t re;
	int i;

	for (i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "%d-%f-%s", i, i * 1.5, "abc");
		if (regcomp(&re, "([a-z]+)-[0-9]*\\.(.*)$", REG_EXTENDED))
			continue;
		regexec(&re, text, 0, NULL, 0);
		regfree(&re);
		(void)strtod(text, NULL);
		memset(text, i, sizeof(text));
	}
}

static void agrees_when_interrupted_anywhere(void **state)
{
	timer_t timer;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL,
			      .sigev_signo = SIGUSR1};
	struct itimerspec every = {{0, 300000}, {0, 300000}};
	int i;

	(void)state;
	catch (SIGUSR1, SA_RESTART, on_timer);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	timer_settime(timer, 0, &every, NULL);
	for (i = 0; i < 100000 && ncompared < 1000; i++)
		work();
	timer_delete(timer);
	signal(SIGUSR1, SIG_DFL);
	expect_right();
	assert_true(ncompared >= 1000);
}

/* ---- other stacks --------------------------------------------------------- */

static void *thread_main(void *arg)
{
	unsigned n = *(unsigned *)arg;

	recurse(n);
	recurse(n / 2);
	return NULL;
}

static void agrees_on_threads(void **state)
{
	static char own[1 << 16] __attribute__((aligned(4096)));
	pthread_attr_t attr;
	pthread_t tid;
	unsigned n = 40;

	(void)state;
	assert_int_equal(pthread_create(&tid, NULL, thread_main, &n), 0);
	pthread_join(tid, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, own, sizeof(own));
	assert_int_equal(pthread_create(&tid, &attr, thread_main, &n), 0);
	pthread_join(tid, NULL);
	expect_right();
}

static void altstack_agrees(size_t bytes)
{
	stack_t ss = {.ss_size = bytes};

	ss.ss_sp = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(sigaltstack(&ss, NULL), 0);
	catch (SIGUSR1, SA_ONSTACK, on_timer);
	raise(SIGUSR1);
	pthread_kill(pthread_self(), SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
	munmap(ss.ss_sp, bytes);
}

static void agrees_from_an_alternate_stack(void **state)
{
	(void)state;
	altstack_agrees(64 << 10);
	altstack_agrees(256 << 10);
	expect_right();
	assert_true(ncompared == 4);
}

static ucontext_t main_ctx;
static ucontext_t co_ctx;

static void coroutine(unsigned n)
{
	recurse(n);
	swapcontext(&co_ctx, &main_ctx);
	recurse(n + 1);
}

static void run_coroutine(char *stack, size_t bytes)
{
	getcontext(&co_ctx);
	co_ctx.uc_stack.ss_sp = stack;
	co_ctx.uc_stack.ss_size = bytes;
	co_ctx.uc_link = &main_ctx;
	makecontext(&co_ctx, (void (*)(void))coroutine, 1, 20);
	swapcontext(&main_ctx, &co_ctx);
	recurse(3);
	swapcontext(&main_ctx, &co_ctx);
	recurse(3);
}

static void agrees_on_coroutines(void **state)
{
	size_t bytes = 128 << 10;
	char *heap = malloc(bytes);
	char *map = mmap(NULL, bytes + 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	/* ends where memory ends */
	assert_int_equal(mprotect(map + bytes, 4096, PROT_NONE), 0);
	run_coroutine(heap, bytes);
	run_coroutine(map, bytes);
	munmap(map, bytes + 4096);
	free(heap);
	expect_right();
}

/* ---- many at once ---------------------------------------------------------- */

static void *hammer(void *arg)
{
	unsigned i;

	for (i = 0; i < 300; i++) {
		recurse(i % 37 + *(unsigned *)arg);
		if (i % 50 == 0)
			kmem_unwind_flush();
	}
	return NULL;
}

static void agrees_on_many_threads_while_flushed(void **state)
{
	pthread_t tid[8];
	unsigned n[8];
	unsigned i;

	(void)state;
	for (i = 0; i < 8; i++) {
		n[i] = i;
		assert_int_equal(pthread_create(&tid[i], NULL, hammer, &n[i]),
				 0);
	}
	for (i = 0; i < 8; i++)
		pthread_join(tid[i], NULL);
	expect_right();
	assert_true(ncompared == 8 * 300);
}

static void agrees_in_a_forked_child(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	recurse(5);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		recurse(30);
		recurse(5);
		_exit(nwrong ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_right();
}

/* ---- objects that come and go ---------------------------------------------- */

typedef void (*relay_fn)(void (*fn)(void));

static void call_check(void)
{
	check_here();
}

/* builds a library whose one function has a frame of so many bytes */
static bool build(const char *path, unsigned bytes)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd),
		 "printf 'void relay(void (*fn)(void)){volatile char big[%u];"
		 "big[0]=1;fn();big[%u]=1;}' | cc -O2 -shared -fPIC"
		 " -fno-stack-protector -x c - -o %s",
		 bytes, bytes - 1, path);
	return system(cmd) == 0;
}

static relay_fn open_at(const char *path, void **handle)
{
	*handle = dlopen(path, RTLD_NOW);
	assert_non_null(*handle);
	return (relay_fn)dlsym(*handle, "relay");
}

static void is_right_about_code_at_a_reused_address(void **state)
{
	relay_fn first;
	relay_fn second;
	void *handle;

	(void)state;
	if (!build("./one.so", 1000) || !build("./two.so", 3000)) {
		print_message("no compiler\n");
		skip();
	}
	first = open_at("./one.so", &handle);
	first(call_check);
	dlclose(handle);
	kmem_unwind_flush();
	second = open_at("./two.so", &handle);
	if (first != second)
		print_message("# the address was not reused\n");
	second(call_check);
	dlclose(handle);
	kmem_unwind_flush();
	expect_right();
}

static void knows_whether_its_objects_are_still_there(void **state)
{
	struct unwind_object obj;
	relay_fn relay;
	void *handle;

	(void)state;
	if (!build("./one.so", 1000))
		skip();
	kmem_unwind_flush();
	relay = open_at("./one.so", &handle);
	relay(call_check);
	assert_true(unwind_object_find((uintptr_t)relay, &obj));
	assert_true(unwind_objects_hold());
	dlclose(handle);
	assert_false(unwind_object_find((uintptr_t)relay, &obj));
	assert_false(unwind_objects_hold());
	kmem_unwind_flush();
	assert_true(unwind_objects_hold());
	expect_right();
}

static void finds_objects_by_proc_maps_too(void **state)
{
	struct unwind_object a;
	struct unwind_object b;
	void *probes[] = {(void *)recurse, (void *)qsort, (void *)dlopen,
			  (void *)_Unwind_Backtrace,
			  dlsym(dlopen("linux-vdso.so.1", RTLD_NOW),
				"__vdso_clock_gettime")};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		assert_true(unwind_object_find((uintptr_t)probes[i], &a));
		unwind_object_by_maps(true);
		assert_true(unwind_object_find((uintptr_t)probes[i], &b));
		unwind_object_by_maps(false);
		assert_ptr_equal(a.hdr, b.hdr);
		assert_true(a.start == b.start);
	}
	unwind_object_by_maps(true);
	kmem_unwind_flush();
	assert_false(unwind_object_find((uintptr_t)&i, &b));
	assert_false(unwind_object_find(0, &b));
	assert_false(unwind_object_find(UINTPTR_MAX, &b));
	agrees_below_callbacks_of_libc(NULL);
	unwind_object_by_maps(false);
	kmem_unwind_flush();
	expect_right();
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup(fn, start)
	const struct CMUnitTest tests[] = {
		CASE(agrees_in_recursion_of_any_depth),
		CASE(skips_and_stores_as_many_as_asked),
		CASE(agrees_in_frames_with_a_variable_part),
		CASE(agrees_where_the_cfa_is_in_another_register),
		CASE(agrees_in_large_frames),
		CASE(agrees_below_callbacks_of_libc),
		CASE(agrees_at_every_instruction),
		CASE(agrees_when_interrupted_anywhere),
		CASE(agrees_on_threads),
		CASE(agrees_from_an_alternate_stack),
		CASE(agrees_on_coroutines),
		CASE(agrees_on_many_threads_while_flushed),
		CASE(agrees_in_a_forked_child),
		CASE(is_right_about_code_at_a_reused_address),
		CASE(knows_whether_its_objects_are_still_there),
		CASE(finds_objects_by_proc_maps_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Objects that the loader unloads on its own, unseen by the dlclose() of the
 * preload library: the unwinder learns of it from the loader's calls of malloc
 * and free, each of which it is asked to trace.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>
#include <cmocka.h>

#include "kmem/unwind_impl.h"

#define DEEP     100
#define noinline __attribute__((noinline))

/* ---- an allocator that audits --------------------------------------------- */

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void __libc_free(void *p);

static volatile unsigned naudits;

static noinline void audit(void)
{
	uintptr_t pcs[DEEP];

	if (kmem_unwind(pcs, DEEP, 0) > 0)
		naudits++;
}

void *malloc(size_t bytes)
{
	audit();
	return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	audit();
	return __libc_calloc(n, bytes);
}

void free(void *p)
{
	audit();
	__libc_free(p);
}

/* ---- the case ---------------------------------------------------------------- */

typedef void (*relay_fn)(void (*fn)(void));

static uintptr_t truth[DEEP];
static unsigned ntruth;
static uintptr_t pcs[DEEP];
static unsigned npcs;

static _Unwind_Reason_Code one_frame(struct _Unwind_Context *ctx, void *arg)
{
	(void)arg;
	if (_Unwind_GetIP(ctx) && ntruth < DEEP)
		truth[ntruth++] = _Unwind_GetIP(ctx);
	return _URC_NO_REASON;
}

static noinline void capture(void)
{
	npcs = kmem_unwind(pcs, DEEP, 0);
	ntruth = 0;
	_Unwind_Backtrace(one_frame, NULL);
	__asm__ volatile("" ::: "memory"); /* no jump but a call */
}

static void expect_right(void)
{
	assert_int_equal(npcs + 1, ntruth);
	assert_memory_equal(pcs, truth + 1, npcs * sizeof(pcs[0]));
}

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

/* no kmem_unwind_flush() here */
static void notices_what_the_loader_did_by_itself(void **state)
{
	unsigned n = naudits;
	unsigned nreused = 0;
	relay_fn before = NULL;
	relay_fn relay;
	void *handle;
	int i;

	(void)state;
	if (!build("./one.so", 1000) || !build("./two.so", 3000))
		skip();
	for (i = 0; i < 6; i++) {
		relay = open_at(i % 2 ? "./two.so" : "./one.so", &handle);
		relay(capture);
		expect_right();
		nreused += relay == before;
		before = relay;
		dlclose(handle);
	}
	assert_true(naudits > n); /* the loader did call us */
	if (nreused == 0) {
		print_message("no address was used again\n");
		skip();
	}
}

/* each thread has its TLS allocated by the loader: no reason to forget */
static void *nothing(void *arg)
{
	return arg;
}

static void keeps_its_rules_when_the_loader_only_allocates(void **state)
{
	struct unwind_object obj;
	pthread_t tid;
	int i;

	(void)state;
	capture();
	for (i = 0; i < 20; i++) {
		assert_int_equal(pthread_create(&tid, NULL, nothing, NULL), 0);
		pthread_join(tid, NULL);
		capture();
		expect_right();
	}
	/* still noted: nothing was flushed */
	assert_true(unwind_object_find((uintptr_t)capture, &obj));
	assert_true(unwind_objects_hold());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notices_what_the_loader_did_by_itself),
		cmocka_unit_test(
			keeps_its_rules_when_the_loader_only_allocates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

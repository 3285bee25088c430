/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a request that may not fail when the system has no memory: a
 * callback of the program decides, called with no lock held, whether to try
 * again or to end the process.  One thread ends it; others that come meanwhile
 * sleep until it has.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <stdlib.h>

int kmem_has_callback; /* atomic: a callback was set */

static kmem_nofail_callback_t *callback; /* atomic */
static const void *exiting;              /* atomic: the thread that does */

void kmem_nofail(void)
{
	kmem_nofail_callback_t *func =
		__atomic_load_n(&callback, __ATOMIC_ACQUIRE);
	const void *nobody = NULL;
	int answer = KMEM_CALLBACK_EXIT(255);

	if (func)
		answer = func();
	if (answer == KMEM_CALLBACK_RETRY)
		return;
	if ((answer & ~0xff) != KMEM_CALLBACK_EXIT(0)) {
		kmem_warn("nofail callback returned %x", (unsigned)answer);
		answer = KMEM_CALLBACK_EXIT(255);
	}
	if (__atomic_compare_exchange_n(&exiting, &nobody, kmem_self(), 0,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		exit(answer & 0xff);
	if (nobody == kmem_self())
		kmem_panic("recursive UMEM_CALLBACK_EXIT()");
	for (;;) /* the other one ends the process */
		kmem_nap((hrtime_t)1000000000);
}

void kmem_nofail_callback(kmem_nofail_callback_t *func)
{
	__atomic_store_n(&callback, func, __ATOMIC_RELEASE);
	__atomic_store_n(&kmem_has_callback, func != NULL, __ATOMIC_RELEASE);
}

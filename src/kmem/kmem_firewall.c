/* SPDX-License-Identifier: MIT */
/*
 * The firewall: buffers behind which is a page that cannot be touched, nor can
 * they themselves once they were freed.
 *
 *   live    | page of nobody | ........ buffer |#guard#|    # cannot be touched
 *   walled  |##########################################|
 *
 * A slab of a firewalled cache is one buffer.  When that is freed its pages go
 * back to the system and their addresses stay, walled: whoever still uses the
 * buffer faults at that instruction.  The slab stays one of its cache's, with
 * its bufctl, so that it can be told whose buffer it was and, if it is audited,
 * who freed it.
 *
 * Addresses are used again as late as possible: the KEPT slabs freed last stay
 * walled, of all such caches together, as long as that is no more than
 * KEPT_BYTES of addresses.  The oldest goes first.  What goes back to the heap
 * is found there by next fit, again as late as can be.  When memory is short all
 * go, since it may be addresses that are limited.
 *
 * A guard takes two mappings, and so does a walled slab unless it lies beside
 * another.  A process may have so many only (vm.max_map_count); with none left no
 * memory can be had at all, by nobody in the process.  So they take three
 * quarters of them.  Live buffers come first: for theirs a walled one is given up.  When
 * there is none, what is allocated has an ordinary page behind it and is not
 * walled.  The page map knows which: that page is KMEM_PAGE_FREED there, which
 * says as little about it as nothing does.
 *
 * Invariants, under kmem_firewall_lock, which is outside all other locks
 *   F1  the ring holds each walled slab once, oldest first; NULL is a hole that
 *       a destroyed cache left
 *   F2  a walled slab is on its cache's partial list, with its one buffer free
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAP_COUNT  65530 /* the system's default */
#define KEPT       16384 /* a power of two */
#define KEPT_BYTES ((size_t)1 << 30)

kmem_mutex_t kmem_firewall_lock;

static long guards_left;            /* atomic */
static kmem_slab_t **ring;          /* of KEPT */
static size_t ring_first, ring_end; /* numbers of slabs since the start */
static size_t ring_bytes;

/* ---- guards ---- */

/** How many guard pages there may be. */
static long guards_max(void)
{
	char text[24] = "";
	size_t n = 0;
	int saved = errno;
	long fd = syscall(SYS_openat, AT_FDCWD, "/proc/sys/vm/max_map_count",
			  O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)syscall(SYS_read, fd, text, sizeof(text) - 1);
		(void)syscall(SYS_close, fd);
	}
	errno = saved;
	for (const char *p = text; *p >= '0' && *p <= '9' && n < INT32_MAX; p++)
		n = n * 10 + (size_t)(*p - '0');
	return (long)(n ? n : MAP_COUNT) / 4 * 3 / 2;
}

/** Makes a page unreachable, if it may be one of the guards. */
static int guard_take(char *page)
{
	if (__atomic_sub_fetch(&guards_left, 1, __ATOMIC_RELAXED) >= 0 &&
	    kmem_sys_protect(page, KMEM_PAGE, 0) == 0) {
		kmem_pagemap_clear(page, KMEM_PAGE);
		return 1;
	}
	__atomic_add_fetch(&guards_left, 1, __ATOMIC_RELAXED);
	return 0;
}

/** Has a slab's memory a guard behind it? */
static int has_guard(const char *memory, size_t bytes)
{
	return kmem_pagemap_get(memory + bytes) != KMEM_PAGE_FREED;
}

/* ---- walled slabs ---- */

/** Makes a slab that was taken out of the ring free memory again; the lock is
 * held. */
static void give_up(kmem_slab_t *sp)
{
	kmem_cache_t *cp = sp->slab_cache;

	ring_bytes -= cp->cache_slabsize;
	kmem_slab_unwall(cp, sp);
}

/** Gives up the slab that was walled first; 0: there is none.  The lock is
 * held. */
static int give_up_oldest(void)
{
	while (ring_first != ring_end) {
		kmem_slab_t *sp = ring[ring_first++ & (KEPT - 1)];

		if (sp) {
			give_up(sp);
			return 1;
		}
	}
	return 0;
}

void kmem_firewall_keep(kmem_cache_t *cp, kmem_slab_t *sp)
{
	char *memory = kmem_slab_memory(sp);
	size_t bytes = cp->cache_slabsize;

	/* with the page before, so that neighbours are one mapping */
	if (!has_guard(memory, bytes) || bytes > KEPT_BYTES ||
	    kmem_sys_protect(memory - KMEM_PAGE, bytes + KMEM_PAGE, 0) != 0) {
		kmem_slab_unwall(cp, sp);
		return;
	}
	(void)kmem_sys_zero(memory, bytes); /* refused: it stays, no harm */
	(void)kmem_pagemap_set(memory, bytes, KMEM_PAGE_FREED);
	kmem_mutex_enter(&kmem_firewall_lock);
	while (ring_end - ring_first == KEPT || ring_bytes > KEPT_BYTES - bytes)
		(void)give_up_oldest();
	ring[ring_end++ & (KEPT - 1)] = sp;
	ring_bytes += bytes;
	kmem_mutex_exit(&kmem_firewall_lock);
}

void kmem_firewall_forget(kmem_cache_t *cp)
{
	if (!(cp->cache_flags & KMF_FIREWALL))
		return;
	kmem_mutex_enter(&kmem_firewall_lock);
	for (size_t i = ring_first; i != ring_end; i++) {
		kmem_slab_t *sp = ring[i & (KEPT - 1)];

		if (sp && sp->slab_cache == cp) {
			ring[i & (KEPT - 1)] = NULL;
			give_up(sp);
		}
	}
	kmem_mutex_exit(&kmem_firewall_lock);
}

void kmem_firewall_reap(void)
{
	/* held: by who gives one up and needs memory for that, maybe us */
	if (!ring || !kmem_mutex_tryenter(&kmem_firewall_lock))
		return;
	while (give_up_oldest())
		;
	kmem_mutex_exit(&kmem_firewall_lock);
}

/* ---- the source of the firewall arena ---- */

/** Gets a guard that a walled slab has; 0: there is none. */
static int guard_take_over(char *page)
{
	int has_one = 1, is_taken = 0;

	kmem_mutex_enter(&kmem_firewall_lock);
	while (has_one && !is_taken) {
		has_one = give_up_oldest();
		is_taken = has_one && guard_take(page);
	}
	kmem_mutex_exit(&kmem_firewall_lock);
	return is_taken;
}

void *kmem_firewall_map(vmem_t *vmp, size_t bytes, int vmflag)
{
	static int has_warned;
	char *p = kmem_data_alloc(vmp, bytes + KMEM_PAGE, vmflag | VM_NEXTFIT);

	if (!p)
		return NULL;
	/* to the kernel, what was not written to before it was split stays
	 * apart for ever: mappings beside each other would not be one again */
	*(volatile char *)p = 0;
	if (guard_take(p + bytes) || guard_take_over(p + bytes))
		return p;
	if (kmem_pagemap_set(p + bytes, KMEM_PAGE, KMEM_PAGE_FREED) != 0) {
		kmem_data_free(vmp, p, bytes + KMEM_PAGE);
		return NULL;
	}
	if (!__atomic_exchange_n(&has_warned, 1, __ATOMIC_RELAXED))
		kmem_warn("firewall: no more guard pages (vm.max_map_count)");
	return p;
}

void kmem_firewall_unmap(vmem_t *vmp, void *addr, size_t bytes)
{
	char *guard = (char *)addr + bytes;

	if (!has_guard(addr, bytes))
		kmem_pagemap_clear(guard, KMEM_PAGE);
	else if (kmem_sys_protect((char *)addr - KMEM_PAGE,
				  bytes + 2 * KMEM_PAGE, 1) == 0)
		__atomic_add_fetch(&guards_left, 1, __ATOMIC_RELAXED);
	else
		return; /* the pages cannot be used again: the range is lost */
	kmem_data_free(vmp, addr, bytes + KMEM_PAGE);
}

void kmem_firewall_init(void)
{
	guards_left = guards_max();
	ring = kmem_pages_alloc(KEPT * sizeof(*ring));
	if (!ring)
		kmem_panic("firewall: no memory");
}

/* SPDX-License-Identifier: MIT */
/*
 * The report of heap damage: what is wrong, with which buffer, who did it, and
 * who had the buffer before.  Made without using the heap and without taking
 * an allocator lock; lists are walked with a bound, since they may be damaged.
 *
 * "kernel memory allocator: " and the words of the code are those of Solaris;
 * what it has no words for is told in the same manner: a write before a buffer,
 * a free by the wrong call, the use of what is not allocated.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <errno.h>
#include <string.h>

kmem_panic_info_t kmem_panic_info; /* kmem_report_lock */
kmem_mutex_t kmem_report_lock;
static const void *volatile reporter; /* who holds it */

/* ---- what it is about ---- */

static void report_stack(uint32_t id)
{
	const kmem_stack_t *stack = id ? kmem_stack_get(id) : NULL;

	for (uint32_t i = 0; stack && i < stack->st_depth; i++)
		kmem_report_pc(stack->st_pc[i]);
}

/* ---- what it is about ---- */

/* what was found out about the address of a fault */
struct finding {
	int code;
	kmem_cache_t *cp; /* whose buffer it really is, or the caller's */
	kmem_slab_t *slab;
	void *base;
	kmem_bufctl_t *bcp;
	const char *origin;           /* cache or arena, NULL: not known */
	struct kmem_event history[2]; /* newest first */
};

/** The bufctl of a buffer wherever it is; NULL when its cache has none. */
static kmem_bufctl_t *find_bufctl(kmem_cache_t *cp, kmem_slab_t *sp,
				  const void *base)
{
	kmem_bufctl_t *bcp = kmem_hash_find(cp, base);
	uint32_t left = sp->slab_chunks;

	if (bcp)
		return bcp;
	for (bcp = sp->slab_head; bcp && left-- > 0; bcp = bcp->bc_next)
		if (bcp->bc_addr == base)
			return bcp;
	return NULL;
}

/** The last two transactions of an audited buffer, as far as they are known. */
static void find_history(struct finding *f)
{
	const kmem_bufctl_audit_t *bcap = (const void *)f->bcp;
	const kmem_bufctl_audit_t *log = bcap->bc_lastlog;

	f->history[0] = kmem_event_of(bcap);
	/* the last record is a copy of the bufctl; before it is another */
	if (log && log->bc_addr == bcap->bc_addr)
		log = log->bc_lastlog;
	if (log && log->bc_addr == bcap->bc_addr &&
	    log->bc_timestamp < bcap->bc_timestamp &&
	    log->bc_cache == bcap->bc_slab->slab_cache)
		f->history[1] =
			kmem_event_of(log); /* else none, or overwritten */
}

/**
 * Looks for the oversize buffer an address points into.  The arena's lock is
 * tried, never waited for: who holds everything may wait for the report lock.
 */
static int search_oversize(struct finding *f)
{
	vmem_t *vmp = kmem_oversize_arena;
	uintptr_t at = (uintptr_t)f->base;
	vmem_seg_t *vsp;
	int is_found = 0;

	if (!vmp || !kmem_mutex_tryenter(&vmp->vm_lock))
		return 0;
	for (vsp = vmp->vm_seg0.vs_anext; vsp != &vmp->vm_seg0 && !is_found;
	     vsp = vsp->vs_anext) {
		if (vsp->vs_type != VMEM_ALLOC || at < vsp->vs_start ||
		    at >= vsp->vs_end)
			continue;
		if (at != vsp->vs_start)
			f->code = KMERR_BADBASE;
		f->base = (void *)vsp->vs_start;
		f->history[0] = vmem_event_of(vsp);
		f->origin = vmp->vm_name;
		is_found = 1;
	}
	kmem_mutex_exit(&vmp->vm_lock);
	return is_found;
}

/** The address is in no slab: what else can it be? */
static void investigate_others(struct finding *f, const void *buf)
{
	const struct kmem_slab *sp = kmem_entry_slab(kmem_pagemap_get(buf));
	const struct kmem_gone *gone;
	int is_use = f->code == KMERR_BADUSE;

	if (sp && !kmem_slab_is_sound(sp)) {
		/* by who wrote past the last buffers of the slab */
		f->code = KMERR_REDZONE;
		return;
	}
	if (search_oversize(f))
		return;
	f->code = is_use ? KMERR_BADUSE : KMERR_BADADDR;
	if (kmem_pagemap_get(buf) != KMEM_PAGE_FREED)
		return;
	gone = kmem_gone_find(buf);
	if (gone) {
		memcpy(f->history, gone->gn_event, sizeof(f->history));
		f->origin = gone->gn_origin;
	}
	if (!is_use)
		f->code = KMERR_DUPFREE;
}

static void investigate(const struct kmem_fault *fault, struct finding *f)
{
	kmem_cache_t *owner;

	f->code = fault->code;
	f->cp = fault->cp;
	f->base = fault->buf;
	f->origin = fault->cp ? fault->cp->cache_name : NULL;
	owner = kmem_addr_cache(fault->buf, &f->slab, &f->base);
	if (!owner && fault->cp) {
		f->slab = kmem_slab_find(fault->cp, fault->buf);
		owner = f->slab ? fault->cp : NULL;
	}
	if (!owner) {
		investigate_others(f, fault->buf);
		return;
	}
	f->cp = owner;
	f->origin = owner->cache_name;
	/* no cache was named, and no buffer found: freed as a large request */
	if (fault->cp ? owner != fault->cp : f->code == KMERR_BADADDR)
		f->code = KMERR_BADCACHE;
	else if (f->base != fault->buf)
		f->code = KMERR_BADBASE;
	if (owner->cache_flags & KMF_HASH) {
		f->bcp = find_bufctl(owner, f->slab, f->base);
		if (!f->bcp)
			f->code = KMERR_BADBUFCTL;
		else if (owner->cache_flags & KMF_AUDIT)
			find_history(f);
	}
}

/* ---- the report ---- */

static const char *code_text(int code)
{
	static const char *const text[] = {
		[KMERR_MODIFIED] = "buffer modified after being freed",
		[KMERR_REDZONE] = "redzone violation: write past end of buffer",
		[KMERR_DUPFREE] = "duplicate free: buffer freed twice",
		[KMERR_BADADDR] = "invalid free: buffer not in cache",
		[KMERR_BADBUFTAG] = "boundary tag corrupted",
		[KMERR_BADBUFCTL] = "bufctl corrupted",
		[KMERR_BADCACHE] = "buffer freed to wrong cache",
		[KMERR_UNDERRUN] =
			"redzone violation: write before start of buffer",
		[KMERR_BADUSE] = "invalid use: buffer is not allocated",
	};

	return text[code];
}

struct call_name {
	const char *alloc;
	const char *free;
};

/** What the program called, by kind. */
static const struct call_name *call_name(int kind)
{
	static const struct call_name names[16] = {
		[KMEM_KIND_KMEM] = {"kmem_alloc", "kmem_free"},
		[KMEM_KIND_CACHE] = {"kmem_cache_alloc", "kmem_cache_free"},
		[KMEM_KIND_MALLOC] = {"malloc", "free"},
		[KMEM_KIND_MEMALIGN] = {"memalign", "free"},
		[KMEM_KIND_NEW] = {"operator new", "operator delete"},
		[KMEM_KIND_NEW_ARRAY] = {"operator new[]", "operator delete[]"},
		[KMEM_KIND_VMEM] = {"vmem_alloc", "vmem_free"},
		[KMEM_KIND_REALLOC] = {"realloc", "realloc"},
		[KMEM_KIND_NEW_ALIGNED] = {"aligned operator new",
					   "aligned operator delete"},
		[KMEM_KIND_NEW_ALIGNED_ARRAY] = {"aligned operator new[]",
						 "aligned operator delete[]"},
		[KMEM_KIND_USABLE_SIZE] = {"", "malloc_usable_size"},
	};

	return &names[kind & 0xf];
}

/** The message of a code that has values in it; 0: it has none. */
static int report_values(const struct kmem_fault *fault,
			 const struct finding *f)
{
	switch (f->code) {
	case KMERR_BADSIZE:
		kmem_report("bad free: free size (%lu) != alloc size (%lu)\n",
			    fault->freed_bytes, fault->bytes);
		return 1;
	case KMERR_BADBASE:
		kmem_report(
			"bad free: free address (%p) != alloc address (%p)\n",
			fault->buf, f->base);
		return 1;
	case KMERR_BADKIND:
		kmem_report("mismatched free: allocated by %s, freed by %s\n",
			    call_name(fault->alloc_kind)->alloc,
			    call_name(fault->kind)->free);
		return 1;
	default:
		return 0;
	}
}

/** What follows the message. */
static void report_detail(const struct kmem_fault *fault,
			  const struct finding *f)
{
	const kmem_buftag_t *btp;

	switch (f->code) {
	case KMERR_MODIFIED:
		kmem_report(
			"modification occurred at offset 0x%lx (0x%llx replaced by 0x%llx)\n",
			fault->offset, (unsigned long long)fault->expect,
			(unsigned long long)fault->found);
		break;
	case KMERR_BADBUFTAG:
		btp = kmem_buftag_of(f->cp, f->base);
		kmem_report("bcp ^ bxstat = %lx, should be %lx\n",
			    (intptr_t)btp->bt_bufctl ^ btp->bt_bxstat,
			    KMEM_BUFTAG_FREE);
		break;
	case KMERR_BADCACHE:
		kmem_report("buffer was allocated from %s,\n", f->origin);
		kmem_report("caller attempting free to %s.\n",
			    fault->cp ? fault->cp->cache_name
			    : fault->kind == KMEM_KIND_KMEM ? "kmem_oversize"
							    : "malloc");
		break;
	case KMERR_BADADDR:
	case KMERR_BADUSE:
		if (!f->origin)
			kmem_report_place(fault->buf);
		break;
	default:
		break;
	}
}

/** The same in the words of malloc, when the call was one of those. */
static void report_call(const struct kmem_fault *fault, const struct finding *f)
{
	const char *name = call_name(fault->kind)->free;
	int is_malloc = fault->kind == KMEM_KIND_MALLOC ||
			fault->kind == KMEM_KIND_MEMALIGN ||
			fault->kind == KMEM_KIND_REALLOC;

	if (is_malloc && f->code != KMERR_MODIFIED &&
	    f->code != KMERR_BADBUFTAG)
		kmem_report("%s(%p): %s\n", name, fault->buf,
			    f->code == KMERR_DUPFREE
				    ? "double-free or invalid buffer"
				    : "invalid or corrupted buffer");
}

static void report_event(const struct kmem_event *event,
			 const struct finding *f)
{
	hrtime_t age = kmem_now() - event->ev_time;
	const struct call_name *name = call_name(event->ev_kind);
	int is_free = event->ev_what == KMEM_WHAT_FREE;
	const char *call = is_free ? name->free : name->alloc;

	kmem_report(
		"thread=%u  time=T-%ld.%09ld  slab=%p  cache: %s  %s by%s%s\n",
		event->ev_thread, (long)(age / 1000000000),
		(long)(age % 1000000000), (void *)f->slab, f->origin,
		is_free ? "freed" : "allocated", call ? " " : "",
		call ? call : "");
	report_stack(event->ev_stack);
}

/** The transactions before this one, as far as they are known: two. */
static void report_history(const struct finding *f)
{
	if (f->history[0].ev_time == 0)
		return;
	kmem_report("previous transaction on buffer %p:\n", f->base);
	report_event(&f->history[0], f);
	if (f->history[1].ev_time == 0)
		return;
	kmem_report("transaction before that:\n");
	report_event(&f->history[1], f);
}

static void fill_panic_info(const struct kmem_fault *fault,
			    const struct finding *f, uint32_t stack)
{
	kmem_panic_info.kmp_error = f->code;
	kmem_panic_info.kmp_thread = kmem_tid();
	kmem_panic_info.kmp_buffer = fault->buf;
	kmem_panic_info.kmp_realbuf = f->base;
	kmem_panic_info.kmp_cache = fault->cp ? fault->cp : f->cp;
	kmem_panic_info.kmp_realcache = f->slab ? f->cp : NULL;
	kmem_panic_info.kmp_slab = f->slab;
	kmem_panic_info.kmp_bufctl = f->bcp;
	kmem_panic_info.kmp_stack = stack;
	kmem_panic_info.kmp_timestamp = kmem_now();
}

int kmem_is_reporting(void)
{
	return reporter == kmem_self();
}

/** Begins a report; returns what end_report() takes. */
static int begin_report(void)
{
	int was_logging = kmem_logging;
	int was_inside;

	if (reporter == kmem_self())
		kmem_abort(); /* damage met while reporting damage */
	/* the one who reports just now may be about to take a snapshot */
	was_inside = kmem_gate_leave();
	kmem_mutex_enter(&kmem_report_lock);
	kmem_gate_return(was_inside, 0);
	reporter = kmem_self();
	kmem_logging = 0; /* the evidence is not to be overwritten */
	return was_logging;
}

static void end_report(int was_logging)
{
	if (!kmem_options.no_abort)
		kmem_abort();
	kmem_logging = was_logging;
	reporter = NULL;
	kmem_mutex_exit(&kmem_report_lock);
}

static void report_caller(uint32_t stack)
{
	kmem_report("thread=%u  called by\n", kmem_tid());
	report_stack(stack);
}

void kmem_error(const struct kmem_fault *fault)
{
	struct finding f = {.code = fault->code};
	uint32_t stack = kmem_stack_capture();
	int was_logging = begin_report();

	investigate(fault, &f);
	fill_panic_info(fault, &f, stack);
	kmem_report_clear();
	kmem_report("kernel memory allocator: ");
	if (!report_values(fault, &f))
		kmem_report("%s\n", code_text(f.code));
	report_detail(fault, &f);
	report_call(fault, &f);
	kmem_report("buffer=%p  bufctl=%p  cache: %s\n", fault->buf,
		    (void *)f.bcp, f.origin ? f.origin : "none");
	report_caller(stack);
	report_history(&f);
	if (!kmem_options.no_abort)
		kmem_report("kernel heap corruption detected\n");
	end_report(was_logging);
}

void kmem_error_null(void)
{
	int saved = errno;
	uint32_t stack;
	int was_logging;

	if (KM_LIKELY(!(kmem_flags & KMF_CHECKNULL)))
		return;
	stack = kmem_stack_capture();
	was_logging = begin_report();
	kmem_report_clear();
	kmem_report("umem: out of heap space\n");
	report_caller(stack);
	end_report(was_logging);
	errno = saved;
}

void kmem_error_at(int code, kmem_cache_t *cp, void *buf, int kind)
{
	struct kmem_fault fault = {
		.code = code,
		.cp = cp,
		.buf = buf,
		.kind = kind,
	};

	kmem_error(&fault);
}

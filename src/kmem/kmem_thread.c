/* SPDX-License-Identifier: MIT */
/*
 * What a thread keeps: a stack of free objects, the bin, for each size class
 * up to 32 KiB, above the magazine layer.
 *
 *   kmem_thread_self -> kmem_thread_t: th_bin[class] -> its part of th_round[]
 *   kmem_threads     -> kmem_thread_t -> kmem_thread_t -> ...
 *
 * A bin that is empty takes half its size from the CPU's magazines, or else
 * from the slabs; one that is full gives its older half to the CPU's magazines.
 * Its size begins small and doubles each time, up to 16 KiB of objects, so a
 * thread that allocates little keeps little.  At full size it wants magazines
 * that take that half at once (kmem_magazine_fit).
 *
 * Two threads that write to objects on one cache line slow each other down more
 * than anything else here.  So a bin is filled by whole lines, and the first
 * object freed to a bin, which often comes from another thread, goes below
 * objects of the thread's own (begin).
 *
 * Magazines pass objects from a thread that frees to one that allocates without
 * looking at them, but in the order they were freed.  A program that frees much
 * and then builds anew would get its next structures strewn over all of memory,
 * and none of it would be free for another size.  So the depot keeps 32 KiB of
 * a class; what is more goes to the slabs, which give out neighbours together.
 * Of objects of a KiB and more the order matters little, while a slab has few of
 * them, or one, so that a batch which one thread allocates and another frees
 * would make and unmake slabs all the time: of those the depot keeps a quarter
 * of the class.
 *
 * On these paths nothing is checked, logged or made to fail.  malloc() and free()
 * use them for classes without any debugging; what is audited goes through the
 * checks of kmem_audited.c on its way to a bin and out of it.
 *
 * Invariants
 *   I1  A bin holds th_round[tb_first .. tb_first + tb_rounds).  tb_rounds and
 *       tb_alloc change in one store, after the round is written and after it
 *       is read; so wherever its thread is stopped, each buffer is either in
 *       the bin or in the thread's hands, that is in a register or on its
 *       stack, and a snapshot needs no more than that.
 *   I2  Between bin and magazine or slab objects move while cc_lock or
 *       cache_lock is held: who holds all locks (kmem_lock_all) finds each in
 *       one of the two.
 *   I3  Only its thread touches the bins of a record, and while th_busy is set
 *       only the call that set it: a signal handler that comes between goes
 *       past the bins.
 *   I4  A record never leaves kmem_threads nor is freed, so the list is walked
 *       without a lock; th_tid 0 says it is to be had, by compare and swap.
 *
 * A record lies in the allocator's own memory, not in TLS, which is a root for
 * the leak checker: a round above tb_rounds is a pointer to memory that was
 * given out since.
 *
 * A thread gives its bins back when it ends (a pthread key); what it frees or
 * allocates after that goes past the bins.  A forked child has the forking
 * thread only: the other records are nobody's there, with what is in them, and
 * the next threads take them over (kmem_thread_forked).
 *
 * When memory is limited, others may wait for what lies in a bin; when requests
 * are made to fail, none may be served from one.  Bins are closed then
 * (kmem_thread_close): tb_max 0 sends each free to the slow path, which empties
 * the bin, and no bin is filled again.
 *
 * Instead: a linked list through the free objects needs no array, but a write
 * after free then steers malloc, and the debugger would read user memory to
 * learn what is free.
 */
#include "kmem_thread.h"

#include <pthread.h>
#include <string.h>

#define BIN_KEEP    ((size_t)16384) /* bytes a bin holds, about */
#define BIN_ROUNDS  128             /* at most */
#define BIN_LEAST   2               /* at least, once it is used */
#define BIN_START   512             /* bytes it may hold to begin with */
#define BIN_LARGE   ((size_t)65536) /* of objects that are large, so many bytes */
#define BIN_EIGHT   8               /* or so many objects, if that is less */
#define DEPOT_KEEP  ((size_t)32768) /* bytes a class has in its depot, about */
#define DEPOT_LEAST 16              /* or objects, if that is more */
#define DEPOT_LARGE ((size_t)1024)  /* of objects of so many bytes and more */
#define DEPOT_SHARE 4               /* one of so many, if that is more */
#define DEPOT_MOST  ((size_t)4 << 20) /* but so many bytes at most */
#define MAG_LEAST   3 /* rounds of the magazines of a bin that overflows */

kmem_thread_t *kmem_threads; /* pushed by compare and swap */
__thread kmem_thread_t *kmem_thread_self;
uint8_t kmem_malloc_class[KMEM_BIN_BYTES / 8 + 1];

/* what a new record's bins are; written while starting */
static kmem_thread_bin_t class_bin[KMEM_NCLASSES];
static uint32_t nrounds;
static pthread_key_t exit_key;
static int has_key;
static int is_closed; /* set once: no bin is filled any more */

/* no record for this thread: while one is made, and when it ends */
static __thread char is_detached;

/* ---- to and from the layers below ---- */

static void fill_from_magazines(kmem_cache_t *cp, kmem_thread_t *th,
				kmem_thread_bin_t *bin, unsigned n)
{
	kmem_cpu_cache_t *ccp = kmem_cpu_cache(cp);

	kmem_mutex_enter(&ccp->cc_lock);
	while (n > 0 && kmem_cpu_refill(cp, ccp)) {
		unsigned k = (unsigned)ccp->cc_rounds;

		if (k > n)
			k = n;
		ccp->cc_rounds -= (int)k;
		kmem_rounds_move(&th->th_round[bin->tb_first + bin->tb_rounds],
				 &ccp->cc_loaded->mag_round[ccp->cc_rounds], k);
		KM_ADD(*kmem_bin_word(bin), k);
		n -= k;
	}
	kmem_mutex_exit(&ccp->cc_lock);
}

/** How many objects the depot of a class should keep. */
static uint64_t depot_keep(const kmem_cache_t *cp)
{
	size_t chunk = cp->cache_chunksize;
	uint64_t keep = DEPOT_KEEP / chunk;
	uint64_t share = KM_PEEK(cp->cache_buftotal) / DEPOT_SHARE;

	if (chunk >= DEPOT_LARGE && keep < share)
		keep = share;
	if (keep > DEPOT_MOST / chunk)
		keep = DEPOT_MOST / chunk;
	return keep < DEPOT_LEAST ? DEPOT_LEAST : keep;
}

/** Has the depot of a class as much as it should keep?  What is audited stays
 * where its last transaction can be seen. */
static int is_depot_full(const kmem_cache_t *cp)
{
	uint64_t rounds = (uint64_t)KM_PEEK(cp->cache_full.ml_total) *
			  KM_PEEK(cp->cache_magtype)->mt_magsize;

	return rounds >= depot_keep(cp) && !(cp->cache_flags & KMF_BUFTAG);
}

/** Gives n rounds of a bin back to slabs after the last check. */
static void undo(kmem_thread_t *th, kmem_thread_bin_t *bin, unsigned n)
{
	kmem_cache_t *cp = bin->tb_cache;

	while (n-- > 0) {
		void *buf = th->th_round[bin->tb_first + bin->tb_rounds - 1];

		kmem_gate_enter();
		KM_ADD(*kmem_bin_word(bin), -1);
		if (kmem_object_undo(cp, buf) == 0)
			kmem_slab_free(cp, buf, KMEM_KIND_NONE);
		kmem_gate_exit();
	}
}

/** Gives back the n oldest rounds of a bin. */
static void flush(kmem_thread_t *th, kmem_thread_bin_t *bin, unsigned n)
{
	kmem_cache_t *cp = bin->tb_cache;
	void **round = &th->th_round[bin->tb_first];
	kmem_cpu_cache_t *ccp = kmem_cpu_cache(cp);

	kmem_mutex_enter(&ccp->cc_lock);
	while (n > 0 && !is_depot_full(cp) && kmem_cpu_make_room(cp, ccp)) {
		unsigned k = (unsigned)(ccp->cc_magsize - ccp->cc_rounds);

		if (k > n)
			k = n;
		kmem_rounds_move(&ccp->cc_loaded->mag_round[ccp->cc_rounds],
				 round, k);
		ccp->cc_rounds += (int)k;
		kmem_bin_drop(th, bin, k);
		n -= k;
	}
	kmem_mutex_exit(&ccp->cc_lock);
	if (n > 0 && (cp->cache_flags & KMF_BUFTAG))
		undo(th, bin, n);
	else if (n > 0)
		kmem_slab_give(cp, th, bin, n);
}

static void grow(kmem_thread_bin_t *bin)
{
	unsigned max = 2 * (unsigned)bin->tb_max;

	if (max == 0)
		max = (unsigned)(BIN_START / bin->tb_cache->cache_chunksize);
	if (max < BIN_LEAST)
		max = BIN_LEAST;
	if (max > bin->tb_limit)
		max = bin->tb_limit;
	bin->tb_max = (uint16_t)(is_closed ? 0 : max);
}

/** Gives back half of a bin that is full and cannot grow.  The magazines then
 * should take that half at once. */
static void make_room(kmem_thread_t *th, kmem_thread_bin_t *bin)
{
	kmem_cache_t *cp = bin->tb_cache;
	const kmem_magtype_t *mtp = KM_PEEK(cp->cache_magtype);
	unsigned want = bin->tb_limit / 2u - 1u;

	if (want < MAG_LEAST)
		want = MAG_LEAST;
	if (mtp->mt_magsize < want && cp->cache_chunksize < mtp->mt_maxbuf)
		kmem_update_magazines(cp, want);
	flush(th, bin, (bin->tb_max + 1) / 2);
}

/**
 * Opens a bin that was not used yet, because of a free.  What is freed may lie
 * on a cache line with what other threads use: if it can, it goes below objects
 * whose lines are the thread's own.  Returns what is to be put on top.
 */
static void *begin(kmem_thread_t *th, kmem_thread_bin_t *bin, void *buf)
{
	void **round = &th->th_round[bin->tb_first];
	void *top = buf;

	grow(bin);
	if (bin->tb_cache->cache_chunksize < KMEM_LINE &&
	    !(bin->tb_cache->cache_flags & KMF_BUFTAG) &&
	    kmem_slab_fill(bin->tb_cache, th, bin, bin->tb_max / 2u) > 0) {
		top = round[0];
		KMEM_BARRIER();
		round[0] = buf;
	}
	return top;
}

/** Empties the bins of a record that is the caller's. */
static void drain(kmem_thread_t *th)
{
	for (unsigned i = 0; i < KMEM_NCLASSES; i++) {
		kmem_thread_bin_t *bin = &th->th_bin[i];

		if (bin->tb_rounds)
			flush(th, bin, bin->tb_rounds);
		bin->tb_max = 0;
	}
}

/* ---- records ---- */

static int own(kmem_thread_t *th, uint32_t tid)
{
	uint32_t nobody = 0;

	return __atomic_load_n(&th->th_tid, __ATOMIC_RELAXED) == 0 &&
	       __atomic_compare_exchange_n(&th->th_tid, &nobody, tid, 0,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void disown(kmem_thread_t *th)
{
	__atomic_store_n(&th->th_tid, 0, __ATOMIC_RELEASE);
}

/** A record nobody has, or a new one; NULL: no memory. */
static kmem_thread_t *record_get(uint32_t tid)
{
	kmem_thread_t *th = __atomic_load_n(&kmem_threads, __ATOMIC_ACQUIRE);

	for (; th; th = th->th_next)
		if (own(th, tid))
			return th;
	th = kmem_pages_alloc(sizeof(*th));
	if (!th)
		return NULL;
	th->th_tid = tid;
	th->th_nbins = KMEM_NCLASSES;
	memcpy(th->th_bin, class_bin, sizeof(class_bin));
	th->th_next = __atomic_load_n(&kmem_threads, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&kmem_threads, &th->th_next, th, 0,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	return th;
}

static void on_thread_exit(void *arg)
{
	/* not arg: a program may set a key that it never made, which is ours */
	kmem_thread_t *th = kmem_thread_self;

	(void)arg;
	if (!th)
		return;
	is_detached = 1;
	kmem_thread_self = NULL;
	th->th_busy = 1;
	drain(th);
	th->th_busy = 0;
	disown(th);
}

/** The calling thread's record; NULL: it can have none now. */
static kmem_thread_t *attach(void)
{
	kmem_thread_t *th = kmem_thread_self;

	if (th)
		return th;
	if (is_detached || !has_key || kmem_ready != 2)
		return NULL;
	is_detached = 1; /* pthread_setspecific() may allocate */
	th = record_get(kmem_tid());
	if (!th) {
		is_detached = 0;
		return NULL;
	}
	if (pthread_setspecific(exit_key, th) != 0) {
		disown(th);
		return NULL;
	}
	is_detached = 0;
	kmem_thread_self = th;
	return th;
}

/* ---- for the files above and below ---- */

void kmem_thread_class(unsigned class, kmem_cache_t *cp)
{
	kmem_thread_bin_t *bin = &class_bin[class];
	size_t limit = BIN_KEEP / cp->cache_chunksize;

	if (!has_key)
		has_key = pthread_key_create(&exit_key, on_thread_exit) == 0;
	if (!cp->cache_class)
		return;
	if (limit < BIN_EIGHT)
		limit = BIN_EIGHT;
	if (limit > BIN_LARGE / cp->cache_chunksize)
		limit = BIN_LARGE / cp->cache_chunksize;
	if (limit > BIN_ROUNDS)
		limit = BIN_ROUNDS;
	if (kmem_options.thread_cache / KMEM_NCLASSES <
	    limit * cp->cache_chunksize)
		limit = kmem_options.thread_cache / KMEM_NCLASSES /
			cp->cache_chunksize;
	if (!has_key || limit < BIN_LEAST || nrounds + limit > KMEM_NROUNDS)
		return;
	bin->tb_cache = cp;
	bin->tb_first = nrounds;
	bin->tb_limit = (uint16_t)limit;
	bin->tb_magic = cp->cache_magic;
	nrounds += (uint32_t)limit;
}

kmem_memo_table_t *kmem_thread_memo(void)
{
	kmem_thread_t *th = attach();

	if (th && !th->th_memo)
		th->th_memo = kmem_pages_alloc(sizeof(*th->th_memo));
	return th ? th->th_memo : NULL;
}

void *kmem_thread_refill(unsigned class)
{
	kmem_thread_t *th = attach();
	kmem_thread_bin_t *bin;

	if (!th || th->th_busy || !th->th_bin[class].tb_cache || is_closed)
		return NULL;
	th->th_busy = 1;
	KMEM_BARRIER();
	bin = &th->th_bin[class];
	if (!bin->tb_rounds) {
		grow(bin);
		fill_from_magazines(bin->tb_cache, th, bin,
				    (bin->tb_max + 1u) / 2);
		if (!bin->tb_rounds)
			(void)kmem_slab_fill(bin->tb_cache, th, bin,
					     (bin->tb_max + 1u) / 2);
	}
	KMEM_BARRIER();
	th->th_busy = 0;
	return kmem_thread_pop(class);
}

int kmem_thread_overflow(unsigned class, void *buf)
{
	kmem_thread_t *th = attach();
	kmem_thread_bin_t *bin;

	if (!th || th->th_busy || !th->th_bin[class].tb_cache)
		return 0;
	th->th_busy = 1;
	KMEM_BARRIER();
	bin = &th->th_bin[class];
	if (KM_UNLIKELY(is_closed)) {
		bin->tb_max = 0;
		flush(th, bin, bin->tb_rounds);
		th->th_busy = 0;
		return 0;
	}
	if (bin->tb_max == 0)
		buf = begin(th, bin, buf);
	else if (bin->tb_rounds >= bin->tb_max && bin->tb_max == bin->tb_limit)
		make_room(th, bin);
	else if (bin->tb_rounds >= bin->tb_max)
		grow(bin);
	th->th_round[bin->tb_first + bin->tb_rounds] = buf;
	KMEM_BARRIER();
	KM_ADD(*kmem_bin_word(bin), KMEM_BIN_PUSH); /* I1 */
	KMEM_BARRIER();
	th->th_busy = 0;
	return 1;
}

void kmem_thread_reap(void)
{
	kmem_thread_t *self = kmem_thread_self;
	kmem_thread_t *th = __atomic_load_n(&kmem_threads, __ATOMIC_ACQUIRE);

	if (self && !self->th_busy) {
		self->th_busy = 1;
		KMEM_BARRIER();
		drain(self);
		KMEM_BARRIER();
		self->th_busy = 0;
	}
	for (; th; th = th->th_next) {
		if (!own(th, kmem_tid()))
			continue;
		drain(th);
		disown(th);
	}
}

void kmem_thread_close(void)
{
	kmem_thread_t *th = __atomic_load_n(&kmem_threads, __ATOMIC_ACQUIRE);

	is_closed = 1;
	for (; th; th = th->th_next)
		for (unsigned i = 0; i < KMEM_NCLASSES; i++)
			__atomic_store_n(&th->th_bin[i].tb_max, 0,
					 __ATOMIC_RELAXED);
	kmem_thread_reap();
}

void kmem_thread_forked(void)
{
	for (kmem_thread_t *th = kmem_threads; th; th = th->th_next) {
		if (th == kmem_thread_self) {
			th->th_tid = kmem_tid();
			continue;
		}
		th->th_busy = 0; /* I1: wherever it was stopped */
		th->th_tid = 0;
	}
}

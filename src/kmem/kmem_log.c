/* SPDX-License-Identifier: MIT */
/*
 * Logs: rings of records, written by each CPU into a chunk of its own.
 *
 *   lh_free: ring of chunk numbers    head -> [ 5 | 2 | 7 | ... ] <- tail
 *   CPU:     clh_current -> next record in its chunk, clh_avail bytes left
 *
 * A CPU whose chunk is full returns it at the tail and takes the one at the
 * head, the chunk that was full longest ago: the oldest records go first, by
 * whole chunks.  A chunk is not cleared, so its end holds older records until
 * they are overwritten; a reader sorts by time.  When a chunk was returned is
 * kept beside the ring: what is written over is older, so the log holds each
 * record since lh_lost, and of those before it some.
 *
 * Invariant: every chunk number is either some CPU's or in the ring between
 * head and tail, so the ring never runs empty.  Locks: clh_lock, then lh_lock;
 * both are innermost in the whole library.
 */
#include "kmem_logfile.h"

#include <string.h>

#define CHUNKS_PER_CPU 4

int kmem_logging; /* written by the one reporting thread only */
kmem_log_header_t *kmem_transaction_log;
kmem_log_header_t *kmem_content_log;
kmem_log_header_t *kmem_failure_log;
kmem_log_header_t *kmem_slab_log;
kmem_log_header_t *kmem_zerosized_log;
vmem_t *kmem_log_arena;

/** When each chunk was last returned; behind the ring. */
static hrtime_t *returned(const kmem_log_header_t *lhp)
{
	return (hrtime_t *)(void *)(lhp->lh_free + lhp->lh_nchunks);
}

kmem_log_header_t *kmem_log_init(size_t bytes)
{
	int32_t nchunks = (int32_t)kmem_max_ncpus * CHUNKS_PER_CPU;
	size_t header = sizeof(kmem_log_header_t) +
			kmem_max_ncpus * sizeof(kmem_cpu_log_header_t);
	kmem_log_header_t *lhp;

	if (bytes == 0)
		return NULL;
	lhp = vmem_xalloc(kmem_log_arena, header, 64, 0, 0, NULL, NULL,
			  VM_SLEEP);
	memset(lhp, 0, header);
	lhp->lh_chunksize =
		(bytes / (size_t)nchunks + KMEM_PAGE - 1) & -KMEM_PAGE;
	if (lhp->lh_chunksize < KMEM_PAGE)
		lhp->lh_chunksize = KMEM_PAGE;
	lhp->lh_nchunks = nchunks;
	bytes = lhp->lh_chunksize * (size_t)nchunks;
	lhp->lh_base = vmem_xalloc(kmem_log_arena, bytes, KMEM_PAGE, 0, 0, NULL,
				   NULL, VM_SLEEP);
	bytes = (size_t)nchunks * (sizeof(*lhp->lh_free) + sizeof(hrtime_t));
	lhp->lh_free = vmem_alloc(kmem_log_arena, bytes, VM_SLEEP);
	memset(lhp->lh_free, 0, bytes);
	bytes = lhp->lh_chunksize * (size_t)nchunks;
	if (kmem_sys_zero(lhp->lh_base, bytes) != 0)
		memset(lhp->lh_base, 0, bytes);
	for (int32_t i = 0; i < nchunks; i++)
		lhp->lh_free[i] = i;
	for (uint32_t i = 0; i < kmem_max_ncpus; i++) {
		/* the CPU's own first chunk; its first record replaces it */
		lhp->lh_cpu[i].clh_chunk = lhp->lh_free[i];
		lhp->lh_free[i] = -1;
	}
	lhp->lh_head = (int32_t)kmem_max_ncpus;
	return lhp;
}

int kmem_log_exchange(kmem_log_header_t *lhp, kmem_cpu_log_header_t *clhp,
		      size_t bytes)
{
	int is_there = 1;
	hrtime_t lost;

	kmem_mutex_enter(&lhp->lh_lock);
	if (KM_UNLIKELY(kmem_logfile_is(lhp)) &&
	    kmem_logfile_resume(lhp, clhp, bytes))
		goto out;
	lhp->lh_hits++;
	returned(lhp)[clhp->clh_chunk] = kmem_now();
	lhp->lh_free[lhp->lh_tail] = clhp->clh_chunk;
	lhp->lh_tail = (lhp->lh_tail + 1) % lhp->lh_nchunks;
	clhp->clh_chunk = lhp->lh_free[lhp->lh_head];
	lhp->lh_head = (lhp->lh_head + 1) % lhp->lh_nchunks;
	clhp->clh_current =
		lhp->lh_base + (size_t)clhp->clh_chunk * lhp->lh_chunksize;
	clhp->clh_avail = lhp->lh_chunksize;
	lost = returned(lhp)[clhp->clh_chunk];
	if (lost > lhp->lh_lost)
		lhp->lh_lost = lost;
	if (KM_UNLIKELY(kmem_logfile_is(lhp)))
		is_there = kmem_logfile_chunk(clhp);
out:
	kmem_mutex_exit(&lhp->lh_lock);
	return is_there;
}

void *kmem_log_enter(kmem_log_header_t *lhp, const void *data, size_t bytes)
{
	kmem_cpu_log_header_t *clhp;
	void *record;

	if (lhp && bytes > lhp->lh_chunksize)
		bytes = lhp->lh_chunksize;
	/* the chunk size is a multiple of a page */
	record = kmem_log_reserve(lhp, (bytes + 7) & ~(size_t)7, &clhp);
	if (!record)
		return NULL;
	memcpy(record, data, bytes);
	kmem_spin_exit(&clhp->clh_lock);
	return record;
}

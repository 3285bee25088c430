/* SPDX-License-Identifier: MIT */
/*
 * The transaction log kept whole in a file: KMEM_LOGGING=transaction=file:PATH.
 * Theory in kmem_logfile.c.
 */
#ifndef KMEM_LOGFILE_H
#define KMEM_LOGFILE_H

#include "kmem_short.h"

/* bytes of a chunk of the file, and of the ring in memory then */
#define KMEM_LOGFILE_CHUNK ((size_t)256 * 1024)

extern KM_HIDDEN kmem_log_header_t *kmem_logfile_log; /* NULL: no file */

/** Is this the log that is kept in a file, or was until it failed? */
static inline int kmem_logfile_is(const kmem_log_header_t *lhp)
{
	return kmem_logfile_log && lhp == kmem_logfile_log;
}

/** Makes the log kmem_options.log_file asks for: in memory alone when the file
 * cannot be made, which is said on stderr. */
KM_HIDDEN kmem_log_header_t *kmem_logfile_init(void);

/** Puts a new chunk of the file where a CPU's chunk of the ring is; lh_lock is
 * held.  0: there is no memory for it, file or not. */
KM_HIDDEN int kmem_logfile_chunk(kmem_cpu_log_header_t *clhp);

/** What a CPU without room has to look at first; lh_lock is held.  Not 0: it
 * has so many bytes again. */
KM_HIDDEN int kmem_logfile_resume(kmem_log_header_t *lhp,
				  kmem_cpu_log_header_t *clhp, size_t bytes);

/** Writes down a cache that was made, whose address records have. */
KM_HIDDEN void kmem_logfile_cache(const kmem_cache_t *cp);

/** Before a fork, all locks held: takes each CPU's room away. */
KM_HIDDEN void kmem_logfile_before_fork(void);
/** After it, in the parent: gives it back. */
KM_HIDDEN void kmem_logfile_forked_parent(void);
/** After it, in the child: leaves the parent's file alone. */
KM_HIDDEN void kmem_logfile_forked_child(void);

#endif

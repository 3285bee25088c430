/* SPDX-License-Identifier: MIT */
/*
 * The file a transaction log is kept whole in
 * (KMEM_LOGGING=transaction=file:PATH).
 *
 *   0                  struct kmem_logfile_header, lf_header_bytes of it
 *   lf_header_bytes    chunk 0, of lf_chunk_bytes
 *                      chunk 1 ...
 *
 * A chunk begins with struct kmem_logfile_chunk.  Of KMEM_LOG_RECORDS the rest
 * are records, each the image of a kmem_bufctl_audit of lf_record_bytes, whose
 * layout is that of the library's debug information; one without a time was
 * never written.  Of KMEM_LOG_NOTES the rest are struct kmem_logfile_note, each
 * followed by its payload, up to the first whose ln_type is 0.
 *
 * Little endian and of fixed width.  A reader bounds what it finds by the size
 * of the file: a process that was killed leaves the last chunks as they were.
 */
#ifndef CONTRACT_LOGFILE_H
#define CONTRACT_LOGFILE_H

#include <stdint.h>

#define KMEM_LOGFILE_MAGIC   "KMEMLOG" /* and a NUL: 8 bytes */
#define KMEM_LOGFILE_VERSION 1
#define KMEM_LOGCHUNK_MAGIC  0x4b4e5543 /* "CUNK" */

enum kmem_logfile_type {
	KMEM_LOG_RECORDS = 1,
	KMEM_LOG_NOTES = 2,
};

enum kmem_logfile_note_type {
	KMEM_LOGNOTE_STACK = 1, /* ln_key the id; payload uint64_t pc[] */
	KMEM_LOGNOTE_CACHE = 2, /* ln_key its address; kmem_logfile_cache */
};

struct kmem_logfile_header {
	char lf_magic[8];
	uint32_t lf_version;
	uint32_t lf_header_bytes;
	uint64_t lf_id[2]; /* the same in the process: kmem_logfile.klf_id */
	uint32_t lf_pid;
	uint32_t lf_record_bytes;
	uint64_t lf_chunk_bytes;
	uint64_t lf_nchunks;    /* handed out so far */
	uint64_t lf_start_ns;   /* it holds every transaction since */
	uint64_t lf_wall_ns;    /* the same moment, CLOCK_REALTIME */
	uint64_t lf_forked_ns;  /* the process is a copy of another since; 0 */
	uint64_t lf_stop_ns;    /* it holds no transaction since; 0: all */
	uint32_t lf_stop_errno; /* why */
	uint32_t lf_ppid;
};

struct kmem_logfile_chunk {
	uint32_t lc_magic; /* KMEM_LOGCHUNK_MAGIC */
	uint32_t lc_type;  /* enum kmem_logfile_type */
	uint64_t lc_start_ns;
	uint64_t lc_zero[6]; /* as a record it was never written */
};

struct kmem_logfile_note {
	uint32_t ln_type;
	uint32_t ln_bytes; /* of this and its payload, a multiple of 8 */
	uint64_t ln_key;
};

struct kmem_logfile_cache {
	uint64_t lc_stamp_ns; /* when it was made */
	uint64_t lc_bufsize;
	uint32_t lc_flags, lc_cflags;
	char lc_name[32];
};

#endif

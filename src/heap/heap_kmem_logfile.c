/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A transaction log kept whole in a file, read beside the dump of its process.
 *
 * The file is mapped; its format is contract/logfile.h.  Nothing in it is
 * believed: it must be the log of the very process (pid and id, which are in the
 * dump), its records as long as those of the library, and each chunk, note and
 * number within the file.  A record is read with the layout the dump's library
 * has, as a record of the log in memory is.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/interrupt.h"
#include "contract/logfile.h"
#include "heap/heap_kmem_impl.h"

#define CHUNK_MAX ((uint64_t)1 << 30)

/* transactions that were under way when the file came to its end */
#define STOP_SLACK_NS ((uint64_t)1000000000)

struct kmem_logfile {
	const char *bytes; /* mapped */
	size_t nbytes;
	struct kmem_logfile_header head;
	uint64_t nchunks;   /* that are there */
	struct hash stacks; /* id to offset of its note */
	VEC(struct kmem_file_cache) caches;
	char *path; /* owned */
};

void kmem_logfile_close(struct kmem_logfile *lf)
{
	if (!lf)
		return;
	if (lf->bytes)
		(void)munmap((void *)(uintptr_t)lf->bytes, lf->nbytes);
	hash_fini(&lf->stacks);
	VEC_FREE(&lf->caches);
	mem_free(lf->path);
	mem_free(lf);
}

static struct err *map_file(struct kmem_logfile *lf)
{
	int fd = open(lf->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct err *err = NULL;
	struct stat st;

	if (fd < 0)
		return err_new(ERR_IO, "%s: %s", lf->path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size < sizeof(lf->head)) {
		err = err_new(ERR_BADDATA, "%s: not a log of libkmem",
			      lf->path);
	} else {
		lf->nbytes = (size_t)st.st_size;
		lf->bytes =
			mmap(NULL, lf->nbytes, PROT_READ, MAP_PRIVATE, fd, 0);
		if (lf->bytes == MAP_FAILED) {
			lf->bytes = NULL;
			err = err_new(ERR_IO, "%s: %s", lf->path,
				      strerror(errno));
		}
	}
	(void)close(fd); /* only read */
	return err;
}

/* is the file one that can be, and of the process of the dump? */
static struct err *check_head(struct kmem_heap *kh, struct kmem_logfile *lf)
{
	const struct kmem_logfile_header *h = &lf->head;
	taddr_t at = kh->names.sym[S_kmem_logfile];
	const void *raw = kmem_peek(kh, K_kmem_logfile, at);
	const struct view_row *id = &kh->names.row[F_kmem_logfile_klf_id];

	memcpy(&lf->head, lf->bytes, sizeof(lf->head));
	if (memcmp(h->lf_magic, KMEM_LOGFILE_MAGIC, sizeof(h->lf_magic)) != 0)
		return err_new(ERR_BADDATA, "%s: not a log of libkmem",
			       lf->path);
	if (h->lf_version != KMEM_LOGFILE_VERSION)
		return err_new(ERR_NOSUP, "%s: a log of version %u", lf->path,
			       h->lf_version);
	if (!raw || !id->is_bound || id->size_bytes != sizeof(h->lf_id))
		return err_new(ERR_NOTFOUND,
			       "%s: the process of the dump kept no log in a "
			       "file",
			       lf->path);
	if (memcmp((const char *)raw + id->offset_bytes, h->lf_id,
		   sizeof(h->lf_id)) != 0)
		return err_new(ERR_BADDATA,
			       "%s: the log of another process (pid %u)",
			       lf->path, h->lf_pid);
	if (h->lf_record_bytes != kh->names.struct_bytes[K_kmem_bufctl_audit] ||
	    h->lf_header_bytes < sizeof(*h) || h->lf_header_bytes % 8 ||
	    h->lf_header_bytes > lf->nbytes || h->lf_chunk_bytes > CHUNK_MAX ||
	    h->lf_chunk_bytes % 8 ||
	    h->lf_chunk_bytes < sizeof(struct kmem_logfile_chunk))
		return err_new(ERR_BADDATA,
			       "%s: %u bytes a record, %" PRIu64
			       " a chunk cannot be",
			       lf->path, h->lf_record_bytes, h->lf_chunk_bytes);
	lf->nchunks = (lf->nbytes - h->lf_header_bytes) / h->lf_chunk_bytes;
	if (lf->nchunks > h->lf_nchunks)
		lf->nchunks = h->lf_nchunks;
	return NULL;
}

/* what follows the head of the i-th chunk if it is of that type, or NULL */
static const char *chunk_at(const struct kmem_logfile *lf, uint64_t i,
			    uint32_t type)
{
	const char *at = lf->bytes + lf->head.lf_header_bytes +
			 i * lf->head.lf_chunk_bytes;
	struct kmem_logfile_chunk chunk;

	memcpy(&chunk, at, sizeof(chunk));
	return chunk.lc_magic == KMEM_LOGCHUNK_MAGIC && chunk.lc_type == type
		       ? at + sizeof(chunk)
		       : NULL;
}

static void take_note(struct kmem_logfile *lf, const char *at,
		      const struct kmem_logfile_note *note)
{
	struct kmem_logfile_cache cache;
	struct kmem_file_cache c = {.addr = note->ln_key};

	if (note->ln_type == KMEM_LOGNOTE_STACK)
		*hash_put(&lf->stacks, note->ln_key, NULL) =
			(uint64_t)(at - lf->bytes);
	if (note->ln_type != KMEM_LOGNOTE_CACHE ||
	    note->ln_bytes < sizeof(*note) + sizeof(cache))
		return;
	memcpy(&cache, at + sizeof(*note), sizeof(cache));
	c.stamp_ns = cache.lc_stamp_ns;
	c.bufsize_bytes = cache.lc_bufsize;
	for (size_t i = 0; i < sizeof(cache.lc_name) - 1 && cache.lc_name[i];
	     i++)
		c.name[i] = cache.lc_name[i] >= ' ' && cache.lc_name[i] <= '~'
				    ? cache.lc_name[i]
				    : '?';
	VEC_PUSH(&lf->caches, c);
}

static void read_notes(struct kmem_logfile *lf, const char *at)
{
	uint64_t left =
		lf->head.lf_chunk_bytes - sizeof(struct kmem_logfile_chunk);

	for (;;) {
		struct kmem_logfile_note note;

		if (left < sizeof(note))
			return;
		memcpy(&note, at, sizeof(note));
		if (note.ln_type == 0 || note.ln_bytes < sizeof(note) ||
		    note.ln_bytes % 8 || note.ln_bytes > left)
			return;
		take_note(lf, at, &note);
		at += note.ln_bytes;
		left -= note.ln_bytes;
	}
}

struct err *kmem_open_log(struct heap *heap, const char *path)
{
	struct kmem_heap *kh = heap->priv;
	struct kmem_logfile *lf = mem_zalloc(sizeof(*lf));

	lf->path = mem_strdup(path);
	hash_init(&lf->stacks);
	struct err *err = map_file(lf);

	if (!err)
		err = check_head(kh, lf);
	for (uint64_t i = 0; !err && i < lf->nchunks; i++) {
		const char *at = chunk_at(lf, i, KMEM_LOG_NOTES);

		if (at)
			read_notes(lf, at);
		err = interrupt_check();
	}
	if (err) {
		kmem_logfile_close(lf);
		return err;
	}
	kmem_logfile_close(kh->logfile);
	kh->logfile = lf;
	return NULL;
}

struct err *kmem_logfile_records(struct kmem_heap *kh, kmem_raw_fn *fn,
				 void *arg)
{
	const struct kmem_logfile *lf = kh->logfile;
	struct err *err = NULL;

	for (uint64_t i = 0; lf && !err && i < lf->nchunks; i++) {
		const char *at = chunk_at(lf, i, KMEM_LOG_RECORDS);
		uint64_t n = (lf->head.lf_chunk_bytes -
			      sizeof(struct kmem_logfile_chunk)) /
			     lf->head.lf_record_bytes;

		for (uint64_t k = 0; at && k < n; k++)
			fn(arg, at + k * lf->head.lf_record_bytes);
		err = interrupt_check();
	}
	return err;
}

bool kmem_logfile_stack(struct kmem_heap *kh, uint32_t id,
			struct heap_stack *ret)
{
	const struct kmem_logfile *lf = kh->logfile;
	const uint64_t *at = lf ? hash_get(&lf->stacks, id) : NULL;
	struct kmem_logfile_note note;

	if (!at)
		return false;
	memcpy(&note, lf->bytes + *at, sizeof(note)); /* bounded when read */
	ret->depth = (unsigned)((note.ln_bytes - sizeof(note)) / 8);
	if (ret->depth > HEAP_STACK_MAX)
		ret->depth = HEAP_STACK_MAX;
	memcpy(ret->pc, lf->bytes + *at + sizeof(note), ret->depth * 8);
	return ret->depth > 0;
}

bool kmem_cache_then(struct heap *heap, taddr_t addr, uint64_t stamp_ns,
		     struct heap_cache *ret)
{
	const struct kmem_heap *kh = heap->priv;
	const struct kmem_logfile *lf = kh->logfile;
	const struct kmem_file_cache *found = NULL;

	/* another one may have been at the address before */
	for (size_t i = 0; lf && i < lf->caches.n; i++) {
		const struct kmem_file_cache *c = &lf->caches.v[i];

		if (c->addr == addr && c->stamp_ns <= stamp_ns &&
		    (!found || c->stamp_ns > found->stamp_ns))
			found = c;
	}
	if (!found)
		return false;
	*ret = (struct heap_cache){
		.addr = addr,
		.name = found->name,
		.bufsize_bytes = found->bufsize_bytes,
	};
	return true;
}

/* what the file covers, whether it is read or only known to be somewhere */
void kmem_logfile_covers(struct kmem_heap *kh, struct heap_coverage *ret)
{
	const struct kmem_logfile *lf = kh->logfile;
	uint64_t since = ret->since_ns;

	ret->is_open = lf;
	if (!lf)
		return;
	ret->path = lf->path;
	ret->stop_ns = lf->head.lf_stop_ns;
	ret->stop_errno = (int)lf->head.lf_stop_errno;
	if (lf->nchunks < lf->head.lf_nchunks)
		return; /* cut: what is missing may be of any time */
	if (ret->stop_ns == 0 || (ret->stop_ns > STOP_SLACK_NS &&
				  since <= ret->stop_ns - STOP_SLACK_NS))
		if (lf->head.lf_start_ns < since)
			ret->since_ns = lf->head.lf_start_ns;
}

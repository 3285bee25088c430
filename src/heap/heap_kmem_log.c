/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who did the last transaction of a buffer, and the logs of older ones.
 *
 * A record of a log is a copy of an audited bufctl, whole: the bufctl of a
 * buffer may end before bc_cache (kmem_bufctl_audit_size); its cache is then
 * that of the slab.  A log is an area of chunks
 * that are filled record by record and reused without being cleared, so it is
 * read as an array of records over every chunk; a record without a time was
 * never written.  Time orders them: newest first.
 *
 * A stack is a number: chunk of the depot, and offset in it in words.
 */
#include <stdlib.h>
#include <string.h>
#include "base/interrupt.h"
#include "heap/heap_kmem_impl.h"

#define LOG_BYTES_MAX ((uint64_t)1 << 36)

/* ---- stacks ---------------------------------------------------------- */

static bool read_pcs(struct kmem_heap *kh, taddr_t at, uint64_t depth,
		     struct heap_stack *ret)
{
	taddr_t pc = at + kh->names.row[F_kmem_stack_st_pc].offset_bytes;

	ret->depth = 0;
	if (depth > HEAP_STACK_MAX)
		depth = HEAP_STACK_MAX;
	for (uint64_t i = 0; i < depth; i++) {
		struct err *err =
			target_read_u64(kh->t, pc + i * 8, &ret->pc[i]);

		if (err) {
			err_free(err);
			return ret->depth > 0;
		}
		ret->depth++;
	}
	return true;
}

bool kmem_stack(struct heap *heap, uint32_t id, struct heap_stack *ret)
{
	struct kmem_heap *kh = heap->priv;
	const struct view_row *chunks =
		&kh->names.row[F_kmem_stackdepot_sd_chunk];
	taddr_t depot = kh->names.sym[S_kmem_stackdepot];
	uint64_t shift = kh->num.stack_shift;
	uint64_t chunk = 0;

	if (id == 0 || !depot || !chunks->is_bound || shift == 0 ||
	    shift > 31 || !kh->names.row[F_kmem_stack_st_pc].is_bound)
		return false;
	uint64_t slot = (uint64_t)(id >> shift) * 8;

	if (slot + 8 > chunks->size_bytes)
		return false;
	struct err *err = target_read_u64(
		kh->t, depot + chunks->offset_bytes + slot, &chunk);

	if (err || !chunk) {
		err_free(err);
		return kmem_logfile_stack(kh, id, ret);
	}
	taddr_t at = chunk + (id & ((1u << shift) - 1)) * (uint64_t)8;
	const void *raw = kmem_peek(kh, K_kmem_stack, at);

	if (!raw)
		return kmem_logfile_stack(kh, id, ret);
	return read_pcs(kh, at, kmem_get(kh, F_kmem_stack_st_depth, raw), ret);
}

/* ---- records --------------------------------------------------------- */

static enum heap_what what_of(const struct kmem_heap *kh, uint64_t what)
{
	if (what == 0)
		return HEAP_NOTHING;
	if (what == kh->names.what_alloc)
		return HEAP_ALLOC;
	if (what == kh->names.what_free)
		return HEAP_FREE;
	if (what == kh->names.what_fail)
		return HEAP_FAIL;
	return what == kh->names.what_slab ? HEAP_SLAB : HEAP_NOTHING;
}

static void read_record(struct kmem_heap *kh, taddr_t addr, const void *raw,
			struct heap_audit *ret)
{
#define B(f) kmem_get(kh, F_kmem_bufctl_audit_bc_##f, raw)
	uint64_t kind = B(kind);

	*ret = (struct heap_audit){
		.addr = addr,
		.buf = B(addr),
		.cache = B(cache),
		.slab = B(slab),
		.stamp_ns = B(timestamp),
		.tid = (uint32_t)B(thread),
		.what = what_of(kh, B(what)),
		.kind = "",
		.lastlog = B(lastlog),
		.contents = B(contents),
		.stack = (uint32_t)B(stack),
		.cpu = -1,
	};
#undef B
	if (kind < 16 && kh->names.kind[kind])
		ret->kind = kh->names.kind[kind];
	/* of a large buffer: its arena, and what was asked for */
	if (ret->cache && ret->cache == kh->oversize) {
		ret->large_bytes = ret->slab;
		ret->slab = 0;
	}
}

struct err *kmem_record_at(struct kmem_heap *kh, taddr_t addr,
			   struct heap_audit *ret)
{
	const void *raw = kmem_peek(kh, K_kmem_bufctl_audit, addr);

	if (!raw)
		return err_new(ERR_FAULT,
			       "no audited bufctl can be read at 0x%" PRIx64,
			       addr);
	read_record(kh, addr, raw, ret);
	return NULL;
}

/* is an address in a record that is not a buffer's? */
static bool is_of_log(struct kmem_heap *kh, taddr_t addr)
{
	static const enum kmem_sym logs[] = {
		S_kmem_transaction_log,
		S_kmem_failure_log,
		S_kmem_slab_log,
		S_kmem_zerosized_log,
	};
	taddr_t pairs = kh->names.sym[S_kmem_mismatch_log];

	if (pairs && addr >= pairs &&
	    addr - pairs <
		    kh->names.row[F_kmem_mismatch_log_mml_pair].size_bytes)
		return true;
	for (size_t i = 0; i < sizeof(logs) / sizeof(*logs); i++) {
		taddr_t at = kmem_global(kh, logs[i], 8);
		const void *raw =
			at ? kmem_peek(kh, K_kmem_log_header, at) : NULL;

		if (!raw)
			continue;
		taddr_t base = kmem_get(kh, F_kmem_log_header_lh_base, raw);
		uint64_t bytes =
			kmem_get(kh, F_kmem_log_header_lh_chunksize, raw) *
			kmem_get(kh, F_kmem_log_header_lh_nchunks, raw);

		if (addr >= base && addr - base < bytes)
			return true;
	}
	return false;
}

struct err *kmem_audit_at(struct heap *heap, taddr_t addr,
			  struct heap_audit *ret)
{
	struct kmem_heap *kh = heap->priv;
	struct err *err = kmem_record_at(kh, addr, ret);

	if (!err && kh->is_bufctl_short && !is_of_log(kh, addr)) {
		ret->cache = kmem_get_at(kh, F_kmem_slab_slab_cache, ret->slab);
		ret->contents = 0;
	}
	return err;
}

/* the tag of a large buffer says who allocated it */
static bool audit_of_big(struct kmem_heap *kh, const struct heap_buf *buf,
			 struct heap_audit *ret)
{
	struct heap_segment s = {0};
	_err_free_ struct err *err = kmem_segment_at(kh->heap, buf->ctl, &s);

	if (err || !s.stamp_ns)
		return false;
	uint64_t kind = kmem_get_at(kh, F_vmem_seg_vs_kind, buf->ctl);

	*ret = (struct heap_audit){
		.addr = buf->ctl,
		.buf = buf->addr,
		.stamp_ns = s.stamp_ns,
		.tid = s.tid,
		.what = HEAP_ALLOC,
		.kind = kind < 16 && kh->names.kind[kind] ? kh->names.kind[kind]
							  : "",
		.stack = s.stack,
		.cpu = -1,
	};
	return true;
}

bool kmem_audit_of(struct heap *heap, const struct heap_buf *buf,
		   struct heap_audit *ret)
{
	struct kmem_heap *kh = heap->priv;

	if (buf->kind == BUF_OVERSIZE)
		return audit_of_big(kh, buf, ret);
	const struct kmem_cache *kc = kmem_cache_at(kh, buf->cache);

	if (!kc || !kc->pub.has_audit || !kc->pub.has_hash || !buf->ctl)
		return false;
	const void *raw = kmem_peek(kh, K_kmem_bufctl_audit, buf->ctl);

	if (!raw)
		return false;
	read_record(kh, buf->ctl, raw, ret);
	if (kh->is_bufctl_short) {
		ret->cache = buf->cache;
		ret->contents = 0;
	}
	/* a bufctl of a buffer that was never given out has no time */
	return ret->stamp_ns != 0;
}

/* ---- logs ------------------------------------------------------------ */

struct stamp {
	uint64_t ns;
	taddr_t addr;    /* 0: it is in the file only */
	const void *raw; /* there, else NULL */
	taddr_t buf;
	int cpu;
};

static int newest_first(const void *a, const void *b)
{
	const struct stamp *x = a;
	const struct stamp *y = b;

	if (x->ns != y->ns)
		return x->ns > y->ns ? -1 : 1;
	/* several threads may have a stamp: what is of one buffer together */
	if (x->buf != y->buf)
		return x->buf > y->buf ? -1 : 1;
	if (x->addr != y->addr)
		return x->addr > y->addr ? -1 : 1;
	return x->raw > y->raw ? -1 : x->raw < y->raw;
}

static taddr_t header_of(struct kmem_heap *kh, enum heap_log which)
{
	switch (which) {
	case HEAP_LOG_TRANSACTION:
		return kmem_global(kh, S_kmem_transaction_log, 8);
	case HEAP_LOG_FAIL:
		return kmem_global(kh, S_kmem_failure_log, 8);
	case HEAP_LOG_SLAB:
		return kmem_global(kh, S_kmem_slab_log, 8);
	case HEAP_LOG_ZEROSIZED:
		return kmem_global(kh, S_kmem_zerosized_log, 8);
	}
	return 0;
}

struct stamps {
	VEC(struct stamp) list;
};

static void read_chunk(struct kmem_heap *kh, taddr_t chunk, uint64_t bytes,
		       int cpu, struct stamps *st)
{
	uint64_t stride = kh->names.struct_bytes[K_kmem_bufctl_audit];

	for (uint64_t at = 0; at + stride <= bytes; at += stride) {
		const void *raw =
			kmem_peek(kh, K_kmem_bufctl_audit, chunk + at);
		struct stamp s = {.addr = chunk + at, .cpu = cpu};

		if (!raw) {
			kmem_damage(kh, chunk, 0,
				    "log: record 0x%" PRIx64
				    " is not in the dump",
				    s.addr);
			return;
		}
		s.ns = kmem_get(kh, F_kmem_bufctl_audit_bc_timestamp, raw);
		s.buf = kmem_get(kh, F_kmem_bufctl_audit_bc_addr, raw);
		if (s.ns)
			VEC_PUSH(&st->list, s);
	}
}

/* the CPU that fills a chunk now; -1 none */
static int cpu_of_chunk(struct kmem_heap *kh, taddr_t log, uint64_t chunk)
{
	taddr_t at = log + kh->names.row[F_kmem_log_header_lh_cpu].offset_bytes;
	uint64_t stride = kh->names.struct_bytes[K_kmem_cpu_log_header];

	for (uint32_t i = 0; stride && i < kh->ncpus; i++)
		if ((uint32_t)kmem_get_at(kh, F_kmem_cpu_log_header_clh_chunk,
					  at + i * stride) == chunk)
			return (int)i;
	return -1;
}

static struct err *read_stamps(struct kmem_heap *kh, taddr_t log,
			       struct stamps *st)
{
	const void *raw = kmem_peek(kh, K_kmem_log_header, log);

	if (!raw)
		return err_new(ERR_FAULT, "no log header at 0x%" PRIx64, log);
	taddr_t base = kmem_get(kh, F_kmem_log_header_lh_base, raw);
	uint64_t bytes = kmem_get(kh, F_kmem_log_header_lh_chunksize, raw);
	uint64_t n = kmem_get(kh, F_kmem_log_header_lh_nchunks, raw);

	if (bytes == 0 || bytes > LOG_BYTES_MAX || n > LOG_BYTES_MAX / bytes ||
	    n * bytes > kh->total_bytes)
		return err_new(ERR_BADDATA,
			       "log 0x%" PRIx64 ": %" PRIu64
			       " chunks of %" PRIu64 " bytes cannot be",
			       log, n, bytes);
	for (uint64_t i = 0; i < n; i++) {
		read_chunk(kh, base + i * bytes, bytes,
			   cpu_of_chunk(kh, log, i), st);
		struct err *err = interrupt_check();

		if (err)
			return err;
	}
	return NULL;
}

struct from_file {
	struct kmem_heap *kh;
	struct stamps *st;
};

static void take_raw(void *arg, const void *raw)
{
	struct from_file *f = arg;
	struct stamp s = {.raw = raw, .cpu = -1};

	s.ns = kmem_get(f->kh, F_kmem_bufctl_audit_bc_timestamp, raw);
	s.buf = kmem_get(f->kh, F_kmem_bufctl_audit_bc_addr, raw);
	/* a record that was being written has no "what" yet */
	if (s.ns && kmem_get(f->kh, F_kmem_bufctl_audit_bc_what, raw))
		VEC_PUSH(&f->st->list, s);
}

/* what is in memory and in the file comes twice, that in memory first */
static struct err *tell_records(struct kmem_heap *kh, const struct stamps *st,
				heap_audit_fn *fn, void *arg)
{
	struct heap_audit last = {0};
	struct err *err = NULL;

	for (size_t i = 0; !err && i < st->list.n; i++) {
		const struct stamp *s = &st->list.v[i];
		struct heap_audit a = {0};

		if (s->raw)
			read_record(kh, 0, s->raw, &a);
		else
			err = kmem_record_at(kh, s->addr, &a);
		a.cpu = s->cpu;
		if (err || (s->raw && last.stamp_ns == a.stamp_ns &&
			    last.buf == a.buf && last.cache == a.cache &&
			    last.what == a.what))
			continue;
		last = a;
		err = fn(arg, &a);
	}
	return err;
}

struct err *kmem_log(struct heap *heap, enum heap_log which, taddr_t log,
		     heap_audit_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct stamps st = {0};
	struct from_file file = {kh, &st};
	struct err *err = NULL;
	bool is_whole = !log && which == HEAP_LOG_TRANSACTION && kh->logfile;

	if (!log)
		log = header_of(kh, which);
	if (!log && !is_whole)
		return err_new(ERR_NOTFOUND, "log is disabled");
	if (log)
		err = read_stamps(kh, log, &st);
	if (!err && is_whole)
		err = kmem_logfile_records(kh, take_raw, &file);
	if (!err && st.list.n)
		qsort(st.list.v, st.list.n, sizeof(*st.list.v), newest_first);
	if (!err)
		err = tell_records(kh, &st, fn, arg);
	VEC_FREE(&st.list);
	return err;
}

/* the file the process says it keeps its log in */
static const char *path_of_file(struct kmem_heap *kh)
{
	taddr_t at = kh->names.sym[S_kmem_logfile];
	const struct view_row *path = &kh->names.row[F_kmem_logfile_klf_path];
	const void *raw = kmem_peek(kh, K_kmem_logfile, at);
	uint64_t id = 0;

	if (!raw || !path->is_bound ||
	    !kh->names.row[F_kmem_logfile_klf_id].is_bound)
		return NULL;
	memcpy(&id,
	       (const char *)raw +
		       kh->names.row[F_kmem_logfile_klf_id].offset_bytes,
	       sizeof(id));
	if (id == 0)
		return NULL;
	if (!kh->log_path)
		kh->log_path = mem_strndup(
			(const char *)raw + path->offset_bytes,
			strnlen((const char *)raw + path->offset_bytes,
				path->size_bytes));
	for (char *c = kh->log_path; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	return kh->log_path;
}

bool kmem_coverage(struct heap *heap, struct heap_coverage *ret)
{
	struct kmem_heap *kh = heap->priv;
	taddr_t log = header_of(kh, HEAP_LOG_TRANSACTION);
	const void *raw = kmem_peek(kh, K_kmem_log_header, log);
	const struct view_row *lost = &kh->names.row[F_kmem_log_header_lh_lost];

	*ret = (struct heap_coverage){.since_ns = HEAP_NOT_KNOWN};
	if (!raw && !kh->logfile)
		return false;
	if (raw && lost->is_bound)
		ret->since_ns = kmem_get(kh, F_kmem_log_header_lh_lost, raw);
	ret->path = path_of_file(kh);
	if (ret->path) {
		taddr_t at = kh->names.sym[S_kmem_logfile];

		ret->stop_ns = kmem_get_at(kh, F_kmem_logfile_klf_stop, at);
		ret->stop_errno =
			(int)kmem_get_at(kh, F_kmem_logfile_klf_errno, at);
	}
	kmem_logfile_covers(kh, ret);
	return true;
}

/* ---- the allocator as a whole ---------------------------------------- */

#define MESSAGE_MAX 8192

void kmem_status(struct heap *heap, struct heap_status *ret)
{
	static const struct {
		const char *name;
		enum kmem_sym sym;
	} logs[] = {
		{"transaction", S_kmem_transaction_log},
		{"contents", S_kmem_content_log},
		{"fail", S_kmem_failure_log},
		{"slab", S_kmem_slab_log},
		{"zerosized", S_kmem_zerosized_log},
	};
	struct kmem_heap *kh = heap->priv;
	taddr_t text = kh->names.sym[S_kmem_error_buffer];

	*ret = (struct heap_status){.concurrency = kh->ncpus};
	ret->is_logging = kmem_global(kh, S_kmem_logging, 4) != 0;
	for (size_t i = 0; i < sizeof(logs) / sizeof(*logs); i++) {
		taddr_t at = kmem_global(kh, logs[i].sym, 8);
		const void *raw = kmem_peek(kh, K_kmem_log_header, at);

		if (!raw)
			continue;
		ret->log[ret->nlogs].name = logs[i].name;
		ret->log[ret->nlogs++].bytes =
			kmem_get(kh, F_kmem_log_header_lh_chunksize, raw) *
			kmem_get(kh, F_kmem_log_header_lh_nchunks, raw);
	}
	if (text)
		err_free(target_read_str(kh->t, text, MESSAGE_MAX,
					 &ret->message));
}

/* ---- a raw hash table ------------------------------------------------ */

static struct err *hash_entry(struct kmem_heap *kh, const struct kmem_cache *kc,
			      taddr_t at, struct heap_audit *ret)
{
	const void *raw = NULL;

	if (kc->pub.has_audit)
		return kmem_audit_at(kh->heap, at, ret);
	raw = kmem_peek(kh, K_kmem_bufctl, at);
	if (!raw)
		return err_new(ERR_FAULT, "no bufctl at 0x%" PRIx64, at);
	*ret = (struct heap_audit){
		.addr = at,
		.buf = kmem_get(kh, F_kmem_bufctl_bc_addr, raw),
		.slab = kmem_get(kh, F_kmem_bufctl_bc_slab, raw),
		.cache = kc->pub.addr,
		.kind = "",
		.cpu = -1,
	};
	return NULL;
}

/* one chain; what cannot be read ends it, and the next one is told */
static struct err *hash_chain(struct kmem_heap *kh, const struct kmem_cache *kc,
			      taddr_t at, heap_audit_fn *fn, void *arg)
{
	struct kmem_loop loop = {0};
	struct err *err = NULL;

	while (!err && at) {
		struct heap_audit a = {0};
		bool is_seen = kmem_loop_seen(&loop, at);

		err = is_seen ? NULL : hash_entry(kh, kc, at, &a);
		if (err || is_seen) {
			err_free(err);
			kmem_damage(kh, at, kc->pub.addr,
				    "cache %s: hash entry 0x%" PRIx64 " %s",
				    kc->name, at,
				    is_seen ? "is in the table twice"
					    : "is not in the dump");
			return NULL;
		}
		at = kmem_get_at(kh, F_kmem_bufctl_bc_next, at);
		err = fn(arg, &a);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

struct err *kmem_hash(struct heap *heap, taddr_t cache, heap_audit_fn *fn,
		      void *arg)
{
	struct kmem_heap *kh = heap->priv;
	const struct kmem_cache *kc = NULL;
	struct err *err = kmem_load_cache(kh, cache, &kc);

	if (err)
		return err;
	if (!kc->pub.has_hash || kc->hash_mask >= kh->total_bytes / 8)
		return NULL;
	for (uint64_t i = 0; !err && i <= kc->hash_mask; i++) {
		uint64_t at = 0;

		err = target_read_u64(kh->t, kc->hash_table + i * 8, &at);
		if (!err)
			err = hash_chain(kh, kc, at, fn, arg);
		if (!err && (i & 0xffff) == 0)
			err = interrupt_check();
	}
	return err;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image, made by hand, that the libkmem back end is tested on.
 *
 * The structs here have layouts of their own: names are what binds, so nothing
 * may depend on libkmem's.  The image:
 *
 *   raw     a cache of 8 buffers of 64 bytes with guards, one slab; buffers 6
 *           and 7 are on its free list, 4 and 5 in a CPU's magazine, 3 in the
 *           depot; 0, 1, 2 are allocated
 *   hash    a cache of 4 audited buffers of 128 bytes; 0 and 1 are in the hash
 *           table, 2 and 3 on the free list
 *   big     one allocated segment of 8192 bytes
 */
#ifndef HEAP_KMEM_WORLD_H
#define HEAP_KMEM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <elf.h>
#include <string.h>
#include "base/strbuf.h"
#include "heap/heap_impl.h"
#include "heap/heap_kmem_impl.h"

#define AT    0x100000ULL
#define BYTES 0x40000ULL

struct t_cpu {
	uint32_t lock, flags;
	uint64_t loaded, ploaded;
	int16_t magsize;
	int32_t rounds, prounds;
};
struct t_maglist {
	uint64_t list, total, nalloc;
};
struct t_cache {
	uint64_t next;
	char name[24];
	uint32_t lock, flags, cflags;
	uint64_t bufsize, chunk, slabsize, bufctl, buftag, verify;
	uint64_t hash_mask, hash_shift, hash_table, complete, partial, magtype;
	uint64_t arena, buftotal, created, destroyed, slab_alloc;
	struct t_maglist full;
	struct t_cpu cpu[2];
};
struct t_slab {
	uint64_t cache, base, next, head;
	uint16_t refcnt, chunks;
};
struct t_bufctl {
	uint64_t addr, next, slab;
	uint64_t cache, stamp, lastlog, contents;
	uint32_t thread : 24, kind : 8;
	uint32_t what, stack;
};
struct t_buftag {
	uint64_t redzone, bufctl, bxstat;
};
struct t_mag {
	uint64_t next, round[4];
};
struct t_seg {
	uint64_t start, end, anext, aprev;
	uint16_t type;
	uint64_t import, stamp;
	uint32_t thread, stack;
};
struct t_vmem {
	uint64_t next, source, quantum;
	char name[16];
	uint32_t cflags, id, lock;
	uint64_t inuse, total, import, nalloc, nfail;
	struct t_seg seg0;
};
struct t_log {
	uint64_t base, chunksize;
	uint32_t nchunks;
};
struct t_stack {
	uint32_t depth, pad;
	uint64_t pc[4];
};

struct image {
	/* pages, so first */
	unsigned char raw_mem[4096], hash_mem[4096], big_mem[8192];
	/* symbols */
	uint64_t vmem_list, vmem_heap, default_arena, oversize_arena;
	uint64_t seg_size, log_header;
	uint32_t ready, ncpus, nown;
	uint64_t patterns[24];
	char error[64];
	uint64_t depot[4];
	struct t_cache null, raw, hash;
	struct t_slab raw_slab, hash_slab, spare_slab;
	struct t_bufctl ctl[4];
	uint64_t table[4];
	uint32_t magsize;
	struct t_mag mag[4];
	struct t_vmem heap, dflt, over;
	struct t_seg seg[8];
	struct t_log log;
	struct t_bufctl records[8];
	struct t_stack stacks[2];
};

#define A(member) (AT + offsetof(struct image, member))

struct world {
	struct image *im;
	struct target *t;
	struct heap *heap;
	struct kmem_names names;
};

enum {
	P_FREE,
	P_UNINIT,
	P_REDZONE,
	P_TAG_ALLOC,
	P_TAG_FREE,
	P_BYTE,
	P_MUL,
	P_SHIFT,
	P_AUDIT,
	P_DEADBEEF,
	P_RZ,
	P_NOMAG,
	P_LITE,
	P_HASH,
	P_NOTOUCH,
	P_QCACHE,
	P_IDENT,
	P_SEG_ALLOC,
	P_SEG_FREE,
	P_SEG_SPAN,
	P_SEG_ROTOR,
	P_SEG_WALKER,
	P_N
};
static const uint64_t numbers[P_N] = {
	0xdeadbeefdeadbeef,
	0xbaddcafebaddcafe,
	0xfeedfacefeedface,
	0xa110c8ed,
	0xf4eef4ee,
	0xbb,
	251,
	17,
	/* bits of this library only */
	0x10,
	0x20,
	0x40,
	0x80,
	0x100,
	0x200,
	0x1,
	0x2,
	0x4,
	7,
	8,
	9,
	10,
	11,
};

/* ---- names ----------------------------------------------------------- */

static inline void row(struct kmem_names *n, enum kmem_field f, size_t offset,
		       size_t size, bool is_signed)
{
	n->row[f] = (struct view_row){
		.is_bound = true,
		.offset_bytes = (uint32_t)offset,
		.size_bytes = (uint32_t)size,
		.elem_bytes = (uint32_t)size,
		.is_signed = is_signed,
	};
}

#define ROW(f, type, member)                         \
	row(n, F_##f, offsetof(struct type, member), \
	    sizeof(((struct type *)0)->member), false)
#define SROW(f, type, member)                        \
	row(n, F_##f, offsetof(struct type, member), \
	    sizeof(((struct type *)0)->member), true)

static inline void bind_caches(struct kmem_names *n)
{
	ROW(kmem_cache_cache_next, t_cache, next);
	ROW(kmem_cache_cache_name, t_cache, name);
	ROW(kmem_cache_cache_lock, t_cache, lock);
	ROW(kmem_cache_cache_flags, t_cache, flags);
	ROW(kmem_cache_cache_cflags, t_cache, cflags);
	ROW(kmem_cache_cache_bufsize, t_cache, bufsize);
	ROW(kmem_cache_cache_chunksize, t_cache, chunk);
	ROW(kmem_cache_cache_slabsize, t_cache, slabsize);
	ROW(kmem_cache_cache_bufctl, t_cache, bufctl);
	ROW(kmem_cache_cache_buftag, t_cache, buftag);
	ROW(kmem_cache_cache_verify, t_cache, verify);
	ROW(kmem_cache_cache_hash_mask, t_cache, hash_mask);
	ROW(kmem_cache_cache_hash_shift, t_cache, hash_shift);
	ROW(kmem_cache_cache_hash_table, t_cache, hash_table);
	ROW(kmem_cache_cache_complete_slabs, t_cache, complete);
	ROW(kmem_cache_cache_partial_slabs, t_cache, partial);
	ROW(kmem_cache_cache_magtype, t_cache, magtype);
	ROW(kmem_cache_cache_arena, t_cache, arena);
	ROW(kmem_cache_cache_buftotal, t_cache, buftotal);
	ROW(kmem_cache_cache_slab_create, t_cache, created);
	ROW(kmem_cache_cache_slab_destroy, t_cache, destroyed);
	ROW(kmem_cache_cache_slab_alloc, t_cache, slab_alloc);
	ROW(kmem_cache_cache_full, t_cache, full);
	ROW(kmem_cache_cache_cpu, t_cache, cpu);
	n->struct_bytes[K_kmem_cache] = offsetof(struct t_cache, cpu);
	ROW(kmem_maglist_ml_list, t_maglist, list);
	ROW(kmem_maglist_ml_total, t_maglist, total);
	ROW(kmem_maglist_ml_alloc, t_maglist, nalloc);
	ROW(kmem_cpu_cache_cc_lock, t_cpu, lock);
	ROW(kmem_cpu_cache_cc_loaded, t_cpu, loaded);
	ROW(kmem_cpu_cache_cc_ploaded, t_cpu, ploaded);
	SROW(kmem_cpu_cache_cc_magsize, t_cpu, magsize);
	SROW(kmem_cpu_cache_cc_rounds, t_cpu, rounds);
	SROW(kmem_cpu_cache_cc_prounds, t_cpu, prounds);
	n->struct_bytes[K_kmem_cpu_cache] = sizeof(struct t_cpu);
	ROW(kmem_magazine_mag_next, t_mag, next);
	row(n, F_kmem_magazine_mag_round, offsetof(struct t_mag, round), 8,
	    false);
	row(n, F_kmem_magtype_mt_magsize, 0, 4, false);
}

static inline void bind_slabs(struct kmem_names *n)
{
	ROW(kmem_slab_slab_cache, t_slab, cache);
	ROW(kmem_slab_slab_base, t_slab, base);
	ROW(kmem_slab_slab_next, t_slab, next);
	ROW(kmem_slab_slab_head, t_slab, head);
	ROW(kmem_slab_slab_refcnt, t_slab, refcnt);
	ROW(kmem_slab_slab_chunks, t_slab, chunks);
	n->struct_bytes[K_kmem_slab] = sizeof(struct t_slab);
	ROW(kmem_bufctl_bc_next, t_bufctl, next);
	ROW(kmem_bufctl_bc_addr, t_bufctl, addr);
	ROW(kmem_bufctl_bc_slab, t_bufctl, slab);
	n->struct_bytes[K_kmem_bufctl] = offsetof(struct t_bufctl, cache);
	ROW(kmem_bufctl_audit_bc_addr, t_bufctl, addr);
	ROW(kmem_bufctl_audit_bc_slab, t_bufctl, slab);
	ROW(kmem_bufctl_audit_bc_cache, t_bufctl, cache);
	ROW(kmem_bufctl_audit_bc_timestamp, t_bufctl, stamp);
	ROW(kmem_bufctl_audit_bc_lastlog, t_bufctl, lastlog);
	ROW(kmem_bufctl_audit_bc_what, t_bufctl, what);
	ROW(kmem_bufctl_audit_bc_stack, t_bufctl, stack);
	row(n, F_kmem_bufctl_audit_bc_thread,
	    offsetof(struct t_bufctl, contents) + 8, 4, false);
	n->row[F_kmem_bufctl_audit_bc_thread].bit_size = 24;
	n->struct_bytes[K_kmem_bufctl_audit] = sizeof(struct t_bufctl);
	ROW(kmem_buftag_bt_redzone, t_buftag, redzone);
	ROW(kmem_buftag_bt_bufctl, t_buftag, bufctl);
	ROW(kmem_buftag_bt_bxstat, t_buftag, bxstat);
	n->struct_bytes[K_kmem_buftag] = sizeof(struct t_buftag);
}

static inline void bind_vmem(struct kmem_names *n)
{
	ROW(vmem_vm_name, t_vmem, name);
	ROW(vmem_vm_next, t_vmem, next);
	ROW(vmem_vm_source, t_vmem, source);
	ROW(vmem_vm_quantum, t_vmem, quantum);
	ROW(vmem_vm_cflags, t_vmem, cflags);
	ROW(vmem_vm_id, t_vmem, id);
	ROW(vmem_vm_seg0, t_vmem, seg0);
	row(n, F_vmem_vm_kstat, offsetof(struct t_vmem, inuse), 40, false);
	row(n, F_vmem_kstat_vk_mem_inuse, 0, 8, false);
	row(n, F_vmem_kstat_vk_mem_total, 8, 8, false);
	n->struct_bytes[K_vmem] = sizeof(struct t_vmem);
	ROW(vmem_seg_vs_start, t_seg, start);
	ROW(vmem_seg_vs_end, t_seg, end);
	ROW(vmem_seg_vs_anext, t_seg, anext);
	ROW(vmem_seg_vs_aprev, t_seg, aprev);
	ROW(vmem_seg_vs_type, t_seg, type);
	ROW(vmem_seg_vs_timestamp, t_seg, stamp);
	ROW(vmem_seg_vs_stack, t_seg, stack);
	ROW(vmem_seg_vs_thread, t_seg, thread);
	n->struct_bytes[K_vmem_seg] = sizeof(struct t_seg);
	ROW(kmem_log_header_lh_base, t_log, base);
	ROW(kmem_log_header_lh_chunksize, t_log, chunksize);
	ROW(kmem_log_header_lh_nchunks, t_log, nchunks);
	n->struct_bytes[K_kmem_log_header] = sizeof(struct t_log);
	row(n, F_kmem_stackdepot_sd_chunk, 0, 32, false);
	ROW(kmem_stack_st_depth, t_stack, depth);
	row(n, F_kmem_stack_st_pc, offsetof(struct t_stack, pc), 8, false);
	n->struct_bytes[K_kmem_stack] = sizeof(struct t_stack);
}

static inline void bind(struct kmem_names *n)
{
	static const enum kmem_field patterns[P_N] = {
		F_kmem_patterns_kp_free,
		F_kmem_patterns_kp_uninitialized,
		F_kmem_patterns_kp_redzone,
		F_kmem_patterns_kp_buftag_alloc,
		F_kmem_patterns_kp_buftag_free,
		F_kmem_patterns_kp_redzone_byte,
		F_kmem_patterns_kp_size_mul,
		F_kmem_patterns_kp_stack_shift,
		F_kmem_patterns_kp_kmf_audit,
		F_kmem_patterns_kp_kmf_deadbeef,
		F_kmem_patterns_kp_kmf_redzone,
		F_kmem_patterns_kp_kmf_nomagazine,
		F_kmem_patterns_kp_kmf_lite,
		F_kmem_patterns_kp_kmf_hash,
		F_kmem_patterns_kp_kmc_notouch,
		F_kmem_patterns_kp_kmc_qcache,
		F_kmem_patterns_kp_vmc_identifier,
		F_kmem_patterns_kp_seg_alloc,
		F_kmem_patterns_kp_seg_free,
		F_kmem_patterns_kp_seg_span,
		F_kmem_patterns_kp_seg_rotor,
		F_kmem_patterns_kp_seg_walker,
	};

	for (size_t i = 0; i < P_N; i++)
		row(n, patterns[i], i * 8, 8, false);
	n->struct_bytes[K_kmem_patterns] = P_N * 8;
	n->sym[S_kmem_patterns] = A(patterns);
	n->sym[S_kmem_ready] = A(ready);
	n->sym[S_kmem_max_ncpus] = A(ncpus);
	n->sym[S_kmem_null_cache] = A(null);
	n->sym[S_kmem_default_arena] = A(default_arena);
	n->sym[S_kmem_oversize_arena] = A(oversize_arena);
	n->sym[S_kmem_transaction_log] = A(log_header);
	n->sym[S_kmem_stackdepot] = A(depot);
	n->sym[S_vmem_list] = A(vmem_list);
	n->sym[S_vmem_heap] = A(vmem_heap);
	n->sym[S_vmem_seg_size] = A(seg_size);
	n->sym[S_vmem_nown] = A(nown);
	n->what_alloc = 1;
	n->what_free = 2;
	bind_caches(n);
	bind_slabs(n);
	bind_vmem(n);
}

/* ---- the image ------------------------------------------------------- */

#define RAW(i)  (A(raw_mem) + (i)*96ULL)
#define HASH(i) (A(hash_mem) + (i)*256ULL)

static inline void put(struct image *im, uint64_t addr, uint64_t value)
{
	memcpy((char *)im + (addr - AT), &value, 8);
}

static inline void tag(struct image *im, uint64_t buf, uint64_t tag_off,
		       uint64_t bufctl, bool is_free, uint64_t size)
{
	uint64_t redzone = numbers[P_REDZONE];

	if (!is_free && size)
		redzone = (redzone & 0xffffffff) | (251 * size + 1) << 32;
	if (!is_free && size == tag_off)
		redzone = (redzone & ~0xffULL) | 0xbb;
	put(im, buf + tag_off, redzone);
	put(im, buf + tag_off + 8, bufctl);
	put(im, buf + tag_off + 16,
	    bufctl ^ numbers[is_free ? P_TAG_FREE : P_TAG_ALLOC]);
	/* the padding up to the next chunk */
	for (uint64_t i = tag_off + 24; i < (tag_off == 64 ? 96 : 256); i += 8)
		put(im, buf + i, numbers[P_UNINIT]);
	for (uint64_t i = 0; i < tag_off; i += 8)
		put(im, buf + i, numbers[is_free ? P_FREE : P_UNINIT]);
	if (!is_free && size && size < tag_off)
		((unsigned char *)im)[buf + size - AT] = 0xbb;
}

static inline void make_raw(struct image *im)
{
	struct t_cache *c = &im->raw;

	*c = (struct t_cache){
		.next = A(hash),
		.name = "raw",
		.flags = 0x20 | 0x40,
		.bufsize = 64,
		.chunk = 96,
		.slabsize = 4096,
		.bufctl = 64,
		.buftag = 64,
		.verify = 64,
		.partial = A(raw_slab),
		.magtype = A(magsize),
		.arena = A(dflt),
		.buftotal = 8,
		.created = 1,
		.full = {.list = A(mag[2]), .total = 1},
	};
	c->cpu[1] = (struct t_cpu){.loaded = A(mag[0]),
				   .ploaded = 0,
				   .magsize = 1,
				   .rounds = 1,
				   .prounds = -1};
	c->cpu[0] = (struct t_cpu){
		.loaded = A(mag[1]), .magsize = 1, .rounds = 1, .prounds = -1};
	im->mag[0].round[0] = RAW(4);
	im->mag[1].round[0] = RAW(5);
	im->mag[2].round[0] = RAW(3);
	im->magsize = 1;
	im->raw_slab = (struct t_slab){.cache = A(raw),
				       .base = RAW(0),
				       .head = RAW(7) + 64,
				       .refcnt = 6,
				       .chunks = 8};
	for (int i = 0; i < 8; i++)
		tag(im, RAW(i), 64, RAW(i) + 64, i > 2,
		    i == 0   ? 20
		    : i == 1 ? 64
			     : 0);
	put(im, RAW(7) + 64, RAW(6) + 64);
	put(im, RAW(6) + 64, 0);
}

static inline void make_hash(struct image *im)
{
	im->hash = (struct t_cache){
		.next = A(null),
		.name = "hash",
		.flags = 0x10 | 0x200 | 0x40,
		.bufsize = 128,
		.chunk = 256,
		.slabsize = 4096,
		.buftag = 128,
		.hash_mask = 3,
		.hash_shift = 8,
		.hash_table = A(table),
		.partial = A(hash_slab),
		.arena = A(dflt),
		.buftotal = 4,
		.created = 1,
		.magtype = A(magsize),
	};
	im->hash_slab = (struct t_slab){.cache = A(hash),
					.base = HASH(0),
					.head = A(ctl[2]),
					.refcnt = 2,
					.chunks = 4};
	for (int i = 0; i < 4; i++) {
		im->ctl[i] = (struct t_bufctl){
			.addr = HASH(i),
			.slab = A(hash_slab),
			.cache = A(hash),
			.stamp = 100 + (uint64_t)i,
			.thread = 77,
			.what = i < 2 ? 1 : 2,
			.stack = i == 0 ? 1 : 0,
		};
		tag(im, HASH(i), 128, A(ctl[i]), i >= 2, i == 0 ? 100 : 0);
	}
	im->ctl[2].next = A(ctl[3]);
	/* both in one chain */
	im->table[1] = A(ctl[0]);
	im->ctl[0].next = A(ctl[1]);
}

static inline void seg(struct image *im, int i, uint64_t start, uint64_t end,
		       int type, uint64_t prev, uint64_t next)
{
	im->seg[i] = (struct t_seg){.start = start,
				    .end = end,
				    .type = (uint16_t)numbers[type],
				    .anext = next,
				    .aprev = prev};
}

static inline void ring(struct t_vmem *v, uint64_t self, uint64_t first,
			uint64_t last)
{
	uint64_t head = self + offsetof(struct t_vmem, seg0);

	v->seg0.anext = first ? first : head;
	v->seg0.aprev = last ? last : head;
}

#define SEG0(v) (A(v) + offsetof(struct t_vmem, seg0))

static inline void make_vmem(struct image *im)
{
	im->heap = (struct t_vmem){.next = A(dflt),
				   .quantum = 4096,
				   .name = "heap",
				   .id = 1,
				   .total = BYTES,
				   .inuse = BYTES};
	im->dflt = (struct t_vmem){.next = A(over),
				   .quantum = 4096,
				   .name = "kmem_default",
				   .id = 2,
				   .source = A(heap)};
	im->over = (struct t_vmem){.quantum = 4096,
				   .name = "kmem_oversize",
				   .id = 3,
				   .source = A(heap),
				   .total = 8192,
				   .inuse = 8000};
	seg(im, 0, AT, AT + BYTES, P_SEG_SPAN, SEG0(heap), A(seg[1]));
	seg(im, 1, AT, AT + BYTES, P_SEG_ALLOC, A(seg[0]), SEG0(heap));
	ring(&im->heap, A(heap), A(seg[0]), A(seg[1]));
	ring(&im->dflt, A(dflt), 0, 0);
	seg(im, 2, A(big_mem), A(big_mem) + 8192, P_SEG_SPAN, SEG0(over),
	    A(seg[3]));
	seg(im, 3, A(big_mem), A(big_mem) + 8000, P_SEG_ALLOC, A(seg[2]),
	    SEG0(over));
	im->seg[3].stamp = 55;
	im->seg[3].stack = 1;
	im->seg[3].thread = 9;
	ring(&im->over, A(over), A(seg[2]), A(seg[3]));
	im->vmem_list = A(heap);
	im->vmem_heap = A(heap);
	im->default_arena = A(dflt);
	im->oversize_arena = A(over);
	im->seg_size = sizeof(struct t_seg);
	im->nown = 3;
}

static inline void make_log(struct image *im)
{
	im->log_header = A(log);
	im->log = (struct t_log){.base = A(records),
				 .chunksize = 4 * sizeof(struct t_bufctl) + 8,
				 .nchunks = 1};
	for (int i = 0; i < 4; i++)
		im->records[i] = (struct t_bufctl){
			.addr = HASH(0),
			.cache = A(hash),
			.stamp = (uint64_t[]){30, 10, 0, 20}[i]};
	/* chunk 0 of the depot starts 8 bytes below the first stack: id 1 */
	im->depot[0] = A(stacks[0]) - 8;
	im->stacks[0] = (struct t_stack){.depth = 3,
					 .pc = {0x401000, 0x402000, 0x403000}};
}

static inline struct world *world(void)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct image *im = mem_zalloc(BYTES);

	assert_true(sizeof(*im) <= BYTES);
	w->im = im;
	memcpy(im->patterns, numbers, sizeof(numbers));
	im->ready = 2;
	im->ncpus = 2;
	im->null.next = A(raw);
	make_raw(im);
	make_hash(im);
	make_vmem(im);
	make_log(im);
	bind(&w->names);
	return w;
}

static inline void open_world(struct world *w)
{
	w->t = target_mem_create();
	target_mem_add(w->t, AT, w->im, BYTES, PF_R | PF_W);
	w->heap = mem_zalloc(sizeof(*w->heap));
	w->heap->ops = &heap_kmem_ops;
	w->heap->target = w->t;
	struct err *err = kmem_open_named(w->heap, &w->names);

	assert_null(err);
}

static inline void done(struct world *w)
{
	heap_close(w->heap);
	target_close(w->t);
	mem_free(w->im);
	mem_free(w);
}

/* ---- what is asked of it --------------------------------------------- */

struct list {
	VEC(struct heap_buf) v;
	struct strbuf text;
	uint64_t base, stride;
	size_t nfindings;
};

static inline struct err *add_buf(void *arg, const struct heap_buf *b)
{
	struct list *l = arg;

	VEC_PUSH(&l->v, *b);
	if (l->stride && b->kind == BUF_IN_CACHE)
		strbuf_printf(&l->text, "%d",
			      (int)((b->addr - l->base) / l->stride));
	else
		strbuf_puts(&l->text, "B");
	return NULL;
}

/* the numbers of a cache's buffers in some state, as digits */
static inline void expect_bufs(struct world *w, bool is_hash, unsigned states,
			       const char *want)
{
	struct list l = {.base = is_hash ? HASH(0) : RAW(0),
			 .stride = is_hash ? 256 : 96};
	struct err *err = w->heap->ops->bufs(
		w->heap, is_hash ? A(hash) : A(raw), states, add_buf, &l);

	assert_null(err);
	assert_string_equal(strbuf_str(&l.text), want);
	VEC_FREE(&l.v);
	strbuf_free(&l.text);
}

static inline void expect_healthy(struct world *w)
{
	assert_int_equal(w->heap->health.nfindings, 0);
	assert_null(w->heap->health.first_finding);
}

static inline void expect_damage(struct world *w, const char *what)
{
	expect_bufs(w, false, 0, ""); /* loads */
	assert_true(w->heap->health.nfindings > 0);
	assert_non_null(w->heap->health.first_finding);
	if (!strstr(w->heap->health.first_finding, what))
		fail_msg("\"%s\" is not in \"%s\"", what,
			 w->heap->health.first_finding);
}

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the libkmem back end share. */
#ifndef HEAP_HEAP_KMEM_IMPL_H
#define HEAP_HEAP_KMEM_IMPL_H

#include <inttypes.h>
#include "base/hash.h"
#include "base/mem.h"
#include "heap/heap.h"

/* ---- names: contract.def bound to one target ------------------------- */

/* one enumerator a symbol: S_kmem_flags */
enum kmem_sym {
#define KC_SYM(name, required) S_##name,
#define KC_FIELD(struct_, member, required)
#include "contract/contract.def"
#undef KC_SYM
#undef KC_FIELD
	S_MAX
};

/* one enumerator a member: F_vmem_vm_name */
enum kmem_field {
#define KC_SYM(name, required)
#define KC_FIELD(struct_, member, required) F_##struct_##_##member,
#include "contract/contract.def"
#undef KC_SYM
#undef KC_FIELD
	F_MAX
};

/* structs that are read whole */
enum kmem_struct {
	K_vmem_seg,
	K_vmem,
	K_kmem_bufctl,
	K_kmem_bufctl_audit,
	K_kmem_buftag,
	K_kmem_slab,
	K_kmem_magazine,
	K_kmem_magtype,
	K_kmem_cpu_cache,
	K_kmem_maglist,
	K_kmem_cache,
	K_kmem_log_header,
	K_kmem_stack,
	K_kmem_stackdepot,
	K_kmem_panic_info,
	K_kmem_patterns,
	K_vmem_kstat,
	K_kmem_cpu_log_header,
	K_kmem_thread,
	K_kmem_thread_bin,
	K_kmem_waiter,
	K_map,
	K_mapent,
	K_kmem_mismatch,
	K_kmem_logfile,
	K_MAX
};

/* everything that depends on the build of libkmem; filled from symbols and
 * DWARF by heap_kmem.c, by hand in unit tests */
struct kmem_names {
	taddr_t sym[S_MAX]; /* 0: not there */
	struct view_row row[F_MAX];
	uint64_t struct_bytes[K_MAX]; /* 0: not known */
	taddr_t own_start, own_end;   /* the object's data; equal: static */
	char *kind[16]; /* "malloc", ... by enum kmem_kind; owned */
	unsigned what_alloc, what_free, what_fail, what_slab;
};

/* numbers read from the target, see kmem_patterns */
struct kmem_numbers {
	uint64_t free, uninitialized, redzone, buftag_alloc, buftag_free;
	uint64_t redzone_byte, size_mul, stack_shift;
	uint64_t kmf_audit, kmf_deadbeef, kmf_redzone, kmf_lite, kmf_hash;
	uint64_t kmf_nomagazine;
	uint64_t kmc_notouch, kmc_qcache, vmc_identifier;
	uint64_t seg_alloc, seg_free, seg_span, seg_rotor, seg_walker;
};

/* ---- the heap as it was read ----------------------------------------- */

struct kmem_cache {
	struct heap_cache pub;
	char *name;              /* owned */
	char *thread_walker[2];  /* owned: see heap_cache */
	VEC(taddr_t) in_threads; /* free buffers that threads keep */
	uint64_t chunk_bytes, slab_bytes;
	uint64_t bufctl_off, buftag_off, verify_bytes;
	uint64_t quantum_bytes; /* of its arena */
	uint64_t hash_mask, hash_shift;
	taddr_t hash_table, complete, partial, magtype;
	taddr_t full_list;
	uint64_t size_class; /* + 1; threads keep some of it.  0: they do not */
	uint64_t full_total;
	bool has_buftag, has_deadbeef, has_redzone, is_lite;
	bool is_hash;   /* the hash table was read */
	bool is_usable; /* its geometry makes sense */
	bool is_leaf; /* its buffers hold data: no quantum cache, whose buffers
			 * hold slabs, and not of identifiers */
	size_t first_slab, nslabs; /* in slabs[] */
	uint64_t nhashed;
};

#define NO_INDEX      ((size_t)-1)
#define STATE_UNKNOWN 0

struct kmem_slab {
	taddr_t addr;
	taddr_t base; /* first buffer */
	taddr_t head; /* first free bufctl */
	taddr_t back; /* its link to the slab before it in the list */
	uint32_t nbufs, nused;
	uint32_t cache; /* in caches[] */
	bool is_complete;
	bool is_nomove;
	bool is_dropped;    /* overlaps another: not looked at */
	bool is_torn;       /* its free list is damaged */
	bool is_loaded;     /* the state of its buffers is known */
	bool is_whole;      /* kmem_sweep() found nothing wrong */
	size_t first_state; /* of its buffers in state[] */
	size_t first_ctl;   /* in ctl[], NO_INDEX for raw slabs */
	size_t first_asked; /* in asked[], NO_INDEX: tags do not say */
};

struct kmem_arena {
	struct heap_arena pub;
	char *name;     /* owned */
	bool is_source; /* another arena or a cache draws on it */
	bool is_root;   /* vmem_heap */
	bool is_oversize;
};

/* an allocated segment that is a buffer */
struct kmem_big {
	taddr_t start, end, seg, arena;
	bool has_guard; /* its last page is filled behind end */
};

struct kmem_logfile;

struct kmem_heap {
	struct heap *heap;
	struct kmem_logfile *logfile; /* NULL: none was opened */
	char *log_path;               /* as the process says; owned */
	taddr_t oversize;             /* its arena */
	struct target *t;
	struct types *types;
	struct kmem_names names;
	struct kmem_numbers num;
	uint32_t ncpus;
	uint64_t seg_bytes;   /* vmem_seg_size */
	bool is_bufctl_short; /* that of a buffer ends before bc_cache */
	uint64_t oversize_tag_bytes;
	uint64_t total_bytes; /* mapped memory: no count can exceed it */
	bool is_loaded;
	VEC(struct kmem_cache) caches;
	VEC(struct kmem_slab) slabs;
	uint32_t *by_base; /* slabs[] that are memory of clients or of the
			    * allocator, not of arenas; ascending by base */
	size_t nby_base;
	uint32_t *by_page;   /* where in by_base[] to begin, of each page */
	uint64_t first_page; /* which is not a page of the system, but 4 KB */
	uint64_t npages;     /* 0: too many */
	uint32_t *order; /* each cache's slabs ascending by base, in the places
			  * they have in slabs[] */
	VEC(uint8_t) state; /* enum buf_state of each buffer */
	VEC(taddr_t) ctl;   /* bufctl of each buffer of hashed caches */
	VEC(uint16_t)
	asked; /* 1 + what was asked for, of each allocated buffer
			      * of caches with guards; 0: ask its tag */
	VEC(struct kmem_arena) arenas;
	VEC(struct kmem_big) bigs;         /* ascending */
	VEC(struct heap_finding) findings; /* damage met while loading */
	struct hash noted;    /* their texts: what is met again is not new */
	struct hash stacks;   /* that bufctls of whole slabs name */
	uint64_t nmet;        /* that, too, included */
	VEC(taddr_t) numbers; /* segments of identifier arenas, ascending */
	bool has_numbers;     /* which were looked for */
	unsigned char *scratch[K_MAX]; /* for structs that lie across maps */
};

/* at most so many findings are kept; all are counted */
#define KMEM_FINDINGS_MAX 1000
#define KMEM_NAME_MAX     64
/* a chain of sources that is longer is a ring */
#define KMEM_DEPTH_MAX 64

/* ---- heap_kmem.c ----------------------------------------------------- */

/**
 * Opens a heap whose names are bound already.
 *
 * @heap:   borrowed; ops, target and types are set; priv is filled
 * @names:  its contents are taken over
 */
struct err *kmem_open_named(struct heap *heap,
			    struct kmem_names *names) must_use;

/**
 * The bytes of a struct of the target, or NULL when they are not all there.
 * Borrowed until the next call for the same struct.
 */
const void *kmem_peek(struct kmem_heap *kh, enum kmem_struct what,
		      taddr_t addr);
/* a member out of kmem_peek()'s bytes; 0 when it is not recorded */
static inline uint64_t kmem_get(const struct kmem_heap *kh, enum kmem_field f,
				const void *raw)
{
	const struct view_row *row = &kh->names.row[f];
	uint64_t word = 0;
	uint32_t half = 0;

	if (!row->is_bound)
		return 0;
	if (row->elem_bytes == sizeof(word) && !row->bit_size) {
		memcpy(&word, (const char *)raw + row->offset_bytes,
		       sizeof(word));
		return word;
	}
	if (row->elem_bytes == sizeof(half) && !row->bit_size &&
	    !row->is_signed) {
		memcpy(&half, (const char *)raw + row->offset_bytes,
		       sizeof(half));
		return half;
	}
	/* bits within a byte */
	if (row->size_bytes == 1 && row->bit_size && !row->is_signed)
		return ((const unsigned char *)raw)[row->offset_bytes] >>
			       row->bit_offset &
		       ((1U << row->bit_size) - 1);
	return view_get(row, raw);
}
/** A member of a struct in memory; 0 when it cannot be read. */
uint64_t kmem_get_at(struct kmem_heap *kh, enum kmem_field f, taddr_t addr);
/** The value of a pointer-sized or smaller global; 0 when it is not there. */
uint64_t kmem_global(struct kmem_heap *kh, enum kmem_sym s, size_t bytes);
/** Notes damage: counted in the heap's health, and kept for ::kmem_verify. */
void kmem_damage(struct kmem_heap *kh, taddr_t addr, taddr_t cache,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* is a member a plain word?  Then kmem_word() of its offset is what kmem_get()
 * says, for loops that ask a million times. */
static inline bool kmem_is_word(const struct kmem_heap *kh, enum kmem_field f)
{
	const struct view_row *row = &kh->names.row[f];

	return row->is_bound && row->elem_bytes == sizeof(uint64_t) &&
	       !row->bit_size;
}

static inline uint64_t kmem_word(const unsigned char *p)
{
	uint64_t word = 0;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* a look at mapped bytes that remembers where it was last; each thread has its
 * own */
struct kmem_look {
	const struct target *t;
	const struct target_map *map;
	const unsigned char *bytes; /* of map->start */
};

/** kmem_look() of a place in another map than the last. */
const unsigned char *kmem_look_there(struct kmem_look *l, taddr_t addr,
				     uint64_t n);

/* n bytes at addr, or NULL when they are not in one map of the dump */
static inline const unsigned char *kmem_look(struct kmem_look *l, taddr_t addr,
					     uint64_t n)
{
	if (!l->map || addr - l->map->start >= l->map->core_end - l->map->start)
		return kmem_look_there(l, addr, n);
	if (l->map->core_end - addr < n)
		return NULL;
	return l->bytes + (addr - l->map->start);
}

/** The buffers of a cache in slabs that kmem_sweep() did not find whole. */
struct err *kmem_doubtful_bufs(struct kmem_heap *kh,
			       const struct kmem_cache *kc, heap_buf_fn *fn,
			       void *arg);

/* bounded walks over lists: Brent's algorithm, no memory */
struct kmem_loop {
	taddr_t saved;
	uint64_t steps, limit;
};
/** Tells of each address of a list; true when it has come round. */
bool kmem_loop_seen(struct kmem_loop *loop, taddr_t addr);

/* ---- heap_kmem_load.c ------------------------------------------------ */

/** Reads every cache, slab and free list, once. */
struct err *kmem_load(struct kmem_heap *kh) must_use;
/** The same, and the cache at an address; ERR_NOTFOUND: there is none. */
struct err *kmem_load_cache(struct kmem_heap *kh, taddr_t addr,
			    const struct kmem_cache **ret) must_use;
/** The cache at an address, or NULL. */
const struct kmem_cache *kmem_cache_at(const struct kmem_heap *kh,
				       taddr_t addr);
/** The slab whose buffers hold addr, or NULL. */
struct kmem_slab *kmem_slab_at(const struct kmem_heap *kh, taddr_t addr);
/** The state's place of the buffer of a cache that starts exactly at addr, and
 * its slab; NULL when no buffer does. */
uint8_t *kmem_state_of(struct kmem_heap *kh, size_t cache, taddr_t addr,
		       struct kmem_slab **ret_slab);

/* ---- heap_kmem_bulk.c ------------------------------------------------ */

/** Reads the free lists of slabs of raw caches, on all processors; what is not
 * as it should be is left to be looked at again (is_loaded). */
struct err *kmem_load_raw_slabs(struct kmem_heap *kh) must_use;
/** The slots nparts, part and part_max of struct heap_ops. */
size_t kmem_part_max(struct heap *heap, size_t part);
struct err *kmem_nparts(struct heap *heap, size_t *ret_n);
bool kmem_part(struct heap *heap, size_t part, bool is_alone, heap_run_fn *fn,
	       void *arg);

/* ---- heap_kmem_mag.c ------------------------------------------------- */

/** Marks what magazines and depot of a cache hold as free. */
struct err *kmem_load_magazines(struct kmem_heap *kh, size_t cache) must_use;

/* ---- heap_kmem_vmem.c ------------------------------------------------ */

/** Reads the arenas; before the caches are. */
struct err *kmem_load_arenas(struct kmem_heap *kh) must_use;
/** Reads the allocated segments that are buffers; after the caches are. */
struct err *kmem_load_bigs(struct kmem_heap *kh) must_use;
/** The arena at an address, or NULL. */
struct kmem_arena *kmem_arena_at(const struct kmem_heap *kh, taddr_t addr);
struct err *kmem_arenas(struct heap *heap, heap_arena_fn *fn, void *arg);
struct err *kmem_segments(struct heap *heap, taddr_t arena, unsigned types,
			  heap_segment_fn *fn, void *arg);
struct err *kmem_own(struct heap *heap, struct heap_range **ret, size_t *ret_n);
struct err *kmem_segment_at(struct heap *heap, taddr_t addr,
			    struct heap_segment *ret);

/* ---- heap_kmem_log.c ------------------------------------------------- */

/** The slots audit, audit_at, log, hash and stack of struct heap_ops. */
bool kmem_audit_of(struct heap *heap, const struct heap_buf *buf,
		   struct heap_audit *ret);
struct err *kmem_audit_at(struct heap *heap, taddr_t addr,
			  struct heap_audit *ret);
/** audit_at of what is known to be a record: of a log, or a whole bufctl. */
struct err *kmem_record_at(struct kmem_heap *kh, taddr_t addr,
			   struct heap_audit *ret);
struct err *kmem_log(struct heap *heap, enum heap_log which, taddr_t log,
		     heap_audit_fn *fn, void *arg);
struct err *kmem_hash(struct heap *heap, taddr_t cache, heap_audit_fn *fn,
		      void *arg);
/** The slot coverage of struct heap_ops. */
bool kmem_coverage(struct heap *heap, struct heap_coverage *ret);
bool kmem_stack(struct heap *heap, uint32_t id, struct heap_stack *ret);
/** The slot status: the logs there are, their sizes, the last messages. */
void kmem_status(struct heap *heap, struct heap_status *ret);

/* ---- heap_kmem_mismatch.c -------------------------------------------- */

/** The slot mismatches of struct heap_ops. */
struct err *kmem_mismatches(struct heap *heap, uint64_t *ret_total,
			    heap_mismatch_fn *fn, void *arg);

/* ---- heap_kmem_logfile.c --------------------------------------------- */

/* a cache as the log's file tells of it */
struct kmem_file_cache {
	taddr_t addr;
	uint64_t stamp_ns; /* when it was made */
	uint64_t bufsize_bytes;
	char name[32];
};

typedef void kmem_raw_fn(void *arg, const void *raw);

/** The slot open_log of struct heap_ops. */
struct err *kmem_open_log(struct heap *heap, const char *path);
void kmem_logfile_close(struct kmem_logfile *lf);
/** Each record of the file that is open, written or not; none: no call. */
struct err *kmem_logfile_records(struct kmem_heap *kh, kmem_raw_fn *fn,
				 void *arg);
/** A stack the file tells. */
bool kmem_logfile_stack(struct kmem_heap *kh, uint32_t id,
			struct heap_stack *ret);
/** The slot cache_then of struct heap_ops. */
bool kmem_cache_then(struct heap *heap, taddr_t addr, uint64_t stamp_ns,
		     struct heap_cache *ret);
/** Adds what the file covers to what the log in memory does. */
void kmem_logfile_covers(struct kmem_heap *kh, struct heap_coverage *ret);

/* ---- heap_kmem_wait.c ------------------------------------------------ */

/** The slots waiters, rmaps and rmap_free of struct heap_ops. */
struct err *kmem_heap_waiters(struct heap *heap, heap_waiter_fn *fn, void *arg);
struct err *kmem_rmaps(struct heap *heap, heap_rmap_fn *fn, void *arg);
struct err *kmem_rmap_free(struct heap *heap, taddr_t map, heap_range_fn *fn,
			   void *arg);

/* ---- heap_kmem_lists.c ----------------------------------------------- */

/* where records of transactions are */
struct kmem_records {
	taddr_t start, end;
};

/** The records of the transaction log; none: an empty range. */
struct kmem_records kmem_records_of(struct kmem_heap *kh);
/** False: no record can be there.  0 is none, which is right. */
static inline bool kmem_is_record(const struct kmem_records *r, taddr_t at)
{
	return at == 0 || (at >= r->start && at < r->end && at % 8 == 0);
}

/** Notes as damage what is wrong with the lists and tables that no answer about
 * a buffer hangs on. */
struct err *kmem_verify_lists(struct kmem_heap *kh) must_use;

/* ---- heap_kmem_hash.c ------------------------------------------------ */

/** Reads the hash table of a cache, unless anything in it is not as it should
 * be (*ret_is): then nothing was done.  No buffer of it has a state yet. */
struct err *kmem_load_table(struct kmem_heap *kh, size_t cache,
			    bool *ret_is) must_use;

/* ---- heap_kmem_sweep.c ----------------------------------------------- */

/** Says of each slab whether everything about its buffers is surely as it should
 * be (is_whole), and notes the stacks that are named there; what is not is for
 * others to look at again.  States are known, but for BUF_TRANSIT. */
struct err *kmem_sweep(struct kmem_heap *kh) must_use;

/* ---- heap_kmem_verify.c ---------------------------------------------- */

/** The slot verify of struct heap_ops. */
struct err *kmem_verify(struct heap *heap, taddr_t cache, heap_finding_fn *fn,
			void *arg);
/** What the client asked for of the i-th buffer of a slab, when its tag still
 * says so; the size of the buffer when not. */
uint64_t kmem_requested(struct kmem_heap *kh, const struct kmem_slab *s,
			uint64_t i);

/* ---- what a buffer with guards should hold (heap_kmem_expect.c) ----- */

#define EVERY_BYTE 0x0101010101010101ULL

/* what stands behind a buffer of a cache with guards */
struct kmem_tag {
	uint64_t redzone, bufctl, bxstat;
};

/** The tag of the buffer at buf; false: not in the dump. */
bool kmem_read_tag(struct kmem_heap *kh, const struct kmem_cache *kc,
		   taddr_t buf, struct kmem_tag *ret);
/** The size a redzone says was asked for; false when it says none. */
bool kmem_decode_size(const struct kmem_heap *kh, const struct kmem_cache *kc,
		      uint64_t redzone, uint64_t *ret);
/** True when the redzone of a free buffer is not checked: on its slab's free
 * list a raw one has its link there, and a lite one never had a redzone. */
bool kmem_has_free_link(const struct kmem_cache *kc, const struct heap_buf *b);
/** What lies in front of a buffer, behind the tag of the one before it or the
 * start of the slab; and behind the last of a slab, to its end.  Empty: not
 * known, or nothing. */
struct heap_expect kmem_padding_of(const struct kmem_heap *kh,
				   const struct kmem_cache *kc, taddr_t buf);
struct heap_expect kmem_tail_of(const struct kmem_heap *kh,
				const struct kmem_cache *kc, taddr_t buf);
/** A free buffer, as much of it as is filled. */
struct heap_expect kmem_body_of(const struct kmem_heap *kh,
				const struct kmem_cache *kc,
				const struct heap_buf *b);
/** Of an allocated one: the byte behind what was asked for, what was filled
 * behind that and is nobody's, and the half of the redzone that does not say
 * the size. */
struct heap_expect kmem_mark_of(const struct kmem_heap *kh,
				const struct heap_buf *b, uint64_t asked);
struct heap_expect kmem_slack_of(const struct kmem_heap *kh,
				 const struct kmem_cache *kc,
				 const struct heap_buf *b, uint64_t asked);
struct heap_expect kmem_zone_of(const struct kmem_heap *kh,
				const struct kmem_cache *kc,
				const struct heap_buf *b, uint64_t asked);
/** All that is known of a buffer, its tag, and what is around it.
 * @ret: HEAP_EXPECT_MAX and one that stays empty */
void kmem_expect_all(struct kmem_heap *kh, const struct kmem_cache *kc,
		     const struct heap_buf *b, struct heap_expect *ret);

#endif

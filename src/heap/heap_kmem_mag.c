/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Magazines: buffers the slab layer has given out and the program has given
 * back.  They lie in the loaded and the previous magazine of each CPU (as many
 * as cc_rounds and cc_prounds say), in the full magazines of the depot (all
 * of them), and in the bins of each thread (tb_rounds from tb_first on).
 *
 * A thread changes its bins without a lock, each time by one store; wherever it
 * was stopped, a buffer is in the bin or in the thread's registers or stack.
 *
 * A round that is no buffer of the cache, or is free already, is damage; the
 * other rounds still count.
 */
#include "base/interrupt.h"
#include "heap/heap_kmem_impl.h"

/* no magazine of any build is larger */
#define MAGSIZE_MAX 4096

static bool take_round(struct kmem_heap *kh, size_t cache, taddr_t mag,
		       uint64_t i, taddr_t buf, uint8_t state)
{
	struct kmem_cache *kc = &kh->caches.v[cache];
	struct kmem_slab *s = NULL;
	uint8_t *place = kmem_state_of(kh, cache, buf, &s);

	/* in a torn slab tags were heeded, and they tell free from free not */
	if (place && (*place == BUF_ALLOCATED ||
		      (s->is_torn && *place == BUF_FREE_SLAB))) {
		*place = state;
		kc->pub.nfree_mag++;
		return true;
	}
	kmem_damage(kh, mag, kc->pub.addr,
		    "cache %s: magazine 0x%" PRIx64 ": round %" PRIu64
		    " (0x%" PRIx64 ") %s",
		    kc->name, mag, i, buf,
		    !place ? "is no buffer of the cache"
			   : "is free in another place, too");
	return false;
}

static void take_magazine(struct kmem_heap *kh, size_t cache, taddr_t mag,
			  uint64_t nrounds, uint8_t state)
{
	const struct kmem_cache *kc = &kh->caches.v[cache];
	taddr_t at =
		mag + kh->names.row[F_kmem_magazine_mag_round].offset_bytes;

	for (uint64_t i = 0; i < nrounds; i++) {
		uint64_t buf = 0;
		struct err *err = target_read_u64(kh->t, at + i * 8, &buf);

		if (err) {
			kmem_damage(kh, mag, kc->pub.addr,
				    "cache %s: magazine 0x%" PRIx64 ": %s",
				    kc->name, mag, err->msg);
			err_free(err);
			return;
		}
		take_round(kh, cache, mag, i, buf, state);
	}
}

/* one of the two magazines of a CPU */
static void take_cpu(struct kmem_heap *kh, size_t cache, taddr_t cpu,
		     taddr_t mag, int64_t rounds, int64_t magsize)
{
	const struct kmem_cache *kc = &kh->caches.v[cache];

	if (rounds > magsize || rounds > MAGSIZE_MAX || rounds < -1) {
		kmem_damage(kh, cpu, kc->pub.addr,
			    "cache %s: CPU element 0x%" PRIx64 ": %" PRId64
			    " rounds in a magazine of %" PRId64,
			    kc->name, cpu, rounds, magsize);
		return;
	}
	if (rounds > 0)
		take_magazine(kh, cache, mag, (uint64_t)rounds, BUF_FREE_MAG);
}

static int64_t take_cpus(struct kmem_heap *kh, size_t cache)
{
	taddr_t cpu = kh->caches.v[cache].pub.addr +
		      kh->names.row[F_kmem_cache_cache_cpu].offset_bytes;
	int64_t magsize = 0;

	for (uint32_t i = 0; i < kh->ncpus; i++) {
		const void *raw = kmem_peek(kh, K_kmem_cpu_cache, cpu);

		if (!raw) {
			kmem_damage(kh, cpu, kh->caches.v[cache].pub.addr,
				    "cache %s: CPU element 0x%" PRIx64
				    " is not in the dump",
				    kh->caches.v[cache].name, cpu);
			return magsize;
		}
#define C(f) kmem_get(kh, F_kmem_cpu_cache_cc_##f, raw)
		int64_t size = (int64_t)C(magsize);
		taddr_t loaded = C(loaded);
		taddr_t ploaded = C(ploaded);
		int64_t rounds = (int64_t)C(rounds);
		int64_t prounds = (int64_t)C(prounds);
#undef C
		if (size > magsize && size <= MAGSIZE_MAX)
			magsize = size;
		take_cpu(kh, cache, cpu, loaded, rounds, size);
		take_cpu(kh, cache, cpu, ploaded, prounds, size);
		cpu += kh->names.struct_bytes[K_kmem_cpu_cache];
	}
	return magsize;
}

static struct err *take_depot(struct kmem_heap *kh, size_t cache,
			      int64_t magsize)
{
	const struct kmem_cache *kc = &kh->caches.v[cache];
	taddr_t mag = kc->full_list;
	struct hash seen;
	struct err *err = NULL;

	if (!mag)
		return NULL;
	if (magsize <= 0 || magsize > MAGSIZE_MAX) {
		kmem_damage(kh, kc->pub.addr, kc->pub.addr,
			    "cache %s: depot magazines of %" PRId64 " rounds",
			    kc->name, magsize);
		return NULL;
	}
	hash_init(&seen);
	while (!err && mag) {
		bool is_new = false;

		hash_put(&seen, mag, &is_new);
		if (!is_new || !target_map_at(kh->t, mag)) {
			kmem_damage(kh, kc->pub.addr, kc->pub.addr,
				    "cache %s: depot: magazine 0x%" PRIx64
				    " %s",
				    kc->name, mag,
				    is_new ? "is not mapped"
					   : "is in the list already");
			break;
		}
		take_magazine(kh, cache, mag, (uint64_t)magsize,
			      BUF_FREE_DEPOT);
		mag = kmem_get_at(kh, F_kmem_magazine_mag_next, mag);
		err = interrupt_check();
	}
	hash_fini(&seen);
	return err;
}

/* the rounds of one bin; index_limit: how many rounds the thread has room for */
static void take_bin(struct kmem_heap *kh, size_t cache, taddr_t thread,
		     taddr_t bin, uint64_t index_limit)
{
	struct kmem_cache *kc = &kh->caches.v[cache];
	taddr_t round =
		thread + kh->names.row[F_kmem_thread_th_round].offset_bytes;
	const void *raw = kmem_peek(kh, K_kmem_thread_bin, bin);

	if (!raw)
		return; /* the thread was read: it is within it */
#define B(f) kmem_get(kh, F_kmem_thread_bin_tb_##f, raw)
	uint64_t first = B(first);
	uint64_t rounds = B(rounds);
	uint64_t nalloc = B(alloc);
	taddr_t owner = B(cache);
#undef B
	if (rounds == 0 && !owner)
		return;
	if (owner != kc->pub.addr || first > index_limit ||
	    rounds > index_limit - first) {
		kmem_damage(kh, bin, kc->pub.addr,
			    "cache %s: thread 0x%" PRIx64 ": a bin of %" PRIu64
			    " rounds cannot be",
			    kc->name, thread, rounds);
		return;
	}
	kc->pub.nalloc += nalloc;
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t buf = 0;
		struct err *err =
			target_read_u64(kh->t, round + (first + i) * 8, &buf);

		if (err) {
			kmem_damage(kh, bin, kc->pub.addr,
				    "cache %s: thread 0x%" PRIx64 ": %s",
				    kc->name, thread, err->msg);
			err_free(err);
			return;
		}
		if (take_round(kh, cache, bin, i, buf, BUF_FREE_MAG))
			VEC_PUSH(&kc->in_threads, buf);
	}
}

/* what threads keep of a cache */
static struct err *take_threads(struct kmem_heap *kh, size_t cache)
{
	const struct kmem_cache *kc = &kh->caches.v[cache];
	uint64_t class = kc->size_class - 1;
	uint64_t nrounds =
		(kh->names.struct_bytes[K_kmem_thread] -
		 kh->names.row[F_kmem_thread_th_round].offset_bytes) /
		8;
	taddr_t thread = kmem_global(kh, S_kmem_threads, 8);
	struct kmem_loop loop = {0};
	struct err *err = NULL;

	if (kc->size_class == 0 ||
	    !kh->names.row[F_kmem_thread_th_round].is_bound)
		return NULL;
	while (!err && thread) {
		const void *raw = kmem_peek(kh, K_kmem_thread, thread);

		if (!raw || kmem_loop_seen(&loop, thread)) {
			kmem_damage(kh, thread, kc->pub.addr,
				    "thread 0x%" PRIx64 " %s", thread,
				    raw ? "is in the list already"
					: "is not in the dump");
			break;
		}
		taddr_t next = kmem_get(kh, F_kmem_thread_th_next, raw);

		if (class < kmem_get(kh, F_kmem_thread_th_nbins, raw))
			take_bin(kh, cache, thread,
				 thread +
					 kh->names.row[F_kmem_thread_th_bin]
						 .offset_bytes +
					 class * kh->names.struct_bytes
							 [K_kmem_thread_bin],
				 nrounds);
		thread = next;
		err = interrupt_check();
	}
	return err;
}

struct err *kmem_load_magazines(struct kmem_heap *kh, size_t cache)
{
	struct kmem_cache *kc = &kh->caches.v[cache];
	bool has_type = false;

	if (kc->nslabs == 0 || !kc->is_usable)
		return NULL;
	int64_t magsize = take_cpus(kh, cache);

	/* the depot's magazines have the cache's own size */
	if (kc->magtype) {
		int64_t size = (int64_t)kmem_get_at(
			kh, F_kmem_magtype_mt_magsize, kc->magtype);

		if (size)
			magsize = size;
		has_type = size != 0;
	}
	if (magsize > 0 && !has_type)
		kmem_damage(kh, kc->pub.addr, kc->pub.addr,
			    "cache %s: it has magazines, but no type of them",
			    kc->name);
	struct err *err = take_depot(kh, cache, magsize);

	return err ? err : take_threads(kh, cache);
}

/* SPDX-License-Identifier: MIT */
/*
 * Bringing the allocator up, at the first call of any of its functions.
 *
 * That call may come from the dynamic linker, before any constructor has run,
 * so nothing here calls what may allocate or what needs libc to be ready.  One
 * thread does it; others that arrive meanwhile wait for kmem_init_lock.  Calls
 * of that thread itself find kmem_init() done with: each step uses only what
 * the steps before it have made.
 *
 *   options, CPUs -> arenas -> caches of metadata -> logs -> kmem_va and the
 *   size classes -> magazines
 *
 *   heap +- vmem_metadata, kmem_pages                        (vmem_arena.c)
 *        +- kmem_metadata +- kmem_msb, kmem_cache, kmem_hash
 *        +- kmem_log
 *        +- kmem_firewall_va - kmem_firewall                 with firewall=
 *        +- kmem_va - kmem_default
 *        +- kmem_oversize
 */
#define _GNU_SOURCE
#include "kmem_logfile.h"
#include "kmem_pattern.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* what kmem_default takes at a time when nothing is checked: a page as a span of
 * its own costs two boundary tags, a bufctl and a hash entry */
#define SLAB_IMPORT ((size_t)65536)

int kmem_ready;
uint32_t kmem_max_ncpus;
uint32_t vmem_nown;
kmem_mutex_t kmem_init_lock;
static const void *volatile initialiser; /* the thread that starts things */

/** How many CPUs the process may use; 0: not known.  The system is asked, not
 * libc: a page of libc that nothing else needs brings 15 more with it. */
static unsigned usable_cpus(void)
{
	unsigned long set[1024 / 64] = {0};
	unsigned n = 0;

	if (syscall(SYS_sched_getaffinity, 0, sizeof(set), set) <= 0)
		return 0;
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		for (unsigned long left = set[i]; left; left &= left - 1)
			n++;
	return n;
}

/** CPU elements a cache gets: the CPUs the process may use, to a power of 2. */
static uint32_t count_cpus(void)
{
	unsigned n = kmem_options.concurrency;
	uint32_t ncpus = 1;

	if (n == 0)
		n = usable_cpus();
	while (ncpus < n && ncpus < 1024)
		ncpus <<= 1;
	return ncpus;
}

/* of slabs with their bufctls at a time, 1 to 12 KiB each */
#define BUFCTL_IMPORT ((size_t)128 * 1024)

static vmem_t *page_arena(const char *name, vmem_t *source, size_t qcache_max,
			  int vmflag)
{
	return vmem_create(name, NULL, 0, KMEM_PAGE, vmem_alloc, vmem_free,
			   source, qcache_max, VM_SLEEP | vmflag);
}

static vmem_t *small_arena(const char *name, size_t quantum, vmem_t *source)
{
	return vmem_create(name, NULL, 0, quantum, vmem_alloc, vmem_free,
			   source, 0, VM_SLEEP);
}

static int has_content_log(void)
{
	return (kmem_flags & (KMF_CONTENTS | KMF_RANDOMIZE)) &&
	       kmem_options.log_content != 0;
}

static void metadata_init(void)
{
	struct kmem_spec spec = {.cflags = KMC_NOHASH, .vmflag = VM_SLEEP};
	char name[KMEM_CACHE_NAMELEN + 1];

	kmem_metadata_arena = page_arena("kmem_metadata", vmem_heap,
					 8 * KMEM_PAGE, VMC_NO_QCACHE);
	kmem_metadata_arena->vm_source_alloc = vmem_alloc_reserve;
	kmem_msb_arena = page_arena("kmem_msb", kmem_metadata_arena, 0, 0);
	kmem_cache_arena = small_arena("kmem_cache", 8, kmem_metadata_arena);
	kmem_hash_arena = small_arena("kmem_hash", 8, kmem_metadata_arena);
	kmem_bufctl_arena = small_arena("kmem_bufctl", 16, kmem_metadata_arena);
	kmem_bufctl_arena->vm_min_import = BUFCTL_IMPORT;
	kmem_log_arena = small_arena("kmem_log", 8, vmem_heap);
	kmem_log_arena->vm_source_alloc = vmem_alloc_reserve;
	spec.arena = kmem_msb_arena;
	spec.name = name;
	for (int i = 0; i < KMEM_NMAGTYPES; i++) {
		kmem_magtype_t *mtp = &kmem_magtypes[i];

		(void)kmem_format(name, sizeof(name), "kmem_magazine_%u",
				  mtp->mt_magsize);
		spec.bufsize = (mtp->mt_magsize + 1) * sizeof(void *);
		spec.align = mtp->mt_align;
		mtp->mt_cache = kmem_cache_create_spec(&spec);
	}
	spec.align = 0;
	/* one a buffer and one a slab: guards would make them 40 % larger */
	spec.cflags |= KMC_NODEBUG;
	spec.name = "kmem_slab_cache";
	spec.bufsize = sizeof(kmem_slab_t);
	kmem_slab_cache = kmem_cache_create_spec(&spec);
	spec.name = "kmem_bufctl_cache";
	spec.bufsize = sizeof(kmem_bufctl_t);
	kmem_bufctl_cache = kmem_cache_create_spec(&spec);
	spec.name = "kmem_bufctl_audit_cache";
	kmem_has_contents = has_content_log();
	if (kmem_has_contents)
		kmem_bufctl_audit_size = sizeof(kmem_bufctl_audit_t);
	spec.bufsize = kmem_bufctl_audit_size;
	kmem_bufctl_audit_cache = kmem_cache_create_spec(&spec);
}

static void logs_init(void)
{
	if (kmem_options.log_file[0])
		kmem_transaction_log = kmem_logfile_init();
	else
		kmem_transaction_log =
			kmem_log_init(kmem_options.log_transaction);
	if (kmem_transaction_log && !kmem_options.log_file[0])
		kmem_log_use_runs(kmem_transaction_log);
	if (kmem_has_contents)
		kmem_content_log = kmem_log_init(kmem_options.log_content);
	kmem_failure_log = kmem_log_init(kmem_options.log_failure);
	kmem_slab_log = kmem_log_init(kmem_options.log_slab);
	kmem_zerosized_log = kmem_log_init(kmem_options.log_zerosized);
	kmem_logging = kmem_transaction_log || kmem_content_log ||
		       kmem_failure_log || kmem_slab_log || kmem_zerosized_log;
}

/*
 * With checks, memory for the program has a page before it that nobody uses: in
 * the heap the allocator's own may lie there, and who writes before a buffer is
 * not to reach it.  Behind a buffer is its tag.
 */
void *kmem_data_alloc(vmem_t *vmp, size_t bytes, int vmflag)
{
	char *p = vmem_alloc(vmp, bytes + KMEM_PAGE, vmflag);

	return p ? p + KMEM_PAGE : NULL;
}

void kmem_data_free(vmem_t *vmp, void *addr, size_t bytes)
{
	vmem_free(vmp, (char *)addr - KMEM_PAGE, bytes + KMEM_PAGE);
}

static vmem_t *data_arena(const char *name, size_t qcache_max)
{
	if (!(kmem_flags & KMF_CHECKED))
		return page_arena(name, vmem_heap, qcache_max, 0);
	return vmem_create(name, NULL, 0, KMEM_PAGE, kmem_data_alloc,
			   kmem_data_free, vmem_heap, qcache_max, VM_SLEEP);
}

struct kmem_peaks kmem_peaks;

/** The source of kmem_default. */
static void *default_alloc(vmem_t *va, size_t bytes, int vmflag)
{
	void *p = vmem_alloc(va, bytes, vmflag);

	if (p)
		kmem_peak(&kmem_peaks.pk_system,
			  bytes + vmem_size(kmem_default_arena,
					    VMEM_ALLOC | VMEM_FREE));
	return p;
}

static void data_arenas_init(void)
{
	vmem_t *va = data_arena("kmem_va", 8 * KMEM_PAGE);

	kmem_default_arena = page_arena("kmem_default", va, 0, 0);
	kmem_default_arena->vm_source_alloc = default_alloc;
	if (!(kmem_flags & KMF_CHECKED))
		kmem_default_arena->vm_min_import = SLAB_IMPORT;
	kmem_oversize_arena = data_arena("kmem_oversize", 0);
	if (kmem_flags & KMF_CHECKED)
		kmem_oversize_tag = KMEM_OVERSIZE_TAG;
	kmem_oversize_arena->vm_mtbf = (uint32_t)kmem_options.mtbf;
	if (kmem_options.minfirewall == SIZE_MAX)
		return;
	kmem_firewall_init();
	va = vmem_create("kmem_firewall_va", NULL, 0, KMEM_PAGE,
			 kmem_firewall_map, kmem_firewall_unmap, vmem_heap, 0,
			 VM_SLEEP);
	kmem_firewall_arena = page_arena("kmem_firewall", va, 0, 0);
}

/** Blocks all signals of the thread, or sets what was blocked before.  A handler
 * that allocates would find an allocator half made. */
static void block_signals(int how, uint64_t *set)
{
	const uint64_t all = ~(uint64_t)0;

	(void)syscall(SYS_rt_sigprocmask, how,
		      how == SIG_BLOCK ? &all : (const uint64_t *)set,
		      how == SIG_BLOCK ? set : NULL, sizeof(*set));
}

void kmem_init(void)
{
	int saved = errno;
	uint64_t blocked = 0;

	if (kmem_ready == 2 || initialiser == kmem_self())
		return;
	block_signals(SIG_BLOCK, &blocked);
	kmem_gate_enter(); /* G2 */
	kmem_mutex_enter(&kmem_init_lock);
	if (kmem_ready != 2) {
		initialiser = kmem_self();
		kmem_ready = 1;
		kmem_env_init();
		if (kmem_options.seed)
			kmem_random_seed(kmem_options.seed);
		kmem_audit_init();
		kmem_pattern_init();
		kmem_clock_init();
		if (kmem_flags & KMF_DEBUG)
			kmem_gate_init();
		kmem_max_ncpus = count_cpus();
		vmem_init(kmem_flags & KMF_AUDIT);
		vmem_heap->vm_cflags |= (int)kmem_options.heap_policy;
		metadata_init();
		logs_init();
		data_arenas_init();
		kmem_alloc_init();
		for (kmem_cache_t *cp = kmem_null_cache.cache_next;
		     cp != &kmem_null_cache; cp = cp->cache_next)
			kmem_magazine_enable(cp);
		for (vmem_t *vmp = vmem_list; vmp; vmp = vmp->vm_next)
			vmem_nown = vmp->vm_id;
		if (kmem_options.limit)
			vmem_set_limit(vmem_heap, kmem_options.limit);
		__atomic_store_n(&kmem_ready, 2, __ATOMIC_RELEASE);
		initialiser = NULL;
	}
	kmem_mutex_exit(&kmem_init_lock);
	kmem_gate_exit();
	block_signals(SIG_SETMASK, &blocked);
	errno = saved;
}

/* SPDX-License-Identifier: MIT */
/*
 * The report of heap damage: what is wrong, with which buffer, who did it, and
 * who had the buffer before.  Made without using the heap and without taking
 * an allocator lock; lists are walked with a bound, since they may be damaged.
 *
 * A pc is printed as object+0xoffset, which addr2line understands: the object
 * is found in /proc/self/maps, since dl_iterate_phdr and dladdr take locks.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512

kmem_panic_info_t kmem_panic_info; /* kmem_report_lock */
kmem_mutex_t kmem_report_lock;
static const void *volatile reporter; /* who holds it */

/* ---- stacks ---- */

/* a line of /proc/self/maps */
struct map_line {
	uintptr_t start, end, offset;
	const char *path;
};

struct reader {
	int fd;
	size_t used, filled;
	char buf[1024];
};

static int read_char(struct reader *r)
{
	if (r->used == r->filled) {
		long n = syscall(SYS_read, r->fd, r->buf, sizeof(r->buf));

		if (n <= 0)
			return -1;
		r->filled = (size_t)n;
		r->used = 0;
	}
	return (unsigned char)r->buf[r->used++];
}

static int read_line(struct reader *r, char *line, size_t room)
{
	size_t n = 0;
	int c;

	while ((c = read_char(r)) >= 0 && c != '\n')
		if (n + 1 < room)
			line[n++] = (char)c;
	line[n] = '\0';
	return c >= 0;
}

static const char *read_hex(const char *s, uintptr_t *ret)
{
	uintptr_t n = 0;

	for (;; s++) {
		if (*s >= '0' && *s <= '9')
			n = n << 4 | (uintptr_t)(*s - '0');
		else if (*s >= 'a' && *s <= 'f')
			n = n << 4 | (uintptr_t)(*s - 'a' + 10);
		else
			break;
	}
	*ret = n;
	return s;
}

static void parse_map(const char *line, struct map_line *map)
{
	const char *s = read_hex(line, &map->start);

	s = read_hex(*s ? s + 1 : s, &map->end);
	s = strchr(*s ? s + 1 : s, ' '); /* behind the permissions */
	map->offset = 0;
	if (s)
		(void)read_hex(s + 1, &map->offset);
	map->path = strrchr(line, '/');
	if (map->path)
		map->path++;
}

/** Where an object is loaded: what to take off a pc of it. */
static uintptr_t load_base(uintptr_t start)
{
	const Elf64_Ehdr *ehdr = (const void *)start;

	if (memcmp(ehdr->e_ident, ELFMAG, SELFMAG) != 0 ||
	    ehdr->e_type == ET_EXEC)
		return 0;
	return start;
}

/** Prints one pc; nothing it does can fail. */
static void report_pc(uintptr_t pc)
{
	char line[LINE_MAX_BYTES];
	struct reader r = {.fd = (int)syscall(SYS_openat, AT_FDCWD,
					      "/proc/self/maps",
					      O_RDONLY | O_CLOEXEC)};
	struct map_line map = {0, 0, 0, NULL};
	uintptr_t base = 0;
	int is_found = 0;

	while (r.fd >= 0 && !is_found && read_line(&r, line, sizeof(line))) {
		parse_map(line, &map);
		if (map.offset == 0 && map.path)
			base = map.start; /* of the object that follows */
		/* a return address may be the first byte behind a function */
		is_found = pc - 1 >= map.start && pc - 1 < map.end;
	}
	if (r.fd >= 0)
		(void)syscall(SYS_close, r.fd);
	if (is_found && map.path && base)
		kmem_report("    %s+0x%lx\n", map.path, pc - load_base(base));
	else
		kmem_report("    %p\n", (void *)pc);
}

static void report_stack(uint32_t id)
{
	const kmem_stack_t *stack = id ? kmem_stack_get(id) : NULL;

	for (uint32_t i = 0; stack && i < stack->st_depth; i++)
		report_pc(stack->st_pc[i]);
}

/* ---- what it is about ---- */

/* what was found out about the address of a fault */
struct finding {
	int code;
	kmem_cache_t *cp; /* whose buffer it really is, or the caller's */
	kmem_slab_t *slab;
	void *base;
	kmem_bufctl_t *bcp;
};

/** The bufctl of a buffer wherever it is; NULL when its cache has none. */
static kmem_bufctl_t *find_bufctl(kmem_cache_t *cp, kmem_slab_t *sp,
				  const void *base)
{
	kmem_bufctl_t *bcp = kmem_hash_find(cp, base);
	uint32_t left = sp->slab_chunks;

	if (bcp)
		return bcp;
	for (bcp = sp->slab_head; bcp && left-- > 0; bcp = bcp->bc_next)
		if (bcp->bc_addr == base)
			return bcp;
	return NULL;
}

/**
 * Looks for the oversize buffer an address points into.  The arena's lock is
 * tried, never waited for: who holds everything may wait for the report lock.
 */
static void search_oversize(struct finding *f)
{
	vmem_t *vmp = kmem_oversize_arena;
	uintptr_t at = (uintptr_t)f->base;
	vmem_seg_t *vsp;

	if (!vmp || !kmem_mutex_tryenter(&vmp->vm_lock))
		return;
	for (vsp = vmp->vm_seg0.vs_anext; vsp != &vmp->vm_seg0;
	     vsp = vsp->vs_anext) {
		if (vsp->vs_type != VMEM_ALLOC || at <= vsp->vs_start ||
		    at >= vsp->vs_end)
			continue;
		f->base = (void *)vsp->vs_start;
		f->code = KMERR_BADBASE;
		break;
	}
	kmem_mutex_exit(&vmp->vm_lock);
}

static void investigate(const struct kmem_fault *fault, struct finding *f)
{
	kmem_cache_t *owner;

	f->code = fault->code;
	f->cp = fault->cp;
	f->base = fault->buf;
	owner = kmem_addr_cache(fault->buf, &f->slab, &f->base);
	if (!owner && fault->cp) {
		f->slab = kmem_slab_find(fault->cp, fault->buf);
		owner = f->slab ? fault->cp : NULL;
	}
	if (!owner) {
		f->code = KMERR_BADADDR;
		search_oversize(f);
		if (f->code == KMERR_BADADDR &&
		    kmem_pagemap_get(fault->buf) == KMEM_PAGE_FREED)
			f->code = KMERR_DUPFREE;
		return;
	}
	f->cp = owner;
	if (fault->cp && owner != fault->cp)
		f->code = KMERR_BADCACHE;
	else if (f->base != fault->buf)
		f->code = KMERR_BADBASE;
	if (owner->cache_flags & KMF_HASH) {
		f->bcp = find_bufctl(owner, f->slab, f->base);
		if (!f->bcp)
			f->code = KMERR_BADBUFCTL;
	}
}

/* ---- the report ---- */

static const char *code_text(int code)
{
	static const char *const text[] = {
		[KMERR_MODIFIED] = "buffer modified after being freed",
		[KMERR_REDZONE] = "redzone violation: write past end of buffer",
		[KMERR_DUPFREE] = "duplicate free: buffer freed twice",
		[KMERR_BADADDR] = "invalid free: buffer not in cache",
		[KMERR_BADBUFTAG] = "boundary tag corrupted",
		[KMERR_BADBUFCTL] = "bufctl corrupted",
		[KMERR_BADCACHE] = "buffer freed to wrong cache",
		[KMERR_UNDERRUN] =
			"redzone violation: write before start of buffer",
	};

	return text[code];
}

static void report_code(const struct kmem_fault *fault, const struct finding *f)
{
	const kmem_buftag_t *btp;

	kmem_report("kernel memory allocator: ");
	if (f->code == KMERR_BADSIZE) {
		kmem_report("bad free: free size (%lu) != alloc size (%lu)\n",
			    fault->freed_bytes, fault->bytes);
		return;
	}
	if (f->code == KMERR_BADBASE) {
		kmem_report(
			"bad free: free address (%p) != alloc address (%p)\n",
			fault->buf, f->base);
		return;
	}
	kmem_report("%s\n", code_text(f->code));
	if (f->code == KMERR_MODIFIED && fault->expect)
		kmem_report(
			"modification occurred at offset 0x%lx (0x%llx replaced by 0x%llx)\n",
			fault->offset, (unsigned long long)fault->expect,
			(unsigned long long)fault->found);
	if (f->code == KMERR_BADBUFTAG) {
		btp = kmem_buftag_of(f->cp, f->base);
		kmem_report("bcp ^ bxstat = %lx, should be %lx\n",
			    (intptr_t)btp->bt_bufctl ^ btp->bt_bxstat,
			    KMEM_BUFTAG_FREE);
	}
	if (f->code == KMERR_BADCACHE) {
		kmem_report("buffer was allocated from %s,\n",
			    f->cp->cache_name);
		kmem_report("caller attempting free to %s.\n",
			    fault->cp ? fault->cp->cache_name : "malloc");
	}
}

static const char *what_text(unsigned what)
{
	return what == KMEM_WHAT_FREE ? "freed" : "allocated";
}

static void report_transaction(const kmem_bufctl_audit_t *bcap)
{
	hrtime_t age = kmem_now() - bcap->bc_timestamp;

	kmem_report("thread=%u  time=T-%ld.%09ld  slab=%p  cache: %s  %s by\n",
		    bcap->bc_thread, (long)(age / 1000000000),
		    (long)(age % 1000000000), (void *)bcap->bc_slab,
		    bcap->bc_cache->cache_name, what_text(bcap->bc_what));
	report_stack(bcap->bc_stack);
}

/** The transactions before this one, as far as they are known: two. */
static void report_history(const struct finding *f)
{
	const kmem_bufctl_audit_t *bcap = (const void *)f->bcp;
	const kmem_bufctl_audit_t *log;

	if (!bcap || !(f->cp->cache_flags & KMF_AUDIT) ||
	    bcap->bc_timestamp == 0)
		return;
	kmem_report("previous transaction on buffer %p:\n", f->base);
	report_transaction(bcap);
	/* the last record is a copy of the bufctl; before it is another */
	log = bcap->bc_lastlog;
	if (log && log->bc_addr == bcap->bc_addr)
		log = log->bc_lastlog;
	if (!log || log->bc_addr != bcap->bc_addr ||
	    log->bc_timestamp >= bcap->bc_timestamp ||
	    log->bc_cache != bcap->bc_cache)
		return; /* none, or overwritten */
	kmem_report("transaction before that:\n");
	report_transaction(log);
}

static void fill_panic_info(const struct kmem_fault *fault,
			    const struct finding *f, uint32_t stack)
{
	kmem_panic_info.kmp_error = f->code;
	kmem_panic_info.kmp_thread = kmem_tid();
	kmem_panic_info.kmp_buffer = fault->buf;
	kmem_panic_info.kmp_realbuf = f->base;
	kmem_panic_info.kmp_cache = fault->cp ? fault->cp : f->cp;
	kmem_panic_info.kmp_realcache = f->slab ? f->cp : NULL;
	kmem_panic_info.kmp_slab = f->slab;
	kmem_panic_info.kmp_bufctl = f->bcp;
	kmem_panic_info.kmp_stack = stack;
	kmem_panic_info.kmp_timestamp = kmem_now();
}

int kmem_is_reporting(void)
{
	return reporter == kmem_self();
}

void kmem_error(const struct kmem_fault *fault)
{
	struct finding f = {.code = fault->code};
	int was_logging = kmem_logging;
	uint32_t stack;
	int was_inside;

	if (reporter == kmem_self())
		kmem_abort(); /* damage met while reporting damage */
	stack = kmem_stack_capture();
	/* the one who reports just now may be about to take a snapshot */
	was_inside = kmem_gate_leave();
	kmem_mutex_enter(&kmem_report_lock);
	kmem_gate_return(was_inside, 0);
	reporter = kmem_self();
	kmem_logging = 0; /* the evidence is not to be overwritten */
	investigate(fault, &f);
	fill_panic_info(fault, &f, stack);
	kmem_report_clear();
	report_code(fault, &f);
	kmem_report("buffer=%p  bufctl=%p  cache: %s\n", fault->buf,
		    (void *)f.bcp, f.cp ? f.cp->cache_name : "none");
	kmem_report("thread=%u  called by\n", kmem_tid());
	report_stack(stack);
	report_history(&f);
	if (!kmem_options.no_abort) {
		kmem_report(
			"kernel memory allocator: heap corruption detected\n");
		kmem_abort();
	}
	kmem_logging = was_logging;
	reporter = NULL;
	kmem_mutex_exit(&kmem_report_lock);
}

void kmem_error_at(int code, kmem_cache_t *cp, void *buf)
{
	struct kmem_fault fault = {.code = code, .cp = cp, .buf = buf};

	kmem_error(&fault);
}

/* SPDX-License-Identifier: MIT */
/*
 * What a program can ask of its malloc: mallinfo(), mallinfo2(), malloc_info()
 * and malloc_stats(), with the meaning and in the form glibc 2.36 gives them,
 * and the numbers of this allocator.
 *
 *   glibc           here
 *   a heap          the one there is: what kmem_default, and with it the
 *                   firewall, has of memory
 *   in use          buffers the program has, of all caches there
 *   fast            free buffers in bins of threads and in magazines
 *   rest            all other memory of the heap: free buffers in slabs, what
 *                   slabs leave unused, and free pages
 *   mmap            requests above the largest size class
 *
 * So fast and rest are what is free (fordblks), and that and what is in use
 * (uordblks) is all (arena).  A cache is looked at under its locks, one after
 * the other; all of it is one moment only while nobody allocates.  The text is
 * made before any of it is written, since to write may be to allocate.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

#define NSIZES     96 /* of free buffers; those beyond share the last row */
#define TEXT_BYTES (NSIZES * 100 + 2048)

/* free buffers of one size, or of several beside each other */
struct size_row {
	uint64_t from, to; /* bytes of one */
	uint64_t count, bytes;
};

/* buffers and their bytes */
struct amount {
	uint64_t count, bytes;
};

struct survey {
	uint64_t system, system_max;
	struct amount inuse, fast, rest, large;
	struct size_row size[NSIZES]; /* ascending */
	size_t nsizes;
};

/** Adds free buffers to the row of their size. */
static void add_size(struct survey *s, uint64_t bytes, uint64_t count)
{
	size_t at = s->nsizes;

	while (at > 0 && s->size[at - 1].from > bytes)
		at--;
	if (at > 0 && s->size[at - 1].to >= bytes) {
		at--;
	} else if (s->nsizes == NSIZES) {
		at -= at > 0;
		if (s->size[at].to < bytes)
			s->size[at].to = bytes;
		if (s->size[at].from > bytes)
			s->size[at].from = bytes;
	} else {
		for (size_t i = s->nsizes++; i > at; i--)
			s->size[i] = s->size[i - 1];
		s->size[at] = (struct size_row){.from = bytes, .to = bytes};
	}
	s->size[at].count += count;
	s->size[at].bytes += count * bytes;
}

static void add_cache(struct survey *s, kmem_cache_t *cp)
{
	uint64_t bytes = cp->cache_chunksize;
	uint64_t nfast = kmem_cache_stat(cp, "buf_constructed");
	uint64_t ninuse = kmem_cache_stat(cp, "buf_inuse");
	uint64_t total = kmem_cache_stat(cp, "buf_total");

	if (ninuse + nfast > total) /* others are at work */
		ninuse = total > nfast ? total - nfast : 0;
	if (nfast > total)
		nfast = total;
	s->inuse.count += ninuse;
	s->inuse.bytes += ninuse * bytes;
	s->fast.count += nfast;
	s->fast.bytes += nfast * bytes;
	s->rest.count += total - ninuse - nfast;
	if (total > ninuse)
		add_size(s, bytes, total - ninuse);
}

static void add_arena(struct survey *s, vmem_t *vmp)
{
	s->system += vmem_size(vmp, VMEM_ALLOC | VMEM_FREE);
	s->rest.count += vmem_size(vmp, VMEM_FREE) != 0;
}

static void look(struct survey *s)
{
	uint64_t used;

	*s = (struct survey){.nsizes = 0};
	kmem_ready_check();
	kmem_mutex_enter(&kmem_list_lock);
	for (kmem_cache_t *cp = kmem_null_cache.cache_next;
	     cp != &kmem_null_cache; cp = cp->cache_next)
		if (cp->cache_arena == kmem_default_arena ||
		    cp->cache_arena == kmem_firewall_arena)
			add_cache(s, cp);
	kmem_mutex_exit(&kmem_list_lock);
	add_arena(s, kmem_default_arena);
	if (kmem_firewall_arena)
		add_arena(s, kmem_firewall_arena);
	/* what others did meanwhile must not make less than nothing */
	used = s->inuse.bytes + s->fast.bytes;
	if (s->system < used)
		s->system = used;
	s->rest.bytes = s->system - used;
	s->system_max = KM_PEEK(kmem_peaks.pk_system);
	if (s->system_max < s->system)
		s->system_max = s->system;
	s->large.count = vmem_nallocated(kmem_oversize_arena);
	s->large.bytes = vmem_size(kmem_oversize_arena, VMEM_ALLOC) -
			 s->large.count * kmem_oversize_tag;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 info = {0};
	struct survey s;

	look(&s);
	info.arena = s.system;
	info.ordblks = s.rest.count;
	info.smblks = s.fast.count;
	info.hblks = s.large.count;
	info.hblkhd = s.large.bytes;
	info.fsmblks = s.fast.bytes;
	info.uordblks = s.inuse.bytes;
	info.fordblks = s.fast.bytes + s.rest.bytes;
	info.keepcost = vmem_size(kmem_default_arena, VMEM_FREE);
	return info;
}

/* as in glibc, whatever does not fit an int is cut */
EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();
	struct mallinfo info = {0};

	info.arena = (int)wide.arena;
	info.ordblks = (int)wide.ordblks;
	info.smblks = (int)wide.smblks;
	info.hblks = (int)wide.hblks;
	info.hblkhd = (int)wide.hblkhd;
	info.fsmblks = (int)wide.fsmblks;
	info.uordblks = (int)wide.uordblks;
	info.fordblks = (int)wide.fordblks;
	info.keepcost = (int)wide.keepcost;
	return info;
}

/* ---- text ---- */

struct text {
	char s[TEXT_BYTES];
	size_t n;
};

static void __attribute__((format(printf, 2, 3)))
add_text(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->n += kmem_vformat(t->s + t->n, sizeof(t->s) - t->n, fmt, ap);
	va_end(ap);
}

static void add_total(struct text *t, const char *type, struct amount a)
{
	add_text(t, "<total type=\"%s\" count=\"%lu\" size=\"%lu\"/>\n", type,
		 a.count, a.bytes);
}

static void add_system(struct text *t, const struct survey *s)
{
	add_text(t,
		 "<system type=\"current\" size=\"%lu\"/>\n"
		 "<system type=\"max\" size=\"%lu\"/>\n"
		 "<aspace type=\"total\" size=\"%lu\"/>\n"
		 "<aspace type=\"mprotect\" size=\"%lu\"/>\n",
		 s->system, s->system_max, s->system, s->system);
}

/**
 * Writes what is known of the heap as XML.
 *
 * @options:  0
 *
 * Returns 0, or an error number.
 */
EXPORT int malloc_info(int options, FILE *fp)
{
	struct survey s;
	struct text t = {.n = 0};

	if (options != 0)
		return EINVAL;
	look(&s);
	add_text(&t, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
	for (size_t i = 0; i < s.nsizes; i++)
		add_text(&t,
			 "  <size from=\"%lu\" to=\"%lu\" total=\"%lu\" "
			 "count=\"%lu\"/>\n",
			 s.size[i].from, s.size[i].to, s.size[i].bytes,
			 s.size[i].count);
	add_text(&t, "</sizes>\n");
	add_total(&t, "fast", s.fast);
	add_total(&t, "rest", s.rest);
	add_system(&t, &s);
	add_text(&t, "</heap>\n");
	add_total(&t, "fast", s.fast);
	add_total(&t, "rest", s.rest);
	add_total(&t, "mmap", s.large);
	add_system(&t, &s);
	add_text(&t, "</malloc>\n");
	return fputs(t.s, fp) < 0 ? errno : 0;
}

/** A number in ten columns at least; kmem_format() has no widths. */
static void add_line(struct text *t, const char *what, uint64_t value)
{
	uint64_t limit = 10;

	add_text(t, "%s = ", what);
	for (int column = 9; column > 0; column--, limit *= 10)
		if (value < limit)
			for (; column > 0; column--)
				add_text(t, " ");
	add_text(t, "%lu\n", value);
}

/** Writes what is known of the heap to standard error. */
EXPORT void malloc_stats(void)
{
	struct text t = {.n = 0};
	struct survey s;

	look(&s);
	add_text(&t, "Arena 0:\n");
	add_line(&t, "system bytes    ", s.system);
	add_line(&t, "in use bytes    ", s.inuse.bytes);
	add_text(&t, "Total (incl. mmap):\n");
	add_line(&t, "system bytes    ", s.system + s.large.bytes);
	add_line(&t, "in use bytes    ", s.inuse.bytes + s.large.bytes);
	add_line(&t, "max mmap regions", KM_PEEK(kmem_peaks.pk_nlarge));
	add_line(&t, "max mmap bytes  ", KM_PEEK(kmem_peaks.pk_large));
	(void)fputs(t.s, stderr);
}

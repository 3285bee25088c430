/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Maps: where each byte of the address space is.
 *
 * Three lists say it: the PT_LOADs (addresses, and the bytes the producer
 * kept), NT_FILE (which file a range maps) and, in a snapshot, the ranges left
 * out on purpose.  They are merged in one sweep over ascending addresses:
 *
 *      loads   [=====####]      [#####]           = bytes, # none
 *      files      [----------------]
 *      maps    [==|==####|------|###|#]
 *
 * (I1) maps ascend and are disjoint; the first of two that overlap wins;
 * (I2) a map has one file, or none;
 * (I3) start <= core_end <= end, and [start, core_end) lies in the core file.
 *
 * The kernel leaves out what was never written.  Of private memory without a
 * file that is all zeros, or what the program asked not to be dumped; which of
 * the two, nothing tells, unless it goes on where an object's data ends: nobody
 * asks that of a .bss.  So that is zeros, if such memory was kept elsewhere:
 * else all of it was left out (coredump_filter).
 *
 * Cost: O(n log n) in the rows of the three lists.
 */
#include "target/target_impl.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static int by_start(const void *a, const void *b)
{
	const struct file_range *x = a;
	const struct file_range *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? 1 : x->end > y->end ? -1 : 0;
}

void ranges_tidy(struct file_range *v, size_t *n)
{
	taddr_t last = 0;
	size_t i;
	size_t kept = 0;

	if (*n == 0)
		return;
	qsort(v, *n, sizeof(*v), by_start);
	for (i = 0; i < *n; i++) {
		struct file_range range = v[i];

		if (range.end <= last)
			continue;
		if (range.start < last) {
			range.file_off += last - range.start;
			range.start = last;
		}
		last = range.end;
		v[kept++] = range;
	}
	*n = kept;
}

static enum map_presence presence(const struct target_map *map)
{
	if (map->core_end == map->end)
		return MAP_IN_CORE;
	if (map->core_end > map->start)
		return MAP_PARTLY;
	/* a writable one may have been written: its file does not tell */
	if (map->path && !(map->prot & PF_W))
		return MAP_FROM_FILE;
	return MAP_ABSENT;
}

static void add_map(struct target *t, struct map_impl *map)
{
	if (map->pub.start >= map->pub.end)
		return;
	map->pub.presence = presence(&map->pub);
	VEC_PUSH(&t->maps, *map);
}

/* the part [start, end) of a load, with its file if it has one */
static void add_piece(struct target *t, const struct map_impl *load,
		      taddr_t start, taddr_t end, const struct file_range *file)
{
	struct map_impl map = *load;
	taddr_t core_end = load->pub.core_end;

	if (core_end < start)
		core_end = start;
	if (core_end > end)
		core_end = end;
	map.pub.start = start;
	map.pub.end = end;
	map.pub.core_end = core_end;
	map.pub.core_off += start - load->pub.start;
	map.bytes = core_end > start ? load->bytes + (start - load->pub.start)
				     : NULL;
	if (file) {
		map.pub.path = file->path;
		map.pub.file_off = file->file_off + (start - file->start);
	}
	add_map(t, &map);
}

/* [start, end), which no load covers */
static void add_gap(struct target *t, taddr_t start, taddr_t end,
		    const struct file_range *file)
{
	struct map_impl map = {
		.pub =
			{
				.start = start,
				.end = end,
				.core_end = start,
				.prot = PF_R,
				.path = file->path,
			},
	};

	if (file->path)
		map.pub.file_off = file->file_off + (start - file->start);
	add_map(t, &map);
}

/* the parts of ranges below end that begin at or after *at */
static void add_gaps(struct target *t, const struct file_range *v, size_t n,
		     size_t *i, taddr_t *at, taddr_t end)
{
	for (; *i < n && v[*i].start < end; (*i)++) {
		taddr_t start = v[*i].start > *at ? v[*i].start : *at;
		taddr_t stop = v[*i].end < end ? v[*i].end : end;

		if (start < stop)
			add_gap(t, start, stop, &v[*i]);
		if (v[*i].end > end)
			break; /* goes on beyond the load */
	}
	*at = end;
}

static void merge_files(struct target *t, const struct map_impl *loads,
			size_t nloads)
{
	const struct file_range *v = t->files.v;
	size_t nfiles = t->files.n;
	taddr_t at = 0;
	size_t f = 0;
	size_t i;

	for (i = 0; i < nloads; i++) {
		const struct target_map *load = &loads[i].pub;

		add_gaps(t, v, nfiles, &f, &at, load->start);
		while (at < load->end) {
			taddr_t stop = load->end;
			const struct file_range *file = NULL;

			while (f < nfiles && v[f].end <= at)
				f++;
			if (f < nfiles && v[f].start <= at) {
				file = &v[f];
				if (file->end < stop)
					stop = file->end;
			} else if (f < nfiles && v[f].start < stop) {
				stop = v[f].start;
			}
			add_piece(t, &loads[i], at, stop, file);
			at = stop;
		}
	}
	add_gaps(t, v, nfiles, &f, &at, UINT64_MAX);
}

static int by_map_start(const void *a, const void *b)
{
	const struct map_impl *x = a;
	const struct map_impl *y = b;

	if (x->pub.start != y->pub.start)
		return x->pub.start < y->pub.start ? -1 : 1;
	return x->pub.core_off < y->pub.core_off
		       ? -1
		       : x->pub.core_off > y->pub.core_off;
}

/* what was left out and no other list knows becomes a map, too */
static void merge_absents(struct target *t)
{
	size_t nmaps = t->maps.n;
	size_t m = 0;
	size_t i;

	for (i = 0; i < t->absents.n; i++) {
		const struct file_range *range = &t->absents.v[i];
		taddr_t at = range->start;

		while (m < nmaps && t->maps.v[m].pub.end <= at)
			m++;
		while (m < nmaps && t->maps.v[m].pub.start < range->end) {
			if (at < t->maps.v[m].pub.start)
				add_gap(t, at, t->maps.v[m].pub.start, range);
			at = t->maps.v[m].pub.end;
			if (at >= range->end)
				break;
			m++;
		}
		if (at < range->end)
			add_gap(t, at, range->end, range);
	}
	if (t->maps.n > nmaps)
		qsort(t->maps.v, t->maps.n, sizeof(*t->maps.v), by_map_start);
}

static size_t tidy_loads(struct map_impl *v, size_t n)
{
	taddr_t last = 0;
	size_t kept = 0;
	size_t i;

	if (n > 0)
		qsort(v, n, sizeof(*v), by_map_start);
	for (i = 0; i < n; i++) {
		struct map_impl map = v[i];

		if (map.pub.end <= last)
			continue;
		if (map.pub.start < last) {
			taddr_t cut = last - map.pub.start;

			map.pub.start = last;
			map.pub.core_off += cut;
			if (map.pub.core_end <= last) {
				map.pub.core_end = last;
				map.bytes = NULL;
			} else {
				map.bytes += cut;
			}
		}
		last = map.pub.end;
		v[kept++] = map;
	}
	return kept;
}

/* writable memory of a process alone, of no file */
static bool is_private(const struct target_map *map)
{
	return (map->prot & PF_W) && !map->path;
}

static bool is_bss(const struct map_impl *before, const struct map_impl *map)
{
	return map->is_left_out && is_private(&map->pub) &&
	       map->pub.end - map->pub.start <= BSS_MAX &&
	       before->pub.end == map->pub.start && before->pub.path &&
	       (before->pub.prot & PF_W) && before->pub.presence == MAP_IN_CORE;
}

/* gives the .bss of objects the zeros that the kernel did not write */
static void find_bss(struct target *t)
{
	struct map_impl *v = t->maps.v;
	bool has_private = false;
	size_t n = 0;

	for (size_t i = 0; i < t->maps.n; i++) {
		has_private = has_private || (is_private(&v[i].pub) &&
					      v[i].pub.presence == MAP_IN_CORE);
		if (i > 0 && is_bss(&v[i - 1], &v[i]) &&
		    v[i].pub.end - v[i].pub.start > n)
			n = v[i].pub.end - v[i].pub.start;
	}
	if (!has_private || n == 0 || t->zeros)
		return;
	void *zeros = mmap(NULL, n, PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (zeros == MAP_FAILED)
		return;
	t->zeros = zeros;
	t->zeros_bytes = n;
	for (size_t i = 1; i < t->maps.n; i++) {
		if (!is_bss(&v[i - 1], &v[i]))
			continue;
		v[i].bytes = zeros;
		v[i].pub.core_end = v[i].pub.end;
		v[i].pub.presence = MAP_IN_CORE;
	}
}

void maps_build(struct target *t, struct map_impl *loads, size_t nloads)
{
	nloads = tidy_loads(loads, nloads);
	merge_files(t, loads, nloads);
	merge_absents(t);
	find_bss(t);
	mem_free(loads);
}

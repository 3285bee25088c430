/* SPDX-License-Identifier: MIT */
/*
 * Resource maps, after the classic algorithm of V6 to SVR4: an array of free
 * ranges in order of address.
 *
 *   nslots, nused | {size, addr} {size, addr} ... {0, 0} | unused
 *
 *   I1  m_addr rises, and no two ranges touch: a.addr + a.size < b.addr
 *   I2  the entry behind the last used one has size 0
 *   I3  nused <= nslots; what does not fit is lost, and said to be
 *
 * First fit from the lowest address, taken from the low end.  Every operation
 * is linear in the number of free ranges.  Allocated ranges are not recorded
 * at all: whoever frees what he never had is only found out when that is free
 * already.  These are the facts of the historical allocator and the reason why
 * vmem replaced it; they are kept here on purpose.
 *
 * When there is no slot for one more range, lost is the smaller of the last two
 * by address, the new one among them.
 */
#include "rmap.h"

#include "kmem_internal.h"

kmem_mutex_t kmem_rmap_lock; /* kmem_rmaps */
struct map *kmem_rmaps;

static size_t map_bytes(size_t nslots)
{
	return sizeof(struct map) + (nslots + 1) * sizeof(struct mapent);
}

static struct map *map_create(size_t nslots, int kmflag)
{
	struct map *mp;

	if (nslots == 0 || nslots > SIZE_MAX / 64)
		return NULL;
	mp = kmem_zalloc(map_bytes(nslots), kmflag);
	if (!mp)
		return NULL;
	mp->m_nslots = nslots;
	kmem_mutex_enter(&kmem_rmap_lock);
	mp->m_next = kmem_rmaps;
	kmem_rmaps = mp;
	kmem_mutex_exit(&kmem_rmap_lock);
	return mp;
}

struct map *rmallocmap(size_t nslots)
{
	return map_create(nslots, KM_NOSLEEP);
}

struct map *rmallocmap_wait(size_t nslots)
{
	return map_create(nslots, KM_SLEEP);
}

void rmfreemap(struct map *mp)
{
	struct map **link = &kmem_rmaps;

	if (!mp)
		return;
	kmem_mutex_enter(&kmem_rmap_lock);
	while (*link != mp)
		link = &(*link)->m_next;
	*link = mp->m_next;
	kmem_mutex_exit(&kmem_rmap_lock);
	kmem_free(mp, map_bytes(mp->m_nslots));
}

void rm_lock(struct map *mp)
{
	kmem_mutex_enter(&mp->m_lock);
}

void rm_unlock(struct map *mp)
{
	kmem_mutex_exit(&mp->m_lock);
}

void rmsetwant(struct map *mp)
{
	mp->m_want = 1;
}

/** Closes the gap of an entry that is no more (I2). */
static void entry_remove(struct map *mp, size_t i)
{
	for (; i < mp->m_nused; i++)
		mp->m_map[i] = mp->m_map[i + 1];
	mp->m_nused--;
}

/** Makes room for an entry; there is a slot. */
static void entry_insert(struct map *mp, size_t i, size_t size,
			 unsigned long addr)
{
	for (size_t j = ++mp->m_nused; j > i; j--)
		mp->m_map[j] = mp->m_map[j - 1];
	mp->m_map[i].m_size = size;
	mp->m_map[i].m_addr = addr;
}

unsigned long rmalloc_locked(struct map *mp, size_t size)
{
	unsigned long addr;

	if (size == 0)
		return 0;
	for (size_t i = 0; i < mp->m_nused; i++) {
		struct mapent *ep = &mp->m_map[i];

		if (ep->m_size < size)
			continue;
		addr = ep->m_addr;
		ep->m_addr += size;
		ep->m_size -= size;
		if (ep->m_size == 0)
			entry_remove(mp, i);
		return addr;
	}
	return 0;
}

unsigned long rmalloc(struct map *mp, size_t size)
{
	unsigned long addr;

	rm_lock(mp);
	addr = rmalloc_locked(mp, size);
	rm_unlock(mp);
	return addr;
}

unsigned long rmalloc_wait(struct map *mp, size_t size)
{
	unsigned long addr = 0;

	if (size == 0)
		return 0;
	rm_lock(mp);
	for (;;) {
		addr = rmalloc_locked(mp, size);
		if (addr)
			break;
		rmsetwant(mp);
		kmem_cv_wait(&mp->m_cv, &mp->m_lock);
	}
	rm_unlock(mp);
	return addr;
}

unsigned long rmget(struct map *mp, size_t size, unsigned long addr)
{
	if (size == 0 || addr + size < addr)
		return 0;
	for (size_t i = 0; i < mp->m_nused; i++) {
		struct mapent *ep = &mp->m_map[i];
		unsigned long end = ep->m_addr + ep->m_size;
		size_t behind;

		if (addr < ep->m_addr || addr >= end)
			continue;
		if (size > end - addr)
			return 0;
		behind = end - addr - size;
		if (addr > ep->m_addr && behind) {
			if (mp->m_nused == mp->m_nslots)
				return 0;
			ep->m_size = addr - ep->m_addr;
			entry_insert(mp, i + 1, behind, addr + size);
		} else if (addr > ep->m_addr) {
			ep->m_size = addr - ep->m_addr;
		} else if (behind) {
			ep->m_addr = addr + size;
			ep->m_size = behind;
		} else {
			entry_remove(mp, i);
		}
		return addr;
	}
	return 0;
}

/**
 * Drops the smaller of the last two ranges, the new one among them, so that the
 * rest fits; 0 when it is the new one that is lost.
 *
 * @i:  where the new one would be
 */
static int make_room(struct map *mp, size_t i, size_t size, unsigned long addr)
{
	struct mapent new = {size, addr};
	size_t last = mp->m_nused; /* of nused + 1 */
	struct mapent *a, *b, lost;

	/* the two that would be last, in order */
	b = i == last ? &new : &mp->m_map[last - 1];
	if (i == last)
		a = &mp->m_map[last - 1];
	else if (i == last - 1)
		a = &new;
	else
		a = &mp->m_map[last - 2];
	if (b->m_size <= a->m_size)
		a = b;
	lost = *a;
	kmem_warn("rmap overflow, lost [%ld, %ld]", (long)lost.m_addr,
		  (long)(lost.m_addr + lost.m_size));
	if (a == &new)
		return 0;
	entry_remove(mp, (size_t)(a - mp->m_map));
	return 1;
}

/** Index of the first range that begins behind an address. */
static size_t find_behind(const struct map *mp, unsigned long addr)
{
	size_t i = 0;

	while (i < mp->m_nused && mp->m_map[i].m_addr <= addr)
		i++;
	return i;
}

/** Adds a range to those that are free; the lock is held.  -1: overlap. */
static int give(struct map *mp, size_t size, unsigned long addr)
{
	size_t i = find_behind(mp, addr);
	struct mapent *next = &mp->m_map[i];
	struct mapent *prev = i > 0 ? next - 1 : NULL;
	int has_prev = prev && prev->m_addr + prev->m_size == addr;
	int has_next = i < mp->m_nused && addr + size == next->m_addr;

	if ((prev && prev->m_addr + prev->m_size > addr) ||
	    (i < mp->m_nused && addr + size > next->m_addr))
		return -1;
	if (has_prev && has_next) {
		prev->m_size += size + next->m_size;
		entry_remove(mp, i);
	} else if (has_prev) {
		prev->m_size += size;
	} else if (has_next) {
		next->m_addr = addr;
		next->m_size += size;
	} else if (mp->m_nused < mp->m_nslots || make_room(mp, i, size, addr)) {
		entry_insert(mp, find_behind(mp, addr), size, addr);
	}
	return 0;
}

void rmfree(struct map *mp, size_t size, unsigned long addr)
{
	int rc = -1;

	rm_lock(mp);
	if (addr != 0 && size != 0 && addr + size > addr)
		rc = give(mp, size, addr);
	if (rc == 0 && mp->m_want) {
		mp->m_want = 0;
		kmem_cv_broadcast(&mp->m_cv);
	}
	rm_unlock(mp);
	if (rc != 0)
		kmem_panic("bad rmfree");
}

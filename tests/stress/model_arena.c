/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The model of arenas and resource maps: every unit that is handed out is
 * marked in a map of the model, so that nothing is given twice, and every
 * constraint is looked at.  No unit of theirs is memory.
 */
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "rmap.h"

#define IDS    5000UL
#define BASE   0x100000UL /* of the others */
#define SPAN   0x400000UL
#define UNIT   64UL
#define NRANGE 20000UL

struct arena {
	vmem_t *vmp;
	size_t quantum;
	uintptr_t base;
	size_t span;
	unsigned char *taken; /* one for each UNIT, or id; atomic */
	size_t unit;
	long size; /* atomic: what the model holds */
};

static unsigned char id_map[IDS + 1], span_map[SPAN / UNIT],
	next_map[SPAN / UNIT], range_map[NRANGE + 1];
static struct arena arenas[NARENAS];
static vmem_t *source, *middle;
static struct map *map;

static void mark(struct arena *a, uintptr_t at, size_t size, int is_taken)
{
	size_t first = (at - a->base) / a->unit;
	size_t last = (at - a->base + size - 1) / a->unit;

	if (at < a->base || at - a->base + size > a->span)
		fail("[%lx, +%zx) is outside", at, size);
	for (size_t i = first; i <= last; i++)
		if (__atomic_exchange_n(&a->taken[i], is_taken,
					__ATOMIC_RELAXED) == is_taken)
			fail("%lx is %s twice", at,
			     is_taken ? "given" : "freed");
}

void arena_init(void)
{
	const struct arena first[NARENAS] = {
		{NULL, 1, 1, IDS, id_map, 1, 0},
		{NULL, UNIT, BASE, SPAN, span_map, UNIT, 0},
		{NULL, 4096, BASE, SPAN, next_map, UNIT, 0},
		{NULL, 1, 1, NRANGE, range_map, 1, 0},
	};

	memcpy(arenas, first, sizeof(first));
	arenas[0].vmp = vmem_create("stress_ids", (void *)1, IDS, 1, NULL, NULL,
				    NULL, 8, VM_SLEEP | VMC_IDENTIFIER);
	source = vmem_create("stress_source", (void *)BASE, SPAN, 4096, NULL,
			     NULL, NULL, 0, VM_SLEEP);
	middle = vmem_create("stress_middle", NULL, 0, 1024, vmem_alloc,
			     vmem_free, source, 0, VM_SLEEP);
	arenas[1].vmp = vmem_create("stress_nested", NULL, 0, UNIT, vmem_alloc,
				    vmem_free, middle, 4 * UNIT, VM_SLEEP);
	arenas[2].vmp = vmem_create("stress_next", (void *)BASE, SPAN / 2, 4096,
				    NULL, NULL, NULL, 0, VM_SLEEP | VM_NEXTFIT);
	(void)vmem_add(arenas[2].vmp, (void *)(BASE + SPAN / 2), SPAN / 2,
		       VM_SLEEP);
	map = rmallocmap_wait(4000);
	rmfree(map, NRANGE, 1);
}

void arena_fini(void)
{
	for (int i = 0; i < NARENAS; i++) {
		vmem_t *vmp = arenas[i].vmp;

		if (!vmp)
			continue;
		vmem_qcache_reap(vmp);
		vmem_destroy(vmp);
	}
	if (vmem_size(middle, VMEM_ALLOC) != 0)
		fail("stress_nested is gone and %zu of its source are not free",
		     vmem_size(middle, VMEM_ALLOC));
	vmem_destroy(middle);
	if (vmem_size(source, VMEM_ALLOC) != 0)
		fail("stress_middle is gone and %zu of its source are not free",
		     vmem_size(source, VMEM_ALLOC));
	vmem_destroy(source);
	if (rmalloc(map, NRANGE) != 1)
		fail("the resource map is not whole");
	rmfree(map, NRANGE, 1);
	rmfreemap(map);
}

static int pick_vmflag(struct worker *w)
{
	static const int fit[] = {0, VM_BESTFIT, VM_FIRSTFIT, VM_NEXTFIT};
	static const int more[] = {0, VM_PUSHPAGE, VM_NORMALPRI, VM_ABORT,
				   VM_ENDALLOC};

	return VM_NOSLEEP | fit[below(w, 4)] | more[below(w, 5)];
}

static void keep(struct worker *w, struct slot *s, enum kind kind, void *p,
		 size_t size, unsigned which)
{
	struct arena *a = &arenas[which];

	if (!p) {
		w->nrefused++;
		return;
	}
	mark(a, (uintptr_t)p, size, 1);
	__atomic_fetch_add(&a->size, (long)size, __ATOMIC_RELAXED);
	s->kind = kind;
	s->p = p;
	s->size = size;
	s->bytes = 0;
	s->which = which;
	w->count[kind]++;
}

/** A request with any constraints that are sound. */
static void alloc_placed(struct worker *w, struct slot *s, unsigned which)
{
	struct arena *a = &arenas[which];
	size_t size = 1 + below(w, 40 * a->quantum);
	size_t align = a->quantum << below(w, 8);
	size_t phase = below(w, align / a->quantum) * a->quantum;
	size_t room = (phase + size + align - 1) & -align;
	size_t nocross = below(w, 2) ? 0 : align;
	uintptr_t min = 0, max = 0, at;

	while (nocross && nocross < room)
		nocross *= 2;
	if (below(w, 3) == 0)
		min = a->base + below(w, a->span);
	if (below(w, 3) == 0)
		max = a->base + a->span / 2 + below(w, a->span / 2);
	at = (uintptr_t)vmem_xalloc(a->vmp, size, align, phase, nocross,
				    (void *)min, (void *)max, pick_vmflag(w));
	if (at &&
	    (at % align != phase || at < min || (max && at + size > max) ||
	     (nocross && (at ^ (at + size - 1)) & -nocross)))
		fail("vmem_xalloc(%zu, %zu, %zu, %zu, %lx, %lx) gave %lx", size,
		     align, phase, nocross, min, max, at);
	keep(w, s, XSEGMENT, (void *)at, size, which);
}

void arena_alloc(struct worker *w, struct slot *s)
{
	unsigned which = (unsigned)below(w, NARENAS);
	struct arena *a = &arenas[which];
	size_t size;

	if (!a->vmp) {
		size = 1 + below(w, 30);
		keep(w, s, RANGE, (void *)rmalloc(map, size), size, which);
		return;
	}
	if (below(w, 3) == 0) {
		alloc_placed(w, s, which);
		return;
	}
	size = 1 + below(w, (which ? 20 : 12) * a->quantum);
	keep(w, s, SEGMENT, vmem_alloc(a->vmp, size, pick_vmflag(w)), size,
	     which);
}

void arena_free(struct worker *w, struct slot *s)
{
	struct arena *a = &arenas[s->which];
	uintptr_t at = (uintptr_t)s->p;

	(void)w;
	mark(a, at, s->size, 0);
	__atomic_fetch_sub(&a->size, (long)s->size, __ATOMIC_RELAXED);
	if (s->kind == RANGE)
		rmfree(map, s->size, at);
	else if (s->kind == XSEGMENT)
		vmem_xfree(a->vmp, s->p, s->size);
	else
		vmem_free(a->vmp, s->p, s->size);
	s->kind = EMPTY;
}

static void count_units(void *arg, void *start, size_t size)
{
	(void)start;
	*(size_t *)arg += size;
}

void arena_upkeep(struct worker *w)
{
	unsigned which = (unsigned)below(w, NARENAS - 1);
	struct arena *a = &arenas[which];
	size_t total = 0;

	switch (below(w, 4)) {
	case 0:
		vmem_walk(a->vmp, VMEM_ALLOC | (int)VMEM_REENTRANT, count_units,
			  &total);
		break;
	case 1:
		vmem_walk(a->vmp, VMEM_ALLOC | VMEM_FREE, count_units, &total);
		if (which != 1 && total > a->span)
			fail("a walk of %s found %zx", a->vmp->vm_name, total);
		break;
	case 2:
		if (which != 1 &&
		    !vmem_contains(a->vmp, (void *)a->base, a->quantum))
			fail("%s has no %lx", a->vmp->vm_name, a->base);
		break;
	default:
		vmem_qcache_reap(a->vmp);
	}
}

int arena_compare(void)
{
	int nbad = 0;

	for (unsigned i = 0; i < NARENAS; i++) {
		size_t n = 0, marked = 0;

		for (size_t k = 0; k < NSLOTS; k++)
			if (slots[k].kind >= SEGMENT && slots[k].which == i)
				n += slots[k].size;
		for (size_t k = 0; k < arenas[i].span / arenas[i].unit; k++)
			marked += arenas[i].taken[k];
		if (n != (size_t)arenas[i].size ||
		    (arenas[i].unit == 1 && marked != n) ||
		    (arenas[i].vmp &&
		     vmem_size(arenas[i].vmp, VMEM_ALLOC) < n)) {
			fprintf(stderr, "arena %u: %zu in use, %ld, %zu\n", i,
				n, arenas[i].size, marked);
			nbad++;
		}
	}
	return nbad;
}

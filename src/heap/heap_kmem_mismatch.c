/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frees by calls that do not belong to the ones that allocated.
 *
 * The library has a table of pairs of records.  The size of the table is that
 * of its member in DWARF, so nothing in the dump can make us read on; a pair
 * whose records are not about one buffer, or not an allocation and a free, is
 * damage and is not told.
 */
#include <stdlib.h>
#include "base/interrupt.h"
#include "heap/heap_kmem_impl.h"

struct pairs {
	VEC(struct heap_mismatch) list;
};

static int newest_first(const void *a, const void *b)
{
	const struct heap_mismatch *x = a;
	const struct heap_mismatch *y = b;

	if (x->free.stamp_ns != y->free.stamp_ns)
		return x->free.stamp_ns > y->free.stamp_ns ? -1 : 1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* true when the slot is used and makes sense */
static bool read_pair(struct kmem_heap *kh, taddr_t at,
		      struct heap_mismatch *ret)
{
#define ROW(f) kh->names.row[F_kmem_mismatch_##f]
	const void *raw = kmem_peek(kh, K_kmem_mismatch, at);
	struct err *err = NULL;

	if (!raw)
		return false;
	*ret = (struct heap_mismatch){
		.addr = at,
		.count = kmem_get(kh, F_kmem_mismatch_mm_count, raw),
		.size_bytes = kmem_get(kh, F_kmem_mismatch_mm_bytes, raw),
		.freed_bytes =
			kmem_get(kh, F_kmem_mismatch_mm_freed_bytes, raw),
	};
	if (!ret->count)
		return false;
	err = kmem_record_at(kh, at + ROW(mm_alloc).offset_bytes, &ret->alloc);
	if (!err)
		err = kmem_record_at(kh, at + ROW(mm_free).offset_bytes,
				     &ret->free);
	if (err || ret->alloc.buf != ret->free.buf ||
	    ret->free.what != HEAP_FREE || !*ret->free.kind ||
	    ret->free.lastlog != ret->alloc.addr) {
		kmem_damage(kh, at, 0, "mismatched free 0x%" PRIx64 " %s", at,
			    err ? err->msg : "is damaged");
		err_free(err);
		return false;
	}
	return true;
#undef ROW
}

static struct err *read_pairs(struct kmem_heap *kh, struct pairs *ret)
{
	const struct view_row *table =
		&kh->names.row[F_kmem_mismatch_log_mml_pair];
	uint64_t stride = kh->names.struct_bytes[K_kmem_mismatch];
	taddr_t at = kh->names.sym[S_kmem_mismatch_log];

	if (!at || !stride || !table->is_bound ||
	    !kh->names.row[F_kmem_mismatch_mm_count].is_bound)
		return err_new(ERR_NOSUP, "this libkmem does not record "
					  "mismatched frees");
	at += table->offset_bytes;
	for (uint64_t i = 0; i < table->size_bytes / stride; i++) {
		struct heap_mismatch m;
		struct err *err = interrupt_check();

		if (err)
			return err;
		if (read_pair(kh, at + i * stride, &m))
			VEC_PUSH(&ret->list, m);
	}
	return NULL;
}

struct err *kmem_mismatches(struct heap *heap, uint64_t *ret_total,
			    heap_mismatch_fn *fn, void *arg)
{
	struct kmem_heap *kh = heap->priv;
	struct pairs pairs = {0};
	struct err *err = NULL;

	*ret_total = kmem_global(kh, S_kmem_mismatches, 8);
	if (!fn || !*ret_total)
		return NULL;
	err = read_pairs(kh, &pairs);
	if (!err && pairs.list.n)
		qsort(pairs.list.v, pairs.list.n, sizeof(*pairs.list.v),
		      newest_first);
	for (size_t i = 0; !err && i < pairs.list.n; i++)
		err = fn(arg, &pairs.list.v[i]);
	VEC_FREE(&pairs.list);
	return err;
}

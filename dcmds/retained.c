/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What keeps most memory alive: ::retained by buffers and by call sites,
 * ::dominators of one buffer.
 *
 * A site's bytes are those that would go if all its buffers went: the sum of what
 * they retain, less those below another buffer of the same site in the tree of
 * dominators.  The tree is walked once; how many buffers of each site are above
 * is counted on the way.
 */
#include "audited.h"

#include <stdlib.h>

#define SHOWN_DEFAULT 20

static const struct column buf_cols[] = {
	{"buffer", "BUFFER", CELL_ADDR, -16},
	{"size_bytes", "SIZE", CELL_BYTES, 10},
	{"retained_bytes", "RETAINED", CELL_BYTES, 12},
	{"retained_buffers", "BUFFERS", CELL_COUNT, 10},
	{"from", "FROM", CELL_TEXT, -20},
	{"caller", "CALLER", CELL_SYM, 0},
	{"state", NULL, CELL_TEXT, 0},
};
#define NBUF_COLS 7

static const struct column site_cols[] = {
	{"retained_bytes", "RETAINED", CELL_BYTES, 12},
	{"retained_buffers", "BUFFERS", CELL_COUNT, 10},
	{"own_bytes", "OWN", CELL_BYTES, 12},
	{"own_buffers", "OWN BUFS", CELL_COUNT, 10},
	{"caller", "CALLER", CELL_SYM, 0},
};

/* a call site; pc 0: what was not recorded */
struct site {
	taddr_t pc;
	uint64_t bytes, nbufs, own_bytes, own_nbufs;
	uint32_t nabove; /* buffers of it between here and the roots */
};

struct retained_arg {
	struct dcmd_call *call;
	struct heap *heap;
	struct reach *reach;
	struct dominators *dom; /* borrowed */
	uint64_t nshown;
	bool by_site, is_all;
	VEC(struct site) sites;
	struct hash by_stack; /* stack id -> index in sites */
	struct hash by_pc;
};

/* ---- buffers --------------------------------------------------------- */

static taddr_t caller_of(const struct retained_arg *a, const struct heap_buf *b)
{
	struct heap_audit au = {0};

	if (!a->heap->ops->audit || !a->heap->ops->audit(a->heap, b, &au))
		return 0;
	return heap_caller_of(a->heap, au.stack);
}

static void buf_row(const struct retained_arg *a, uint32_t w)
{
	const struct dominators *dom = a->dom;
	struct out *o = a->call->out;
	struct heap_buf b;

	bufset_get(a->heap, a->reach->leaks->set, dom->buf[w], &b);
	out_addr(o, b.addr);
	out_u64(o, b.req_bytes < b.size_bytes ? b.req_bytes : b.size_bytes);
	out_u64(o, dom->bytes[w]);
	out_u64(o, dom->nbufs[w]);
	out_str(o, heap_buf_from(a->heap, &b));
	caller_or_blank(o, caller_of(a, &b));
	out_str(o, hold_name(reach_hold(a->reach, dom->buf[w])));
	out_end_row(o, b.addr);
}

/* does number x come before y in a list of the largest? */
static bool is_larger(const struct dominators *dom, uint32_t x, uint32_t y)
{
	if (dom->bytes[x] != dom->bytes[y])
		return dom->bytes[x] > dom->bytes[y];
	return dom->buf[x] < dom->buf[y];
}

/* a heap whose top is the least of the largest so far */
static void sift_down(const struct dominators *dom, uint32_t *v, size_t n,
		      size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < n; k++)
			if (is_larger(dom, v[least], v[k]))
				least = k;
		if (least == i)
			return;
		uint32_t moved = v[i];

		v[i] = v[least];
		v[least] = moved;
		i = least;
	}
}

/* does it add little to what it retains: is it a link of a chain? */
static bool is_link(const struct dominators *dom, uint32_t w)
{
	uint32_t d = dom->idom[w];

	return d && dom->bytes[w] / 7 >= (dom->bytes[d] - dom->bytes[w]);
}

/* prints the largest; of: only those it dominates directly; 0 every one */
static struct err *print_largest(const struct retained_arg *a, uint32_t of)
{
	const struct dominators *dom = a->dom;
	size_t max = a->nshown < dom->n ? a->nshown : dom->n;
	_free_ uint32_t *v = mem_array(max + 1, sizeof(*v));
	size_t n = 0;

	for (uint32_t w = 1; max && w <= dom->n; w++) {
		if (of ? dom->idom[w] != of : !a->is_all && is_link(dom, w))
			continue;
		if (n < max) {
			v[n++] = w;
			if (n == max)
				for (size_t i = n; i-- > 0;)
					sift_down(dom, v, n, i);
		} else if (is_larger(dom, w, v[0])) {
			v[0] = w;
			sift_down(dom, v, n, 0);
		}
	}
	if (n < max)
		for (size_t i = n; i-- > 0;)
			sift_down(dom, v, n, i);
	for (size_t left = n; left > 1; left--) { /* least last */
		uint32_t least = v[0];

		v[0] = v[left - 1];
		v[left - 1] = least;
		sift_down(dom, v, left - 1, 0);
	}
	for (size_t i = 0; i < n; i++)
		buf_row(a, v[i]);
	return interrupt_check();
}

/* ---- call sites ------------------------------------------------------ */

static uint32_t site_of(struct retained_arg *a, uint32_t w)
{
	struct heap_audit au = {0};
	struct heap_buf b;
	bool is_new = false;

	bufset_get(a->heap, a->reach->leaks->set, a->dom->buf[w], &b);
	if (!a->heap->ops->audit || !a->heap->ops->audit(a->heap, &b, &au))
		au.stack = 0;
	uint64_t *known = hash_put(&a->by_stack, au.stack, &is_new);

	if (!is_new)
		return (uint32_t)*known;
	struct site site = {.pc = heap_caller_of(a->heap, au.stack)};
	uint64_t *same = hash_put(&a->by_pc, site.pc, &is_new);

	if (is_new) {
		*same = a->sites.n;
		VEC_PUSH(&a->sites, site);
	}
	*known = *same;
	return (uint32_t)*same;
}

static void enter_site(const struct retained_arg *a, struct site *site,
		       uint32_t w)
{
	if (site->nabove++ > 0)
		return;
	site->bytes += a->dom->bytes[w];
	site->nbufs += a->dom->nbufs[w];
}

/* goes through the tree: child and sibling by number, 0 none */
static struct err *walk_tree(struct retained_arg *a, const uint32_t *site,
			     const uint32_t *child, const uint32_t *sibling)
{
	const struct dominators *dom = a->dom;
	uint32_t w = child[0];

	for (size_t n = 0; w; n++) {
		enter_site(a, &a->sites.v[site[w]], w);
		if ((n & 0xffff) == 0) {
			struct err *err = interrupt_check();

			if (err)
				return err;
		}
		if (child[w]) {
			w = child[w];
			continue;
		}
		while (w && !sibling[w]) {
			a->sites.v[site[w]].nabove--;
			w = dom->idom[w];
		}
		if (w) {
			a->sites.v[site[w]].nabove--;
			w = sibling[w];
		}
	}
	return NULL;
}

static struct err *find_sites(struct retained_arg *a)
{
	const struct dominators *dom = a->dom;
	const struct bufset *set = a->reach->leaks->set;
	size_t n = (size_t)dom->n + 1;
	_free_ uint32_t *site = mem_array(n, sizeof(*site));
	_free_ uint32_t *child = mem_array(n, sizeof(*child));
	_free_ uint32_t *sibling = mem_array(n, sizeof(*sibling));

	for (uint32_t w = dom->n; w > 0; w--) {
		site[w] = site_of(a, w);
		a->sites.v[site[w]].own_nbufs++;
		a->sites.v[site[w]].own_bytes +=
			bufset_at(set, dom->buf[w]).size_bytes;
		sibling[w] = child[dom->idom[w]];
		child[dom->idom[w]] = w;
		if ((w & 0xffff) != 0)
			continue;
		progress_set("looking for callers", dom->n - w, dom->n);
		struct err *err = interrupt_check();

		if (err)
			return err;
	}
	return walk_tree(a, site, child, sibling);
}

static int by_bytes(const void *a, const void *b)
{
	const struct site *x = a;
	const struct site *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->pc < y->pc ? -1 : x->pc > y->pc;
}

static struct err *print_sites(struct retained_arg *a)
{
	struct out *o = a->call->out;
	struct err *err = NULL;

	hash_init(&a->by_stack);
	hash_init(&a->by_pc);
	err = find_sites(a);
	if (!err && a->sites.n)
		qsort(a->sites.v, a->sites.n, sizeof(*a->sites.v), by_bytes);
	if (!err)
		out_begin(o, site_cols, 5, NULL);
	for (size_t i = 0; !err && i < a->sites.n && i < a->nshown; i++) {
		const struct site *s = &a->sites.v[i];

		out_u64(o, s->bytes);
		out_u64(o, s->nbufs);
		out_u64(o, s->own_bytes);
		out_u64(o, s->own_nbufs);
		caller_or_blank(o, s->pc);
		out_end_row(o, s->pc);
	}
	if (!err)
		out_end(o);
	hash_fini(&a->by_stack);
	hash_fini(&a->by_pc);
	VEC_FREE(&a->sites);
	return err;
}

/* ---- the dcmds ------------------------------------------------------- */

static const struct opt opts[] = {
	{'a', OPT_FLAG, NULL, "also the links of a chain"},
	{'c', OPT_FLAG, NULL, "by call site"},
	{'n', OPT_NUMBER, "count", "so many, not 0t20"},
	{0},
};

static struct err *begin(struct retained_arg *a)
{
	struct err *err = session_heap(a->call->s, &a->heap);

	if (!err)
		err = session_reach(a->call->s, &a->reach);
	if (!err)
		err = reach_dominators(a->heap, a->reach, &a->dom);
	return err;
}

/* the number of the buffer that the call is for */
static struct err *number_of(const struct retained_arg *a, uint32_t *ret)
{
	size_t i = bufset_find(a->reach->leaks->set, a->call->addr);

	if (i == BUFSET_NONE)
		return err_new(ERR_NOTFOUND,
			       "0x%" PRIx64 " is in no allocated buffer",
			       a->call->addr);
	*ret = a->dom->number[i];
	return *ret ? NULL
		    : err_new(ERR_NOTFOUND,
			      "0x%" PRIx64 " is leaked: no root leads to it",
			      a->call->addr);
}

static struct err *dcmd_retained(struct dcmd_call *call)
{
	struct retained_arg a = {.call = call, .nshown = SHOWN_DEFAULT};
	void *const values[] = {&a.is_all, &a.by_site, &a.nshown};
	size_t first = 0;
	uint32_t w = 0;
	struct err *err = dcmd_options(call, opts, values, &first);

	if (!err && (first != call->argc ||
		     (a.by_site && (call->flags & DCMD_ADDRSPEC))))
		err = err_new(ERR_USAGE, "an address, or -c, or neither");
	if (!err)
		err = begin(&a);
	if (!err && (call->flags & DCMD_ADDRSPEC))
		err = number_of(&a, &w);
	if (err)
		return err;
	if (a.by_site)
		return print_sites(&a);
	out_begin(call->out, buf_cols, NBUF_COLS, NULL);
	if (w)
		buf_row(&a, w);
	err = print_largest(&a, w);
	out_end(call->out);
	return err;
}

static struct err *dcmd_dominators(struct dcmd_call *call)
{
	struct retained_arg a = {.call = call};
	uint32_t w = 0;
	struct err *err = NULL;

	if (call->argc)
		return err_new(ERR_USAGE, "unexpected argument");
	err = begin(&a);
	if (!err)
		err = number_of(&a, &w);
	if (err)
		return err;
	out_begin(call->out, buf_cols, NBUF_COLS, NULL);
	for (; w; w = a.dom->idom[w])
		buf_row(&a, w);
	out_end(call->out);
	return NULL;
}

static const struct dcmd dcmds[] = {
	{.name = "retained",
	 .addr = ADDR_OPTIONAL,
	 .usage = "",
	 .opts = opts,
	 .brief = "print what keeps most memory alive",
	 .run = dcmd_retained},
	{.name = "dominators",
	 .addr = ADDR_REQUIRED,
	 .usage = "",
	 .brief = "print the buffers without which one would be free",
	 .run = dcmd_dominators},
	{0},
};

const struct group group_retained = {.name = "retained", .dcmds = dcmds};

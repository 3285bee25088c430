/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who points at something: every word that marking would follow is looked at. */
#include "base/interrupt.h"
#include "base/progress.h"
#include "graph/graph.h"

struct scan {
	taddr_t start, end;
	struct ref ref; /* root and buf at hand */
	ref_fn *fn;
	void *arg;
};

static struct err *look_at(void *arg, taddr_t at, uint64_t value)
{
	struct scan *s = arg;

	if (value - s->start >= s->end - s->start)
		return NULL;
	s->ref.at = at;
	s->ref.value = value;
	return s->fn(s->arg, &s->ref);
}

static struct err *scan_roots(struct scan *s, const struct roots *roots,
			      const struct target *t)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < roots->n; i++) {
		const struct root *r = &roots->v[i];

		s->ref.root = r;
		if (r->start != r->end)
			err = words_scan(t, r->start, r->end, look_at, s, NULL);
		else
			err = look_at(s, 0, r->value);
		if (!err)
			err = interrupt_check();
	}
	s->ref.root = NULL;
	return err;
}

static struct err *scan_bufs(struct scan *s, const struct bufset *set,
			     const struct target *t)
{
	struct err *err = NULL;

	for (size_t i = 0; !err && i < set->n; i++) {
		struct bufset_buf b = bufset_at(set, i);

		s->ref.buf = i;
		err = words_scan(t, b.addr, b.addr + b.size_bytes, look_at, s,
				 NULL);
		if ((i & 0xfff) != 0)
			continue;
		progress_set("looking for references", i, set->n);
		if (!err)
			err = interrupt_check();
	}
	return err;
}

struct err *refs_scan(const struct leaks *leaks, const struct target *t,
		      taddr_t start, taddr_t end, ref_fn *fn, void *arg)
{
	struct scan s = {.start = start, .end = end, .fn = fn, .arg = arg};
	struct err *err = scan_roots(&s, leaks->roots, t);

	return err ? err : scan_bufs(&s, leaks->set, t);
}

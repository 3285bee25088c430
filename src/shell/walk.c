/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walkers by name: those of the groups, and those the target brings along. */
#include "shell/shell_impl.h"

#include <stdlib.h>

/* the target's own walkers (one a cache): known once the heap is open */
static void make_own_walkers(struct session *s)
{
	struct err *err = NULL;

	if (s->has_own_walkers)
		return;
	s->has_own_walkers = true;
	if (!session_try_heap(s, NULL))
		return;
	for (size_t i = 0; dcmd_groups[i]; i++) {
		struct walker *w = NULL;
		size_t n = 0;

		if (!dcmd_groups[i]->make_walkers)
			continue;
		err = dcmd_groups[i]->make_walkers(s, &w, &n);
		if (err) {
			exec_report(s, err);
			continue;
		}
		s->own_walkers = mem_realloc(
			s->own_walkers, s->nown_walkers + n + 1, sizeof(*w));
		if (n > 0)
			memcpy(s->own_walkers + s->nown_walkers, w,
			       n * sizeof(*w));
		s->nown_walkers += n;
		mem_free(w);
	}
}

/* "name", or "module`name" */
static const struct walker *find(struct session *s, const char *name)
{
	const struct group *const *groups = session_groups(s);
	const char *mark = strchr(name, '`');
	const char *bare = mark ? mark + 1 : name;
	size_t scope = mark ? (size_t)(mark - name) : 0;

	for (size_t i = 0; groups[i]; i++) {
		const struct group *g = groups[i];
		const struct walker *w = g->walkers;

		if (mark &&
		    (strncmp(g->name, name, scope) || g->name[scope] != '\0'))
			continue;
		for (; w && w->name; w++)
			if (!strcmp(w->name, bare))
				return w;
	}
	make_own_walkers(s);
	for (size_t i = 0; i < s->nown_walkers; i++)
		if (!strcmp(s->own_walkers[i].name, name))
			return &s->own_walkers[i];
	return NULL;
}

static struct err *unknown(struct session *s, const char *name)
{
	struct nearest near = nearest_to(name);
	const struct walker *const *v = NULL;
	size_t n = session_walkers(s, &v);
	_free_ char *meant = NULL;

	for (size_t i = 0; i < n; i++)
		nearest_try(&near, v[i]->name);
	mem_free((void *)v);
	meant = nearest_text(&near, "");
	session_stop_loop(s);
	return err_new(ERR_NOTFOUND,
		       "failed to perform walk '%s': unknown walk name%s", name,
		       meant);
}

static const struct group *walker_group(struct session *s,
					const struct walker *w)
{
	const struct group *const *groups = session_groups(s);

	for (size_t i = 0; groups[i]; i++)
		for (const struct walker *x = groups[i]->walkers; x && x->name;
		     x++)
			if (x == w)
				return groups[i];
	return NULL; /* the target's own */
}

struct err *walk_run(struct session *s, const char *name, bool has_addr,
		     taddr_t addr, walk_fn *fn, void *arg)
{
	const struct walker *w = find(s, name);
	struct err *err = NULL;

	if (!w)
		return unknown(s, name);
	/* the next address would fail like this one */
	if ((w->addr == ADDR_REQUIRED && !has_addr) ||
	    (w->addr == ADDR_NONE && has_addr))
		session_stop_loop(s);
	if (w->addr == ADDR_REQUIRED && !has_addr)
		return err_new(ERR_NOTFOUND,
			       "failed to perform walk '%s': walker requires "
			       "starting address",
			       name);
	if (w->addr == ADDR_NONE && has_addr)
		return err_new(ERR_NOTFOUND,
			       "failed to perform walk '%s': walker does not "
			       "accept starting address",
			       name);
	module_enter(s, walker_group(s, w), 1);
	err = w->run(s, w, has_addr, addr, fn, arg);
	module_enter(s, walker_group(s, w), -1);
	if (err_is(err, ERR_STOP) && !interrupt_flag) {
		err_free(err);
		err = NULL;
	}
	return err;
}

static int by_name(const void *a, const void *b)
{
	const struct walker *const *x = a;
	const struct walker *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

size_t session_walkers(struct session *s, const struct walker *const **ret)
{
	const struct group *const *groups = session_groups(s);
	VEC(const struct walker *) list = {0};

	make_own_walkers(s);
	for (size_t i = 0; groups[i]; i++)
		for (const struct walker *w = groups[i]->walkers; w && w->name;
		     w++)
			VEC_PUSH(&list, w);
	for (size_t i = 0; i < s->nown_walkers; i++)
		VEC_PUSH(&list, &s->own_walkers[i]);
	if (list.n > 0)
		qsort(list.v, list.n, sizeof(*list.v), by_name);
	*ret = list.v;
	return list.n;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A session on a process that runs: it stands still while a command line works,
 * and goes on while the user thinks.
 *
 * (I1) Nothing that was computed of it outlives the line: the next one finds
 *      another state.  Symbols do, as long as the same files are mapped.
 * (I2) What a line prints is kept until the process goes on, so that it never
 *      waits for a pager, a slow terminal or a full pipe.
 */
#define _GNU_SOURCE /* open_memstream */
#include <stdlib.h>

#include "shell/shell_impl.h"

static struct err *renew_types(struct session *s)
{
	struct err *err = NULL;

	/* in this order: a target has one reader of files */
	types_close(s->types);
	s->types = NULL;
	err = types_open(s->target, &s->types_options, &s->types);
	s->base_out.types = s->types;
	return err;
}

static void forget(struct session *s)
{
	session_drop_leaks(s);
	mem_free(s->own_walkers);
	s->own_walkers = NULL;
	s->nown_walkers = 0;
	s->has_own_walkers = false;
	mem_free(s->why_no_heap);
	s->why_no_heap = NULL;
	heap_close(s->replay);
	s->replay = NULL;
	s->is_replaying = false;
	heap_close(s->heap);
	s->heap = NULL;
}

static struct err *stop(struct session *s)
{
	uint64_t before = target_objects_id(s->target);
	struct err *err = target_hold(s->target);

	if (err || target_objects_id(s->target) == before)
		return err;
	return renew_types(s);
}

/* from now on output is kept */
static void keep(struct session *s)
{
	s->base_out.fp = open_memstream(&s->live.text, &s->live.text_bytes);
	if (!s->base_out.fp) /* no memory: it may wait then */
		s->base_out.fp = s->live.fp;
}

static void print_kept(struct session *s)
{
	if (s->base_out.fp == s->live.fp)
		return;
	(void)fclose(s->base_out.fp); /* in memory */
	s->base_out.fp = s->live.fp;
	(void)fwrite(s->live.text, 1, s->live.text_bytes,
		     s->live.fp); /* out_finish() looks */
	free(s->live.text);
}

void live_show(struct session *s)
{
	if (!s->live.fp)
		return;
	out_finish(&s->base_out);
	print_kept(s);
	out_finish(&s->base_out);
	keep(s);
}

bool session_hold(struct session *s)
{
	struct err *err = NULL;

	if (!s->target || !target_info(s->target)->is_live || s->live.nholds++)
		return true;
	if (!s->live.is_held)
		err = stop(s);
	if (err) {
		s->live.nholds = 0;
		exec_report(s, err);
		return false;
	}
	s->live.is_held = true;
	s->live.fp = s->base_out.fp;
	keep(s);
	return true;
}

void session_let_go(struct session *s)
{
	if (!s->live.is_held || (s->live.nholds && --s->live.nholds))
		return;
	forget(s);
	target_let_go(s->target);
	s->live.is_held = false;
	if (!s->live.fp)
		return;
	print_kept(s);
	s->live.fp = NULL;
	out_finish(&s->base_out);
}

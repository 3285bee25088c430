/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A session on a few bytes: data at 0x1000, one thread, output kept in memory;
 * and dcmds and a walker made for the tests.
 */
#ifndef TESTS_UNIT_SHELL_SESSION_TEST_H
#define TESTS_UNIT_SHELL_SESSION_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/user.h>

#include "pmdb_mod.h"
#include "shell/session.h"

#define DATA 0x1000ULL

struct world {
	struct session *s;
	FILE *fp;
	char *text; /* what was printed, after flush() */
	size_t n;
};

static const unsigned char data[64] = {
	0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, /* a word */
	0x08, 0x10, 0,    0,    0,    0,    0,    0,    /* points to itself */
	'h',  'e',  'l',  'l',  'o',  0,    '\n', 0x80, /* strings */
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

/* ---- dcmds ----------------------------------------------------------- */

static const struct column test_cols[] = {
	{"addr", "ADDR", CELL_ADDR, -16}, {"hex", "HEX", CELL_HEX, 8},
	{"name", "NAME", CELL_TEXT, -8},  {"size_bytes", "SIZE", CELL_NICE, 6},
	{"hidden", NULL, CELL_COUNT, 0},  {NULL, "LAST", CELL_TEXT, 0},
};

/* a row for its address */
static struct err *run_row(struct dcmd_call *call)
{
	out_begin(call->out, test_cols, 6, NULL);
	out_addr(call->out, call->addr);
	out_u64(call->out, call->addr);
	out_str(call->out, "n");
	out_u64(call->out, 1536);
	out_u64(call->out, 7);
	out_str(call->out, "last");
	out_end_row(call->out, call->addr + 1);
	out_end(call->out);
	return NULL;
}

/* its flags as a text */
static struct err *run_flags(struct dcmd_call *call)
{
	static const char letters[] = "aLfpo";

	for (unsigned i = 0; i < 5; i++)
		out_text(call->out, "%c",
			 call->flags & 1u << i ? letters[i] : '-');
	out_text(call->out, "%" PRIu64 "\n", call->count);
	return NULL;
}

static struct err *run_fail(struct dcmd_call *call)
{
	return err_new(ERR_FAULT, "no 0x%" PRIx64, call->addr);
}

static const struct opt test_opts[] = {
	{'a', OPT_FLAG, NULL, "a flag"},
	{'b', OPT_FLAG, NULL, "another"},
	{'n', OPT_NUMBER, "n", "a number"},
	{'s', OPT_STRING, "s", "a string"},
	{0},
};

static struct err *run_opts(struct dcmd_call *call)
{
	bool a = false;
	bool b = false;
	uint64_t n = 0;
	const char *s = "-";
	void *const values[] = {&a, &b, &n, &s};
	size_t first = 0;
	struct err *err = dcmd_options(call, test_opts, values, &first);

	if (err)
		return err;
	out_text(call->out, "a%d b%d n%" PRIx64 " s%s", a, b, n, s);
	for (; first < call->argc; first++)
		out_text(call->out, " [%s]", call->argv[first].str);
	out_text(call->out, "\n");
	return NULL;
}

static struct err *run_eval(struct dcmd_call *call)
{
	return session_run_at(call->s, call->addr, call->argv[0].str);
}

struct feed {
	struct dcmd_call *call;
	const char *var;
};

static struct err *feed_one(void *arg, taddr_t addr)
{
	struct feed *f = arg;
	struct err *err = NULL;

	if (f->var)
		err = session_bind_var(f->call->s, f->var, addr);
	if (!err)
		out_value(f->call->out, addr);
	return err;
}

static struct err *run_walk(struct dcmd_call *call)
{
	struct feed f = {call, call->argc > 1 ? call->argv[1].str : NULL};

	return walk_run(call->s, call->argv[0].str, call->flags & DCMD_ADDRSPEC,
			call->addr, feed_one, &f);
}

/* takes what is left of its loop */
static struct err *run_sum(struct dcmd_call *call)
{
	uint64_t sum = call->addr;

	while (session_next(call))
		sum += call->addr;
	out_value(call->out, sum);
	return NULL;
}

static struct err *run_stop(struct dcmd_call *call)
{
	session_stop_loop(call->s);
	return err_new(ERR_NOTFOUND, "never at 0x%" PRIx64, call->addr);
}

static struct err *run_quit(struct dcmd_call *call)
{
	session_quit(call->s);
	return NULL;
}

static const struct dcmd test_dcmds[] = {
	{.name = "row", .addr = ADDR_OPTIONAL, .usage = "", .run = run_row},
	{.name = "flags", .addr = ADDR_OPTIONAL, .usage = "", .run = run_flags},
	{.name = "fail", .addr = ADDR_OPTIONAL, .usage = "", .run = run_fail},
	{.name = "opts",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[word ...]",
	 .opts = test_opts,
	 .run = run_opts},
	{.name = "needs", .addr = ADDR_REQUIRED, .usage = "", .run = run_flags},
	{.name = "none", .addr = ADDR_NONE, .usage = "", .run = run_flags},
	{.name = "eval",
	 .addr = ADDR_OPTIONAL,
	 .usage = "command",
	 .run = run_eval},
	{.name = "walk",
	 .addr = ADDR_OPTIONAL,
	 .usage = "name [variable]",
	 .run = run_walk},
	{.name = "sum", .addr = ADDR_OPTIONAL, .usage = "", .run = run_sum},
	{.name = "stop", .addr = ADDR_OPTIONAL, .usage = "", .run = run_stop},
	{.name = "$q", .usage = "", .run = run_quit},
	{0},
};

/* three values from the address on */
static struct err *walk_three(struct session *s, const struct walker *w,
			      bool has_addr, taddr_t addr, walk_fn *fn,
			      void *arg)
{
	struct err *err = NULL;

	(void)s;
	(void)w;
	for (uint64_t i = 1; i <= 3 && !err; i++)
		err = fn(arg, has_addr ? addr + i : i);
	return err;
}

/* two values, then damage */
static struct err *walk_torn(struct session *s, const struct walker *w,
			     bool has_addr, taddr_t addr, walk_fn *fn,
			     void *arg)
{
	struct err *err = fn(arg, 1);

	(void)s;
	(void)w;
	(void)has_addr;
	(void)addr;
	if (!err)
		err = fn(arg, 2);
	return err ? err : err_new(ERR_BADDATA, "torn");
}

static const struct walker test_walkers[] = {
	{.name = "three", .addr = ADDR_OPTIONAL, .run = walk_three},
	{.name = "torn", .addr = ADDR_NONE, .run = walk_torn},
	{.name = "from", .addr = ADDR_REQUIRED, .run = walk_three},
	{0},
};

static const struct group test_group = {
	.name = "test",
	.dcmds = test_dcmds,
	.walkers = test_walkers,
};
const struct group *const dcmd_groups[] = {&test_group, NULL};

/* ---- the world ------------------------------------------------------- */

static struct world *world_open(bool is_json)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct session_options opt = {.is_json = is_json};
	struct target *t = target_mem_create();
	struct target_thread thread = {.tid = 7, .has_regs = true};
	struct types *types = NULL;

	thread.regs.rip = 0x123456789abcdef0;
	thread.regs.rax = 0x1122334455667788;
	target_mem_add(t, DATA, data, sizeof(data), 6);
	target_mem_thread(t, &thread);
	assert_null(types_open(t, NULL, &types));
	w->fp = open_memstream(&w->text, &w->n);
	opt.out = w->fp;
	w->s = session_create(t, types, &opt);
	return w;
}

static void world_close(struct world *w)
{
	session_destroy(w->s);
	fclose(w->fp);
	free(w->text);
	mem_free(w);
}

/* runs a command that must succeed, compares all it printed */
static inline void prints(struct world *w, const char *cmd, const char *want)
{
	size_t before = 0;
	struct err *err = NULL;

	fflush(w->fp);
	before = w->n;
	err = session_run_at(w->s, session_dot(w->s), cmd);
	if (err)
		fail_msg("%s: %s", cmd, err->msg);
	fflush(w->fp);
	assert_string_equal(w->text + before, want);
}

/* runs a command whose last error must begin so */
static inline void fails(struct world *w, const char *cmd, const char *want)
{
	struct err *err = session_run_at(w->s, session_dot(w->s), cmd);

	if (!err)
		fail_msg("%s: no error", cmd);
	if (strncmp(err->msg, want, strlen(want)))
		fail_msg("%s: \"%s\", not \"%s\"", cmd, err->msg, want);
	err_free(err);
}

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Real cores for tests: a source compiled on the spot, stopped under gdb. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "types/types.h"

/* runs a shell command; its output, owned; ends the test run if it fails */
static inline char *sample_shell(const char *command)
{
	struct strbuf out = {0};
	FILE *pipe = popen(command, "r");
	char buf[4096];
	size_t n;

	while (pipe && (n = fread(buf, 1, sizeof(buf), pipe)) > 0)
		strbuf_add(&out, buf, n);
	if (!pipe || pclose(pipe) != 0) {
		fprintf(stderr, "%s: failed\n%s\n", command, strbuf_str(&out));
		exit(99);
	}
	return out.s ? out.s : mem_strdup("");
}

static inline void sample_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		exit(99);
}

/* runs ./prog until it aborts and leaves ./prog.core */
static inline void sample_core(const char *prog)
{
	_free_ char *command = mem_printf(
		"gdb -nx -q -batch -iex 'set debuginfod enabled off' "
		"-ex 'handle SIGUSR1 nostop noprint pass' "
		"-ex run -ex 'gcore %s.core' ./%s </dev/null 2>&1",
		prog, prog);

	mem_free(sample_shell(command));
}

/* what gdb says to a few commands on ./prog and its core */
static inline char *sample_gdb(const char *prog, const char *commands)
{
	_free_ char *command = mem_printf(
		"gdb -nx -q -batch -iex 'set debuginfod enabled off' %s "
		"./%s %s.core 2>/dev/null </dev/null",
		commands, prog, prog);

	return sample_shell(command);
}

struct sample {
	struct target *target;
	struct types *types;
};

static inline struct sample sample_open(const char *core,
					const struct types_options *opt)
{
	struct sample s = {0};
	struct err *err = target_open_core(core, &s.target);

	if (!err)
		err = types_open(s.target, opt, &s.types);
	if (err) {
		fprintf(stderr, "%s\n", err->msg);
		exit(99);
	}
	return s;
}

static inline void sample_close(struct sample *s)
{
	types_close(s->types);
	target_close(s->target);
}

#endif

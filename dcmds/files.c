/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files around a session: macros, logs, ::cat; and what it is told to refuse,
 * writing to the dump. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pmdb_mod.h"

/* ---- ::cat ----------------------------------------------------------- */

static struct err *cat_one(struct dcmd_call *call, const char *path)
{
	FILE *fp = fopen(path, "re");
	struct err *err = NULL;
	char buf[4096];

	if (!fp)
		return err_new(ERR_IO, "%s: %s", path, strerror(errno));
	while (!err && fgets(buf, sizeof(buf), fp)) {
		out_text(call->out, "%s", buf);
		err = interrupt_check();
	}
	if (!err && ferror(fp))
		err = err_new(ERR_IO, "%s: %s", path, strerror(errno));
	(void)fclose(fp); /* only read */
	return err;
}

static struct err *dcmd_cat(struct dcmd_call *call)
{
	struct err *err = NULL;

	if (call->argc == 0)
		return err_new(ERR_USAGE, "no file is named");
	for (size_t i = 0; i < call->argc && !err; i++)
		err = cat_one(call, call->argv[i].str);
	return err;
}

/* ---- ::log, $> ------------------------------------------------------- */

static const struct opt log_opts[] = {
	{'d', OPT_FLAG, NULL, "end the log"},
	{'e', OPT_FLAG, NULL, "begin it (also without -e)"},
	{0},
};

static void say_log(struct dcmd_call *call)
{
	const char *path = session_log_path(call->s);

	if (path)
		out_text(call->out, "logging to %s\n", path);
	else
		out_text(call->out, "logging is off\n");
}

static struct err *dcmd_log(struct dcmd_call *call)
{
	bool is_end = false;
	bool is_begin = false;
	void *const values[] = {&is_end, &is_begin};
	size_t first = 0;
	struct err *err = dcmd_options(call, log_opts, values, &first);

	if (err)
		return err;
	if (call->argc > first + 1 || (is_end && call->argc > first) ||
	    (is_begin && call->argc == first))
		return err_new(ERR_USAGE, "%s", "");
	if (is_end)
		return session_log(call->s, NULL);
	if (call->argc > first)
		return session_log(call->s, call->argv[first].str);
	say_log(call);
	return NULL;
}

/* "$>" alone ends the log */
static struct err *dcmd_log_to(struct dcmd_call *call)
{
	if (call->argc > 1)
		return err_new(ERR_USAGE, "%s", "");
	return session_log(call->s, call->argc ? call->argv[0].str : NULL);
}

/* ---- macros ---------------------------------------------------------- */

static struct err *dcmd_macro(struct dcmd_call *call)
{
	return session_macro(call, false);
}

static struct err *dcmd_nested_macro(struct dcmd_call *call)
{
	return session_macro(call, true);
}

static struct err *dcmd_aliases(struct dcmd_call *call)
{
	session_aliases(call->s);
	return NULL;
}

/* ---- small things ---------------------------------------------------- */

static struct err *dcmd_formats(struct dcmd_call *call)
{
	if (call->argc > 0)
		return err_new(ERR_USAGE, "%s", "");
	session_formats(call->s);
	return NULL;
}

static struct err *dcmd_version(struct dcmd_call *call)
{
	if (call->argc > 0)
		return err_new(ERR_USAGE, "%s", "");
	out_text(call->out, "pmdb %s\n", PMDB_VERSION);
	return NULL;
}

static struct err *dcmd_term(struct dcmd_call *call)
{
	const char *term = getenv("TERM");

	if (call->argc > 0)
		return err_new(ERR_USAGE, "%s", "");
	out_text(call->out, "%s\n", term ? term : "unknown");
	return NULL;
}

/* ---- writing --------------------------------------------------------- */

static const struct opt write_opts[] = {
	{'l', OPT_NUMBER, "length", "bytes: 1, 2, 4 or 8"},
	{'o', OPT_FLAG, NULL, "to the object file"},
	{'p', OPT_FLAG, NULL, "to physical memory"},
	{0},
};

static struct err *dcmd_write(struct dcmd_call *call)
{
	uint64_t length = 8;
	uint64_t value = 0;
	bool is_file = false;
	bool is_physical = false;
	void *const values[] = {&length, &is_file, &is_physical};
	size_t first = 0;
	struct err *err = dcmd_options(call, write_opts, values, &first);

	if (!err && call->argc != first + 1)
		err = err_new(ERR_USAGE, "expected one value");
	if (!err && is_file && is_physical)
		err = err_new(ERR_USAGE, "-o and -p are incompatible");
	if (!err && (length == 0 || length > 8 || (length & (length - 1))))
		err = err_new(ERR_USAGE, "the length is 1, 2, 4 or 8");
	if (err)
		return err;
	if (call->argv[first].type == ARG_NUMBER)
		value = call->argv[first].num;
	else
		err = session_eval_expr(call->s, call->argv[first].str, &value);
	if (err)
		return err;
	session_stop_loop(call->s);
	return err_new(ERR_NOSUP,
		       "failed to write 0x%" PRIx64 " at address 0x%" PRIx64
		       ": target is not open for writing",
		       value, call->addr);
}

static struct err *dcmd_reopen(struct dcmd_call *call)
{
	if (call->argc > 0)
		return err_new(ERR_USAGE, "%s", "");
	return err_new(ERR_NOSUP, "the target is a core file: it cannot be "
				  "opened for writing");
}

static const struct dcmd dcmds[] = {
	{.name = "cat",
	 .usage = "file ...",
	 .brief = "print files",
	 .run = dcmd_cat},
	{.name = "log",
	 .opts = log_opts,
	 .usage = "[file]",
	 .brief = "keep what is typed and printed in a file ($>)",
	 .run = dcmd_log},
	{.name = "$>",
	 .usage = "[file]",
	 .brief = "begin or end a log",
	 .run = dcmd_log_to},
	{.name = "$<",
	 .addr = ADDR_OPTIONAL,
	 .usage = "[macro]",
	 .brief = "go on with the commands of a macro file",
	 .run = dcmd_macro},
	{.name = "$<<",
	 .addr = ADDR_OPTIONAL,
	 .usage = "macro",
	 .brief = "run the commands of a macro file and come back",
	 .run = dcmd_nested_macro},
	{.name = "$M",
	 .usage = "",
	 .brief = "list the aliases of macros",
	 .run = dcmd_aliases},
	{.name = "formats",
	 .usage = "",
	 .brief = "list the format characters",
	 .run = dcmd_formats},
	{.name = "version",
	 .usage = "",
	 .brief = "print the version of the debugger",
	 .run = dcmd_version},
	{.name = "term",
	 .usage = "",
	 .brief = "print the type of the terminal",
	 .run = dcmd_term},
	{.name = "write",
	 .addr = ADDR_OPTIONAL,
	 .opts = write_opts,
	 .usage = "value",
	 .brief = "refused: a dump is only read",
	 .run = dcmd_write},
	{.name = "$W",
	 .usage = "",
	 .brief = "refused: a dump is only read",
	 .run = dcmd_reopen},
	{0},
};

const struct group group_files = {.name = "files", .dcmds = dcmds};

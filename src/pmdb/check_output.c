/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where verdicts are written to.  A file is written beside its name and renamed
 * when it is whole, so that nobody uploads half a report; what is no file (a
 * terminal, a pipe, /dev/null) is written as it is.
 */
#define _GNU_SOURCE
#include "pmdb/check_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct check_format check_formats[] = {
	{"text", check_print_text},         {"json", check_print_json},
	{"sarif", check_print_sarif},       {"junit", check_print_junit},
	{"github", check_print_github},     {"gitlab", check_print_gitlab},
	{"markdown", check_print_markdown}, {NULL, NULL},
};

static struct err *write_error(const char *path, int error)
{
	return err_new(ERR_IO, "%s: %s", path, strerror(error));
}

/* ends a stream; returns 0 or errno */
static int finish(FILE *f)
{
	/* a large write fails at once, a small one when it is flushed */
	if (!ferror(f)) {
		errno = 0;
		if (!fflush(f))
			return 0;
	}
	return errno ? errno : EIO;
}

/* writes to what is there and is no regular file */
static struct err *write_device(const char *path, check_writer *fn,
				const void *arg)
{
	FILE *f = fopen(path, "ae");
	int error = 0;

	if (!f)
		return write_error(path, errno);
	fn(arg, f);
	error = finish(f);
	if (fclose(f) && !error)
		error = errno;
	return error ? write_error(path, error) : NULL;
}

/* the permissions a new file gets */
static mode_t new_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

static struct err *write_beside(const char *path, check_writer *fn,
				const void *arg)
{
	_free_ char *beside = mem_printf("%s.XXXXXX", path);
	int fd = mkostemp(beside, O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	int error = 0;

	if (!f) {
		error = errno;
		if (fd >= 0)
			close(fd);
		return write_error(path, error);
	}
	fn(arg, f);
	error = finish(f);
	if (!error && fchmod(fd, new_mode()))
		error = errno;
	if (fclose(f) && !error)
		error = errno;
	if (!error && rename(beside, path))
		error = errno;
	if (!error)
		return NULL;
	unlink(beside);
	return write_error(path, error);
}

struct err *check_write_file(const char *path, check_writer *fn,
			     const void *arg)
{
	const char *summary = getenv("GITHUB_STEP_SUMMARY");
	struct stat st;

	/* the summary of a step may have been begun by another program */
	if (summary && strcmp(path, summary) == 0)
		return write_device(path, fn, arg);
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return write_device(path, fn, arg);
	return write_beside(path, fn, arg);
}

struct rendering {
	const struct report *report;
	const struct check_format *format;
};

static void render(const void *arg, FILE *out)
{
	const struct rendering *r = arg;

	r->format->print(r->report, out);
}

struct err *check_write(const struct report *r)
{
	const struct check *check = r->check;
	struct err *first = NULL;

	for (size_t i = 0; i < check->outputs.n; i++) {
		const struct check_output *o = &check->outputs.v[i];
		struct rendering arg = {r, o->format};
		struct err *err = NULL;
		int error = 0;

		if (o->path) {
			err = check_write_file(o->path, render, &arg);
		} else {
			render(&arg, check->out);
			error = finish(check->out);
			if (error)
				err = write_error("standard output", error);
		}
		if (first)
			err_free(err);
		else
			first = err;
	}
	return first;
}

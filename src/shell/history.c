/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file of history.
 *
 * I1  Only its owner may read it (lines may quote data of a dump), and no link
 *     is followed to it.
 * I2  A line is in the file when its command starts: a session that is killed,
 *     or whose terminal goes away, has lost nothing.
 * I3  Several sessions append to one file.  Each line is one write under the
 *     file's lock; the file is cut to the limit under the same lock, in place,
 *     once it is twice as long.
 */
#include "shell/history.h"

#include <stdio.h> /* readline needs it before its own header */

#include <errno.h>
#include <fcntl.h>
#include <readline/history.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"

enum {
	LIMIT_DEFAULT = 1000,
	LIMIT_MAX = 1000000,
	FILE_BYTES_MAX = 64 << 20, /* a longer one is not ours */
};

/* the directories above path, ours alone */
static void make_dirs(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)mkdir(path, 0700); /* the open says if it is missing */
		*p = '/';
	}
}

/* where history is kept; NULL: nowhere.  Owned. */
static char *find_path(void)
{
	const char *own = getenv("PMDB_HISTFILE");
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (own)
		return own[0] ? mem_strdup(own) : NULL;
	if (state && state[0] == '/')
		return mem_printf("%s/pmdb/history", state);
	if (home && home[0] == '/')
		return mem_printf("%s/.local/state/pmdb/history", home);
	return NULL;
}

static size_t find_limit(void)
{
	const char *text = getenv("HISTSIZE");
	char *end = NULL;
	long n = text ? strtol(text, &end, 10) : -1;

	if (!text || end == text || *end != '\0' || n < 0 || n > LIMIT_MAX)
		return LIMIT_DEFAULT;
	return (size_t)n;
}

/* the file, locked; -1: errno says why not */
static int open_locked(const char *path)
{
	int fd = open(path,
		      O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
			      O_NONBLOCK | O_NOCTTY,
		      0600);
	struct stat st;
	int why = 0;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && !S_ISREG(st.st_mode))
		why = EINVAL;
	else if (flock(fd, LOCK_EX) || fchmod(fd, 0600))
		why = errno;
	if (why == 0)
		return fd;
	(void)close(fd); /* nothing was written */
	errno = why;
	return -1;
}

static void read_file(int fd, struct strbuf *sb)
{
	char buf[8192];
	off_t at = 0;
	ssize_t n = 0;

	strbuf_puts(sb, "");
	while (at < FILE_BYTES_MAX &&
	       (n = pread(fd, buf, sizeof(buf), at)) > 0) {
		strbuf_add(sb, buf, (size_t)n);
		at += n;
	}
}

/* I3 */
static void cut(int fd, const struct strbuf *text, size_t limit)
{
	const char *p = text->s + text->n;
	size_t n = 0;

	for (; p > text->s; p--)
		if (p[-1] == '\n' && n++ == limit)
			break;
	/* it is a convenience: a full disk leaves what was written */
	if (!ftruncate(fd, 0) && write(fd, p, strlen(p)) < 0)
		return;
}

static void load(struct history *h, int fd)
{
	struct strbuf text = {0};
	size_t nlines = 0;

	read_file(fd, &text);
	for (char *line = text.s; *line; nlines++) {
		size_t n = strcspn(line, "\n");
		char end = line[n];

		line[n] = '\0';
		if (n > 0)
			add_history(line);
		line[n] = end;
		line += n + (end == '\n');
	}
	if (nlines > 2 * h->limit)
		cut(fd, &text, h->limit);
	strbuf_free(&text);
}

void history_begin(struct history *h)
{
	int fd = -1;

	*h = (struct history){.path = find_path(), .limit = find_limit()};
	using_history();
	stifle_history((int)h->limit);
	if (h->limit == 0) {
		mem_free(h->path);
		h->path = NULL;
	}
	if (!h->path)
		return;
	make_dirs(h->path);
	fd = open_locked(h->path);
	if (fd >= 0) {
		load(h, fd);
		(void)close(fd); /* a convenience */
		return;
	}
	fprintf(stderr, "pmdb: no history is kept: %s: %s\n", h->path,
		errno == EINVAL ? "not a regular file" : strerror(errno));
	history_end(h);
}

void history_keep(struct history *h, const char *line)
{
	HIST_ENTRY *last = history_get(history_base + history_length - 1);
	struct strbuf text = {0};
	int fd = -1;

	if (line[strspn(line, " \t\n")] == '\0' ||
	    (last && !strcmp(last->line, line)))
		return;
	add_history(line);
	if (!h->path)
		return;
	fd = open_locked(h->path);
	if (fd < 0)
		return; /* gone since: no reason to stop debugging */
	strbuf_printf(&text, "%s\n", line);
	/* nor is a full disk */
	if (write(fd, text.s, text.n) < 0)
		errno = 0;
	(void)close(fd);
	strbuf_free(&text);
}

void history_end(struct history *h)
{
	mem_free(h->path);
	h->path = NULL;
}

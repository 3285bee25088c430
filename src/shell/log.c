/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The log of a session: what is typed and what is printed, appended to a file
 * that only its owner may read, as it quotes the dump. */
#include "shell/session.h"
#include "shell/shell_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void log_close(struct session *s)
{
	if (s->base_out.log && fclose(s->base_out.log))
		out_error(&s->base_out, "the log could not be written");
	s->base_out.log = NULL;
	mem_free(s->log_path);
	s->log_path = NULL;
}

struct err *session_log(struct session *s, const char *path)
{
	FILE *fp = NULL;
	int fd = -1;

	if (!path) {
		log_close(s);
		return NULL;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
		  0600);
	fp = fd < 0 ? NULL : fdopen(fd, "a");
	if (!fp) {
		struct err *err =
			err_new(ERR_IO, "%s: %s", path, strerror(errno));

		if (fd >= 0)
			(void)close(fd); /* nothing was written */
		return err;
	}
	log_close(s);
	s->base_out.log = fp;
	s->log_path = mem_strdup(path);
	return NULL;
}

const char *session_log_path(const struct session *s)
{
	return s->log_path;
}

void log_input(struct session *s, const char *line)
{
	_free_ char *prompt = NULL;

	if (!s->base_out.log)
		return;
	prompt = session_prompt(s);
	fprintf(s->base_out.log, "%s%s\n", prompt, line);
}

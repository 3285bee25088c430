/* SPDX-License-Identifier: MIT */
/*
 * What KMEM_SNAPSHOT says: when a process writes a snapshot of itself, and under
 * which name.  It is read once, by the constructor.
 *
 * It is a list of items between commas:
 *
 *   exit        exit(), return from main
 *   _exit       _exit(), _Exit(), quick_exit()
 *   fatal       a signal that ends the process
 *   panic       the allocator found damage
 *   signal=NAME at this signal, and goes on
 *   main=PID    the process whose dump has the name as it is
 *   list=FILE   append "PID /NAME" of each dump to this file, with a NUL;
 *               of one that failed, "PID WHY"
 *   only=P[:P]  only in a process whose command, or program, has such a name;
 *               * and ? are wildcards
 *   path=NAME   the rest of the value is the name of the dump
 *
 * A value that begins with '/' or has no such item is a name and means exit,
 * _exit, fatal and panic.  In a name %p is the process id, %c the command, %n
 * the number of the dump in the process, from 1, %% a percent sign.  Without
 * %p every process but the main one appends ".PID"; without %n the second dump
 * of a process, and those that follow, append ".N".
 *
 *   I1  Locks: snap_lock, then the allocator's (kmem_lock_all), then other
 */
#define _GNU_SOURCE
#include "kmem_snap_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include "kmem_internal.h"
#include "snap/snap_sys.h"

#define DEFAULT_PATH "pmdb.%c.%p.core"

struct kmem_snap_conf kmem_snap_conf KM_SELDOM;

static char scratch[PATH_MAX] KM_SELDOM; /* a path, while reading */

/* ---- text ---------------------------------------------------------------- */

void kmem_text_put(struct kmem_text *t, char c)
{
	if (t->at + 1 < t->end)
		*t->at++ = c;
	else
		t->is_full = 1;
	*t->at = '\0';
}

void kmem_text_string(struct kmem_text *t, const char *s)
{
	while (*s)
		kmem_text_put(t, *s++);
}

void kmem_text_number(struct kmem_text *t, uint32_t n)
{
	if (n >= 10)
		kmem_text_number(t, n / 10);
	kmem_text_put(t, (char)('0' + n % 10));
}

static unsigned parse_number(const char *s, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++)
		n = n * 10 + (unsigned)(s[i] - '0');
	return n;
}

int kmem_snap_expand(const char *template, uint32_t number, char *buf,
		     size_t room)
{
	struct kmem_text t = {buf, buf + room, 0};
	uint32_t pid = (uint32_t)snap_sys(SYS_getpid);
	int is_shared = template == kmem_snap_conf.path;
	int has_pid = 0;
	int has_number = 0;

	*buf = '\0';
	for (const char *p = template; *p; p++) {
		if (p[0] != '%' || !p[1]) {
			kmem_text_put(&t, *p);
			continue;
		}
		p++;
		has_pid |= *p == 'p';
		has_number |= *p == 'n';
		if (*p == 'p')
			kmem_text_number(&t, pid);
		else if (*p == 'n')
			kmem_text_number(&t, number);
		else if (*p == 'c')
			kmem_text_string(&t, kmem_snap_conf.comm);
		else if (*p == '%')
			kmem_text_put(&t, '%');
		else
			kmem_text_put(&t, '%'), kmem_text_put(&t, *p);
	}
	if (is_shared && !has_pid && (int)pid != kmem_snap_conf.main_pid) {
		kmem_text_put(&t, '.');
		kmem_text_number(&t, pid);
	}
	if (is_shared && !has_number && number > 1) {
		kmem_text_put(&t, '.');
		kmem_text_number(&t, number);
	}
	return t.is_full ? -ENAMETOOLONG : 0;
}

/* ---- KMEM_SNAPSHOT ------------------------------------------------------- */

static const struct {
	const char *name;
	int signo;
} signals[] = {
	{"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT},
	{"USR1", SIGUSR1}, {"USR2", SIGUSR2},     {"ALRM", SIGALRM},
	{"TERM", SIGTERM}, {"URG", SIGURG},       {"IO", SIGIO},
	{"PROF", SIGPROF}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
	{"PWR", SIGPWR},   {"TRAP", SIGTRAP},     {"CONT", SIGCONT},
};

/* the number of a signal by name, with or without SIG, or by number; 0: none */
static int parse_signal(const char *s, size_t len)
{
	unsigned n = parse_number(s, len);

	if (n > 0)
		return n < 65 && n != SIGKILL && n != SIGSTOP && n != 32 &&
				       n != 33
			       ? (int)n
			       : 0;
	if (len > 3 && strncmp(s, "SIG", 3) == 0) {
		s += 3;
		len -= 3;
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (strlen(signals[i].name) == len &&
		    strncmp(s, signals[i].name, len) == 0)
			return signals[i].signo;
	}
	return 0;
}

/* is s[0, len) the word, or begins with it when that ends in '='? */
static int is_item(const char *s, size_t len, const char *word)
{
	size_t n = strlen(word);

	return word[n - 1] == '=' ? len >= n && strncmp(s, word, n) == 0
				  : len == n && strncmp(s, word, n) == 0;
}

/* is the name matched by a pattern? */
static int is_match(const char *p, const char *end, const char *name)
{
	const char *star = NULL; /* the last one, and what it may still take */
	const char *from = name;

	while (*name) {
		if (p < end && *p == '*') {
			star = ++p;
			from = name;
		} else if (p < end && (*p == '?' || *p == *name)) {
			p++;
			name++;
		} else if (star) {
			p = star;
			name = ++from;
		} else {
			return 0;
		}
	}
	while (p < end && *p == '*')
		p++;
	return p == end;
}

/* is this process one of those between colons?  The command is cut off after 15
 * characters, the name of the program is not. */
static int is_chosen(const char *s, size_t len)
{
	const char *end = s + len;
	const char *exe;
	long n = snap_sys(SYS_readlink, "/proc/self/exe", scratch,
			  sizeof(scratch) - 1);

	scratch[n > 0 ? n : 0] = '\0';
	exe = strrchr(scratch, '/');
	exe = exe ? exe + 1 : scratch;
	while (s < end) {
		const char *p = s;

		while (s < end && *s != ':')
			s++;
		if (is_match(p, s, kmem_snap_conf.comm) || is_match(p, s, exe))
			return 1;
		s++;
	}
	return 0;
}

/* takes one item in; 0 when there is no such item */
static int take_item(const char *s, size_t len)
{
	static const struct {
		const char *word;
		unsigned event;
	} words[] = {
		{"exit", KMEM_ON_EXIT},
		{"_exit", KMEM_ON__EXIT},
		{"fatal", KMEM_ON_FATAL},
		{"panic", KMEM_ON_PANIC},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (is_item(s, len, words[i].word)) {
			kmem_snap_conf.events |= words[i].event;
			return 1;
		}
	}
	if (is_item(s, len, "signal=")) {
		kmem_snap_conf.signo = parse_signal(s + 7, len - 7);
		if (kmem_snap_conf.signo)
			kmem_snap_conf.events |= KMEM_ON_SIGNAL;
		return 1;
	}
	if (is_item(s, len, "main=")) {
		kmem_snap_conf.main_pid = (int)parse_number(s + 5, len - 5);
		return 1;
	}
	if (is_item(s, len, "only=")) {
		kmem_snap_conf.is_left_out = !is_chosen(s + 5, len - 5);
		return 1;
	}
	if (is_item(s, len, "list=")) {
		len -= 5;
		if (len < sizeof(kmem_snap_conf.list)) {
			memcpy(kmem_snap_conf.list, s + 5, len);
			kmem_snap_conf.list[len] = '\0';
		}
		return 1;
	}
	return 0;
}

/* returns the template in the value, or NULL for the default */
static const char *parse_value(const char *value)
{
	const char *s = value;

	while (*s) {
		size_t len = strcspn(s, ",");

		if (strncmp(s, "path=", 5) == 0)
			return s + 5;
		if (!take_item(s, len)) {
			/* the first word decides what the value is */
			if (s == value)
				return value;
			kmem_warn("pmdb: KMEM_SNAPSHOT: unknown item: %s\n", s);
		}
		s += len + (s[len] == ',');
	}
	return NULL;
}

/* keeps the effective options as they are now for the note */
static void save_env(void)
{
	static const char *const names[] = {
		"KMEM_DEBUG", "KMEM_LOGGING", "KMEM_OPTIONS", "KMEM_SNAPSHOT",
		"UMEM_DEBUG", "UMEM_LOGGING", "UMEM_OPTIONS",
	};
	struct kmem_text t = {kmem_snap_conf.env,
			      kmem_snap_conf.env + sizeof(kmem_snap_conf.env),
			      0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = kmem_getenv(names[i]);
		char *start = t.at;

		if (!value)
			continue;
		kmem_text_string(&t, names[i]);
		kmem_text_put(&t, '=');
		kmem_text_string(&t, value);
		if (t.is_full || t.at + 1 >= t.end) {
			/* none rather than half of one */
			t.at = start;
			t.is_full = 0;
			continue;
		}
		t.at++;
	}
	kmem_snap_conf.env_bytes = (size_t)(t.at - kmem_snap_conf.env);
}

/* an absolute template: a later chdir() must not matter */
static void save_path(const char *template)
{
	struct kmem_text t = {kmem_snap_conf.path,
			      kmem_snap_conf.path + sizeof(kmem_snap_conf.path),
			      0};

	if (template[0] != '/' &&
	    snap_sys(SYS_getcwd, kmem_snap_conf.path,
		     sizeof(kmem_snap_conf.path)) > 0 &&
	    kmem_snap_conf.path[0] == '/') {
		/* a percent sign of the directory is no escape */
		char *cwd = scratch;

		memcpy(cwd, kmem_snap_conf.path,
		       strlen(kmem_snap_conf.path) + 1);
		for (; *cwd; cwd++) {
			if (*cwd == '%')
				kmem_text_put(&t, '%');
			kmem_text_put(&t, *cwd);
		}
		kmem_text_put(&t, '/');
	}
	kmem_text_string(&t, template);
}

/* the command as the kernel names it, fit for a file name */
static void save_comm(void)
{
	long fd = snap_open("/proc/self/comm", O_RDONLY | O_CLOEXEC, 0);
	long n = 0;

	if (fd >= 0) {
		n = snap_sys(SYS_read, fd, kmem_snap_conf.comm,
			     sizeof(kmem_snap_conf.comm) - 1);
		snap_sys(SYS_close, fd);
	}
	kmem_snap_conf.comm[n > 0 ? n : 0] = '\0';
	for (char *p = kmem_snap_conf.comm; *p; p++) {
		if (*p == '\n' && !p[1])
			*p = '\0';
		else if (*p == '/' || (unsigned char)*p < ' ')
			*p = '_';
	}
	if (!kmem_snap_conf.comm[0])
		kmem_snap_conf.comm[0] = '_';
}

unsigned kmem_snap_events(void)
{
	const char *value;
	const char *template;

	if (kmem_snap_conf.is_read)
		return kmem_snap_conf.events;
	kmem_snap_conf.is_read = 1;
	save_comm();
	save_env();
	value = kmem_getenv("KMEM_SNAPSHOT");
	if (value && *value) {
		template = *value == '/' ? value : parse_value(value);
		if (!kmem_snap_conf.events)
			kmem_snap_conf.events = KMEM_ON_EXIT | KMEM_ON__EXIT |
						KMEM_ON_FATAL | KMEM_ON_PANIC;
		if (kmem_snap_conf.is_left_out)
			kmem_snap_conf.events = 0;
		save_path(template && *template ? template : DEFAULT_PATH);
	}
	return kmem_snap_conf.events;
}

int kmem_snap_signal(void)
{
	return kmem_snap_conf.signo;
}

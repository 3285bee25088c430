/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb snap -p PID": a core of a process that runs, which then goes on.
 *
 * A signal that would end us while the process stands still has the unfinished
 * file removed first; one that nobody can catch leaves the file under its
 * temporary name, and the process running all the same.
 */
#include "pmdb/pmdb.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "pmdb/options.h"
#include "target/proc.h"
#include "target/proc_hold.h"

#define VERB         "snap"
#define DEFAULT_DUMP "pmdb.%c.%p.core"

struct options {
	pid_t pid;
	const char *dump;
	bool is_all, is_quiet;
};

static void on_end(int signo)
{
	interrupt_flag = signo;
}

static void catch_ends(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction sa = {.sa_handler = on_end};

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		struct sigaction old;

		/* nohup stays nohup; neither call can fail */
		(void)sigaction(ends[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			(void)sigaction(ends[i], &sa, NULL);
	}
}

/* %p and %c; a name of several parts in the name of a process does no harm */
static char *dump_name(const char *template, pid_t pid)
{
	_free_ char *comm = proc_status(pid, "Name");
	struct strbuf sb = {0};

	for (const char *at = template; *at; at++) {
		if (at[0] != '%' || !at[1]) {
			strbuf_putc(&sb, *at);
			continue;
		}
		at++;
		if (*at == 'p')
			strbuf_printf(&sb, "%d", pid);
		else if (*at == 'c')
			for (const char *c = comm ? comm : "?"; *c; c++)
				strbuf_putc(&sb, *c == '/' ? '_' : *c);
		else if (*at == '%')
			strbuf_putc(&sb, '%');
		else
			strbuf_printf(&sb, "%%%c", *at);
	}
	return sb.s ? sb.s : mem_strdup("");
}

static void report(const struct options *opt, const char *name,
		   const struct proc_written *w, uint64_t paused_ns)
{
	printf("%s: %.1f MiB of memory, %zu thread%s, stopped for %.1f ms\n",
	       name, (double)w->memory_bytes / 1048576, w->nthreads,
	       w->nthreads == 1 ? "" : "s", (double)paused_ns / 1e6);
	if (w->nthreads_lost)
		fprintf(stderr,
			"pmdb: snap: %zu thread%s of process %d slept in the "
			"kernel and could not be stopped: all but pc and sp of "
			"%s is missing\n",
			w->nthreads_lost, w->nthreads_lost == 1 ? "" : "s",
			opt->pid, w->nthreads_lost == 1 ? "it" : "them");
	if (w->unreadable_bytes)
		fprintf(stderr,
			"pmdb: snap: %" PRIu64 " bytes of process %d could not "
			"be read: zeros stand for them\n",
			w->unreadable_bytes, opt->pid);
}

static int snap(const struct options *opt)
{
	struct proc_options po = {.is_filtered = !opt->is_all};
	struct proc_written written;
	struct proc *proc = NULL;
	_free_ char *name = NULL;
	struct proc_hold *hold = proc_hold_create(opt->pid);
	struct err *err = proc_stop(opt->pid, &po, &proc);
	uint64_t paused_ns = 0;

	if (!err) {
		name = dump_name(opt->dump, opt->pid);
		err = proc_write(proc, name, hold, &written);
	}
	paused_ns = proc_release(proc);
	proc_hold_free(hold);
	if (interrupt_flag) {
		const int signo = interrupt_flag;

		err_free(err);
		(void)signal(signo, SIG_DFL);
		(void)raise(signo); /* as if we had not caught it */
		return PMDB_RUN_SIGNAL + signo;
	}
	if (err) {
		fprintf(stderr, "pmdb: snap: %s\n", err->msg);
		err_free(err);
		return PMDB_NO_VERDICT;
	}
	if (!opt->is_quiet)
		report(opt, name, &written, paused_ns);
	return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
}

static const struct option long_options[] = {
	{"all", no_argument, NULL, 'a'},
	{"help", no_argument, NULL, 'h'},
	{"output", required_argument, NULL, 'o'},
	{"pid", required_argument, NULL, 'p'},
	{"quiet", no_argument, NULL, 'q'},
	{0},
};

static const char help_text[] =
	"usage: pmdb snap -p PID [-o DUMP] [-a] [-q]\n"
	"\n"
	"Stops a process, writes its threads and memory to a core file, and "
	"lets it go on.\n"
	"\n"
	"-p, --pid PID      the process\n"
	"-o, --output DUMP  the file; %p is the process id, %c the command "
	"name;\n"
	"                   pmdb.%c.%p.core without it\n"
	"-a, --all          also what /proc/PID/coredump_filter and "
	"MADV_DONTDUMP leave out\n"
	"-q, --quiet        print nothing but what went wrong\n"
	"\n"
	"Status: 0 written, 2 usage, 3 not written.\n";

bool parse_pid(const char *text, pid_t *ret_pid)
{
	char *end = NULL;
	long n = 0;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n <= 0 || n > INT32_MAX)
		return false;
	*ret_pid = (pid_t)n;
	return true;
}

int snap_main(int argc, char **argv)
{
	struct options opt = {.dump = DEFAULT_DUMP};
	int c = 0;

	opterr = 0; /* we say it, in one line */
	optind = 0;
	while ((c = getopt_long(argc, argv, ":ahqo:p:", long_options, NULL)) !=
	       -1) {
		switch (c) {
		case 'a':
			opt.is_all = true;
			break;
		case 'h':
			return opt_help(help_text);
		case 'o':
			opt.dump = optarg;
			break;
		case 'p':
			if (!parse_pid(optarg, &opt.pid))
				return opt_usage(VERB,
						 "not a process id: ", optarg);
			break;
		case 'q':
			opt.is_quiet = true;
			break;
		default:
			return opt_wrong(VERB, c, argv);
		}
	}
	if (optind < argc)
		return opt_usage(
			VERB, "an operand that means nothing: ", argv[optind]);
	if (opt.pid == 0)
		return opt_usage(VERB, "no process is named: -p PID", NULL);
	if (opt.dump[0] == '\0')
		return opt_usage(VERB, "the name of the dump is empty", NULL);
	catch_ends();
	return snap(&opt);
}

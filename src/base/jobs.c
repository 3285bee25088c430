/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads live as long as one piece of work: it is worth some milliseconds, and
 * to make a thread takes some ten microseconds.  One that cannot be made is one
 * less: the others do its part.
 */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/jobs.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/mem.h"
#include "base/progress.h"

#define JOBS_MAX 64
/* Fewer are not worth a thread: they take some 100 ms, and two threads that get
 * memory from one process cost a tenth more. */
#define ITEMS_MIN 2000000

static unsigned from_environment(void)
{
	const char *text = getenv("PMDB_JOBS");
	char *end = NULL;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;

	return text && *text && !*end && n <= JOBS_MAX ? (unsigned)n : 0;
}

static unsigned processors(void)
{
	unsigned n = 1;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		n = (unsigned)CPU_COUNT(&cpus);
	return n < JOBS_MAX ? n : JOBS_MAX;
}

unsigned jobs_for(size_t nitems)
{
	unsigned n = from_environment();

	if (n == 0)
		n = nitems < ITEMS_MIN ? 1 : processors();
	if (n > nitems)
		n = (unsigned)nitems;
	return n ? n : 1;
}

bool jobs_is_stopped(void)
{
	return __atomic_load_n(&interrupt_flag, __ATOMIC_RELAXED) != 0;
}

struct job {
	jobs_fn *fn;
	void *arg;
	unsigned worker;
	pthread_t thread;
	bool is_made;
};

static void *job_main(void *arg)
{
	const struct job *job = arg;

	job->fn(job->arg, job->worker);
	return NULL;
}

/* what a thread made from here on does not handle */
static void block_signals(sigset_t *saved)
{
	sigset_t set;

	(void)sigfillset(&set); /* these cannot fail: constants */
	(void)sigdelset(&set, SIGBUS);
	(void)sigdelset(&set, SIGSEGV);
	(void)sigdelset(&set, SIGILL);
	(void)sigdelset(&set, SIGFPE);
	(void)sigdelset(&set, SIGABRT);
	(void)pthread_sigmask(SIG_BLOCK, &set, saved);
}

void jobs_run(unsigned n, jobs_fn *fn, void *arg)
{
	_free_ struct job *jobs = mem_array(n, sizeof(*jobs));
	sigset_t saved;

	block_signals(&saved);
	for (unsigned i = 1; i < n; i++) {
		jobs[i] = (struct job){.fn = fn, .arg = arg, .worker = i};
		jobs[i].is_made = pthread_create(&jobs[i].thread, NULL,
						 job_main, &jobs[i]) == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &saved, NULL);
	fn(arg, 0);
	for (unsigned i = 1; i < n; i++)
		if (jobs[i].is_made)
			(void)pthread_join(jobs[i].thread, NULL);
		else
			fn(arg, i);
}

struct each {
	const char *what;
	size_t n, next; /* next: counted up by whoever takes an item */
	jobs_item_fn *fn;
	void *arg;
};

static void each_run(void *arg, unsigned worker)
{
	struct each *e = arg;

	while (!jobs_is_stopped()) {
		size_t i = __atomic_fetch_add(&e->next, 1, __ATOMIC_RELAXED);

		if (i >= e->n)
			return;
		if (worker == 0)
			progress_set(e->what, i, e->n);
		e->fn(e->arg, i);
	}
}

struct err *jobs_each(const char *what, size_t n, size_t cost, jobs_item_fn *fn,
		      void *arg)
{
	struct each e = {.what = what, .n = n, .fn = fn, .arg = arg};

	unsigned nworkers = jobs_for(n * cost);

	if (nworkers > n)
		nworkers = n ? (unsigned)n : 1;
	jobs_run(nworkers, each_run, &e);
	return interrupt_check();
}

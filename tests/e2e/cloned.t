#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A child made past libc, by a process with threads: what libc knows of these is
# still there, they are not.  Its own dump has a verdict.
cd "$WORK" || exit 1
cat >cloned.c <<'C'
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static sem_t done, never;
static void *work(void *arg)
{
	sem_post(&done);
	sem_wait(&never);
	return arg;
}
static void __attribute__((noinline)) lose(void)
{
	char *volatile p = malloc(1234);

	memset(p, 1, 1234);
	p = NULL;
}
int main(int argc, char **argv)
{
	pthread_t thread;
	int status = 0;
	long pid;

	sem_init(&done, 0, 0);
	sem_init(&never, 0, 0);
	for (int i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, work, NULL))
			return 95;
	for (int i = 0; i < 3; i++)
		sem_wait(&done);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		if (argc > 1)
			lose();
		exit(7);
	}
	if (waitpid((pid_t)pid, &status, 0) != pid)
		return 96;
	_exit(WEXITSTATUS(status));
}
C
gcc -O1 -o cloned cloned.c -lpthread
echo 1..4
n=0
for leak in "" leak; do
	rm -f ./*.core*
	# shellcheck disable=SC2086
	timeout 60 "$B/pmdb" run -o '%p.core' -- ./cloned $leak >out 2>err
	rc=$?
	set -- ./*.core*
	n=$((n + 1))
	if [ $rc = 7 ] && [ $# = 2 ]; then
		echo "ok $n - ${leak:-clean}: each has a dump"
	else
		echo "not ok $n - ${leak:-clean}: status $rc, dumps $*"
	fi
	"$B/pmdb" check ./*.core* >out 2>err
	rc=$?
	n=$((n + 1))
	if [ $rc = $((${#leak} / 4)) ]; then
		echo "ok $n - ${leak:-clean}: and a verdict"
	else
		echo "not ok $n - ${leak:-clean}: status $rc"
		sed 's/^/# /' out err
	fi
done

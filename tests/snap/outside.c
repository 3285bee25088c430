/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Processes that are stopped from outside: outside MODE.  Each writes "ready"
 * once it is what it shall be.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void ready(void)
{
	printf("ready\n");
	fflush(stdout);
}

/* the end of standard input */
static void await_end(void)
{
	char c;

	while (read(0, &c, 1) > 0)
		continue;
}

/* ---- calls: every thread waits in another one ---------------------------- */

enum {
	READ,
	EPOLL,
	POLL,
	SLEEP,
	FUTEX,
	SEMOP,
	SIGWAIT,
	RECV,
	ACCEPT,
	INOTIFY,
	NCALLS
};
static const char *const names[] = {
	"read",  "epoll_wait",   "poll", "nanosleep", "futex",
	"semop", "sigtimedwait", "recv", "accept",    "inotify"};
static int pipes[NCALLS][2];
static int sockets[2], listener, watch, sems;
static sem_t sem;
static int results[NCALLS]; /* 0 or errno */

static int call(int what)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct pollfd pfd = {pipes[what][0], POLLIN, 0};
	struct timespec long_time = {100, 0}, nap = {1, 500000000};
	struct sembuf op = {0, -1, 0};
	sigset_t set;
	char buf[4096];
	int fd;

	switch (what) {
	case READ:
		return read(pipes[what][0], buf, 1) == 1 ? 0 : errno;
	case EPOLL:
		fd = epoll_create1(0);
		epoll_ctl(fd, EPOLL_CTL_ADD, pipes[what][0], &ev);
		return epoll_wait(fd, &ev, 1, -1) == 1 ? 0 : errno;
	case POLL:
		return poll(&pfd, 1, -1) == 1 ? 0 : errno;
	case SLEEP:
		return nanosleep(&nap, NULL) ? errno : 0;
	case FUTEX:
		return sem_wait(&sem) ? errno : 0;
	case SEMOP:
		return semop(sems, &op, 1) ? errno : 0;
	case SIGWAIT:
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		return sigtimedwait(&set, NULL, &long_time) == SIGUSR2 ? 0
								       : errno;
	case RECV:
		return recv(sockets[0], buf, 1, 0) == 1 ? 0 : errno;
	case ACCEPT:
		return accept(listener, NULL, NULL) >= 0 ? 0 : errno;
	default:
		return read(watch, buf, sizeof(buf)) > 0 ? 0 : errno;
	}
}

static void *caller(void *arg)
{
	results[(long)arg] = call((int)(long)arg);
	return NULL;
}

static int calls(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct timeval limit = {100, 0};
	struct sembuf up = {0, 1, 0};
	socklen_t len = sizeof(in);
	pthread_t th[NCALLS];
	sigset_t set;
	int bad = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
	setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	bind(listener, (void *)&in, sizeof(in));
	listen(listener, 1);
	getsockname(listener, (void *)&in, &len);
	watch = inotify_init();
	mkdir("watched", 0700);
	inotify_add_watch(watch, "watched", IN_CREATE);
	sems = semget(IPC_PRIVATE, 1, 0600);
	for (long i = 0; i < NCALLS; i++) {
		if (pipe(pipes[i]))
			return 1;
		pthread_create(&th[i], NULL, caller, (void *)i);
	}
	usleep(100000);
	ready();
	await_end();
	for (int i = 0; i < NCALLS; i++)
		if (write(pipes[i][1], "x", 1) != 1)
			bad++;
	sem_post(&sem);
	semop(sems, &up, 1);
	pthread_kill(th[SIGWAIT], SIGUSR2);
	if (write(sockets[1], "x", 1) != 1)
		bad++;
	connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&in, sizeof(in));
	close(open("watched/created", O_CREAT | O_WRONLY, 0600));
	for (int i = 0; i < NCALLS; i++) {
		pthread_join(th[i], NULL);
		if (results[i])
			printf("%s: %s\n", names[i], strerror(results[i]));
		bad += results[i] != 0;
	}
	semctl(sems, 0, IPC_RMID);
	printf("%d calls went wrong\n", bad);
	return bad != 0;
}

/* ---- signals: each is counted -------------------------------------------- */

static volatile sig_atomic_t nsignals;
static volatile int is_over;

static void on_signal(int signo)
{
	(void)signo;
	nsignals++;
}

static void *short_lived(void *arg)
{
	return arg;
}

/* makes threads all the time */
static void *spawner(void *arg)
{
	sigset_t set;

	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	while (!is_over) {
		pthread_t th;

		if (pthread_create(&th, NULL, short_lived, NULL) == 0)
			pthread_join(th, NULL);
	}
	return arg;
}

static int signals(int wanted)
{
	pthread_t th[2];
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pid_t sender;
	int status;

	sigaction(SIGRTMIN, &sa, NULL);
	for (int i = 0; i < 2; i++)
		pthread_create(&th[i], NULL, spawner, NULL);
	ready();
	sender = fork();
	if (sender == 0) {
		union sigval v = {0};

		for (int i = 0; i < wanted; i++) {
			while (sigqueue(getppid(), SIGRTMIN, v))
				usleep(100);
			usleep(100);
		}
		_exit(0);
	}
	while (waitpid(sender, &status, 0) != sender)
		continue;
	for (int i = 0; i < 200 && nsignals < wanted; i++)
		usleep(10000);
	await_end();
	is_over = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	printf("%d of %d signals\n", (int)nsignals, wanted);
	return nsignals != wanted;
}

/* ---- shapes -------------------------------------------------------------- */

static void *waits(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	usleep(50000); /* the kernel's part of its end */
	ready();
	await_end();
	printf("went on\n");
	exit(0);
	return arg;
}

static int no_leader(void)
{
	static pthread_t leader;
	pthread_t th;

	leader = pthread_self();
	pthread_create(&th, NULL, waits, &leader);
	pthread_exit(NULL);
}

/* the parent sleeps where no signal reaches it */
static int in_vfork(void)
{
	pid_t child;

	ready();
	child = vfork();
	if (child == 0) {
		char c;

		while (read(0, &c, 1) > 0)
			continue;
		_exit(0);
	}
	printf("went on\n");
	return 0;
}

/* memory: secret (MADV_DONTDUMP), sparse private and shared */
char *volatile secret, *volatile sparse, *volatile shared;

static int memory(void)
{
	const size_t big = (size_t)8 << 30;
	int fd = memfd_create("sparse", 0);

	secret = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(secret, "the secret");
	madvise(secret, 8192, MADV_DONTDUMP);
	sparse = mmap(NULL, big, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	strcpy(sparse + (big / 2), "in the middle");
	if (ftruncate(fd, (off_t)big))
		return 1;
	shared = mmap(NULL, big, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(shared + (big / 2), "shared");
	ready();
	await_end();
	return 0;
}

/* threads with something to compare: vector registers, stacks, data */
static volatile double ballast[100000];

static void *spins(void *arg)
{
	volatile long n = (long)arg;

	while (!is_over)
		ballast[n++ % 100000] += 1.5;
	return arg;
}

static int shapes(void)
{
	pthread_t th;
	char *p = malloc(3 << 20);

	memset(p, 0x5a, 3 << 20);
	for (long i = 0; i < 3; i++)
		pthread_create(&th, NULL, spins, (void *)i);
	ready();
	await_end();
	return 0;
}

static int large(void)
{
	char *p = malloc((size_t)600 << 20);

	for (size_t i = 0; i < (size_t)600 << 20; i += 4096)
		p[i] = (char)(i >> 12 | 1);
	ready();
	await_end();
	printf("went on\n");
	return 0;
}

/* leaks three buffers of 100 bytes and keeps one */
static char *kept;

static __attribute__((noinline)) void leak(void)
{
	for (int i = 0; i < 3; i++) {
		char *volatile p = malloc(100);

		p[0] = 1;
	}
	kept = malloc(100);
}

static int leaks(void)
{
	volatile char wipe[4096];

	leak();
	memset((void *)wipe, 0, sizeof(wipe));
	ready();
	await_end();
	printf("went on\n");
	return 0;
}

/* does what it is told, a letter each: counts, loads a library, leaks */
volatile long counter;

static int obeys(void)
{
	char c;

	ready();
	while (read(0, &c, 1) == 1) {
		if (c == 'c')
			counter++;
		if (c == 'd')
			dlopen("libm.so.6", RTLD_NOW);
		if (c == 'l')
			leak();
		printf("%c\n", c);
		fflush(stdout);
	}
	printf("went on\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "calls"))
		return calls();
	if (!strcmp(mode, "signals"))
		return signals(atoi(argv[2]));
	if (!strcmp(mode, "noleader"))
		return no_leader();
	if (!strcmp(mode, "vfork"))
		return in_vfork();
	if (!strcmp(mode, "memory"))
		return memory();
	if (!strcmp(mode, "shapes"))
		return shapes();
	if (!strcmp(mode, "large"))
		return large();
	if (!strcmp(mode, "leaks"))
		return leaks();
	if (!strcmp(mode, "obeys"))
		return obeys();
	return 2;
}

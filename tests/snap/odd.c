/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Processes that make it hard: no fork, no /proc to speak of, no descriptor
 * left, a thread that will not stop, many maps, memory of devices.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/seccomp.h>
#include <net/ethernet.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int go;
static char *volatile kept;

/* makes clone() without flags fail, as fork() does with too many processes */
static int forbid_fork(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

__attribute__((noinline)) static void in_stubborn(void)
{
	struct pollfd none;

	poll(&none, 0, 100);
	__asm__ volatile("" ::: "memory");
}

/* blocks what pthread_sigmask() would not block */
static void *stubborn(void *arg)
{
	unsigned long all = ~0UL;
	unsigned long none = 0;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
	go = 1;
	while (go == 1)
		in_stubborn();
	/* a stop signal that is still on its way must do no harm */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	go = 3;
	return arg;
}

static void make_stubborn(void)
{
	pthread_t t;

	pthread_create(&t, NULL, stubborn, NULL);
	while (!go)
		sched_yield();
}

static void *wait_for_ever(void *arg)
{
	go = 1;
	for (;;)
		pause();
	return arg;
}

static void many_maps(void)
{
	const size_t n = 20000;
	char *p = mmap(NULL, n * 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < n; i += 2) {
		p[i * 4096] = 1;
		mprotect(p + i * 4096, 4096, PROT_READ);
	}
}

static void map_socket(void)
{
	struct tpacket_req req = {4096, 4, 2048, 8};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	void *p;

	if (fd < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)))
		exit(77);
	p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		exit(77);
	printf("%lx\n", (unsigned long)p);
}

/* a file map whose end has been cut off: reading there is SIGBUS */
static void cut_file(void)
{
	int fd = open("cut", O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (ftruncate(fd, 8 * 4096))
		exit(98);
	kept = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	kept[0] = 1;
	if (ftruncate(fd, 2 * 4096))
		exit(98);
}

int main(int argc, char **argv)
{
	const char *how = argv[1];
	struct rlimit few = {3, 3};
	pthread_t t;

	(void)argc;
	if (!strcmp(how, "nofork")) {
		pthread_create(&t, NULL, wait_for_ever, NULL);
		while (!go)
			sched_yield();
		if (forbid_fork())
			return 77;
	} else if (!strcmp(how, "nodump")) {
		prctl(PR_SET_DUMPABLE, 0);
	} else if (!strcmp(how, "nofile")) {
		setrlimit(RLIMIT_NOFILE, &few);
	} else if (!strcmp(how, "stubborn")) {
		make_stubborn();
		raise(SIGUSR2);
		go = 2;
		while (go != 3)
			sched_yield();
		raise(SIGUSR2);
	} else if (!strcmp(how, "leader")) {
		/* the process lives on without its first thread */
		pthread_create(&t, NULL, wait_for_ever, NULL);
		alarm(1);
		pthread_exit(NULL);
	} else if (!strcmp(how, "maps")) {
		many_maps();
	} else if (!strcmp(how, "socket")) {
		map_socket();
	} else if (!strcmp(how, "cut")) {
		cut_file();
	}
	return 3;
}

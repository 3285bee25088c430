/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prints what malloc_info(), mallinfo2() and malloc_stats() say at one moment,
 * for malloc_info.t; "busy" asks while threads allocate. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N 300

static volatile int is_over;

static void *busy(void *arg)
{
	void *p[64] = {NULL};

	for (unsigned i = 0; !is_over; i++) {
		free(p[i % 64]);
		p[i % 64] = malloc(i % 3000);
	}
	for (int i = 0; i < 64; i++)
		free(p[i]);
	return arg;
}

static int ask_while_busy(void)
{
	pthread_t thread[3];
	FILE *null = fopen("/dev/null", "we");
	int rc = !null;

	for (int i = 0; i < 3; i++)
		rc |= pthread_create(&thread[i], NULL, busy, NULL);
	for (int i = 0; i < 300 && !rc; i++) {
		struct mallinfo2 m = mallinfo2();

		rc = malloc_info(0, null) != 0 ||
		     m.uordblks + m.fordblks != m.arena;
	}
	is_over = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	return rc;
}

int main(int argc, char **argv)
{
	static char room[1 << 16];
	struct mallinfo2 m, after;
	char *p[N];

	if (argc > 1 && strcmp(argv[1], "busy") == 0)
		return ask_while_busy();
	setvbuf(stdout, room, _IOFBF, sizeof(room));
	for (int i = 0; i < N; i++)
		p[i] = malloc((size_t)i * 13 + 1);
	for (int i = 0; i < N; i += 3)
		free(p[i]);
	p[0] = malloc(700000);
	p[3] = malloc(900000);
	free(p[3]);
	errno = 0;
	if (malloc_info(1, stdout) != EINVAL || malloc_info(0, stdout) != 0 ||
	    errno != 0)
		return 2;
	m = mallinfo2();
	malloc_stats();
	after = mallinfo2();
	printf("<!-- %zu %zu %zu %zu %zu %zu %zu %zu -->\n", m.arena, m.ordblks,
	       m.smblks, m.hblks, m.hblkhd, m.fsmblks, m.uordblks, m.fordblks);
	fflush(stdout);
	for (int i = 0; i < N; i++)
		if (i % 3 || i == 0)
			free(p[i]);
	return memcmp(&m, &after, sizeof(m)) != 0;
}

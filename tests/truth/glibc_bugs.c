/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Programs with the bugs people have.  Each keeps a list of buffers all around
 * the damage, says where they are ("keep ADDR", "bad ADDR"), and ends as glibc
 * ends it, or by abort() where nothing has noticed.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 200
/* what is done is what is looked at */
#pragma GCC diagnostic ignored "-Wuse-after-free"

struct item {
	struct item *next;
	char name[16];
};

struct item *items;
char *buf[16];
volatile size_t zero;

static void *get(size_t n)
{
	char *p = malloc(n);

	memset(p, 1, n);
	return p;
}

static void more(int n)
{
	while (n--) {
		struct item *it = get(sizeof(*it) + (size_t)(n % 5) * 32);

		it->next = items;
		strcpy(it->name, "an item");
		items = it;
		printf("keep %p\n", (void *)it);
	}
}

static void bad(void *p)
{
	printf("bad %p\n", p);
	fflush(stdout);
}

/* a name longer than what was thought of */
static void strcpy_long(void)
{
	buf[0] = get(24);
	buf[1] = get(40);
	more(N);
	bad(buf[0]);
	strcpy(buf[0] + zero, "/usr/share/locale/en_GB/LC_MESSAGES");
	free(buf[1]);
}

/* room for a string, not for its end */
static void off_by_one(void)
{
	buf[0] = get(264);
	buf[1] = get(296);
	more(N);
	bad(buf[0]);
	buf[0][264 + zero] = '\0';
}

static void write_after_free_tcache(void)
{
	buf[0] = get(56);
	buf[1] = get(56);
	more(N);
	bad(buf[1]);
	free(buf[0]);
	free(buf[1]);
	strcpy(buf[1] + zero, "still in use");
	buf[2] = malloc(56);
	buf[3] = malloc(56);
}

static void write_after_free_unsorted(void)
{
	buf[0] = get(1600);
	more(N);
	bad(buf[0]);
	free(buf[0]);
	memset(buf[0] + zero, 'A', 16);
	buf[1] = malloc(3000);
}

static void double_free_tcache(void)
{
	buf[0] = get(56);
	more(N);
	bad(buf[0]);
	free(buf[0]);
	free(buf[0] + zero);
}

static void fill_tcache(size_t n)
{
	for (int i = 0; i < 7; i++)
		buf[8 + i] = get(n);
}

static void empty(void)
{
	for (int i = 0; i < 7; i++)
		free(buf[8 + i]);
}

static void double_free_fasttop(void)
{
	buf[0] = get(56);
	fill_tcache(56);
	more(N);
	bad(buf[0]);
	empty();
	free(buf[0]);
	free(buf[0] + zero);
}

/* not at once: nothing notices */
static void double_free_later(void)
{
	buf[0] = get(56);
	buf[1] = get(56);
	fill_tcache(56);
	more(N);
	bad(buf[0]);
	empty();
	free(buf[0]);
	free(buf[1]);
	free(buf[0] + zero);
}

static void top_overrun(void)
{
	more(N);
	buf[0] = get(100);
	bad(buf[0]);
	memset(buf[0] + zero, 0xff, 112);
	buf[1] = malloc(200000 - 100000);
	buf[2] = malloc(50000);
}

static void underrun(void)
{
	more(N);
	buf[0] = get(100);
	more(N);
	bad(buf[0]);
	for (int i = 1; i <= 12; i++)
		buf[0][-i - (int)zero] = 'x';
	free(buf[0]);
}

static void header_of_next(void)
{
	more(N);
	buf[0] = get(104);
	more(N);
	bad(buf[0]);
	memset(buf[0] + zero, 'Z', 104 + 8);
}

static void links_of_freed(void)
{
	buf[0] = get(1600);
	more(N);
	bad(buf[0]);
	free(buf[0]);
	memset(buf[0] + zero, 'Z', 16);
}

static void free_inside(void)
{
	buf[0] = get(500);
	more(N);
	bad(buf[0]);
	free(buf[0] + 16 + zero);
}

static const struct {
	const char *name;
	void (*run)(void);
} all[] = {
	{"strcpy_long", strcpy_long},
	{"off_by_one", off_by_one},
	{"write_after_free_tcache", write_after_free_tcache},
	{"write_after_free_unsorted", write_after_free_unsorted},
	{"double_free_tcache", double_free_tcache},
	{"double_free_fasttop", double_free_fasttop},
	{"double_free_later", double_free_later},
	{"top_overrun", top_overrun},
	{"underrun", underrun},
	{"header_of_next", header_of_next},
	{"links_of_freed", links_of_freed},
	{"free_inside", free_inside},
};

static void (*chosen)(void);

static void *in_thread(void *arg)
{
	more(N);
	chosen();
	abort();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	static char out[1 << 16];

	setvbuf(stdout, out, _IOFBF, sizeof(out));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (argc > 1 && strcmp(argv[1], all[i].name) == 0)
			chosen = all[i].run;
	if (!chosen)
		return 2;
	if (argc > 2 && pthread_create(&thread, NULL, in_thread, NULL) == 0)
		pthread_join(thread, NULL);
	in_thread(NULL);
	return 0;
}

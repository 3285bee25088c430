/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A service that is dumped twice: soak OLD NEW TRUTH [PLUGIN].  Between both, each
 * function does what its name says; what was allocated at both moments is
 * written at the end, a line a buffer: "old|new ADDR BYTES FUNCTION NUMBER",
 * where the number is that of the allocation.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define MAX      512

/* of the library this runs under */
extern int kmem_snapshot(const char *path, int flags) __attribute__((weak));
extern void *each_get(size_t bytes);
extern void each_call(void (*fn)(int, int), int a, int b);

struct session {
	struct session *next;
	char name[48];
};
struct slot {
	void *p;
	size_t bytes;
	const char *by;
	int number;
};
static struct slot now[MAX], was[MAX];
static int number;
struct session *sessions;

static void *own(void *p, size_t bytes, const char *by)
{
	for (int i = 0; i < MAX; i++) {
		if (now[i].p)
			continue;
		now[i] = (struct slot){p, bytes, by, ++number};
		return p;
	}
	abort();
}

static void drop(struct slot *s)
{
	free(s->p);
	s->p = NULL;
}

/* frees n of what a function has, the oldest first */
static void drop_of(const char *by, int n)
{
	while (n-- > 0) {
		struct slot *oldest = NULL;

		for (int i = 0; i < MAX; i++)
			if (now[i].p && strcmp(now[i].by, by) == 0 &&
			    (!oldest || now[i].number < oldest->number))
				oldest = &now[i];
		drop(oldest);
	}
}

#ifdef MORE
/* what another build has above */
int more(int a)
{
	return a % 12345 + 3;
}
#endif

NOINLINE static void keeps(int n)
{
	while (n-- > 0)
		own(malloc(72), 72, __func__);
}
NOINLINE static void grows(int n)
{
	while (n-- > 0)
		own(malloc(100), 100, __func__);
}
NOINLINE static void shrinks(int n)
{
	while (n-- > 0)
		own(malloc(333), 333, __func__);
}
NOINLINE static void comes(int n)
{
	while (n-- > 0)
		own(calloc(1, 1000), 1000, __func__);
}
NOINLINE static void goes(int n)
{
	while (n-- > 0)
		own(malloc(2000), 2000, __func__);
}
/* as much in both, but none of it the same */
NOINLINE static void swaps(int n)
{
	while (n-- > 0)
		own(malloc(48), 48, __func__);
}
NOINLINE static void links(int n)
{
	while (n-- > 0) {
		struct session *s = malloc(sizeof(*s));

		own(s, sizeof(*s), __func__);
		snprintf(s->name, sizeof(s->name), "session %d", n);
		s->next = sessions;
		sessions = s;
	}
}
/* through a library, which another build has changed */
NOINLINE static void reaches(int n)
{
	while (n-- > 0)
		own(each_get(640), 640, __func__);
}
/* calls in one function, of which the first comes later, the third goes and the
 * fourth comes; called by the library */
NOINLINE static void one_of(int which, int n)
{
	while (n-- > 0)
		if (which == 1)
			own(malloc(500), 500, "first");
		else if (which == 2)
			own(malloc(700), 700, "second");
		else if (which == 3)
			own(malloc(11), 11, "third");
		else
			own(malloc(17), 17, "fourth");
}

static void dump(const char *path)
{
	char answer[1];

	if (!kmem_snapshot) { /* somebody else does it meanwhile */
		if (write(1, "now\n", 4) != 4 || read(0, answer, 1) != 1)
			exit(1);
	} else if (kmem_snapshot(path, 0)) {
		perror(path);
		exit(1);
	}
}

static void tell(FILE *f, const char *which, const struct slot *v)
{
	for (int i = 0; i < MAX; i++)
		if (v[i].p)
			fprintf(f, "%s %lx %zu %s %d\n", which,
				(unsigned long)v[i].p, v[i].bytes, v[i].by,
				v[i].number);
}

/* before the first dump, and between both */
static const int counts[2][10] = {
	{20, 10, 30, 0, 7, 16, 12, 3, 0, 4},
	{0, 25, 1, 9, 0, 16, 4, 2, 3, 0},
};

NOINLINE static void work(const int n[10])
{
	keeps(n[0]);
	grows(n[1]);
	shrinks(n[2]);
	comes(n[3]);
	goes(n[4]);
	swaps(n[5]);
	links(n[6]);
	reaches(n[7]);
	each_call(one_of, 1, n[8]);
	each_call(one_of, 2, n[7]);
	each_call(one_of, 3, n[9]);
	each_call(one_of, 4, n[8]);
}

/* a library is closed and opened again, at another place */
static void *reopen(void *plugin, const char *path)
{
	char *place = dlsym(plugin, "plug");

	dlclose(plugin);
	/* where it was, something else is now */
	mmap(place - ((unsigned long)place & 4095), 4096, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	plugin = dlopen(path, RTLD_NOW);
	if (!plugin || dlsym(plugin, "plug") == place)
		abort();
	return plugin;
}

int main(int argc, char **argv)
{
	void *plugin = argc == 5 ? dlopen(argv[4], RTLD_NOW) : NULL;

	if (argc != 4 && !plugin)
		return 2;
	for (int i = 0; i < 2; i++) {
		work(counts[i]);
		if (i == 0) {
			dump(argv[1]);
			memcpy(was, now, sizeof(was));
			if (plugin)
				plugin = reopen(plugin, argv[4]);
			drop_of("grows", 4);
			drop_of("shrinks", 18);
			drop_of("goes", 7);
			drop_of("third", 4);
			drop_of("swaps", 16);
		}
	}
	dump(argv[2]);

	FILE *f = fopen(argv[3], "w");

	if (!f)
		return 1;
	tell(f, "old", was);
	tell(f, "new", now);
	return fclose(f) != 0;
}

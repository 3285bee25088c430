/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only place that calls malloc; see mem.h for what happens when it fails.*/
#define _GNU_SOURCE /* reallocarray, vasprintf */
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *checked(void *p)
{
	static const char text[] = "pmdb: out of memory: no verdict\n";

	if (p)
		return p;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(3); /* nobody to tell */
	_exit(3);
}

void *mem_alloc(size_t bytes)
{
	return checked(malloc(bytes ? bytes : 1));
}

void *mem_zalloc(size_t bytes)
{
	return checked(calloc(1, bytes ? bytes : 1));
}

void *mem_array(size_t n, size_t bytes)
{
	return checked(calloc(n ? n : 1, bytes ? bytes : 1));
}

/* ---- tables ---------------------------------------------------------- */

/* A table is mapped by itself, from the start of a huge page to the end of one.
 * free() knows nothing of it: the page before it says that it is one. */
#define HUGE_BYTES ((size_t)2 << 20)
#define PAGE_BYTES ((size_t)4096)
#define TABLE_MIN  ((size_t)1 << 19)
#define TABLE_WORD 0x7461626c65206f66u

struct table_page {
	uint64_t word;
	void *table;
	size_t bytes;
};

static struct table_page *page_of(void *p)
{
	return (struct table_page *)((uintptr_t)p - PAGE_BYTES);
}

/* bytes of zeros from the start of a huge page on; NULL: there are none */
static void *map_table(size_t bytes)
{
	size_t all = PAGE_BYTES + HUGE_BYTES + bytes;
	char *p = mmap(NULL, all, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	size_t before = -((uintptr_t)p + PAGE_BYTES) & (HUGE_BYTES - 1);

	if (before)
		(void)munmap(p, before);
	p += before + PAGE_BYTES;
	(void)munmap(p + bytes, all - before - PAGE_BYTES - bytes);
	(void)madvise(p, bytes, MADV_HUGEPAGE); /* small ones will do */
	*page_of(p) = (struct table_page){TABLE_WORD, p, bytes};
	return p;
}

void *mem_table(size_t n, size_t bytes)
{
	size_t all = 0;

	if (__builtin_mul_overflow(n, bytes, &all) || all < TABLE_MIN ||
	    all > SIZE_MAX / 2)
		return mem_array(n, bytes);
	return checked(map_table((all + HUGE_BYTES - 1) & -HUGE_BYTES));
}

/* What malloc gives is there from the start of a page before it on, unless it is
 * mapped by itself: then it is no start of a page. */
static bool is_table(void *p)
{
	return p && ((uintptr_t)p & (HUGE_BYTES - 1)) == 0 &&
	       page_of(p)->word == TABLE_WORD && page_of(p)->table == p;
}

void *mem_realloc(void *p, size_t n, size_t bytes)
{
	if (n == 0 || bytes == 0)
		n = bytes = 1;
	return checked(reallocarray(p, n, bytes));
}

char *mem_strdup(const char *s)
{
	return checked(strdup(s));
}

char *mem_strndup(const char *s, size_t n)
{
	return checked(strndup(s, n));
}

char *mem_vprintf(const char *fmt, va_list ap)
{
	char *s = NULL;

	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	return checked(s);
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	return s;
}

void mem_free(void *p)
{
	if (is_table(p))
		(void)munmap(page_of(p), PAGE_BYTES + page_of(p)->bytes);
	else
		free(p);
}

void mem_free_ptr(void *pp)
{
	mem_free(*(void **)pp);
}

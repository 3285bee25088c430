/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The only place that calls malloc; see mem.h for what happens when it fails.*/
#define _GNU_SOURCE /* reallocarray, vasprintf */
#include "base/mem.h"

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

#define PAGE      ((uintptr_t)4096)
#define TABLE_MIN ((size_t)2 << 20)

void *mem_table(size_t n, size_t bytes)
{
	void *p = mem_array(n, bytes);
	uintptr_t start = ((uintptr_t)p + PAGE - 1) & -PAGE;
	uintptr_t end = ((uintptr_t)p + n * bytes) & -PAGE;

	/* a table of that size is fresh from the system, not touched yet */
	if (n * bytes >= TABLE_MIN)
		(void)madvise((void *)start, end - start,
			      MADV_HUGEPAGE); /* small ones will do */
	return p;
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
	free(p);
}

void mem_free_ptr(void *pp)
{
	mem_free(*(void **)pp);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* operator new in a process without a C++ library.  Argument: how many bytes to
 * ask for, or "nothrow": absurdly many, by the form that may return NULL. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	void *(*new)(size_t) = dlsym(RTLD_DEFAULT, "_Znwm");
	void *(*nothrow)(size_t, const void *) =
		dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
	void (*delete)(void *) = dlsym(RTLD_DEFAULT, "_ZdlPv");

	if (argc != 2 || !new || !nothrow || !delete)
		return 2;
	if (strcmp(argv[1], "nothrow") == 0)
		return nothrow((size_t)1 << 62, "") != NULL;
	delete (memset(new (strtoul(argv[1], NULL, 10)), 1, 100));
	return 0;
}

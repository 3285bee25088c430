#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# dlopen and dlclose: of libraries that keep memory, and of another one where the
# first was, whose stacks are then its own.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..$((${#modes[@]} + 4))
# the same instructions at the same places, but frames of another size
cat >lib.c <<'C'
#include <stdlib.h>
#include <string.h>
static void *kept;
__attribute__((noinline)) int NAME(inner)(int n)
{
	char frame[FRAME];
	memset(frame, n, sizeof(frame));
	__asm__ volatile("" : : "r"(frame) : "memory");
	for (int i = 0; i < 20; i++) {
		void *volatile p = malloc(700 + i);

		if (n % 5 == 0)
			kept = p;
		else if (n >= 0)
			free(p); /* else it is lost */
		p = NULL;
	}
	return frame[FRAME - 1];
}
__attribute__((noinline)) int NAME(outer)(int n) { return NAME(inner)(n) * 3; }
int work(int n) { return NAME(outer)(n) & 1; }
__attribute__((destructor)) static void end(void) { free(malloc(5000)); }
C
gcc -O2 -g -fPIC -shared -DFRAME=4000 -D'NAME(x)=first_##x' -o one.so lib.c
gcc -O2 -g -fPIC -shared -DFRAME=3000 -D'NAME(x)=second_##x' -o two.so lib.c
same 0 '60 times, 0 failed' "$G/dl" loop 60 ./one.so ./two.so

for debug in default audit; do
	KMEM_DEBUG=$debug "$B/pmdb" run -o dump -- "$G/dl" same ./one.so ./two.so >out 2>err
	[ $? = 0 ] && [ "$(cat out)" = 'same place, 0 failed' ]
	ok $? "$debug: one library where the other was"
	"$B/pmdb" -e '::findleaks -d' dump >out 2>err
	grep -A9 'second_inner' out >stack
	grep -q 'second_outer' stack && grep -q 'work' stack &&
		grep -q 'main' stack && ! grep -q 'first_' out
	ok $? "$debug: the stack of its leak is its own"
	rm -f dump
done

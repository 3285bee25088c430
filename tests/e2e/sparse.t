#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A process with a terabyte of memory of which it has touched some pages: what
# these hold is found, and nobody looks at all the others.
cd "$WORK" || exit 1
n=0
ok() { # status, name
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n - $2" && return
	echo "not ok $n - $2"
	sed 's/^/# /' out err
}
cat >sparse.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define PAGES (1ul << 28)
#define WORD(page, at) (*(char **)(p + (page) * 4096 + (at)))
char *p;
int main(int argc, char **argv)
{
	char *drop[3];

	p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return 77;
	/* kept by the first word, the last one, and one beside a gap */
	WORD(0, 0) = malloc(1000);
	WORD(PAGES - 1, 4088) = malloc(1001);
	WORD(PAGES / 3, 4088) = malloc(1002);
	WORD(PAGES / 3 + 1, 0) = malloc(1003);
	/* of these only the one that is nowhere is lost */
	for (int i = 0; i < 3; i++)
		drop[i] = malloc(3000 + i);
	WORD(PAGES / 2, 8) = drop[0];
	WORD(PAGES / 2 + 77, 16) = drop[1];
	memset(drop, 0, sizeof(drop));
	if (argc > 1)
		return 0;
	puts("ready");
	fflush(stdout);
	return (int)read(0, drop, 1);
}
C
gcc -O0 -o sparse sparse.c
echo 1..4
mkfifo in
./sparse <in >ready &
exec 3>in
until [ -s ready ]; do
	kill -0 $! || { wait $!; exit $?; }
	sleep 0.02
done
timeout 60 "$B/pmdb" snap -p $! -o snap.core >out 2>err
ok $? "a snapshot is taken"
exec 3>&-
timeout 60 "$B/pmdb" check snap.core >out 2>err
[ $? = 1 ] && grep -q '1 leak, 3[0-9]* bytes in 1 buffer' out err
ok $? "glibc's malloc: what is lost, and no other, is told"
timeout 60 "$B/pmdb" run -o run.core -- ./sparse x >out 2>err
ok $? "under libkmem it leaves a dump"
timeout 60 "$B/pmdb" check run.core >out 2>err
[ $? = 1 ] && grep -q '1 leak, 3002 bytes in 1 buffer' out err
ok $? "libkmem: the same"

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# kmem_snapshot() of a program that links libkmem.so.
set -u
. "$TOP/tests/snap/lib.sh"
build api -L"$B" -lkmem -Wl,-rpath,"$B"
echo "1..14"
for t in plain names nowait threads; do
	timeout 100 ./api $t > out 2>&1
	is "$t" "$? $(cat out)" "0 "
done
is "no unfinished file" "$(find . -name '*.tmp.*')" ""
like "a snapshot while threads allocate" \
	"$(gdb_core ./api main.core 'thread apply all bt')" 'worker'
timeout 100 ./api memory > out 2>&1
is "memory" "$? $(grep line out)" "0 "
at() { awk -v k="$1" '$1 == k { print $2 }' out; }
for k in shared sparse once; do
	like "memory: $k" "$(gdb_core ./api memory.core \
		"p (char *)$(at $k)")" "\"in .*memory"
done
like "a page never touched reads as zero" \
	"$(gdb_core ./api memory.core "x/gx $(at sparse) + 0x100000")" \
	'0x0000000000000000'
rm -f memory.core
# the same by the preload library, which stands before the linked one
timeout 100 env LD_PRELOAD="$B/libkmem_preload.so" \
	KMEM_SNAPSHOT=exit,path=x.core ./api plain > out 2>&1
is "with the preload library" "$? $(cat out)" "0 "
is "one dump at exit" "$(find . -name 'x.core.*' | wc -l)" 1
# both hear of a fork; one alone takes the locks
cat > fork.c <<'EOC'
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "kmem.h"
int main(void)
{
	int status;
	pid_t pid = fork();

	kmem_free(kmem_alloc(5, 0), 5);
	if (pid == 0)
		_exit(3);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}
EOC
gcc -g -w -I"$TOP/src/kmem" -o fork fork.c -L"$B" -lkmem -Wl,-rpath,"$B"
timeout 20 env LD_PRELOAD="$B/libkmem_preload.so" ./fork > out 2>&1
is "with the preload library: fork" "$? $(cat out)" "3 "

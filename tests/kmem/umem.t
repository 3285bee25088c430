#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# libumem's interface: a program of its own kind, in each mode, under the
# variables of its own name.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
echo 1..14
ulimit -c 0
export LD_LIBRARY_PATH=$B
prog=$B/tests/kmem/umem_api
for env in A= UMEM_DEBUG=default UMEM_DEBUG=audit,contents \
	UMEM_DEBUG=guards,firewall=64 UMEM_OPTIONS=nomagazines \
	"LD_PRELOAD=$B/libkmem_preload.so"; do
	env "$env" UMEM_LOGGING=transaction "$prog" >out 2>err
	[ $? = 0 ] && ! grep -v '^ok' out && [ ! -s err ] &&
		[ "$(grep -c '^ok' out)" = 19 ]
	ok $? "${env##*/}"
done
# guards keep the size that was asked for
(UMEM_DEBUG=default "$prog" size) >out 2>err
[ $? = 134 ] && grep -qF 'bad free: free size (201) != alloc size (200)' err
ok $? "umem_free_align with another size"

"$prog" 0 >out 2>err
[ $? = 255 ] && [ "$(cat out)" = "asked 0 times" ]
ok $? "no callback: exit status 255"
"$prog" 4 >out 2>err
[ $? = 3 ] && [ "$(cat out)" = "asked 4 times" ]
ok $? "a callback is asked until it says to exit"
UMEM_DEBUG=verbose "$prog" 5 >out 2>err
[ $? = 255 ] && grep -q 'nofail callback returned 4d' err
ok $? "an answer that is none"
("$prog" 6) >out 2>err
[ $? = 134 ] && grep -qF 'recursive UMEM_CALLBACK_EXIT()' err
ok $? "a second request while the first one exits"

# it has to be libumem's headers that are enough
cat >p.c <<'C'
#include <umem.h>
#include <sys/vmem.h>
int main(void) { umem_free(umem_alloc(64, UMEM_NOFAIL), 64); return 0; }
C
gcc -I"$TOP/src/kmem" -o p p.c -L"$B" -lkmem && ./p
ok $? "C"
cp p.c p.cc
g++ -I"$TOP/src/kmem" -o pp p.cc -L"$B" -lkmem && ./pp
ok $? "C++"
UMEM_DEBUG=default "$B/pmdb" run -o dump -- "$prog" >out 2>err
"$B/pmdb" check dump >out 2>err
! grep -q corrupt out err
ok $? "its heap is examined without complaint"

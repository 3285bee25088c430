#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# libumem's interface: a program of its own kind, in each mode, under the
# variables of its own name.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
echo 1..32
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

# two more programs, the first beside tools that do the same
words=$B/tests/kmem/umem_words
tr -cs '[:alpha:]' '\n' <"$TOP/doc/architecture.md" | LC_ALL=C grep . |
	LC_ALL=C sort | uniq -c | awk '{print $1, $2}' | LC_ALL=C sort >want
lines() { # the words, sorted; the rest is the last line
	sed '$d' out | LC_ALL=C sort | cmp -s - want
}
for env in A= UMEM_DEBUG=default UMEM_DEBUG=audit,contents UMEM_DEBUG=lite \
	UMEM_DEBUG=guards,firewall=16 UMEM_OPTIONS=nomagazines \
	"UMEM_DEBUG=default UMEM_LOGGING=transaction,contents,fail,slab" \
	UMEM_DEBUG=default,mtbf=2 "LD_PRELOAD=$B/libkmem_preload.so"; do
	# shellcheck disable=SC2086
	env $env "$words" <"$TOP/doc/architecture.md" >out 2>err
	rc=$?
	case $env in
	*mtbf*) # what may fail does: its reserve, or not
		[ $rc = 3 ] || { [ $rc = 0 ] && lines; } ;;
	*) [ $rc = 0 ] && lines && [ "$(tail -1 out)" = "retries 0" ] ;;
	esac && [ ! -s err ]
	ok $? "words: ${env##*/}"
done
for env in A= UMEM_DEBUG=default UMEM_DEBUG=guards,firewall=1000 \
	UMEM_OPTIONS=nomagazines UMEM_OPTIONS=concurrency=16; do
	env "$env" "$B/tests/kmem/umem_server" >out 2>err
	[ $? = 0 ] && [ ! -s err ] &&
		[ "$(cat out)" = "16000 requests, 160444144 bytes, all undone" ]
	ok $? "server: $env"
done
# memory is at an end: the reserve is given up, then the program
awk 'BEGIN { for (i = 0; i < 300000; i++) { w = ""
	for (k = i + 1000000; k > 0; k = int(k / 26)) w = w sprintf("%c", 97 + k % 26)
	print w "abcdefghijklmnopqrstuvwxyz" } }' >many
(ulimit -v 25000; exec "$words" <many) >out 2>err
[ $? = 12 ] && [ ! -s err ]
ok $? "words: a callback gives up its reserve, then says to exit"
(exec "$words" <many) >out 2>err
[ $? = 0 ] && [ "$(wc -l <out)" = 300001 ]
ok $? "words: and with memory enough it does not"
# what such a program does wrong is found, in libumem's spelling
UMEM_DEBUG=default UMEM_LOGGING=transaction "$B/pmdb" run -o dump -- "$words" \
	<"$TOP/doc/architecture.md" >out 2>err
[ $? = 0 ] && lines
ok $? "words: under pmdb run"
[ "$("$B/pmdb" check dump 2>&1 | grep -c 'entry')" = 0 ]
ok $? "words: no leak of its own"

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Another malloc preloaded beside ours, before it and behind it; AddressSanitizer;
# a set-uid program, which takes nothing from its environment.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..12
lib=$B/libkmem_preload.so
jemalloc=$(ldconfig -p | awk '/libjemalloc.so.2/ {print $NF; exit}')
[ "$jemalloc" ] || { echo "no jemalloc"; exit 77; }
both() { # name, what to run under it
	local name=$1
	shift
	env "$@" "$G/threads" keys 100 >out 2>err
	[ $? = 0 ] && [ "$(cat out)" = '100 threads, 700 destructions' ] &&
		[ ! -s err ]
	ok $? "$name: threads"
	env "$@" /usr/bin/python3 -c 'import json, sqlite3
print(len(json.dumps([str(i) * 9 for i in range(20000)])))' >out 2>err
	[ $? = 0 ] && [ "$(cat out)" = 880010 ] && [ ! -s err ]
	ok $? "$name: python"
}
both "ours, jemalloc" "LD_PRELOAD=$lib:$jemalloc" KMEM_DEBUG=default
both "jemalloc, ours" "LD_PRELOAD=$jemalloc:$lib" KMEM_DEBUG=default
both "pmdb run, jemalloc" "LD_PRELOAD=$jemalloc" "$B/pmdb" run -o dump --
"$B/pmdb" -e '::kmastat' dump | grep -q kmem_alloc_64
ok $? "pmdb run, jemalloc: the heap is ours"

# a sanitizer wants to be first and says so; pmdb run knows beforehand
echo 'int main(void) { return 0; }' >san.c
gcc -fsanitize=address -o san san.c
env "LD_PRELOAD=$lib" ./san >out 2>err
[ $? = 1 ] && grep -q 'ASan runtime does not come first' err
ok $? "AddressSanitizer refuses to be second"
"$B/pmdb" run -o no -- ./san >out 2>err
[ $? = 125 ] && grep -q 'AddressSanitizer, which has its own malloc' err
ok $? "pmdb run refuses it"

cat >suid.c <<'C'
#include <kmem.h>
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
	char *p = kmem_alloc(100, KM_SLEEP);
	int rc = kmem_snapshot(NULL, 0);

	p[101] = 0; /* nobody notices but a debugger */
	kmem_free(p, 100);
	printf("%d\n", rc);
	return 0;
}
C
gcc -I"$TOP/src/kmem" -o suid suid.c -L"$B" -lkmem -Wl,-rpath,"$B"
chmod 4755 suid
d=$WORK
while [ "$d" != / ]; do # whoever runs it has to come here
	chmod o+x "$d" 2>/dev/null
	d=$(dirname "$d")
done
mkdir -m 777 dumps
export KMEM_DEBUG=default KMEM_SNAPSHOT=$PWD/dumps/%p.core
user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if [ "$(id -u)" != 0 ] || ! "${user[@]}" ./suid >out 2>err; then
	ok 0 "set-uid # SKIP not root, or not reachable for others"
	ok 0 "set-uid # SKIP"
	ok 0 "not set-uid # SKIP"
	exit
fi
[ "$(cat out)" = -1 ] && [ ! -s err ]
ok $? "set-uid: the environment asks for nothing"
[ -z "$(ls dumps)" ]
ok $? "set-uid: no dump"
chmod 755 suid
"${user[@]}" ./suid >out 2>err
[ $? = 134 ] && [ "$(ls dumps | wc -l)" -ge 1 ] && grep -q 'redzone' err
ok $? "without set-uid it does"

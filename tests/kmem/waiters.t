#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Who waits for memory is in the snapshot: for what, since when, in which order.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
echo 1..11
KMEM_OPTIONS=limit=16m LD_LIBRARY_PATH=$B "$B/tests/kmem/waiters" "$PWD/dump" >ids 2>err
[ $? = 0 ] && [ ! -s err ] && [ "$(wc -l <ids)" = 3 ]
ok $? "three threads wait, and are served after the snapshot"
mapfile -t id <ids
"$B/pmdb" -e '*kmem_waiters::print -d kmem_waiter_t' dump >first 2>err
grep -q "kw_thread = ${id[0]}\b" first && grep -q "kw_bytes = 3145728\b" first
ok $? "the first in kmem_waiters is who came first"
grep -q 'kw_since = [1-9]' first && grep -q 'kw_cache = 0$' first
ok $? "since when, and that it is no object"
"$B/pmdb" -e '*kmem_waiters::print kmem_waiter_t kw_next | ::print -d kmem_waiter_t' \
	dump >second 2>err
grep -q "kw_thread = ${id[1]}\b" second && grep -q "kw_bytes = 40000\b" second
ok $? "the next wants an object"
"$B/pmdb" -e '*waited_arena::print vmem_t vm_waiters | ::print -d kmem_waiter_t' \
	dump >third 2>err
grep -q "kw_thread = ${id[2]}\b" third && grep -q "kw_bytes = 2\b" third
ok $? "and the third is in its arena"

# the commands
"$B/pmdb" --json -e ::kmem_waiters dump >all
got=$(python3 - <<'END'
import json
for line in open("all"):
    r = json.loads(line)
    print(r["thread"], r["size"], r["wants"], r["since"] is not None,
          90e6 < r["waited_ns"] < 30e9)
END
)
[ "$got" = "${id[0]} 3145728 kmem_oversize True True
${id[1]} 40000 waited True True
${id[2]} 2 waited True True" ]
ok $? "::kmem_waiters: each of them, what it wants, for how long"
got=$(python3 - <<'END'
import json
for line in open("all"):
    r = json.loads(line)
    own = [f["function"] for f in r["stack"] or [] if f["object"] == "waiters"]
    print(own[0], "arena" if r["arena"] else "cache")
END
)
[ "$got" = "wait_for_bytes arena
wait_for_object cache
wait_for_number arena" ]
ok $? "and where"
"$B/pmdb" -e '*waited_cache::kmem_waiters -v' dump >one
[ "$(grep -c ' waited$' one)" = 1 ] && grep -q "^[0-9a-f]* *${id[1]} *40000 .* waited$" one &&
	grep -q ' wait_for_object' one
ok $? "of one cache, with its stack"
[ "$("$B/pmdb" -e '::kmem_waiters | ::head -1' dump)" = "$(printf '%x' "${id[0]}")" ]
ok $? "what it hands on is the thread"
"$B/pmdb" --json -e ::rmap dump >maps
[ "$(wc -l <maps)" = 1 ] && grep -q '"slots":8,"ranges":2,"free":94,"largest":90,' maps
ok $? "::rmap: the map, its free ranges, their sum and the largest"
got=$("$B/pmdb" -e '::rmap | ::rmap' dump | awk 'NR > 1 { print $1, $2, $3 }')
[ "$got" = "b 65 90
c8 cc 4" ]
ok $? "and each of them"

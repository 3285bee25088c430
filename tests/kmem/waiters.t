#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Who waits for memory is in the snapshot: for what, since when, in which order.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
echo 1..5
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

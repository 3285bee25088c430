#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What each kind of checking says of a bad free, and that the dump of it is of a
# heap at rest.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
echo 1..7
bad_free() { # KMEM_DEBUG, fixture, text
	(ulimit -c 0
	TRUTH=/dev/null KMEM_DEBUG=$1 LD_PRELOAD=$B/libkmem_preload.so \
		"$B/fixtures/$2") >out 2>err
	[ $? = 134 ] && grep -q "$3" err
	ok $? "$1: $2: $3"
}
dup="duplicate free: buffer freed twice"
bad_free guards double_free "$dup"
bad_free audit double_free "$dup"
grep -q 'freed by' err
ok $? "audit: who freed it before"
bad_free guards,firewall=16 double_free "$dup"

"$B/pmdb" run -o dump -- "$B/fixtures/double_free" >out 2>err
"$B/pmdb" -e ::status dump | grep -q 'at rest when it was copied'
ok $? "the dump of a double free is of a heap at rest"
"$B/pmdb" check dump >out 2>&1
[ $? = 1 ]
ok $? "and check says so"
[ "$(tail -1 out)" = "pmdb: dump: 1 corruption" ]
ok $? "with one finding"

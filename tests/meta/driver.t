#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The driver itself: each way a case can go wrong turns the run red.
n=0 long=
try() { # name, expected last line, expected status; the suite is in ./s
	n=$((n + 1))
	out=$("$TOP/tests/run" --root s --timeout 3 $long)
	rc=$?
	last=${out##*$'\n'}
	if [ "$last" = "$2" ] && [ $rc = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1: \"$last\" status $rc"
	fi
	rm -rf s
}
case_() { # name, body
	mkdir -p s && printf '#!/bin/sh\n%s\n' "$2" > "s/$1.t" && chmod +x "s/$1.t"
}
echo 1..13
case_ a 'exit 0'; try pass "1 passed, 0 failed, 0 skipped" 0
case_ a 'exit 1'; try fail "0 passed, 1 failed, 0 skipped" 1
case_ a 'echo why; exit 77'; try skip "0 passed, 0 failed, 1 skipped" 0
case_ a 'kill -SEGV $$'; try crash "0 passed, 1 failed, 0 skipped" 1
case_ a 'sleep 60'; try hang "0 passed, 1 failed, 0 skipped" 1
mkdir s; try empty "0 passed, 1 failed, 0 skipped" 1
case_ a 'echo 1..2; echo ok 1 - x; echo ok 2 - y'
try tap "2 passed, 0 failed, 0 skipped" 0
case_ a 'echo 1..3; echo ok 1 - x; echo not ok 2 - y'
try "tap short of its plan" "1 passed, 2 failed, 0 skipped" 1
case_ a 'echo 1..1; echo ok 1 - x; exit 3'
try "tap with a bad end" "1 passed, 1 failed, 0 skipped" 1
case_ a 'echo 1..1; echo "ok 1 - x # SKIP no tool"'
try "tap skip" "0 passed, 0 failed, 1 skipped" 0
mkdir s; printf '#!/no/such\n' > s/a.t; chmod +x s/a.t
try "cannot run" "0 passed, 1 failed, 0 skipped" 1
case_ a 'exit 0'; cp s/a.t s/b.long
try "a long case waits" "1 passed, 0 failed, 0 skipped" 0
case_ a 'exit 0'; cp s/a.t s/b.long; long=--long
try "a long case runs when asked for" "2 passed, 0 failed, 0 skipped" 0

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The corpus of the command language's fuzzer is replayed: on a few bytes of
# hostile memory, and on an executable with symbols and types.  What an input
# must not do is said in tests/fuzz/cmd.c; it aborts then.
corpus=("$TOP"/tests/fuzz/cmd/*)
[ ${#corpus[@]} -ge 25 ] || { echo "Bail out! no corpus"; exit 1; }
n=0
replay() { # NAME
	timeout 100 "$B/tests/fuzz/cmd" "${corpus[@]}" >out 2>err </dev/null
	local rc=$?
	n=$((n + 1))
	if [ $rc = 0 ] && [ "$(cat out)" = "${#corpus[@]} inputs" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		echo "# status $rc; $(grep '^# ' err | tail -1)"
		tail -3 err | sed 's/^/# /'
	fi
}
replay 'on memory that looks like commands'
gcc -g -o prog "$TOP/tests/shell/prog.c" -pthread || exit 1
FUZZ_EXE=$PWD/prog replay 'on an executable'
# the trap snaps: a command of the memory's is a failure
printf '1 ! echo DUMPTEXT\n' > mark
"$B/tests/fuzz/cmd" mark >out 2>&1
n=$((n + 1))
[ "$(cat out | tail -1)" = "1 inputs" ] && echo "ok $n - what the user wrote is run" ||
	echo "not ok $n - what the user wrote is run"
echo "1..$n"

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
# the trap snaps: with a parser of pipes that runs what stands behind a "!" in
# a file, a file that nobody wrote as a command is a failure
libs=$(sed -n '/^PMDB_LIBS :=/,/[^\\]$/p' "$TOP/Makefile" | tr -d '\\\n' |
	sed 's/PMDB_LIBS :=//')
sed 's|if (!err && (!cmd->addr .*|if (!err \&\& cmd->shell) \
	err = shell_run(cmd->shell, -1, -1); &|' "$TOP/src/shell/exec.c" > exec.c
echo '1 ! echo DUMPTEXT' > pwn
echo '::cat pwn | ::map .' > input
# shellcheck disable=SC2086 # words on purpose
gcc -std=gnu11 -I"$TOP/src" -DPMDB_VERSION='"x"' -rdynamic -o bad \
	"$TOP/tests/fuzz/cmd.c" "$TOP/tests/fuzz/driver.c" exec.c \
	"$B"/dcmds/*.o "$B"/lib{shell,graph,heap,types,target,base}.a $libs \
	>err 2>&1 || sed 's/^/# /' err
for p in ./bad "$B/tests/fuzz/cmd"; do
	n=$((n + 1))
	"$p" input >out 2>&1
	rc=$?
	want="$([ "$p" = ./bad ] && echo 134 || echo 0)"
	[ $rc = "$want" ] || echo -n 'not '
	echo "ok $n - $p: status $rc"
done
echo "1..$n"

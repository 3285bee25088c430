# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# For the scripts of this suite: TAP, and a core of prog.c.
n=0
PMDB=$B/pmdb

# NAME STATUS: one TAP line
tap() {
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
	fi
}
# NAME WANT GOT
is() {
	[ "$2" = "$3" ]
	local rc=$?
	tap "$1" $rc
	[ $rc = 0 ] || printf '# want: %s\n# got:  %s\n' "$2" "$3" |
		sed '2,$s/^\([^#]\)/#       \1/'
}
# NAME PATTERN (grep -E) TEXT
has() {
	printf '%s\n' "$3" | grep -qE -- "$2"
	local rc=$?
	tap "$1" $rc
	[ $rc = 0 ] || printf '%s\n' "$3" | sed 's/^/# /'
}
# ARGS...: out, err, rc of one run
run() {
	out=$("$PMDB" "$@" 2>err </dev/null)
	rc=$?
	err=$(cat err)
}
# a core of prog.c, built here, by gdb: no part of the product makes it
make_core() {
	gcc -g -O1 -pthread -o prog "$TOP/tests/shell/prog.c" || exit 1
	gdb -q -nx -batch -ex run -ex 'gcore core.prog' ./prog </dev/null \
		>gdb.out 2>&1
	[ -s core.prog ] || {
		echo "gdb made no core here: $(tail -1 gdb.out)"
		exit 77
	}
}

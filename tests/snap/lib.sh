# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Sourced by the tests of this folder: TAP, and the program they watch.
n=0
ok() { n=$((n + 1)); echo "ok $n - $1"; }
nok() { # NAME [WHY]
	n=$((n + 1))
	echo "not ok $n - $1"
	# shellcheck disable=SC2001 # of many lines
	[ $# -lt 2 ] || sed 's/^/# /' <<< "$2"
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
is() { # NAME GOT WANTED
	if [ "$2" = "$3" ]; then ok "$1"; else nok "$1" "got \"$2\", not \"$3\""; fi
}
like() { # NAME TEXT PATTERN
	if grep -qE -e "$3" <<< "$2"; then
		ok "$1"
	else
		nok "$1" "no \"$3\" in: $(head -c 2000 <<< "$2")"
	fi
}
unlike() { # NAME TEXT PATTERN
	if grep -qE -e "$3" <<< "$2"; then
		nok "$1" "\"$3\" is in: $(head -c 2000 <<< "$2")"
	else
		ok "$1"
	fi
}
build() { # NAME [FLAGS]: tests/snap/NAME.c, in the work directory
	local name=$1
	shift
	gcc -std=gnu11 -g -O1 -w -I"$TOP/src/kmem" -o "$name" \
		"$TOP/tests/snap/$name.c" "$@" -lpthread ||
		{ echo "Bail out! $name does not compile"; exit 1; }
}
# gdb on a core: EXE CORE COMMAND...
gdb_core() {
	local exe=$1 core=$2 args=() c
	shift 2
	for c; do args+=(-ex "$c"); done
	gdb -nx -batch -ex 'set debuginfod enabled off' "${args[@]}" \
		"$exe" "$core" 2>&1
}
# wait until a file holds something, 10 s at most: FILE
await_file() {
	local i
	for ((i = 0; i < 100; i++)); do
		[ -s "$1" ] && return 0
		sleep 0.1
	done
	return 1
}

# Runs ./ends plainly and under pmdb run and compares:
# WANTED-DUMPS PATTERN-IN-GDB ARGUMENTS...
same_end() {
	local dumps=$1 pattern=$2 rc1 rc2 got text
	shift 2
	rm -f ./*.core
	./ends "$@" > out1 2> err1 < /dev/null
	rc1=$?
	timeout 60 "$B/pmdb" run -- ./ends "$@" > out2 2> err2 < /dev/null
	rc2=$?
	is "$*: status" $rc2 $rc1
	if cmp -s out1 out2 && cmp -s err1 err2; then
		ok "$*: output"
	else
		nok "$*: output" "$(diff out1 out2; diff err1 err2)"
	fi
	got=$(find . -name '*.core' | wc -l)
	is "$*: dumps" "$got" "$dumps"
	[ -n "$pattern" ] || return 0
	is "$*: nothing else" "$(find . -name '*.tmp.*')" ""
	text=$(for c in ./pmdb.ends.*.core; do gdb_core ./ends "$c" "bt 12"; done)
	like "$*: gdb" "$text" "$pattern"
}

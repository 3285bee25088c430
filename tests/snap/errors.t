#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A dump that cannot be written: one line on stderr says so, nothing is left
# behind, and the program neither knows nor suffers.
set -u
. "$TOP/tests/snap/lib.sh"
build ends
ulimit -c 0
echo "1..45"

# NAME DUMP WHY ARGUMENTS...
try() {
	local name=$1 dump=$2 why=$3 rc1 rc2
	shift 3
	./ends "$@" > out1 2> err1
	rc1=$?
	timeout 60 "$B/pmdb" run -o "$dump" -- ./ends "$@" > out2 2> err2
	rc2=$?
	is "$name: status" $rc2 $rc1
	is "$name: output" "$(cat out2)" "$(cat out1)"
	is "$name: lines" "$(wc -l < err2)" 1
	like "$name: why" "$(cat err2)" \
		"^pmdb: snapshot of [0-9]+: cannot write [^ ]*: $why\$"
}
left() { # NAME DIRECTORY
	is "$1: nothing is left" "$(ls -A "$2")" ""
}

mkdir -p dir/sub empty
try "no such directory" "$PWD/empty/x/y.core" 'No such file or directory' exit
left "no such directory" empty
try "a directory" "$PWD/dir/sub" 'Is a directory' exit
left "a directory" dir/sub
touch file
try "below a file" "$PWD/file/x.core" 'Not a directory' exit
try "a device" /dev/null 'Exists and is not a regular file' exit
is "a device: is still one" "$(stat -c %F /dev/null)" "character special file"
long=$(printf 'x%.0s' {1..300})
try "a long name" "$PWD/empty/$long" 'File name too long' segv
left "a long name" empty

# the size limit, and the signal that comes with it
(ulimit -f 64; try "file size limit" "$PWD/empty/x.core" 'File too large' exit)
n=$((n + 4))
left "file size limit" empty
(ulimit -f 64; try "file size limit, crash" "$PWD/empty/x.core" \
	'File too large' segv)
n=$((n + 4))
left "file size limit, crash" empty

mkdir full
if mount -t tmpfs -o size=64k tmpfs full 2> /dev/null; then
	try "a full disk" "$PWD/full/x.core" 'No space left on device' exit
	left "a full disk" full
	umount full
else
	for i in 1 2 3 4 5; do skip "a full disk $i" "cannot mount a file system"; done
fi
[ "$(id -u)" != 0 ] || chmod 711 . "$(dirname "$PWD")"
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --clear-groups \
	test -x "$B/pmdb" -a -x "$PWD/ends" 2> /dev/null; then
	setpriv --reuid=65534 --clear-groups timeout 60 "$B/pmdb" run \
		-o "$PWD/empty/x.core" -- ./ends exit > out2 2> err2
	is "no permission: status" $? 12
	like "no permission: why" "$(cat err2)" 'x.core: Permission denied$'
	left "no permission" empty
else
	skip "no permission: nothing is left" "nobody cannot reach the build tree"
	skip "no permission: status" "nobody cannot reach the build tree"
	skip "no permission: why" "nobody cannot reach the build tree"
fi

# descriptor 2 is no longer where people read
timeout 60 "$B/pmdb" run -o "$PWD/empty/x/y.core" -- ./ends stderr > out2 2> err2
is "stderr is another file: status" $? 20
is "stderr is another file: untouched" "$(cat own)" ""
like "stderr is another file: pmdb says it" "$(cat err2)" \
	'^pmdb: snapshot of [0-9]+: cannot write [^ ]*: No such file or directory$'

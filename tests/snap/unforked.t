#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Memory that a child of fork() does not have, or finds zero, is in the dump all
# the same: what only it refers to is no leak.
set -u
. "$TOP/tests/snap/lib.sh"
build unforked -L"$B" -lkmem -Wl,-rpath,"$B"
ulimit -c 0
echo "1..10"
for how in dontfork wipeonfork; do
	rm -f ./*.core
	timeout 60 "$B/pmdb" run --check -- ./unforked $how > out 2> err
	is "$how: clean" "$? $(cat out)" "0 "
	like "$how: the verdict" "$(cat err)" 'clean'
	timeout 60 "$B/pmdb" run -o end.core -- ./unforked $how call > out 2> err
	is "$how: and goes on as it was" "$? $(cat out err)" "0 "
	timeout 60 "$B/pmdb" check call.core > out 2>&1
	is "$how: a snapshot of one that goes on" $? 0
done
like "dontfork: the dump has it" "$(timeout 60 "$B/pmdb" run -o a.core -- \
	./unforked dontfork; gdb_core ./unforked a.core 'p pool[0] != 0')" '= 1$'
# a program without such memory is written by a child, while it goes on
timeout 60 "$B/pmdb" run -o b.core -- true
is "others: by a child" "$(python3 - b.core <<'PY'
import struct, sys
d = open(sys.argv[1], "rb").read()
at = d.index(b"KMEM\0") - 12
while struct.unpack_from("<I", d, at + 8)[0] != 0x4b4d0001:
    at = d.index(b"KMEM\0", at + 13) - 12
print(struct.unpack_from("<IIQQIIIIIIII", d, at + 20)[11])
PY
)" 1

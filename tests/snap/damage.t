#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A damaged heap: the allocator's report, one dump, taken where it was found;
# and a dump even when the allocator's own lists lead nowhere.
set -u
. "$TOP/tests/snap/lib.sh"
build damage -ldl
ulimit -c 0
echo "1..30"
# reason and "every lock was held" of a dump, from its first KMEM note
snap_note() {
	python3 - "$1" <<'PY'
import struct, sys
d = open(sys.argv[1], "rb").read(1 << 24)
i = d.index(struct.pack("<III", 5, 56, 0x4b4d0001) + b"KMEM")
w = struct.unpack_from("<IIQQIII", d, i + 20)
print(w[1], w[6])
PY
}
# NAME WANTED-REASON-AND-LOCKS PATTERN-IN-GDB STATUS
one() {
	rm -f ./*.core
	timeout 60 "$B/pmdb" run -- ./damage "$1" > out 2> err
	is "$1: status" $? "$4"
	is "$1: one dump" "$(find . -name '*.core' | wc -l)" 1
	is "$1: reason, locks" "$(snap_note pmdb.damage.*.core)" "$2"
	like "$1: gdb" "$(gdb_core ./damage pmdb.damage.*.core bt)" "$3"
}
one double_free "6 1" '^#[0-9]+ .*double_free \(' 134
like "the allocator's report" "$(cat err)" 'free|kmem'
like "gdb: the signal" "$(gdb_core ./damage pmdb.damage.*.core)" \
	'with signal SIGABRT'
one thread "6 1" '^#[0-9]+ .*free_twice' 134
one altstack "5 1" '^#0 .*crash_here' 139
is "nothing is printed" "$(cat out err)" ""
one caches "5 0" '^#0 .*crash_here' 139
is "nothing is printed" "$(cat out err)" ""
one arenas "5 0" '^#0 .*crash_here' 139
one heap "5 1" '^#0 .*crash_here' 139
like "gdb: the damage is seen" \
	"$(gdb_core ./damage pmdb.damage.*.core 'p/x *(long *)&vmem_heap')" \
	'= 0x4141414141414141'
is "no unfinished file" "$(find . -name '*.tmp.*')" ""

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Processes that make it hard are written down all the same, and what could not
# be had is said.
set -u
. "$TOP/tests/snap/lib.sh"
build odd
ulimit -c 0
cat > notes.py <<'PY'
"""The KMEM notes of a core: what kmem_note_snap says, threads, what is absent,
unreadable bytes."""
import struct, sys
d = open(sys.argv[1], "rb").read()
phoff, = struct.unpack_from("<Q", d, 32)
phnum, = struct.unpack_from("<H", d, 56)
for i in (0, phnum - 1):
    p = struct.unpack_from("<IIQQQQQQ", d, phoff + i * 56)
    at, end = p[2], p[2] + p[5]
    while at < end:
        n, size, t = struct.unpack_from("<III", d, at)
        owner = d[at + 12:at + 12 + n]
        at += 12 + (n + 3) // 4 * 4
        b = d[at:at + size]
        at += (size + 3) // 4 * 4
        if owner != b"KMEM\0":
            continue
        if t == 0x4b4d0001:
            w = struct.unpack("<IIQQIIIIIIII", b)
            print("threads %d lost %d forked %d" % (w[8], w[9], w[11]))
        elif t == 0x4b4d0003:
            for j in range(0, size, 24):
                print("regs %d" % struct.unpack_from("<II", b, j)[1])
        elif t == 0x4b4d0004:
            for j in range(0, size, 16):
                print("absent %x %x" % struct.unpack_from("<QQ", b, j))
        elif t == 0x4b4d0005:
            print("unreadable %d" % struct.unpack("<QQ", b)[1])
PY
run() { # HOW: status and notes in $rc and $notes, output in out
	rm -f d.core
	timeout 60 "$B/pmdb" run -o d.core -- ./odd "$1" > out 2>&1
	rc=$?
	notes=$(python3 notes.py d.core | tr '\n' ' ')
}
echo "1..26"

run nofork
is "no fork: status" $rc 3
like "no fork: written in place" "$notes" 'threads 2 lost 0 forked 0'
is "no fork: silent" "$(cat out)" ""
like "no fork: threads" "$(gdb_core ./odd d.core 'thread apply all bt')" \
	'wait_for_ever'

# in place, the size limit strikes the process itself
rm -f d.core
(ulimit -f 64; timeout 60 "$B/pmdb" run -o d.core -- ./odd nofork > out 2>&1)
is "no fork, file too large: status" $? 3
like "no fork, file too large: why" "$(cat out)" 'File too large$'

run nodump
is "not dumpable: status" "$rc $(cat out)" "3 "
like "not dumpable: gdb" "$(gdb_core ./odd d.core bt)" __libc_start_call_main

run nofile
is "no descriptor left: status" "$rc $(cat out)" "3 "
like "no descriptor left: written" "$notes" 'threads 1 lost 0 forked 1'

timeout 60 env LD_PRELOAD="$B/libkmem_preload.so" \
	KMEM_SNAPSHOT=signal=USR2,path=s.%p.core ./odd stubborn > out 2>&1
is "a thread that does not stop: status" "$? $(cat out)" "3 "
rm -f s.*.core
run stubborn
is "a thread that does not stop: fatal" $rc 140
like "a thread that does not stop: is lost" "$notes" \
	'threads 2 lost 1 .*regs 2 regs 1'
like "a thread that does not stop: but pc and sp" \
	"$(gdb_core ./odd d.core 'thread apply all bt')" 'in_stubborn'

run leader
is "no first thread: status" $rc 142
like "no first thread: written" "$notes" 'threads 1 lost 0'
like "no first thread: gdb" "$(gdb_core ./odd d.core bt)" 'wait_for_ever'

run maps
is "many maps: status" "$rc $(cat out)" "3 "
like "many maps: all there" "$(eu-readelf -l d.core | grep -c LOAD)" \
	'^2[0-9]{4}$'
like "many maps: gdb" "$(gdb_core ./odd d.core bt)" __libc_start_call_main

run socket
if [ $rc = 77 ]; then
	skip "memory of a socket: status" "no packet sockets"
	skip "memory of a socket: absent" "no packet sockets"
else
	is "memory of a socket: status" $rc 3
	like "memory of a socket: absent" "$notes" "absent $(cat out) "
fi

run cut
is "a file cut off: status" "$rc $(cat out)" "3 "
# 6 pages beyond the end
like "a file cut off: counted" "$notes" 'unreadable 24576'
like "a file cut off: what was written is there" \
	"$(gdb_core ./odd d.core 'p kept[0] + kept[7 * 4096]')" '= 1'
is "no unfinished file" "$(find . -name '*.tmp.*')" ""

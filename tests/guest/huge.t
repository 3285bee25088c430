#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What a large audited heap grows by is asked for in huge pages; no other heap is,
# nor a large buffer, nor in a sandbox that would kill for the advice.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
cd "$WORK" || exit 1
echo 1..6
[ -e /sys/kernel/mm/transparent_hugepage/enabled ] || {
	echo "the kernel has no transparent huge pages"
	exit 77
}
cat >heap.py <<'P'
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def sandbox():
    "a filter that kills for madvise(..., MADV_HUGEPAGE) and for nothing else"
    insn = ((0x20, 0, 0, 0), (0x15, 0, 3, 28), (0x20, 0, 0, 32),
            (0x15, 0, 1, 14), (6, 0, 0, 0x80000000), (6, 0, 0, 0x7fff0000))
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("<HBBI", *i) for i in insn))
    prog = ctypes.create_string_buffer(
        struct.pack("<HxxxxxxQ", len(insn), ctypes.addressof(code)))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, prog, 0, 0):
        sys.exit("no sandbox")
if "sandbox" in sys.argv:
    sandbox()
keep = bytearray(64 << 20) if "large" in sys.argv else \
       [str(i) * 5 for i in range(400000)]
huge = kb = 0
for line in open("/proc/self/smaps"):
    word = line.split()
    if word[0] == "Size:":
        kb = int(word[1])
    elif word[0] == "VmFlags:" and "hg" in word:
        huge += kb
print("huge" if huge >= 4096 else "none" if huge == 0 else huge)
if "now" in sys.argv: # the test's own filter is as deadly as it is to be
    libc.madvise(ctypes.c_void_p(id(keep) & -4096), 4096, 14)
P
export PYTHONMALLOC=malloc
is() { # name, what is said, variables and the program's arguments...
	local name=$1 said=$2
	shift 2
	env "$@" >out 2>err
	[ $? = 0 ] && [ "$(cat out)" = "$said" ] && [ ! -s err ]
	ok $? "$name"
}
py="/usr/bin/python3 heap.py"
# shellcheck disable=SC2086
{
is "audited: what it grows by" huge "$L" KMEM_DEBUG=default $LOG $py
is "without debugging: nothing" none "$L" $py
is "guards alone: nothing" none "$L" KMEM_DEBUG=guards $py
is "audited: not a large buffer" none "$L" KMEM_DEBUG=default $py large
is "audited, in a sandbox: nothing" none "$L" KMEM_DEBUG=default $py sandbox
}
env "$L" /usr/bin/python3 heap.py sandbox now >out 2>err
[ $? = 159 ]
ok $? "which kills for the advice (status $?)"

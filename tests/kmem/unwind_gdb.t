#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The unwinder's stack is gdb's stack: inside Debian's python3, which has no
# frame pointers, below libffi, below a callback from libc's qsort.
set -u
command -v gdb > /dev/null || { echo "gdb is not installed"; exit 77; }

cat > stop.c <<'END'
#include <signal.h>
#include <stdio.h>
#include "kmem_impl.h"

/* prints its callers' frames and stops for gdb */
__attribute__((visibility("default"))) int stop_here(void)
{
	uintptr_t pcs[KMEM_STACK_DEPTH];
	unsigned n = kmem_unwind(pcs, KMEM_STACK_DEPTH, 0);

	for (unsigned i = 0; i < n; i++)
		printf("ours 0x%lx\n", pcs[i]);
	fflush(stdout);
	raise(SIGTRAP);
	return (int)n;
}
END
cat > main.py <<'END'
import ctypes, re
lib = ctypes.CDLL("./stop.so")
libc = ctypes.CDLL(None)
once = []
def compare(a, b):
    if not once:
        once.append(re.sub("x", lambda m: str(lib.stop_here()), "x"))
    return 0
fn = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(compare)
values = (ctypes.c_int * 8)(*range(8))
libc.qsort(values, 8, 4, fn)
END
cat > bt.gdb <<'END'
set debuginfod enabled off
set backtrace past-main on
set backtrace past-entry on
run main.py
python
frame = gdb.newest_frame()
while frame and frame.name() != "stop_here":
    frame = frame.older()
# the same depth as the other side was given room for
for i in range(64):
    frame = frame.older()
    while frame and frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    if not frame or frame.pc() == 0:
        break
    print("gdb 0x%x" % frame.pc())
end
kill
END
${CC:-cc} -std=gnu11 -O2 -g -shared -fPIC -fvisibility=hidden \
	-ftls-model=initial-exec -I"$TOP/src" -I"$TOP/src/kmem" -o stop.so \
	stop.c "$TOP"/src/kmem/unwind*.c "$TOP"/src/kmem/kmem_sandbox.c || exit 1
gdb -nx -batch -x bt.gdb /usr/bin/python3 > out 2> err
sed -n 's/^ours //p' out > ours
sed -n 's/^gdb //p' out > gdb
if [ "$(wc -l < ours)" -lt 20 ]; then
	echo "too few frames:"
	cat out err
	exit 1
fi
diff ours gdb || { echo "not gdb's stack (< ours, > gdb)"; exit 1; }
echo "$(wc -l < ours) frames alike"

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# KMEM_OPTIONS=limit=SIZE under programs that know nothing of it.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
echo 1..5
export LD_PRELOAD=$B/libkmem_preload.so PYTHONMALLOC=malloc
try='
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def get(n):
    ctypes.set_errno(0)
    return libc.malloc(ctypes.c_size_t(n))
a = []
while True:
    p = get(1 << 20)
    if not p:
        break
    a.append(p)
    if len(a) == 200:
        break
print(len(a) < 100, ctypes.get_errno() == errno.ENOMEM)
for p in a:
    libc.free(p)
print(get(1 << 20) is not None)
try:
    bytearray(200 << 20)
    print("none")
except MemoryError:
    print("MemoryError")
'
for env in A= KMEM_DEBUG=default "KMEM_DEBUG=audit KMEM_LOGGING=transaction"; do
	# shellcheck disable=SC2086
	env $env KMEM_OPTIONS=limit=100m python3 -c "$try" >out 2>err
	[ $? = 0 ] && [ "$(tr '\n' ' ' <out)" = "True True True MemoryError " ]
	ok $? "$env: malloc fails with ENOMEM at the limit, and works below"
done
KMEM_OPTIONS=limit=4k UMEM_OPTIONS=limit=4g python3 -c 'print(1)' >out 2>&1
[ $? != 0 ]
ok $? "nothing runs in 4 KiB"
UMEM_OPTIONS=limit=1g python3 -c 'print(1)' >out 2>&1
[ $? = 0 ] && [ "$(cat out)" = 1 ]
ok $? "libumem's spelling"

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What programs may do and checks must not complain of: operators of their own,
# some of them only, on top of malloc(); every form under failing allocations.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
echo 1..17
quiet() { # KMEM_DEBUG, fixture
	(ulimit -c 0
	TRUTH=/dev/null KMEM_DEBUG=$1 LD_PRELOAD=$B/libkmem_preload.so \
		timeout 60 "$B/fixtures/$2") >out 2>err
	local rc=$?
	[ $rc = 0 ] && [ ! -s out ] && [ ! -s err ]
	ok $? "KMEM_DEBUG=$1: $2 is left alone"
	[ $rc = 0 ] || sed 's/^/# /' err
}
for debug in "" default guards default,firewall=64; do
	quiet "$debug" operators_new
	quiet "$debug" operators_header
	quiet "$debug" cxx
done

# new that fails is answered by the C++ library's, which calls malloc(): that
# memory is operator new's all the same
# (a seed with which the library's own reserve for exceptions is not refused)
failing() { # seed
	KMEM_DEBUG=default,mtbf=20,seed=$1 LD_PRELOAD=$B/libkmem_preload.so \
		timeout 60 "$B/fixtures/cxx_failing"
}
ulimit -c 0
failing 1 >out1 2>err
[ $? = 0 ] && [ ! -s err ]
ok $? "mtbf: what new got in the end is new's"
read -r nfailed _ <out1
[ "$nfailed" -gt 3 ]
ok $? "mtbf: some of it failed"
failing 1 >out2 2>err
cmp -s out1 out2
ok $? "mtbf: the same seed, the same failures"
failing 2 >out2 2>err
! cmp -s out1 out2
ok $? "mtbf: another seed, others"

KMEM_DEBUG=checknull,audit LD_PRELOAD=$B/libkmem_preload.so TRUTH=/dev/null \
	timeout 60 "$B/fixtures/cxx" >out 2>err
[ $? = 134 ] && head -1 err | grep -qx 'umem: out of heap space' &&
	grep -q 'malloc+0x' err
ok $? "checknull: who got NULL"

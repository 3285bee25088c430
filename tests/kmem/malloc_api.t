#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# malloc and its relations: glibc itself, then ours with each kind of debugging.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
run() { # name, environment...
	local name=$1 out rc
	shift
	out=$(env "$@" "$B/tests/kmem/malloc_api" 2>&1)
	rc=$?
	[ $rc = 0 ] || printf '%s\n' "$out" | grep -v '^ok' | sed 's/^not ok/# not  ok/; s/^[^#]/# &/'
	ok $rc "$name"
	# every expectation was tried, in each mode the same ones
	[ "$(grep -c '^ok' <<<"$out")" = 47 ]
	ok $? "$name: all of it"
}
echo 1..28
L=LD_PRELOAD=$B/libkmem_preload.so
run glibc A=
run plain "$L"
run default "$L" KMEM_DEBUG=default KMEM_LOGGING=transaction
run audit "$L" KMEM_DEBUG=audit
run guards "$L" KMEM_DEBUG=guards
run firewall "$L" KMEM_DEBUG=default,firewall=1000
run nomagazines "$L" KMEM_OPTIONS=nomagazines
run lite "$L" KMEM_DEBUG=lite
run everything "$L" KMEM_DEBUG=default,verbose KMEM_LOGGING=transaction,contents,fail,slab

# no function of ours is made from another: calloc from malloc and memset
objdump -d --no-show-raw-insn "$B/libkmem_preload.so" >dis
for f in calloc realloc reallocarray malloc memalign; do
	awk -v f="<$f>:" '$2 == f {on = 1; seen = 1} on && /^$/ {exit}
		on && $2 ~ /^(call|j)/ {print} END {exit !seen}' dis >body &&
		! grep -E '<(malloc|calloc|realloc|free|memalign)(@|>|\+0x0>)' body
	ok $? "$f calls no exported one"
done

# every symbol that a program may call is there, and no other
nm -D --defined-only "$B/libkmem_preload.so" | awk '{print $3}' | sort >have
for s in malloc calloc realloc reallocarray free cfree memalign aligned_alloc \
	posix_memalign valloc pvalloc malloc_usable_size malloc_trim mallopt \
	mallinfo mallinfo2 malloc_stats malloc_info _Znwm _Znam _ZdlPv _ZdaPv \
	_ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZdlPvm _ZdaPvm \
	_ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t _ZnwmSt11align_val_t \
	_ZnamSt11align_val_t _ZdlPvSt11align_val_t _ZdaPvSt11align_val_t \
	_ZdlPvmSt11align_val_t _ZdaPvmSt11align_val_t \
	_ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t \
	_ZdlPvSt11align_val_tRKSt9nothrow_t \
	_ZdaPvSt11align_val_tRKSt9nothrow_t; do
	grep -qx "$s" have || echo "# no $s" >>missing
done
[ ! -e missing ]
ok $? "all of malloc and of operator new are exported"
# what the C++ library itself defines of these, ours defines too
lib=$(ldconfig -p | awk '/libstdc\+\+.so.6 .*x86-64/ {print $NF; exit}')
nm -D --defined-only "$lib" | awk '{print $3}' | sed 's/@.*//' |
	grep -E '^_Z(nw|na|dl|da)' | sort >want
grep -q _Znwm want && [ -z "$(comm -23 want have)" ]
ok $? "every operator of libstdc++ has its counterpart"

# operator new without a C++ library: nothing can throw, so it says so and aborts
LD_PRELOAD=$B/libkmem_preload.so "$B/tests/kmem/malloc_nocxx" 100 2>err
ok $? "operator new works without a C++ library"
LD_PRELOAD=$B/libkmem_preload.so "$B/tests/kmem/malloc_nocxx" 4611686018427387904 2>err
[ $? = 134 ] && grep -q "operator new: no memory for 4611686018427387904 bytes" err
ok $? "operator new that fails there aborts with a message"
LD_PRELOAD=$B/libkmem_preload.so "$B/tests/kmem/malloc_nocxx" nothrow 2>err && [ ! -s err ]
ok $? "operator new(nothrow) that fails there is NULL"

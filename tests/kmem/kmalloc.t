#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The Linux calls, with the flags of both eras, in each mode, linked with the
# library and under the preload library.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
L=LD_PRELOAD=$B/libkmem_preload.so
echo 1..20
ulimit -c 0
export LD_LIBRARY_PATH=$B
for era in 6_1 2_6; do
	prog=$B/tests/kmem/kmalloc_$era
	for env in A= KMEM_DEBUG=default KMEM_DEBUG=audit \
		KMEM_DEBUG=guards,firewall=64 KMEM_OPTIONS=nomagazines; do
		env "$env" "$prog" >out 2>err
		[ $? = 0 ] && ! grep -v '^ok' out && [ ! -s err ] &&
			[ "$(grep -c '^ok' out)" = 23 ]
		ok $? "$era: $env"
	done
	env "$L" KMEM_DEBUG=default "$prog" >out 2>err
	[ $? = 0 ] && [ "$(grep -c '^ok' out)" = 23 ]
	ok $? "$era: preloaded"
	KMEM_DEBUG=mtbf=1 "$prog" fail >out 2>err
	[ $? = 0 ] && ! grep -v '^ok' out && [ "$(wc -l <out)" = 13 ]
	ok $? "$era: who may fail does, who may not does not"
	(KMEM_DEBUG=default "$prog" twice) >out 2>err
	[ $? = 134 ] && grep -q 'duplicate free: buffer freed twice' err
	ok $? "$era: freed twice"
	(KMEM_DEBUG=default "$prog" interior) >out 2>err
	[ $? = 134 ] && grep -q 'bad free: free address' err
	ok $? "$era: freed from within"
	"$B/pmdb" run --check -- "$prog" >out 2>err
	grep -q 'dma-kmalloc\|corrupt' out err
	[ $? = 1 ]
	ok $? "$era: a heap with DMA caches is examined without complaint"
done

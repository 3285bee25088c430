#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Random operations against a shadow model, in every mode of debugging.  The seed
# is another one each time, and printed; STRESS_SECONDS says how long in all.
modes=(
	"" "KMEM_DEBUG=audit" "KMEM_DEBUG=guards" "KMEM_DEBUG=contents"
	"KMEM_DEBUG=default" "KMEM_DEBUG=lite" "KMEM_DEBUG=checknull"
	"KMEM_DEBUG=firewall=1" "KMEM_DEBUG=firewall=2k,audit"
	"KMEM_DEBUG=random" "KMEM_DEBUG=default,maxverify=64"
	"KMEM_DEBUG=default,mtbf=30" "KMEM_DEBUG=random,mtbf=30"
	"KMEM_DEBUG=default KMEM_LOGGING=transaction,contents,fail,slab"
	"KMEM_OPTIONS=nomagazines" "KMEM_OPTIONS=concurrency=8"
	"KMEM_OPTIONS=perthread_cache=0" "KMEM_OPTIONS=max_contention=0"
	"KMEM_OPTIONS=reap_interval=1" "KMEM_OPTIONS=limit=64m"
	"KMEM_OPTIONS=allocator=best" "KMEM_OPTIONS=allocator=first"
	"KMEM_OPTIONS=allocator=next"
)
threads=(1 3)
n=0
seconds=$((${STRESS_SECONDS:-0} / (${#modes[@]} * ${#threads[@]})))
nops=$((seconds ? 20000 : 2000))
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
echo 1..$((${#modes[@]} * ${#threads[@]}))
for j in "${threads[@]}"; do
	for mode in "${modes[@]}"; do
		args=(-n "$nops" -j "$j" -t "$seconds")
		[ "$j" = 1 ] || args+=(-f)
		# shellcheck disable=SC2086
		env $mode timeout $((seconds + 100)) "$B/tests/stress/model" \
			"${args[@]}" >out 2>&1
		rc=$?
		ok $rc "$mode -j $j"
		[ $rc = 0 ] || sed 's/^/# /' out
	done
done

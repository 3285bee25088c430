#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A snapshot of the model's process: pmdb has the same buffers live and free as
# the model and the allocator's own lists, and finds nothing wrong.  What malloc,
# which is glibc's there, has beside them is told from them by its caches.
if nm "$B/tests/stress/model" | grep -q __tsan_init; then
	echo "ThreadSanitizer's shadow is terabytes: nothing to dump"
	exit 77
fi
modes=("" "KMEM_DEBUG=default" "KMEM_DEBUG=audit" "KMEM_DEBUG=firewall=1,audit"
	"KMEM_DEBUG=lite" "KMEM_DEBUG=random" "KMEM_OPTIONS=nomagazines")
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
walk() { # walker: of libkmem's heap; every buffer of glibc's is in ::walk, too
	timeout 60 "$B/pmdb" -e "::walk $1" core 2>&1 | sort >all
	timeout 60 "$B/pmdb" -e ::kmem_cache core |
		awk -v w="$1" '$2 ~ /^malloc_[0-9]/ { print $1 "::walk " w }' |
		timeout 60 "$B/pmdb" core 2>&1 | sort >beside
	[ -s beside ] && ! comm -13 all beside | grep . && comm -23 all beside
}
echo 1..$((3 * ${#modes[@]}))
for mode in "${modes[@]}"; do
	# shellcheck disable=SC2086
	env $mode "$B/tests/stress/model" -n 2000 -j 3 -r 1 -d core >truth 2>err ||
		sed 's/^/# /' err
	for what in live:kmem free:freemem; do
		awk -v what="${what%:*}" '$1 == what { print $3 }' truth |
			sort >want
		walk "${what#*:}" >got
		[ -s want ] && cmp want got >/dev/null
		ok $? "$mode: ${what%:*} buffers"
		diff want got | head -20 | sed 's/^/# /'
	done
	timeout 60 "$B/pmdb" -e ::kmem_verify core >out 2>&1
	[ -s out ] && ! grep -v ' clean *$' out | sed 1d | grep .
	ok $? "$mode: ::kmem_verify"
	rm -f core
done

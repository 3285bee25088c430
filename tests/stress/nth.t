#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every allocation fails once, and all from each one on; at length each of them,
# else some.
modes=("" "KMEM_DEBUG=default" "KMEM_DEBUG=firewall=1,audit"
	"KMEM_OPTIONS=nomagazines" "KMEM_DEBUG=default KMEM_LOGGING=fail,slab")
step=$((${STRESS_SECONDS:-0} ? 1 : 20011))
n=0
echo 1..${#modes[@]}
for mode in "${modes[@]}"; do
	n=$((n + 1))
	# shellcheck disable=SC2086
	if env $mode "$B/tests/stress/nth" $step >out 2>&1; then
		echo "ok $n - $mode"
	else
		echo "not ok $n - $mode"
		sed 's/^/# /' out
	fi
done

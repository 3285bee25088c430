#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Signal handlers that interrupt malloc, that jump, on stacks of their own;
# coroutines.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..$((3 * ${#modes[@]} + 2 * ${#preloaded[@]}))
same 0 'quiet: 0' "$G/signals" quiet 200
same 0 'jump: 0' "$G/signals" jump 100
same 0 'stack: 0' "$G/signals" stack 50
# A handler that allocates while its thread is within the allocator is an error of
# the program.  Either nothing was under way that it could disturb, or it is told:
# no buffer has two owners, and nothing waits for ever.
for mode in "${preloaded[@]}"; do
	for how in alloc altalloc; do
		in_mode "$mode" timeout 20 "$G/signals" $how 200 >out 2>err
		rc=$?
		if [ $rc = 0 ]; then
			[ "$(cat out)" = "$how: 0" ] && [ ! -s err ]
		else
			[ $rc = 134 ] &&
				grep -q 'a signal handler called the allocator' err
		fi
		ok $? "$mode: signals $how: whole, or told (status $rc)"
		rm -f ./*.core ./*.core.*
	done
done

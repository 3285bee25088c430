#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# No descriptors, another root, a large environment, filters of system calls.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..$((4 * ${#modes[@]} + 3 * ${#preloaded[@]} + 6))
same 5 'closed' "$G/bounds" closed
same 6 'no descriptor left' "$G/bounds" nofile
for i in 1 2 3 4 5 6 7 8; do
	export "LARGE_$i=$(head -c 100000 /dev/zero | tr '\0' x)"
done
same 8 '8 large' "$G/bounds" environ
unset ${!LARGE_*}
same 4 'in the sandbox' "$G/bounds" errno
mkdir -p empty
modes=("${preloaded[@]}")
same 7 'elsewhere' "$G/bounds" chroot empty
same 4 'in the sandbox' "$G/bounds" seccomp
same 4 'in the sandbox' "$G/bounds" old
for mode in "${dumping[@]}"; do
	in_mode "$mode" "$G/bounds" chroot empty >out 2>err
	[ $? = 7 ] && [ "$(cat out)" = elsewhere ] &&
		grep -q 'cannot write .*No such file' err
	ok $? "$mode: chroot: the same, and that there is no dump"
done
# a filter that kills: the end is the program's own, and that there is no dump
# is said
for mode in "${dumping[@]}"; do
	in_mode "$mode" "$G/bounds" seccomp >out 2>err
	[ $? = 4 ] && [ "$(cat out)" = 'allocated in the sandbox' ] &&
		grep -q 'filters its system calls' err &&
		! ls ./*.core >/dev/null 2>&1
	ok $? "$mode: seccomp: the same, and that there is no dump"
done
# one that kills for what libc does not call any more: there is a dump
for mode in "${dumping[@]}"; do
	in_mode "$mode" "$G/bounds" old >out 2>err
	[ $? = 4 ] && [ "$(cat out)" = 'allocated in the sandbox' ] &&
		[ "$("$B/pmdb" -e ::kmem_cache ./*.core | wc -l)" -gt 9 ]
	ok $? "$mode: old system calls: the same, and there is a dump"
	rm -f ./*.core
done

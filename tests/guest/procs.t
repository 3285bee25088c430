#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fork, vfork, posix_spawn, popen and system in one thread while others allocate.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..$((2 * ${#modes[@]} + ${#preloaded[@]} + 2 * ${#dumping[@]}))
same 0 '30 times, 0 failed' "$G/procs" vfork 30
same 0 '6 times, 0 failed' "$G/procs" spawn 6
modes=("${dumping[@]}")
same 0 '30 times, 0 failed' "$G/procs" fork 30
# both processes of daemon() leave a dump
for mode in "${dumping[@]}"; do
	in_mode "$mode" "$G/procs" daemon file >out 2>err
	rc=$?
	for _ in $(seq 100); do
		[ -s file ] && [ "$(ls ./*.core | wc -l)" = 2 ] && break
		sleep 0.05
	done
	[ $rc = 0 ] && [ "$(cat out)" = goes ] && [ ! -s err ] &&
		[ "$(cat file)" = 'done 1' ] && [ "$(ls ./*.core | wc -l)" = 2 ]
	ok $? "$mode: a daemon"
	rm -f ./*.core file
done
modes=("${preloaded[@]}")
same 0 '1000 times, 0 failed' "$G/procs" fork 1000

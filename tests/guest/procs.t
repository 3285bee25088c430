#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fork, vfork, posix_spawn, popen and system in one thread while others allocate.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..$((2 * ${#modes[@]} + ${#preloaded[@]} + ${#dumping[@]}))
same 0 '60 times, 0 failed' "$G/procs" vfork 60
same 0 '15 times, 0 failed' "$G/procs" spawn 15
modes=("${dumping[@]}")
same 0 '60 times, 0 failed' "$G/procs" fork 60
modes=("${preloaded[@]}")
same 0 '2000 times, 0 failed' "$G/procs" fork 2000

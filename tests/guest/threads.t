#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Threads that come and go, end while others allocate, have destructors that
# allocate, have the smallest stacks there are.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..$((7 * ${#modes[@]}))
same 0 '4000 threads, bounded' "$G/threads" churn 4000
same 0 '400 threads' "$G/threads" keys 400
same 0 'fine' "$G/threads" small 200
same 5 'at exit' "$G/threads" exit
same 6 'at exit' "$G/threads" quick
same 7 'ends by _exit' "$G/threads" _exit
same 8 'at exit' "$G/threads" return

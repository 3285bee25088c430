#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every process a program makes leaves a dump of its own, but for a child of
# vfork(), which is its parent still.
set -u
. "$TOP/tests/snap/lib.sh"
build ends
ulimit -c 0

echo "1..47"
same_end 2 'ends\.c:' fork exit
same_end 2 'ends\.c:' fork _exit
same_end 2 '#0 .*crash_here' fork crash
same_end 2 '' fork exec
same_end 1 __libc_start_call_main vfork _exit
same_end 1 '' vfork kill
same_end 2 '' vfork exec
same_end 2 '' rawfork
same_end 2 '' spawn
same_end 2 '' system
same_end 2 '' popen
same_end 1 '' children
# replaced by another program, whose dump there is
same_end 1 '' exec

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# However a process ends, it leaves a dump that gdb opens, its output and its
# status are what they are without us, and nothing else is printed.
set -u
. "$TOP/tests/snap/lib.sh"
build ends
ulimit -c 0

echo "1..104"
same_end 1 __libc_start_call_main return
same_end 1 'ends\.c:' exit
same_end 1 'ends\.c:' _exit
same_end 1 'ends\.c:' _Exit
same_end 1 'ends\.c:' quick_exit
same_end 1 'with signal SIGABRT' abort
same_end 1 '#0 .*crash_here' segv
same_end 1 '#0 .*deep' overflow
same_end 1 'with signal SIGTRAP' trap
same_end 1 '#0 .*crash_here' thread
same_end 1 'with signal SIGPIPE' raise 13
same_end 1 'with signal SIGTERM' raise 15
same_end 1 'with signal SIG4' raise 40
for s in 1 2 3 14 24 31; do
	same_end 1 '' raise $s
done
same_end 1 on_usr1 handler
same_end 1 '' ignored
same_end 1 'with signal SIGTERM' reset
same_end 1 '' dispositions
same_end 1 '__libc_start_call_main' chdir

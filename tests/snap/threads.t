#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Every thread is in the dump, where it was: three readers that are not ours
# say so.
set -u
. "$TOP/tests/snap/lib.sh"
build threads
echo "1..32"

timeout 60 "$B/pmdb" run -o dump.core -- ./threads > out 2>&1
is "status" $? 0
is "output" "$(cat out)" ""
all=$(gdb_core ./threads dump.core 'thread apply all bt')
like "gdb: eight threads" "$all" '^Thread 8 '
unlike "gdb: no ninth" "$all" '^Thread 9 '
unlike "gdb: no corrupt stack" "$all" 'Backtrace stopped|corrupt'
unlike "gdb: no warning" "$all" '[Ww]arning'
for f in in_pause in_spin in_poll in_lock in_malloc in_handler; do
	like "gdb: a thread in $f" "$all" "^#[0-9]+ .*$f \("
done
is "gdb: each thread from its start" \
	"$(grep -c '^#.*start_thread (' <<< "$all")" 7
is "gdb: two threads in poll" "$(grep -c '^#.* in_poll (' <<< "$all")" 2
like "gdb: the current thread is the first" "$(gdb_core ./threads dump.core bt)" \
	__libc_start_call_main
like "gdb: variables of the program" \
	"$(gdb_core ./threads dump.core 'p spins > 0')" '= 1'
like "gdb: thread-local storage" \
	"$(gdb_core ./threads dump.core 'p (int)errno')" '= '
# shellcheck disable=SC2016 # gdb expands it
like "gdb: vector registers" \
	"$(gdb_core ./threads dump.core 'thread 2' 'p $ymm0')" 'v8_float'
notes=$(eu-readelf -n dump.core 2>&1)
is "eu-readelf: a status for each thread" \
	"$(grep -cE '^ +CORE +336 +PRSTATUS' <<< "$notes")" 8
is "eu-readelf: the main thread first" \
	"$(grep -oE ' pid: [0-9]+' <<< "$notes" | head -1)" \
	"$(grep -oE ' pid: [0-9]+' <<< "$notes" | sort -n | head -1)"
stack=$(eu-stack --core=dump.core --executable=./threads 2>&1)
is "eu-stack: eight threads" "$(grep -c '^TID' <<< "$stack")" 8
like "eu-stack: a function" "$stack" 'in_handler'

timeout 60 "$B/pmdb" run -o crash.core -- ./threads crash > out 2>&1
is "a crash: status" $? 139
like "a crash: gdb says why" "$(gdb_core ./threads crash.core bt)" \
	'terminated with signal SIGSEGV'
is "a crash: all threads" \
	"$(gdb_core ./threads crash.core 'thread apply all bt' |
		grep -c '^#.*start_thread (')" 7

# told to end twice and more, as by timeout(1): to the process and its group
build twice
for i in 1 2 3; do
	rm -f ready t.core
	"$B/pmdb" run -o t.core -- ./twice term > ready &
	await_file ready
	pid=$(pgrep -P $! -x twice)
	for ((k = 0; k < 20; k++)); do kill -TERM "$pid" 2> /dev/null; done
	wait $!
	is "ended twice, $i: status" $? 143
	timeout 60 "$B/pmdb" check t.core > out 2>&1
	is "ended twice, $i: a verdict" "$? $(cat out)" \
		"0 pmdb: t.core: $(grep -o 'clean.*' out)"
done
timeout 60 "$B/pmdb" run -o c.core -- ./twice crash > out 2>&1
unlike "all crash: none is shown in the handler" "$(gdb_core ./twice c.core \
	'thread apply all bt')" 'await_last|on_fatal'

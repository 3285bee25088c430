#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# KMEM_SNAPSHOT: its items, and the signal of the user's choice.
set -u
. "$TOP/tests/snap/lib.sh"
build ends
ulimit -c 0
echo "1..22"
under() { # VALUE COMMAND...
	local value=$1
	shift
	timeout 60 env LD_PRELOAD="$B/libkmem_preload.so" \
		KMEM_SNAPSHOT="$value" "$@"
}
dumps() { find . -name "$1*" | sed 's/[0-9][0-9]*$/N/' | sort | tr '\n' ' '; }

under signal=USR2,path=usr2.core /usr/bin/python3 -c '
import os, signal, sys
before = signal.getsignal(signal.SIGUSR2)
os.kill(os.getpid(), signal.SIGUSR2)
print(repr(before), "lives on")' > out 2>&1
is "signal: status" $? 0
like "signal: the program does not see it, and lives" "$(cat out)" \
	'SIG_DFL.*lives on'
is "signal: one dump" "$(dumps usr2.core)" "./usr2.core.N "
like "signal: gdb says nothing of an end" \
	"$(gdb_core /usr/bin/python3 usr2.core.* bt)" '#0 .*kill'
unlike "signal: gdb says nothing of an end" \
	"$(gdb_core /usr/bin/python3 usr2.core.* bt)" 'terminated'

under exit,path=e.core ./ends segv > out 2>&1
is "exit only: a crash" "$? $(dumps e.core)" "139 "
under exit,path=e.core ./ends _exit > out 2>&1
is "exit only: _exit" "$? $(dumps e.core)" "13 "
under exit,path=e.core ./ends exit > out 2>&1
is "exit only: exit" "$? $(dumps e.core)" "12 ./e.core.N "
rm -f e.core*
under fatal,path=f.core ./ends exit > out 2>&1
is "fatal only: exit" "$? $(dumps f.core)" "12 "
under fatal,path=f.core ./ends abort > out 2>&1
is "fatal only: abort" "$? $(dumps f.core)" "134 ./f.core.N "
under "$PWD/p.core" ./ends exit > out 2>&1
is "a path alone" "$? $(dumps p.core)" "12 ./p.core.N "
under q.core ./ends abort > out 2>&1
is "a name alone" "$? $(dumps q.core)" "134 ./q.core.N "
under "exit,path=%c-%p%%-a,b.core" ./ends exit > out 2>&1
is "escapes, and a comma" "$? $(dumps ends- | sed 's/ends-[0-9]*/ends-P/')" \
	"12 ./ends-P%-a,b.core "
under exit ./ends exit > out 2>&1
is "the name when there is none" \
	"$? $(dumps pmdb.ends | sed 's/ends.[0-9]*/ends.P/')" \
	"12 ./pmdb.ends.P.core "
under "" ./ends exit > out 2>&1
is "empty: nothing" "$? $(find . -name '*.core*' -newer out)" "12 "
mkdir d
under exit,path=d/r.core ./ends chdir > out 2>&1
is "a relative name is where it was at the start" "$? $(dumps r.core)" \
	"19 ./d/r.core.N "
# the main process keeps the name, its children append their pid
bash -c 'exec env LD_PRELOAD='"$B"'/libkmem_preload.so \
	KMEM_SNAPSHOT=exit,main=$$,path=m.core ./ends fork exit' > out 2>&1
is "main=PID" "$(dumps m.core)" "./m.core ./m.core.N "
# in a set-id process the environment counts for nothing
cp ends setid
if [ "$(id -u)" = 0 ]; then
	chmod 711 . "$(dirname "$PWD")"
	chmod 6755 setid
	LD_PRELOAD=$B/libkmem_preload.so KMEM_SNAPSHOT=$PWD/s.core \
		setpriv --reuid=65534 --regid=65534 --clear-groups ./setid exit \
		>/dev/null 2>&1
	is "set-uid" "$? $(dumps s.core)" "12 "
else
	skip "set-uid" "not root"
fi
# threads of a child are none of the parent's business
under exit,_exit,path=t.%c.core sh -c './ends exit | cat' > out
is "a pipeline" "$(tr '\n' ' ' < out)$(dumps t.)" \
	"begin atexit ./t.cat.core.N ./t.ends.core.N ./t.sh.core.N "

# each dump of a process has a name of its own
twice='
import os, signal
os.kill(os.getpid(), signal.SIGUSR2)
os.kill(os.getpid(), signal.SIGUSR2)
if os.fork() == 0:
    os.kill(os.getpid(), signal.SIGUSR2)
else:
    os.wait()'
names() { find . -name "$1*" | sed 's/[0-9]\{3,\}/P/' | sort | tr '\n' ' '; }
under exit,signal=USR2,path=seq.%p.core /usr/bin/python3 -c "$twice" > out 2>&1
is "several: each appends its number" "$? $(names seq.)" \
	"0 ./seq.P.core ./seq.P.core ./seq.P.core.2 ./seq.P.core.2 ./seq.P.core.3 "
under signal=USR2,path=mid.%n.core.%p /usr/bin/python3 -c "$twice" > out 2>&1
is "several: or has it where the name says" "$? $(names mid.)" \
	"0 ./mid.1.core.P ./mid.1.core.P ./mid.2.core.P "
is "several: all are whole" "$(for c in seq.* mid.*; do
	timeout 20 "$B/pmdb" check "$c" > /dev/null
	[ $? -lt 2 ] || echo "$c"
done)" ""

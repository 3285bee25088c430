#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# "pmdb run" is a thin skin: standard input and output, status, signals and the
# user's own settings go through it.
set -u
. "$TOP/tests/snap/lib.sh"
ulimit -c 0
echo "1..53"
P=$B/pmdb
is "standard input and output" "$(echo text | "$P" run -- cat)" text
"$P" run -- sh -c 'exit 42' > out 2>&1
is "status" "$? $(cat out)" "42 "
"$P" run sh -c 'kill -KILL $$' > out 2>&1
is "killed: leaves no dump, and it is said" "$? $(cat out)" \
	"137 pmdb: sh: left no dump"
is "without --" "$("$P" run echo -o x)" "-o x"
# shellcheck disable=SC2016 # the inner shell expands it
is "argv[0]" "$("$P" run -- sh -c 'echo $0')" sh
"$P" run > out 2>&1
is "no program" "$? $(grep -c usage: out)" "2 1"
"$P" run --nonsense -- true > out 2>&1
is "a wrong option" "$? $(grep -c usage: out)" "2 1"
"$P" run -o > out 2>&1
is "an option without its value" $? 2
is "help" "$("$P" run --help | head -1)" \
	"usage: pmdb run [OPTION]... -- CMD ARGS..."

# the environment of the program
env_of() { "$@" env | sort; }
like "auditing is on" "$(env_of "$P" run --)" '^KMEM_DEBUG=default$'
like "the log is on" "$(env_of "$P" run --)" '^KMEM_LOGGING=transaction=1m$'
like "the user's choice stays" "$(KMEM_DEBUG=guards env_of "$P" run --)" \
	'^KMEM_DEBUG=guards$'
unlike "UMEM_DEBUG is a choice too" "$(UMEM_DEBUG=audit env_of "$P" run --)" \
	'^KMEM_DEBUG'
cat > pre.c <<'EOC'
int preloaded;
EOC
gcc -shared -fPIC -o pre.so pre.c
like "LD_PRELOAD of the user stays, after ours" \
	"$(LD_PRELOAD=$PWD/pre.so env_of "$P" run --)" \
	'^LD_PRELOAD=.*/libkmem_preload.so:.*/pre.so$'
is "nothing else is added" "$(diff <(env_of) <(env_of "$P" run --) |
	grep '^[<>]' | sed 's/^..\([A-Z_]*\)=.*/\1/' | sort | tr '\n' ' ')" \
	"KMEM_DEBUG KMEM_LOGGING KMEM_SNAPSHOT LD_PRELOAD _ _ "

# programs by name, by path, and scripts
mkdir -p bin
printf '#!/bin/sh\necho script $*\n' > bin/script
printf 'echo plain $*\n' > bin/plain
printf '#! /usr/bin/env bash\necho env $*\n' > bin/env-script
chmod +x bin/*
is "found by PATH" "$(PATH=$PWD/bin:$PATH "$P" run -- script a b)" "script a b"
is "a script without #!" "$("$P" run -- bin/plain a b)" "plain a b"
is "an interpreter found by env" "$("$P" run -- bin/env-script a)" "env a"
gcc -m32 -x c -o m32 - <<< 'int main(void){return 0;}' 2> /dev/null ||
	printf '\177ELF\1\1\1%0100d' 0 > m32
chmod +x m32
"$P" run -- ./m32 > out 2>&1
like "32-bit" "$? $(cat out)" '^125 pmdb: ./m32: a 32-bit program'
printf '\177ELF\2\1\1' > short
chmod +x short
"$P" run -- ./short > out 2>&1
like "cut short" "$? $(cat out)" '^125 pmdb: ./short: a truncated ELF'
gcc -fsanitize=address -x c -o asan - <<< 'int main(void){return 0;}'
"$P" run -- ./asan > out 2>&1
like "AddressSanitizer" "$? $(cat out)" '^125 pmdb: ./asan: .*AddressSanitizer'
printf '#!%s/asan\n' "$PWD" > asan.sh
chmod +x asan.sh
"$P" run -- ./asan.sh > out 2>&1
like "a script for it" "$? $(cat out)" '^125 pmdb: ./asan.sh: .*AddressSani'
printf '#!/no/such\n' > noint
chmod +x noint
"$P" run -- ./noint > out 2>&1
is "a script whose interpreter is not there" "$? $(cat out)" \
	"127 pmdb: ./noint: No such file or directory"

# signals
for s in TERM HUP USR1 ALRM; do
	"$P" run -o s.core -- sh -c 'echo > ready; exec sleep 30' &
	await_file ready
	kill -$s $!
	wait $!
	is "SIG$s goes to the program" $? $((128 + $(kill -l $s)))
	rm -f ready

done
"$P" run -- sh -c 'trap "exit 9" TERM; echo > ready; while :; do sleep 0.1; done' &
await_file ready
kill -TERM $!
wait $!
is "and the program may handle it" $? 9

# sent by somebody, not by a terminal; a shell ignores it in a job of its own
cat > sent.py <<'PY'
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
p.stdout.readline()
os.kill(p.pid, signal.SIGINT)
print(p.wait())
PY
is "SIGINT sent to pmdb goes to the program" "$(timeout 60 /usr/bin/python3 \
	sent.py "$P" run -o s.core -- sh -c 'echo; exec sleep 30')" 130

# job control: a group of its own, whose parent is in the session
cat > stopped.py <<'PY'
import os, signal, subprocess, sys, time
def state(pid):
    with open("/proc/%d/status" % pid) as f:
        return [l.split()[1] for l in f if l.startswith("State")][0]
def wait_for(want, *pids):
    end = time.monotonic() + 20
    while [state(p) in want for p in pids] != [True] * len(pids):
        if time.monotonic() > end:
            return " ".join(map(state, pids))
        time.sleep(0.02)
    return "yes"
p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, process_group=0)
child = int(p.stdout.readline())
for who, signo, want in ((p.pid, signal.SIGTSTP, "T"), (p.pid, signal.SIGCONT, "SR"),
                         (child, signal.SIGSTOP, "T"), (p.pid, signal.SIGCONT, "SR"),
                         (-p.pid, signal.SIGTSTP, "T"), (-p.pid, signal.SIGCONT, "SR")):
    (os.kill if who > 0 else lambda a, b: os.killpg(-a, b))(who, signo)
    print(wait_for(want, p.pid, child), end=" ")
p.terminate()
print(p.wait())
PY
timeout 100 /usr/bin/python3 stopped.py "$P" run -o s.core -- \
	sh -c 'echo $$; exec sleep 60' > out 2>&1
is "SIGTSTP stops both, SIGCONT continues both" "$(cut -d' ' -f1,2 out)" "yes yes"
is "pmdb stands still while the program does" "$(cut -d' ' -f3,4 out)" "yes yes"
is "the terminal stops and continues both" "$(cut -d' ' -f5- out)" "yes yes 143"

# the dump
"$P" run -o d.core -- true
is "named as asked" "$(stat -c %a d.core)" 600
(cd bin && "$P" run -o ../e.core -- true)
is "relative to where pmdb was started" "$(stat -c %a e.core)" 600
"$P" run -- true
like "named by command and process" "$(ls)" '^pmdb.true.[0-9]+.core$'

# --check
cat > leak.c <<'EOC'
#include <stdlib.h>
char *volatile p;
__attribute__((noinline)) static void lose(void)
{
	for (int i = 0; i < 3; i++)
		p = malloc(100);
	p = NULL;
}
/* no stale word on the stack may keep what is lost */
__attribute__((noinline)) static void scrub(void)
{
	volatile char buf[16384];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = 0;
}
int main(int argc, char **argv)
{
	lose();
	scrub();
	(void)argv;
	return argc - 1;
}
EOC
gcc -O0 -g -o leak leak.c
"$P" run --check -- ./leak > out 2> err
is "--check: findings decide" "$? $(cat out)" "1 "
like "--check: the verdict is on stderr" "$(cat err)" '300 bytes in 3 buffers'
"$P" run --check -- ./leak a b c > out 2> err
is "--check: a failure of the program stands" $? 3
like "--check: with the verdict nonetheless" "$(cat err)" '300 bytes'
"$P" run --check -- true > out 2>&1
is "--check: clean" $? 0
"$P" run --check -- sh -c './leak; true' > out 2>&1
is "--check: a leak of a child counts" $? 1
"$P" run --check -o nowhere/x.core -- true > out 2>&1
like "--check: no dump, no verdict" "$? $(tr '\n' ' ' < out)" \
	'^3 .*cannot write.*no verdict'
"$P" run --check -- sh -c 'kill -9 $$' > out 2>&1
like "--check: killed without a dump" "$? $(cat out)" '^137 .*no dump'
"$P" run --check -o x.%p.core -- /usr/bin/python3 -c "import ctypes
ctypes.CDLL(None).syscall(231, 0)" > out 2>&1
like "--check: no dump of the program, no verdict" "$? $(tr '\n' ' ' < out)" \
	'^3 .*no verdict'
# a child that cannot write where the program can
mkdir -p own
"$P" run --check -o own/x.%p.core -- bash -c 'ulimit -f 8; /bin/true; exit 0' \
	> out 2>&1
like "--check: a dump too large" "$? $(cat out)" '^3 .*pmdb: snapshot of .*File too large'
"$P" run --check -o own/x.%p.core -- \
	bash -c '(ulimit -f 8; exec id -u > /dev/null); exit 0' > out 2>&1
like "--check: a child whose dump failed" "$? $(tr '\n' ' ' < out)" \
	'^3 .*snapshot of [0-9]+: cannot write .*no verdict'
if [ "$(id -u)" = 0 ]; then
	chmod 711 . "$(dirname "$PWD")"
	chmod 755 own
	as="setpriv --reuid=65534 --regid=65534 --clear-groups"
	"$P" run --check -o own/x.%p.core -- bash -c "$as id -u; exit 0" > out 2>&1
	like "--check: a child that is another user" "$? $(tr '\n' ' ' < out)" \
		'^3 .*cannot write .*Permission denied.*no verdict'
	chmod 1777 own
	"$P" run --check -o own/x.%p.core -- bash -c "$as ./leak; exit 0" > out 2>&1
	like "--check: its leak counts" "$? $(tr '\n' ' ' < out)" \
		'^1 .*300 bytes in 3 buf'
else
	skip "--check: a child that is another user" "not root"
	skip "--check: its leak counts" "not root"
fi
# the program closes stderr before the library has something to say
"$P" run -o nowhere/x.core -- id -u > out 2>&1
like "a failure is said for programs that close stderr" "$(cat out)" \
	'^pmdb: snapshot of [0-9]+: cannot write .*: No such file or directory$'
# directories
mkdir -p 'w%c%p%%'
(cd 'w%c%p%%' && "$P" run -o a.%c.core -- true)
is "a percent sign in the directory" "$(ls 'w%c%p%%')" a.true.core
mkdir -p gone
(cd gone && rmdir ../gone && "$P" run -- /bin/echo hi) > out 2>&1
is "a directory that is gone" "$? $(cat out)" \
	"125 pmdb: current directory: No such file or directory"
(mkdir gone && cd gone && rmdir ../gone &&
	"$P" run -o "$OLDPWD/abs.core" -- /bin/echo hi) > out 2>&1
is "a directory that is gone: a name of its own" "$? $(cat out)" "0 hi"
mkdir tmp
TMPDIR=$PWD/tmp "$P" run --check -o x.core -- true > out 2>&1
is "--check: leaves nothing in the way" "$? $(ls -A tmp)" "0 "

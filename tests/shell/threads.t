#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Threads: groups of stacks, registers of each frame, variables of threads,
# errno, the environment, notes; against gdb and readelf.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
gcc -g -O1 -pthread -o threads "$TOP/tests/shell/threads.c" || exit 1
HELLO=there gdb -q -nx -batch -ex run -ex 'gcore core.threads' ./threads </dev/null >gdb.out 2>&1
[ -s core.threads ] || exit 77

q() { # COMMANDS: output, errors too
	"$PMDB" -e "$1" core.threads 2>&1
}
g() { # gdb commands
	local c=()
	for x; do c+=(-ex "$x"); done
	gdb -q -nx -batch -iex 'set debuginfod enabled off' "${c[@]}" ./threads core.threads 2>/dev/null
}

# ---- stacks
out=$(q ::stacks)
is 'as many groups as there are stacks' 4 "$(grep -cE '^[0-9a-f]+ +(UN)?PARKED' <<<"$out")"
has 'the largest first: three wait for a mutex' '^[0-9a-f]+ +PARKED +mutex +3$' "$(sed -n 2p <<<"$out")"
has 'one for a condition' 'PARKED +cond +1$' "$out"
has 'one for a semaphore' 'PARKED +sema +1$' "$out"
has 'one for nothing' 'UNPARKED <none> +1$' "$out"
has 'frames below' '^ {17}locker\+' "$out"
is '-a lists the others' 6 "$(q '::stacks -a' | grep -c PARKED)"
is '-c' 1 "$(q '::stacks -c waiter' | grep -c PARKED)"
is '-C' 3 "$(q '::stacks -C waiter' | grep -c PARKED)"
is '-s' 1 "$(q '::stacks -s sema' | grep -c PARKED)"
is '-S' 3 "$(q '::stacks -S sema' | grep -c PARKED)"
is '-t' 1 "$(q '::stacks -t unparked' | grep -c PARKED)"
is '-T' 3 "$(q '::stacks -T unparked' | grep -c PARKED)"
is '-m' 4 "$(q '::stacks -m a.out' | grep -c PARKED)"
is '-M' 0 "$(q '::stacks -M libc' | grep -c PARKED)"
is 'two filters' 0 "$(q '::stacks -c waiter -s sema' | grep -c PARKED)"
has '-v: addresses' '^ {17}[0-9a-f]{16} locker\+' "$(q '::stacks -v')"
is 'ids go into a pipe' 3 "$(q '::stacks -c locker | ::eval .=K' | wc -l)"
is 'and come out of one' 1 "$(q '::stacks -c waiter | ::stacks' | grep -c PARKED)"
is 'one thread' 1 "$(q "$(q '$l' | sed 's/^/0t/')::stacks" | grep -c PARKED)"
"$PMDB" --json -e ::stacks core.threads | head -1 | python3 -c '
import json, sys
r = json.load(sys.stdin)
sys.exit(not (r["count"] == 3 and r["sobj"] == "mutex" and "locker" in r["stack"]))'
tap 'JSON' $?

# ---- each frame's registers
python3 - "$B" <<'END'
import re, subprocess, sys
ours = subprocess.run([sys.argv[1] + "/pmdb", "-e", "::stackregs", "core.threads"],
                      stdout=subprocess.PIPE, text=True).stdout
frames = [dict((r, int(v, 16)) for r, v in re.findall(r"%(\w+) = 0x(\w+)", f))
          for f in re.split(r"(?m)^(?! )", ours)[1:]]
script = """
f = gdb.newest_frame()
i = 0
while f is not None:
    if f.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
        for r in "rbx rbp rsp r12 r13 r14 r15".split():
            v = f.read_register(r)
            if not v.is_optimized_out:
                print("REG", i, r, int(v) & 0xffffffffffffffff)
        i += 1
    f = f.older()
"""
open("regs.py", "w").write("import gdb" + script)
out = subprocess.run(["gdb", "-q", "-nx", "-batch", "-iex", "set debuginfod enabled off",
                      "-x", "regs.py", "threads", "core.threads"], stdout=subprocess.PIPE,
                     stderr=subprocess.STDOUT, text=True).stdout
n = bad = 0
for i, r, v in re.findall(r"(?m)^REG (\d+) (\w+) (\d+)$", out):
    f = frames[int(i)] if int(i) < len(frames) else {}
    if r not in f:
        continue
    n += 1
    if f[r] != int(v):
        bad += 1
        print("# frame %s: %s is %x here, %x for gdb" % (i, r, f[r], int(v)))
print("# %d registers" % n)
sys.exit(bad > 0 or n < 20)
END
tap 'the registers of each frame are those of gdb' $?
has '::stack -s' '^\[ +[0-9a-f]+\] main\+' "$(q '::stack -s')"
has '::stack -t' 'main\+[0-9a-fx]+\(void\)$' "$(q '::stack -t')"
has '::findstack' "^stack pointer for thread $(q '$l' | xargs printf %x): [0-9a-f]+$" "$(q "$(q '$l' | sed 's/^/0t/')::findstack")"
has '::findstack: frames' '^\[ [0-9a-f]{16} main\+[0-9a-fx]+\(\) \]$' "$(q "$(q '$l' | sed 's/^/0t/')::findstack")"

# ---- variables of threads
g 'thread apply all -q printf "%d %lx %d %lx\n", $_thread, &own, own, &hidden' | grep '^[0-9]' | sort -n >want
[ "$(wc -l <want)" = 6 ]
tap 'gdb knows the variables of six threads' $?
g 'info threads' | sed -n 's/^[* ] *\([0-9]*\) .*LWP \([0-9]*\).*/\1 \2/p' >ids
while read -r nr own value hidden; do
	tid=$(awk -v n="$nr" '$1 == n { print $2 }' ids)
	echo "$own $hidden $value" >>all.want
	echo "$(q "0t$tid::tls own | ::eval .=K" | tr -d ' ') $(q "0t$tid::tls hidden | ::eval .=K" | tr -d ' ') $(
		q "0t$tid::tls own | ::print -d int")" >>all.got
done <want
is '::tls is where gdb has them, in each thread' "$(cat all.want)" "$(cat all.got)"
is 'a symbol means the one of the current thread' "$(q "$(q '$l' | sed 's/^/0t/')::tls own | ::eval .=K")" "$(q 'own=K')"
is 'and is printed' 2 "$(q 'own::print int')"
has 'of the library' '^0x[0-9a-f]+$' "$(q "$(q '$l' | sed 's/^/0t/')::tls libc\`errno")"
has 'none of that name' 'nosuch: thread 0x[0-9a-f]+ has no such variable' "$(q "$(q '$l' | sed 's/^/0t/')::tls nosuch")"
is '::errno' '10 11 12 13 14 2' "$(echo $(q ::errno | awk 'NR > 1 { print $2 }' | sort))"
has '::errno by name' 'ENOENT +No such file or directory$' "$(q "$(q '$l' | sed 's/^/0t/')::errno")"

# ---- floating point
gcc -g -O1 -o vectors -x c - <<'END' || exit 1
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>
ucontext_t *seen;
static double two[2] __attribute__((aligned(16))) = {1.5, -2.25};
static void handler(int sig, siginfo_t *info, void *uc)
{
	(void)sig; (void)info;
	seen = uc;
	__asm__ volatile("fld1; fldpi; movaps %0, %%xmm5; int3" : : "m"(two));
}
int main(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, NULL);
	__asm__ volatile("mov $0x123456789, %%r13; mov $39, %%eax; syscall; mov %%eax, %%edi;"
			 "mov $10, %%esi; mov $62, %%eax; syscall" : : : "rax", "rdi", "rsi", "rcx", "r11", "r13");
	return 0;
}
END
gdb -q -nx -batch -ex 'handle SIGUSR1 nostop pass' -ex run -ex 'gcore core.vectors' ./vectors </dev/null >gdb.out 2>&1
v() {
	"$PMDB" -e "$1" core.vectors 2>&1
}
gv() {
	gdb -q -nx -batch -iex 'set debuginfod enabled off' -ex "$1" ./vectors core.vectors 2>/dev/null | tail -1
}
is 'st0' "$(gv 'info registers st0' | sed -n 's/.*raw \(0x[0-9a-f]*\).*/\1/p')" \
	"$(v ::fpregs | sed -n 's/^%st0 .* //p')"
has 'st1' '^%st1 +=  *\+1\.0+e\+00 ' "$(v ::fpregs | tr -s ' ')"
is 'xmm5 as doubles' '1.5 -2.25' "$(v '::fpregs -d' | sed -n 's/^%.mm5 *= \[ \([^,]*\), \([^, ]*\).*/\1 \2/p' |
	awk '{ print $1 + 0, $2 + 0 }')"
is 'as a number' "$(gv 'print/x $xmm5.uint128' | sed 's/.*0x//')" "$(v ::fpregs | sed -n 's/^%.mm5 .*0x.*\(.\{32\}\)$/\1/p')"
is 'mxcsr' "$(gv 'print/x (int)$mxcsr' | sed 's/.*0x//')" "$(v ::fpregs | sed -n 's/^%mxcsr *= 0x0*//p')"
is '$x' "$(v ::fpregs)" "$(v '$x')"
is '::regs -u' 0x0000000123456789 "$(v '*seen::regs -u' | sed -n 's/.*%r13 = //p')"
has '::regs -u: where' '^%rip = 0x[0-9a-f]+ main\+' "$(v '*seen::regs -u')"

# ---- the process
is '$l' "$(g 'print $_thread' 'info threads' | sed -n 's/^\* .*LWP \([0-9]*\).*/\1/p')" "$(q '$l')"
has '$L' '^lwpids ([0-9]+, ){4}[0-9]+ and [0-9]+ in core of process [0-9]+\.$' "$(q '$L')"
has '$?' '^process id = [0-9]+$' "$(q '$?')"
has '$?: the signal' '^SIGABRT \(Aborted\)$' "$(q '$?')"
has '$?: registers' '^%rip = ' "$(q '$?')"
is 'getenv' 'HELLO=there' "$(q '::getenv HELLO')"
is 'getenv -t' 'HELLO=there' "$(q '::getenv -t HELLO')"
has 'all of it' '^PATH=' "$(q ::getenv)"
has 'not there' 'NOSUCH is not in the environment' "$(q '::getenv NOSUCH')"
is 'psinfo' "$(eu-readelf -n core.threads | sed -n 's/.* pid: \([0-9]*\), ppid: \([0-9]*\).*/\1 \2/p' | head -1)" \
	"$(q ::psinfo | awk 'NR == 2 { print $1, $2 }')"
has 'psinfo -v' '^args .*/threads$' "$(q '::psinfo -v')"
is 'xdata: the size of a note' "$(eu-readelf -n core.threads | awk '$1 == "CORE" && $3 == "AUXV" { print $2 }')" \
	"$(q ::xdata | sed -n 's/^auxv .*(\([0-9]*\) bytes)/\1/p')"
echo "1..$n"

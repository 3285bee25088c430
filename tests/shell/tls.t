#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Thread-local variables are where the program itself says it has them: the
# program's, those of libraries from the start and of one loaded late, errno.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
cat > one.c <<'END1'
__thread int one = 9;
int get(void)
{
	return one;
}
END1
cat > late.c <<'END1'
__thread char pad[500];
__thread int late = 11;
int *late_at(void)
{
	return &late;
}
END1
cat > prog.c <<'END1'
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
__thread int mine = 77;
static __thread char small = 1;
static __thread long hidden __attribute__((aligned(64))) = 5;
extern __thread int one;
int main(void)
{
	int *(*late_at)(void) = dlsym(dlopen("./liblate.so", RTLD_NOW), "late_at");

	errno = 33;
	one++;
	printf("mine %p\nsmall %p\nhidden %p\none %p\nlate %p\nerrno %p\n",
	       (void *)&mine, (void *)&small, (void *)&hidden, (void *)&one,
	       (void *)late_at(), (void *)&errno);
	fflush(stdout);
	abort();
}
END1
gcc -g -shared -fPIC -o libone.so one.c && gcc -shared -fPIC -o liblate.so late.c &&
	gcc -g -o prog prog.c ./libone.so -ldl || exit 1
gdb -q -nx -batch -ex run -ex 'gcore core.prog' ./prog </dev/null >gdb.out 2>&1
[ -s core.prog ] || { echo "gdb made no core here"; exit 77; }
for v in mine small hidden one late errno; do
	run -S -e "$v=K" core.prog
	is "$v" "$(sed -n "s/^$v 0x//p" gdb.out)" "$(echo $out)$err"
done
run -S -e '*/i/one=D;*/i/late=D;*/i/libc`errno=D;*/c/a.out`small=D' core.prog
is 'their values' '10 11 33 1' "$(echo $out)"
run -S -e 'mine::print -t;small::print -t;hidden::print;one::print;.::print' core.prog
is 'they have types' "int 0x4d char '\\001' 5 0xa" "$(echo $out)"
has 'no type behind its start' 'no symbol information for 0x' "$err"
run -S -e '<thread::tls mine | ::print' core.prog
is 'in the block of a thread' 0x4d "$out"
run -S -e 'libone`mine=K' core.prog
is 'not in another object' 1 "$rc"
run -S -e 'mine=K' prog
is 'not without a thread' 1 "$rc"
echo "1..$n"

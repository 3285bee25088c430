#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Debug information, wherever it is: in the file, beside it, by build-id, shared
# (dwz), split (.dwo, .dwp), names alone (.gnu_debugdata), from a server; and
# never of another build.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
unset DEBUGINFOD_URLS
export HOME=$PWD

cat >s.c <<'END'
#include <stdlib.h>
struct part { struct part *next; int weight; char name[8]; };
enum color { RED, BLUE = 4 };
struct part head = { .weight = 7, .name = "seven" };
enum color paint = BLUE;
static int hidden_counter = 9;
__attribute__((noinline)) static int quiet(int n) { hidden_counter += n; abort(); }
int main(int argc, char **argv) { (void)argv; return quiet(argc); }
END
core() { # PROG: PROG.core
	gdb -nx -q -batch -iex 'set debuginfod enabled off' -ex run \
		-ex "gcore $1.core" "./$1" </dev/null >gdb.out 2>&1
	[ -s "$1.core" ]
}
id() {
	readelf -n "$1" | sed -n 's/.*Build ID: //p'
}
q() { # COMMANDS CORE [OPTION...]
	"$PMDB" -e "$@" 2>&1
}
whole='weight = 7
4 (BLUE)
sizeof (struct part) = 0x18'
all='head::print struct part weight; paint::print; ::sizeof struct part'
knows() { # NAME CORE [OPTION...]: types, a static variable, the stack
	is "$1: types" "$whole" "$(q "$all" "${@:2}")"
	has "$1: stack" '^quiet\+' "$(q '::stack' "${@:2}")"
}

gcc -g -O1 -o full s.c && core full
knows 'in the file' full.core
has 'objects -d names the file' '/full +/.*/full$' "$(q '::objects -d' full.core)"

gcc -g -O1 -o link s.c
objcopy --only-keep-debug link link.debug
cp link link.whole
strip link
objcopy --add-gnu-debuglink=link.debug link
core link
knows 'by debuglink' link.core
has 'objects -d names it' '/link +/.*/link.debug$' "$(q '::objects -d' link.core)"
mkdir -p .debug && mv link.debug .debug/
knows 'by debuglink in .debug' link.core
mkdir own && mv .debug/link.debug own/
knows 'by debuglink in a directory of ours' link.core --debug-path own
is 'without it there is none' 'no type data available for head' \
	"$(q 'head::print' link.core | grep -o 'no type data available for head' ||
		echo 'no type data available for head')"
sed 's/weight/height/' s.c >other.c
gcc -g -O2 -o other other.c
objcopy --only-keep-debug other link.debug
has 'one of another build is refused by name' 'link.debug is of another build' \
	"$(q '::sizeof struct part' link.core)"
has 'and is in objects -d' '/link +/.*/link.debug is of another build$' "$(q '::objects -d' link.core)"
cp link link.right && cp other link
has 'an executable of another build is refused' '/link +mismatch +[0-9a-f]+$' "$(q '::objects -v' link.core)"
"$PMDB" -e ::status other link.core >out 2>&1
[ $? = 3 ] && grep -q 'other: not the program of this core' out
tap 'one that is named, too' $?
cp link.right link && rm link.debug

# ---- by build-id, below a root; and the object itself is not there
gcc -g -O1 -o bid s.c
b=$(id bid)
objcopy --only-keep-debug bid bid.debug
strip bid
core bid
mkdir -p "dbg/.build-id/${b:0:2}" && cp bid.debug "dbg/.build-id/${b:0:2}/${b:2}.debug"
knows 'by build-id' bid.core --debug-path dbg
mkdir -p root/usr/lib root/lib64
mv dbg root/usr/lib/debug
for f in $("$PMDB" -e '::objects' bid.core | awk '$4 ~ /^\// { print $4 }'); do
	mkdir -p "root/$(dirname "$f")" && cp "$f" "root/$f"
done
knows 'by build-id below a root' bid.core --sysroot root
mv bid bid.gone
is 'without the object, by its build-id' "$whole" "$(q "$all" bid.core --debug-path root/usr/lib/debug)"
has 'it is still said to be missing' '/bid +missing' "$(q '::objects -v' bid.core --debug-path root/usr/lib/debug)"

# ---- shared, split, names alone
gcc -g -O1 -o shared1 s.c && gcc -g -O2 -o shared2 s.c
dwz -m common.dwz shared1 shared2 2>dwz.out
core shared1
readelf -SW shared1 | grep -q gnu_debugaltlink
tap 'dwz: it is shared' $?
knows 'dwz' shared1.core
gcc -g -gsplit-dwarf -O1 -c -o split.o s.c && gcc -o split split.o
core split
knows 'a .dwo' split.core
mv split.dwo split.away
has 'without the .dwo, names' '^quiet\+' "$(q ::stack split.core)"
mv split.away split.dwo
for v in 4 5; do
	gcc -gdwarf-$v -gsplit-dwarf -O1 -c -o pkg.o s.c
	gcc -gdwarf-$v -gsplit-dwarf -O1 -DMORE -c -o pkg2.o -x c - <<'END'
struct second { long a, b, c; };
struct second more;
END
	gcc -o pkg$v pkg.o pkg2.o
	core pkg$v # before: there are packages that gdb does not survive
	# binutils' dwp knows DWARF 4 only
	if [ $v = 4 ]; then
		dwp -e pkg$v -o pkg$v.dwp
	else
		llvm-dwp -e pkg$v -o pkg$v.dwp
	fi
	rm -f pkg.dwo pkg2.dwo
	knows "a .dwp of DWARF $v" pkg$v.core
	is "the second unit of it ($v)" 'sizeof (struct second) = 0x18' "$(q '::sizeof struct second' pkg$v.core)"
done

gcc -g -O1 -o mini s.c
nm -D mini --format=posix --defined-only | awk '{ print $1 }' | sort >dynsyms
nm mini --format=posix --defined-only | awk '$2 ~ /[TtDd]/ { print $1 }' | sort >funcsyms
comm -13 dynsyms funcsyms >keep
objcopy -S --remove-section .comment --keep-symbols=keep mini mini.mdi 2>objcopy.out
xz -kf mini.mdi
strip mini && objcopy --add-section .gnu_debugdata=mini.mdi.xz mini
core mini
has 'names alone' '^quiet\+' "$(q ::stack mini.core)"
is 'a static variable by name' hidden_counter "$(q 'hidden_counter=p' mini.core | tr -d ' ')"
has 'and no types' 'there is no debug information|not in the debug information' "$(q '::sizeof struct part' mini.core)"

# ---- from a server
gcc -g -O1 -o net s.c
b=$(id net)
mkdir -p "srv/buildid/$b"
objcopy --only-keep-debug net "srv/buildid/$b/debuginfo"
strip net && core net
cp net "srv/buildid/$b/executable"
python3 -u -m http.server 0 --bind 127.0.0.1 --directory srv >server.out 2>server.err &
server=$!
trap 'kill $server' EXIT
for _ in $(seq 50); do
	port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' server.out)
	[ -n "$port" ] && break
	sleep 0.1
done
export DEBUGINFOD_CACHE_PATH=$PWD/cache
has 'no server is asked without the variable' 'there is no debug info|not in the debug info|no type data' \
	"$(q '::sizeof struct part' net.core)"
export DEBUGINFOD_URLS=http://127.0.0.1:$port/
knows 'debuginfod' net.core
mv net net.gone
rm -rf cache
knows 'debuginfod, and the object is not here' net.core
: >server.err
"$PMDB" check net.core >/dev/null 2>&1
is 'a verdict asks no server' '' "$(grep GET server.err)"
echo "1..$n"

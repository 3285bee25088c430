#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# ::print of C and C++, against gdb member by member, and what mdb adds.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
make_core
g++ -std=c++17 -g -O0 -o cxx "$TOP/tests/shell/cxx.cc" || exit 1
gdb -q -nx -batch -ex run -ex 'gcore cxx.core' ./cxx </dev/null >gdb.out 2>&1

oracle() { # PROG CORE PLACES
	CORE=$2 gdb -q -nx -batch -iex 'set debuginfod enabled off' \
		-ex "py places=[$3]" -x "$TOP/tests/shell/oracle.py" "$1" "$2" 2>&1
}
compare() { # NAME PROG CORE PLACES
	out=$(oracle "$2" "$3" "$4")
	tap "$1 ($(echo "$out" | grep ' places, '))" $?
	echo "$out" | grep -E ' gdb|Error' | sed 's/^/# /'
}
compare 'C, as gdb sees it' ./prog core.prog \
	'("shape", "struct shape"), ("second", "struct shape")'
compare 'C++, as gdb sees it' ./cxx cxx.core \
	'("global", "ns::derived"), ("virt", "ns::virt"), ("*flex", "flexible"),
	("boxed", "ns::box<double, 2>"), ("greeting", "std::string")'
# a program of some size: the debugger itself, on a dump
gdb -q -nx -batch -ex 'set breakpoint pending on' -ex 'break session_destroy' \
	-ex 'run -e answer::print core.prog' -ex 'gcore pmdb.core' \
	-ex 'py print("AT", int(gdb.parse_and_eval("s")))' \
	"$B/pmdb" </dev/null >gdb.out 2>&1
at=$(sed -n 's/^AT //p' gdb.out)
compare 'the debugger, as gdb sees it' "$B/pmdb" pmdb.core \
	"('*(struct session *)$at', 'struct session'), ('*((struct session *)$at)->types', 'struct types'),
	('*((struct session *)$at)->target', 'struct target'), ('*((struct session *)$at)->out', 'struct out')"

q() { # COMMANDS: output, errors too
	"$PMDB" -e "$1" cxx.core 2>&1
}
is 'a short std::string' 'text = "short"' "$(q 'global::print text')"
is 'a long one' 'longer = "a string that does not fit into the object itself"' \
	"$(q 'global::print longer')"
is 'by its name in the source' '"global string"' "$(q 'greeting::print')"
is 'a limit of characters' 'longer = "a string"...' "$(q 'global::print -c 8 longer')"
has '-r: as it is' '^    longer._M_string_length = 0x31$' "$(q 'global::print -r longer')"
is 'a vector' 'numbers = [ 1, 2, 3, 4, 0x1f4 ]' "$(q 'global::print numbers')"
is 'an element of one' 'words[1] = "two \"quoted\"\n"' "$(q 'global::print words[1]')"
is 'a vector of structures' 'nesteds = [
    {
        c = [ "a" ]
    },
    {
        c = [ "bc" ]
    },
]' "$(q 'global::print nesteds')"
is 'a string_view' 'sv = "viewed"' "$(q 'global::print sv')"
is 'a limit of its characters' 'sv = "view"...' "$(q 'global::print -c 4 sv')"
has 'a length that cannot be' '^    _M_len = 0xffffffffffffffff$' \
	"$(q '::set -o array_str_limit=none; wild::print')"
is 'and a limit' '"wild"...' "$(q 'wild::print -c 4')"
is 'atomics' 'at = 0x4d ab = 1 ap = global+0x1c' "$(echo $(q 'global::print at ab ap'))"
is 'a member of a smart pointer' 'o = 0xc' "$(q 'global::print up | ::print ns::other o')"
is 'an enum of a class' 'k = 250 (B)' "$(q 'global::print k')"
is 'flags' 'p = 0x5 (PERM_{READ|EXEC})' "$(q 'global::print p')"
is 'negative enumerators' 'l = -7 (LOW)' "$(q 'global::print l')"
is 'a member function' 'fn = libc.so.6`atoi' "$(q 'global::print fn')"
is '128 bits' 'wide = 0x10000000000000000000000005' "$(q 'global::print wide')"
is 'internet addresses' 'ip = 127.0.0.1 ip6 = 2001:db8::1' "$(echo $(q 'global::print ip ip6'))"
is 'a member of a base class' 'b = 0xb' "$(q 'global::print b')"
has 'a virtual base' '^    ns::base = \{$' "$(q 'virt::print')"
is 'an anonymous member' 'anon.au = 2' "$(q 'global::print anon.au')"
is 'a static function by its name' 1 "$(q 'main::dis' | grep -c 'ns::derived::sum(int)')"
has 'a static variable by its name' 'o = 0xc' "$(q 'hidden::print')"
is 'a template argument' 'sizeof (ns::box<double, 2>) = 0x18' "$(q '::sizeof "ns::box<double, 2>"')"
is 'layout from offset 0, wherever dot is' '0 ns::other {
    0 long int o 
}' "$(q 'global=K; ::print -at ns::other' | tail -3)"

q() {
	"$PMDB" -e "$1" core.prog 2>&1
}
is '-T' "inner_t <<struct inner>> in = {
    int in.x = 7
    char in.c = 'q'
}" "$(q 'shape::print -tT in')"
is '-h' "{
    x = 7
    c = 'q'
    <<HOLE>> :24 = 0
}" "$(q 'shape::print -a in | ::print -h inner_t')"
is '-h without values' '0 {
    0 x 
    4 c 
    5.0 <<HOLE>> :24 
}' "$(q '::print -ah inner_t')"
is 'through element 0 of a pointer' 'next->x = 0' \
	"$(q 'shape::print struct shape next[0].in' | sed -n '2s/^ *next\[0\]\.in\./next->/p')"
is 'the arrow may be written' 'next = second' "$(q 'shape::print ->next')"
is 'a pointer taken as an array' 'next[0] = {
    next->next = shape' "$(q 'shape::print struct shape next[0]' | head -2)"
has '-p' 'operation not supported by target' "$(q 'shape::print -p in')"
is '-i of a structure' '{
    x = 5
    c = '"'a'"'
}' "$(q '6100000005::print -i inner_t')"
has 'an index beyond' 'index 4 is outside of array bounds \[0 \.\. 3\]' "$(q 'shape::print numbers[4]')"
is 'enum -x' 'color = 0x5 (GREEN)' "$(q 'shape::print -x color')"
echo "1..$n"

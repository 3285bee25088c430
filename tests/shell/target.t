#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# A core, seen by pmdb and by gdb and binutils: they agree.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
make_core

q() { # COMMANDS: output, errors too
	"$PMDB" -e "$1" core.prog 2>&1
}
g() { # gdb command
	gdb -q -nx -batch -ex "$1" ./prog core.prog 2>/dev/null
}
hex() { # of a gdb expression
	g "print/x $1" | sed -n 's/^\$1 = 0x//p'
}

# ---- status, threads, stacks, registers
out=$(q ::status)
has 'status: program' '^debugging core file of prog \(64-bit\)$' "$out"
has 'status: signal' '^status: process terminated by SIGSEGV \(Segmentation fault\)' "$out"
has 'status: threads' '^threads: 2$' "$out"
has 'status: the heap' '^heap: glibc, ' "$out"
is 'as many threads as gdb sees' \
	"$(g 'info threads' | grep -c '^[* ] *[0-9].*LWP')" "$(q '::walk thread' | wc -l)"
is 'the stack has the functions of gdb'"'"'s' \
	"$(g bt | grep '^#' | sed 1d | sed -n 's/^#[0-9]* .*\b\(crash\|main\) (.*/\1/p')" \
	"$(q ::stack | sed -n 's/^\(crash\|main\)+.*()$/\1/p')"
is '$c is ::stack' "$(q ::stack)" "$(q '$c')"
pc=$(hex '$pc') sp=$(hex '$sp')
is '<rip' "$pc" "$(echo $(q '<rip=K'))"
is '<rsp' "$sp" "$(echo $(q '<rsp=K'))"
is '<eip is half of it' "$(printf '%x' $((0x$pc & 0xffffffff)))" "$(echo $(q '<eip=K'))"
has 'regs: rip by name' "^%rip = 0x0*$pc crash\\+" "$(q ::regs)"
has 'regs: two columns' '^%rax = 0x[0-9a-f]{16}	%r8  = 0x[0-9a-f]{16}$' "$(q ::regs)"
is 'every register is as in gdb' \
	"$(g 'info registers' | awk '$1 ~ /^r(ax|bx|cx|dx|si|di|8|9|1[0-5])$/ {
		print $1, $2 }' | sort)" \
	"$(q ::regs | grep -oE '%r[a-z0-9]+ *= 0x[0-9a-f]+' | tr -d '%=' |
		awk '$1 ~ /^r(ax|bx|cx|dx|si|di|8|9|1[0-5])$/ {
			sub(/0x0*/, "0x", $2); sub(/^0x$/, "0x0", $2); print $1, $2 }' | sort)"
has 'C: frame addresses' '^[0-9a-f]{16} crash\+' "$(q '$C')"
tid=$(q '::walk thread' | tail -1)
has 'a stack by thread id' 'pause' "$(q "$tid::stack")"
has 'no such thread' 'invalid thread identifier 0x1 ' "$(q '1::stack')"
has 'stacks of all threads' "^thread $tid" "$(q '::walk thread | ::stack')"
loads() {
	readelf -lW core.prog |
		awk '$1 == "LOAD" { sub(/0x0*/, "", $3); print $3 }' | sort
}
is 'every program header is among the mappings' "$(loads)" \
	"$(q ::mappings | awk 'NR > 1 { print $1 }' | sort | comm -12 - <(loads))"
has 'mappings: heading' '^ {12}BASE {12}LIMIT {13}SIZE NAME$' "$(q '$m')"
has 'a stack is named' '\[ stack \]$' "$(q '$m')"
is 'the mapping of an address' 2 "$(q 'answer::mappings' | wc -l)"
has 'objects' '/prog$' "$(q ::objects)"
has 'objects -v has the build-id' "$(readelf -n prog | sed -n 's/.*Build ID: //p')" \
	"$(q '::objects -v')"

# ---- symbols
is 'nm: every function of nm(1)' \
	"$(nm prog | awk '$2 == "T" { print $3 }' | LC_ALL=C sort)" \
	"$(q '::nm -g -t func -f name a.out' | sed 1d | LC_ALL=C sort |
		comm -12 - <(nm prog | awk '$2 == "T" { print $3 }' | LC_ALL=C sort))"
is 'nm: by name' "$(q '::nm -n -f name a.out' | sed 1d | LC_ALL=C sort)" \
	"$(q '::nm -n -f name a.out' | sed 1d)"
is 'nm: by value' "$(q '::nm -h -v -f val a.out' | sort)" "$(q '::nm -h -v -f val a.out')"
has 'nm: heading and row' '^0x[0-9a-f]{16}\|0x0000000000000004\|OBJT \|GLOB \|0x0  \|[0-9]+ +\|answer$' \
	"$(q 'answer::nm')"
has 'nm: an unknown object' 'no such object: nosuch' "$(q '::nm nosuch')"
is 'a symbol is its address' "$(hex '&answer')" "$(echo $(q 'answer=K'))"
is 'a symbol beats a number' "$(hex '&beef')" "$(echo $(q 'beef=K'))"
is 'a number with a prefix does not' beef "$(echo $(q '0xbeef=K'))"
is 'a scoped symbol' "$(hex '&answer')" "$(echo $(q 'a.out`answer=K'))"
is 'of a library' "$(hex '&puts')" "$(echo $(q 'libc.so.6`puts=K'))"
is 'up to a dot' "$(hex '&puts')" "$(echo $(q 'libc`puts=K'))"
is 'of a source file' "$(hex '&sleeper')" "$(echo $(q 'prog.c`sleeper=K'))"
is 'of a source file of an object' "$(hex '&sleeper')" \
	"$(echo $(q 'a.out`prog.c`sleeper=K'))"
is 'with a link map before it' "$(hex '&answer')" "$(echo $(q 'LM0`a.out`answer=K'))"
has 'a global symbol is in no source file' 'unknown symbol name' "$(q 'prog.c`answer=K')"
has 'nor in a file there is not' 'unknown symbol name' "$(q 'none.c`sleeper=K')"
is 'a dcmd and a walker of a module' "$(q '::walk thread')" \
	"$(q '::lang`walk session`thread')"
has 'a symbol of the wrong object' 'unknown symbol name' "$(q 'libc`answer=K')"
is 'reading through it' 42 "$(echo $(q '*/i/answer=D'))"
is 'reading the file' 42 "$(echo $(q '%/i/answer=D'))"

# ---- formats on memory
is 'X' "answer:
answer:         2a              " "$(q answer/X)"
is 's' "text:
text:           buffer text" "$(q text/s)"
is 'a repeat count' "table:
table:          100cafe         302             0               0               
                0               " "$(q 'table,5/X')"
is 'nap' "shape:
shape:          
shape:          second             
shape+8:        0x$(hex shape.string)     " "$(q 'shape,2/nap')"
is 'a string through a pointer' "0x$(hex shape.string): hello" "$(q '*(shape+8)/s')"
is 'back and forth' "text:
text:           bfu" "$(q 'text/c+c2-c')"
is 'a search' 'table+4' "$(q 'table/l 302')"
is 'a search with a mask' 'table+2' "$(q 'table/l 100 ff00')"
is 'a search without a match says nothing' '' "$(q 'text/M 123456789abcdef')"
is 'values into a pipe' 'answer' "$(q 'answer=K | ::eval .=a' | tr -d ' :')"
is 'memory into a pipe' '2a' "$(q 'answer/X | ::head')"
has 'unreadable' 'no mapping for address 0x10' "$(q '10/X')"
has 'a write is refused' 'failed to write 0x5 at address 0x[0-9a-f]+: target is not open for writing' "$(q 'answer/W 5')"
"$PMDB" -e 'answer/W 5' core.prog >/dev/null 2>&1
is 'and fails -e' 1 $?

is '/ alone: a word, and the instruction there' "main:
main:           $(hex '*(int *)main')        = $(q 'main/i' | sed -n 's/^main:  *//p')" \
	"$(q main/)"
has 'ai: a label to each' '^main\+[0-9a-fx]+: +[a-z]' "$(q 'main,3/ai')"
has 'I: the address, then the instruction' '^main: {35}[a-z]' "$(q 'main/I')"
is 'variable 1 is the last offset' '18 10' \
	"$(echo $(q 'main+10=p;main+18=p;<1=K;<2=K' | sed 1,2d))"
is 'variable e is the entry' "$(readelf -h prog |
	awk '/Entry/ { sub(/0x/, "", $NF); print substr($NF, length($NF) - 2) }')" \
	"$(echo $(q '<e=K') | tail -c 4)"
is 'variable m is the magic number' 464c457f "$(echo $(q '<m=K'))"
is 'variable thread is its id' "$(q '::walk thread' | head -1 | sed 's/0x//')" \
	"$(echo $(q '<thread=K'))"

# ---- dump
hexbytes() { # of gdb
	g "x/${1}xb $2" | sed -n 's/^0x[^:]*://p' | tr -d '\t\n' | sed 's/0x//g'
}
is 'dump: the bytes are those of gdb' "$(hexbytes 64 '&table')" \
	"$(q 'table,40::dump -u' | sed 1d | sed 's/^[0-9a-f]*: //; s/  [^ ].*$//' | cut -c1-36 | tr -d ' \n')"
is 'dump: a header as wide as its lines' 1 \
	"$(q 'table::dump' | awk '{ print length($0) }' | sort -u | wc -l)"
has 'dump: unaligned, marked' '\\/ +1 +2 +3' "$(q 'text::dump -u')"
has 'dump: text' '  buffer text\.' "$(q 'text::dump -u')"
is 'dump -s: heading, a line, a star, the last' 4 "$(q '(table+10),30::dump -us' | wc -l)"
has 'dump -g 1 has a gap amid' '^[0-9a-f]+:  fe ca 00 01 02 03 00 00  00 ' "$(q 'table::dump -ug 1')"
has 'dump -e turns groups around' '^[0-9a-f]+:  0100cafe 00000302' "$(q 'table::dump -e')"
has 'dump -r' '^0+: ' "$(q 'table,20::dump -r')"
has 'dump: unreadable' 'failed to read data at 0x0' "$(q '0::dump')"

# ---- types
is 'sizeof' 'sizeof (inner_t) = 8' "$(q '::sizeof inner_t')"
is 'sizeof agrees with gdb' "sizeof (struct shape) = 0x$(hex 'sizeof(struct shape)')" \
	"$(q '::sizeof struct shape')"
is 'sizeof in a pipe' "$(hex 'sizeof(struct shape)')" "$(q '::sizeof "struct shape" | ::head')"
is 'offsetof' "offsetof (struct shape, in.c) = 0x$(hex '&((struct shape*)0)->in.c'), sizeof (...->in.c) = 1" \
	"$(q '::offsetof struct shape in.c')"
has 'offsetof of a bit-field' '= 0x[0-9a-f]+ bits, sizeof \(\.\.\.->five\) = 5 bits' \
	"$(q '::offsetof struct shape five')"
is 'print' "{
    next = second
    string = 0x$(hex shape.string) \"hello\"
    name = [ \"abc\" ]
    numbers = [ 1, 2, 3, 0x40 ]
    in = {
        x = 7
        c = 'q'
    }
    pair = [
        {
            x = 1
            c = 'a'
        },
        {
            x = 2
            c = 'b'
        },
    ]
    color = 5 (GREEN)
    flags = 0x3 (OPT_{READ|WRITE})
    three = 5
    five = 0x11
    negative = -3
    <anon> = {
        as_int = 0x3f800000
        as_float = +1.0000000e+00
    }
    real = +3.2500000e+00
    function = handler
    minus_one = 0xffffffffffffffff
    bytes = [ '\\001', '\\002', '\\003', '\\004' ]
    yes = 1
    many = [ $(printf '0, %.0s' $(seq 32))... ]
    grid = [ [ 1, 2, 3 ], [ 4, 5, 6 ] ]
    when = $(date -d @1700000000 '+%Y %b %e %H:%M:%S')
}" "$(q 'shape::print')"
is 'print: members' "in = {
    in.x = 7
    in.c = 'q'
}
next->name = [ \"second\" ]
numbers[3] = 0x40
as_int = 0x3f800000
pair[1].x = 2" "$(q 'shape::print struct shape in next->name numbers[3] as_int pair[1].x')"
is 'print: members of a symbol' 'in.x = 7' "$(q 'shape::print in.x')"
is 'print: an offset' 'in.c = '"'q'" "$(q "shape::print struct shape \$[0x$(hex '&((struct shape*)0)->in.c')]")"
is 'print -at' "$(hex '&shape.in') inner_t in = {
    $(hex '&shape.in.x') int in.x = 7
    $(hex '&shape.in.c') char in.c = 'q'
}" "$(q 'shape::print -at in')"
is 'print -t: a layout' 'inner_t {
    int x 
    char c 
}' "$(q '::print -t inner_t')"
is 'print -d' 'numbers = [ 1, 2, 3, 64 ]' "$(q 'shape::print -d numbers')"
is 'print -s' "{
    x = 7
    c = 'q'
}" "$(q 'shape::print -a in | ::print -s 0 inner_t')"
has 'print -s cuts' '    in = \{ \.\.\. \}' "$(q 'shape::print -s 0')"
is 'print -L' 1 "$(q 'shape::print -L many' | grep -c '^many = \[ \(0, \)\{39\}0 \]$')"
is 'print -i' '5 (GREEN)' "$(q '5::print -i "enum color"')"
is 'a pointer goes into a pipe' "second" "$(q 'shape::print struct shape next | ::eval .=a' | tr -d ' :')"
is 'a struct goes as its address' "$(hex '&shape.in')" "$(q 'shape::print struct shape in | ::head')"
has 'no such member' 'failed to find member nosuch of struct shape: no such member of structure or union' \
	"$(q 'shape::print struct shape nosuch')"
has 'no such type' 'failed to look up type nosuch' "$(q 'shape+1::print nosuch')"
is 'no such type is said once in a loop' 1 "$(q '::walk thread | ::print nosuch' | wc -l)"
has 'no symbol' 'no symbol information for 0x10' "$(q '10::print')"
has 'an index outside' 'index 9 is outside of array bounds \[0 \.\. 3\]' "$(q 'shape::print numbers[9]')"
is 'list: until it is back at its start' "$(hex '&shape')
$(hex '&second')" "$(q 'shape::list struct shape next')"
is 'list: a variable for each' "$(hex '&shape')
$(hex '&second')" "$(q 'shape::list struct shape next v | ::eval <v=K' | tr -d ' ')"
has 'list: an unaligned member' 'is not a word-aligned member' "$(q 'shape::list struct shape numbers[1]')"
is 'array' '1
2
3
64' "$(q 'shape::print -a numbers | ::array int 4 | ::print -d int')"
is 'array: type and length of the symbol' 64 "$(q 'table::array' | wc -l)"
is 'dot after ::print is behind it' "$(printf '%x' $((0x$(hex '&shape') + 0x$(hex 'sizeof(shape)'))))" \
	"$(echo $(q 'shape::print ! cat >/dev/null
.=K'))"

# ---- loops print a heading once, variables travel with their values
is 'a heading a loop' 1 "$(q '::walk thread | ::nm -t func -f name' | grep -c Name)"
is 'variables of two stages' "$(q '::walk thread' | sed 's/0x//; p')" \
	"$(q '::walk thread t | ::array short 2 u | ::eval <t=K' | tr -d ' ')"
is 'and of the inner one' 4 "$(q '::walk thread t | ::array short 2 u | ::eval <u=K' | sort -u | wc -l)"

# ---- who sent the signal, when it was another process
sent() { # CODE PID UID [SIGNAL]: the status of a core with that in its note
	python3 - "$@" <<'END'
import struct, sys
b = bytearray(open("core.prog", "rb").read())
at = b.index(struct.pack("<I", 0x53494749) + b"CORE\0") + 12
struct.pack_into("<iiiiiI", b, at, int((sys.argv[4:] + [11])[0]), 0, *map(int, sys.argv[1:2]), 0,
                 *map(int, sys.argv[2:4]))
open("sent.core", "wb").write(b)
END
	"$PMDB" -e ::status sent.core | sed -n 's/^status: .*fault)//p'
}
is 'kill' ', pid=77 uid=1000' "$(sent 0 77 1000)"
is 'sigqueue' ', pid=77 uid=1000 code=-1' "$(sent -1 77 1000)"
sent 0 0 0 19 >text
has 'a process that was only stopped' 'status: process core file generated with gcore\(1\)' "$("$PMDB" -e ::status sent.core)"
is 'a fault has no sender' ', addr=3e80000004d' "$(sent 1 77 1000)"
echo "1..$n"

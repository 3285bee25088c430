#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# An executable that nobody runs, and any file as bytes: symbols, types and the
# bytes of the file; no registers, no threads.  Options of the command line.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
gcc -g -O1 -pthread -o prog "$TOP/tests/shell/prog.c" || exit 1
gcc -g -O1 -pthread -no-pie -o fixed "$TOP/tests/shell/prog.c" || exit 1

for f in prog fixed; do
	addr=$(nm $f | awk '$3 == "answer" { sub(/^0*/, "", $1); print $1 }')
	run -e 'answer=K;answer/D;*/i/answer=D;%/i/answer=D' $f
	is "$f: a symbol, memory, the file" \
		"$addr answer: answer: 42 42 42 0" "$(echo $out) $rc"
	run -e 'shape::print struct shape name in.c' $f
	is "$f: types" 'name = [ "abc" ] in.c = '"'q'" "$(echo $out)"
	run -e 'main,2/ai' $f
	is "$f: instructions are objdump's" \
		"$(objdump -d --no-show-raw-insn $f | sed -n '/<main>:/,$p' |
			sed -n '2,3p' | awk '{ print $2 }' | sed 's/[lq]$//')" \
		"$(sed '1d;s/^[^:]*: *//' <<< "$out" | awk '{ print $1 }' |
			sed 's/[lq]$//')"
	run -e '::status' $f
	is "$f: status" "debugging executable file (64-bit)
file: $f
status: idle" "$out"
done
run -e 'table+20/X' prog
is '.bss is zero' 0 "$(awk 'NR == 1 { print $2 }' <<< "$out")"
run -e '::stack' prog
is 'no threads' '1 pmdb: no process active' "$rc $err"
run -e '<rip=K' prog
is 'no registers' "1 pmdb: variable 'rip' is not defined" "$rc $err"
run -e '0x0/v 0x02' prog
has 'it is not written to' '^1 pmdb: failed to write 0x2 at address 0: |^1 pmdb: failed to write 0x2 at address 0x0: target is not open' "$rc $err"
run -e '0xbaddcafe/v 0x02'
has 'nor is nothing' '^1 pmdb: failed to write 0x2 at address 0xbaddcafe: target is not open' "$rc $err"

plt=$(objdump -d prog | sed -n 's/^0*\([0-9a-f]*\) <usleep@plt>:$/\1/p')
run -e "$plt=a;main::dis" prog
is 'an entry of the linkage table' 'PLT=usleep:' "$(echo "$out" | head -1 | tr -d ' ')"
has 'and calls through it' "call.* 0x$plt +<PLT=usleep>" "$out"

# ---- -f
printf 'some bytes of a text\0' > text
run -f -e '0/s;5/4c' text
is 'any file as bytes' '0: some bytes of a text 5: byte' "$(echo $out)"
run -f -e '::status' text
is 'status' 'debugging file text as bytes' "$out"
run -f -e '100/X' text
has 'nothing behind its end' 'no mapping for address 0x100' "$err"
run -f -e 1=X text text
is '-f: one file' 2 "$rc"
run -e 1=X text
is 'without -f it must be a core' '3 pmdb: text: not an ELF file' "$rc $err"

# ---- options
run -S -o array_mem_limit=2 -e 'shape::print struct shape numbers' prog
has '-o array_mem_limit' '\[ 1, 2, \.\.\. \]' "$out"
run -S +o pager -o repeatlast,autowrap -s 40 -P 'x> ' -I /m1:/m2 -L /l -e '::set' prog
is '::set says what the options set' '
  macro path: /m1
              /m2

 module path: /l

 symbol matching distance: 40 (absolute mode)
 array member print limit: 32
 array string print limit: 1024
           command prompt: "x> "
         debugger options: autowrap, repeatlast
           target options: read-only' "$out"
run -S -I '/new:%o' -e '::set' prog
has '-I: %o is the path as it was' '^              /usr/share/pmdb/macros$' "$out"
run -S -e '::set -o array_str_limit=none -s 0 -P abc; ::set ! sed -n "8,10p"' prog
has '::set -o' 'array string print limit: none' "$out"
run -S -s 10000 -e '_IO_stdin_used+8=a' prog
is '-s: a symbol that ends before' '_IO_stdin_used+8:' "$(echo $out)"
run -S -e '_IO_stdin_used+8=a' prog
is 'without -s it must contain the address' '0x' "$(echo $out | cut -c1-2)"
run '-?'
has '-? is --help, on stderr' '^0 usage: pmdb ' "$rc $err"
run -S -e 'answer/D' - prog
has 'an operand - keeps a place' '^answer: +42' "$out"
run -S -e '::set -o autowrap;text::printf "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789%d" int .' prog
is 'autowrap: text of a dcmd' '80 2' "$(head -1 <<< "$out" | tr -d '\n' | wc -c) $(wc -l <<< "$out")"
refused() { # TEXT ARGS...
	local want=$1
	shift
	run "$@"
	is "refused: $*" "2 pmdb: $want" "$rc $err"
}
refused 'invalid debugger option -- nosuch (see pmdb --help)' -o nosuch
refused 'option requires an argument -- array_mem_limit (see pmdb --help)' -o array_mem_limit
refused 'option does not accept an argument -- pager (see pmdb --help)' -o pager=1
refused 'invalid argument for option array_mem_limit -- x (see pmdb --help)' -o array_mem_limit=x
refused 'option has no meaning for a dump -- nostop (see pmdb --help)' -o nostop
refused 'invalid symbol matching distance -- 0x10 (see pmdb --help)' -s 0x10
refused "a path may not contain ';': /a;/b (see pmdb --help)" -I '/a;/b'
refused '-p wants the id of a process (see pmdb --help)' -p nosuch
refused 'option -w: a dump is only read' -w prog
refused 'option -k: kernels are not examined' -k
refused '--color is auto, always or never (see pmdb --help)' --color=blue prog
refused '-V: there is no such disassembler mode (see pmdb --help)' -V nosuch prog
run -S -V intel -e 'main/i' prog
has '-V: a way of writing instructions' 'sub +rsp' "$out"
mkdir debug
objcopy --only-keep-debug prog debug/prog.debug
strip -g prog
objcopy --add-gnu-debuglink=debug/prog.debug prog
run -e '::sizeof "struct shape"' prog
is 'types are in a file elsewhere' 1 "$rc"
run --debug-path "$PWD/debug" -e '::sizeof "struct shape"' prog
is '--debug-path' 'sizeof (struct shape) = 0x138' "$out"
echo "1..$n"

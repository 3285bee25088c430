#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# ::dis sees the instructions gdb sees, and names what they refer to.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
make_core

q() { # COMMANDS: output, errors too
	"$PMDB" -e "$1" core.prog 2>&1
}
for f in main crash qsort printf getenv; do
	gdb -q -nx -batch -ex "disassemble $f" ./prog core.prog 2>/dev/null |
		sed -n 's/^\(=> \|   \)0x0*\([0-9a-f]*\) .*:.*/\2/p' >want
	q "$f::dis -a" | sed -n 's/^\([0-9a-f]*\): .*/\1/p' >got
	[ -s want ] && cmp -s want got
	tap "$f: the addresses of gdb's disassembly" $?
done
mid=$(q 'getenv::dis' | sed -n '15s/:.*//p')
is 'a window is 10 either side' "$(q 'getenv::dis' | sed -n 5,25p)" "$(q "$mid::dis")"

is 'a window of 3 at the start has none before' 4 "$(q 'main::dis -n 3' | wc -l)"
second=$(q 'main::dis' | sed -n '3s/:.*//p')
is 'a window begins so many before' "$(q 'main::dis' | head -5)" "$(q "$second::dis -n 2")"
has 'labels have 32 columns' '^main: {27}[a-z]' "$(q 'main::dis')"
has '-b: address and name' '^[0-9a-f]+ main: +' "$(q 'main::dis -b')"
is '-f reads the file: the same code' "$(q 'main::dis')" "$(q 'main::dis -f')"
is 'the address as an argument' "$(q 'main::dis')" "$(q '::dis main')"
has 'a branch names its target' '<main\+[0-9a-fx]+>$|<crash>$' "$(q 'main::dis')"
has 'no memory' 'no memory at 0x8' "$(q '8::dis')"
is 'dot is behind the last' "$(q 'main::dis -a -n 1; .=K' | tail -1 | tr -d ' ')" \
	"$(q 'main::dis -a -n 2' | sed -n '3s/:.*//p')"
is 'a pipe takes addresses' "$(q 'main::dis -a' | sed 's/:.*//')" \
	"$(q 'main::dis | ::eval .=K' | tr -d ' ')"
has 'disasms' '^intel +- ' "$(q ::disasms)"
has 'Intel syntax' 'rbp, rsp|rsp, ' "$(q '::dismode intel; main::dis')"
has '$V says which' '^disassembly mode is amd64 ' "$(q '$V')"
has 'an unknown mode' "unknown disassembler name 'vax'" "$(q '::dismode vax')"
"$PMDB" --json -e 'main::dis' core.prog >json
python3 -c '
import json, sys
rows = [json.loads(l) for l in open("json")]
ends = [int(r["addr"], 16) + r["size_bytes"] for r in rows]
sys.exit(not (rows and ends[:-1] == [int(r["addr"], 16) for r in rows[1:]]))'
tap 'JSON: each row ends where the next begins' $?
refs() { # SYMBOL: who refers to it, by objdump's reading of the program
	objdump -d prog | python3 -c '
import re, sys
start = 0
for line in sys.stdin:
    m = re.match(r"([0-9a-f]+) <(.*)>:$", line)
    if m:
        start, name = int(m.group(1), 16), m.group(2)
        continue
    m = re.match(r" *([0-9a-f]+):.*<%s(@plt)?>$" % sys.argv[1], line)
    if m and "@plt" not in name:
        off = int(m.group(1), 16) - start
        print(name + ("+" + ("0x" if off > 9 else "") + "%x" % off
                      if off else ""))' "$1"
}
for sym in crash answer usleep; do
	refs "$sym" >want
	q "::findsym $sym" | sed 's/ refers to .*//' | grep -v '`' >got
	[ -s want ] && cmp -s want got
	tap "findsym $sym: as objdump sees it" $?
done
has 'findsym wants a symbol' 'a symbol or an address is needed' "$(q ::findsym)"
is 'findsym hands on addresses' "$(q '::findsym crash' | sed 's/ .*//')" \
	"$(q '::findsym crash | ::eval .=a' | tr -d ' :')"
echo "1..$n"

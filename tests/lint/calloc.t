#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The compiler may fold malloc + memset into calloc; inside calloc that would be
# a call to itself without end.
lib=$B/libkmem_preload.so
objdump -d --no-show-raw-insn "$lib" | awk '
/^[0-9a-f]+ <.*>:$/ { fn = $2; gsub(/[<>:]/, "", fn); nfn++ }
fn == "calloc" { ncalloc++ }
/(call|jmp)[a-z]* .*<calloc(@plt)?>/ {
	print fn ": calls calloc: " $0
	nbad++
}
END {
	if (ncalloc < 3) {
		print "calloc was not found in " nfn " functions"
		nbad++
	}
	exit nbad ? 1 : 0
}'

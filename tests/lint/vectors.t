#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What goes into other people's processes uses no vector register: a copy of a
# buffer's address left in one looks like a pointer of the program's in a dump.
# The loops over patterns do, and clear what they used: between the last use of
# each register and the end, which is a ret, is a pxor of it with itself, and of
# upper halves a vzeroupper.
rc=0
for lib in libkmem.so.1 libkmem_preload.so; do
	objdump -d --no-show-raw-insn "$B/$lib" > "$WORK/$lib.s" || exit 1
	n=$(grep -c '%rsp' "$WORK/$lib.s")
	[ "$n" -gt 100 ] || { echo "$lib: only $n uses of %rsp seen"; rc=1; }
	n=$(grep -cE '^[0-9a-f]+ <kmem_turns_[a-z]+>:' "$WORK/$lib.s")
	[ "$n" -gt 0 ] || { echo "$lib: no loop over patterns seen"; rc=1; }
	awk '/^[0-9a-f]+ <.*>:/ { is_turns = /<kmem_turns_[a-z]+>:/; split("", used); upper = "" }
		$2 == "vzeroupper" { upper = "" }
		!/%[xyz]mm/ {
			if (is_turns && /\t(ret|jmp +\*|call)/)
				{ for (r in used) print $0 " leaves " r
				if (upper) print $0 " leaves the upper half of " upper }
			next }
		!is_turns || /%zmm/ { print; next }
		match($0, /%ymm[0-9]+/) { upper = substr($0, RSTART, RLENGTH) }
		{ rest = $0; gsub(/%ymm/, "%xmm", rest)
		while (match(rest, /%xmm[0-9]+/)) {
			used[substr(rest, RSTART, RLENGTH)]
			rest = substr(rest, RSTART + RLENGTH)
		} }
		$2 == "pxor" { split($3, of, ","); if (of[1] == of[2]) delete used[of[1]] }
	' "$WORK/$lib.s" > "$WORK/$lib.vectors" || exit 1
	[ -s "$WORK/$lib.vectors" ] || continue
	echo "$lib: $(wc -l < "$WORK/$lib.vectors") uses of vector registers:"
	head -3 "$WORK/$lib.vectors"
	rc=1
done
exit $rc

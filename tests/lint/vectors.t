#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What goes into other people's processes uses no vector register: a copy of a
# buffer's address left in one looks like a pointer of the program's in a dump.
# The loops over patterns do, and clear what they used: each ends with that.
rc=0
for lib in libkmem.so.1 libkmem_preload.so; do
	objdump -d --no-show-raw-insn "$B/$lib" > "$WORK/$lib.s" || exit 1
	n=$(grep -c '%rsp' "$WORK/$lib.s")
	[ "$n" -gt 100 ] || { echo "$lib: only $n uses of %rsp seen"; rc=1; }
	awk '/^[0-9a-f]+ <kmem_turns_[a-z]+>:/ { is_turns = 1 }
		/^$/ { is_turns = 0 }
		!is_turns || (/\tret/ && last !~ /pxor/) {
			print $0 (is_turns ? " leaves an %xmm" : "") }
		{ last = $0 }' "$WORK/$lib.s" | grep -E '%[xyz]mm' \
		> "$WORK/$lib.vectors" || continue
	echo "$lib: $(wc -l < "$WORK/$lib.vectors") uses of vector registers:"
	head -3 "$WORK/$lib.vectors"
	rc=1
done
exit $rc

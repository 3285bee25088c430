#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What goes into other people's processes uses no vector register: a copy of a
# buffer's address left in one looks like a pointer of the program's in a dump.
rc=0
for lib in libkmem.so.1 libkmem_preload.so; do
	objdump -d --no-show-raw-insn "$B/$lib" > "$WORK/$lib.s" || exit 1
	n=$(grep -c '%rsp' "$WORK/$lib.s")
	[ "$n" -gt 100 ] || { echo "$lib: only $n uses of %rsp seen"; rc=1; }
	grep -E '%[xyz]mm' "$WORK/$lib.s" > "$WORK/$lib.vectors" || continue
	echo "$lib: $(wc -l < "$WORK/$lib.vectors") uses of vector registers:"
	head -3 "$WORK/$lib.vectors"
	rc=1
done
exit $rc

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# pmdb has no mutable data of static storage: everything hangs off the session.
# tests/lint/data lists the exceptions, each with its reason.  (Constants that
# hold pointers are in .data.rel.ro, which is read-only once the program runs.)
rc=0 n=0
cd "$TOP" || exit 1
for lib in base target types heap graph shell; do
	objs+=("$B/lib$lib.a")
done
while read -r o; do objs+=("$o"); done < <(find "$B/src/pmdb" "$B/dcmds" -name '*.o')
while read -r where section sym; do
	n=$((n + 1))
	case $section in
	.data.rel.ro*) continue ;;
	.data* | .bss* | .tbss* | .tdata* | '*COM*') ;;
	*) continue ;;
	esac
	sym=${sym%.[0-9]*} # a function's own: the compiler numbers them
	grep -q "^${sym}[[:space:]]" tests/lint/data && continue
	echo "$where: $sym is mutable data (section $section)"
	rc=1
done < <(objdump -t "${objs[@]}" 2>/dev/null | awk '
	/file format/ { where = $1; sub(/:$/, "", where); next }
	# address, seven flag columns, section, size, name
	/^[0-9a-f]+ / && substr($0, 24, 1) == "O" {
		split(substr($0, 26), f, /[ \t]+/)
		print where, f[1], f[3]
	}')
echo "$n data symbols"
[ $n -gt 50 ] || rc=1
exit $rc

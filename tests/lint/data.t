#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# pmdb has no mutable data at file level: everything hangs off the session.
# tests/lint/data lists the exceptions, each with its reason.
rc=0 n=0
cd "$TOP" || exit 1
for lib in base target types heap graph shell; do
	objs+=("$B/lib$lib.a")
done
while read -r o; do objs+=("$o"); done < <(find "$B/src/pmdb" "$B/dcmds" -name '*.o')
while read -r where class sym; do
	n=$((n + 1))
	case $class in
	[bBdDcCsS]) ;;
	*) continue ;;
	esac
	grep -q "^${sym}[[:space:]]" tests/lint/data && continue
	echo "$where: $sym is mutable data at file level (class $class)"
	rc=1
done < <(nm -A "${objs[@]}" 2>/dev/null | grep -v ' U ' |
	sed 's/^\([^ ]*\):[0-9a-f]* *\([A-Za-z]\) \(.*\)/\1 \2 \3/' |
	sed "s|^$B/||")
echo "$n symbols"
[ $n -gt 100 ] || rc=1
exit $rc

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Each file names its licence in its first three lines, and it is the licence of
# its folder.  tests/lint/spdx-exempt lists the files that cannot.
cd "$TOP" || exit 1
if [ -d .git ]; then
	list() { git ls-files --cached --others --exclude-standard; }
else
	list() { find . -type f ! -path './build/*' | sed 's|^\./||'; }
fi
exempt=()
while read -r pat; do
	case $pat in '#'* | '') continue ;; esac
	exempt+=("$pat")
done < tests/lint/spdx-exempt
rc=0 n=0
while read -r f; do
	[ -f "$f" ] || continue
	skip=
	for pat in "${exempt[@]}"; do
		# shellcheck disable=SC2053 # a pattern on purpose
		[[ $f == $pat ]] && skip=1
	done
	[ "$skip" ] && continue
	n=$((n + 1))
	case $f in
	src/kmem/* | src/snap/* | src/contract/*) want=MIT ;;
	*) want=GPL-3.0-or-later ;;
	esac
	got=$(head -3 "$f" | sed -n 's/.*SPDX-License-Identifier: \([^ ]*\).*/\1/p')
	if [ "$got" != "$want" ]; then
		echo "$f: licence is \"$got\", should be \"$want\""
		rc=1
	fi
done < <(list | sort)
for t in MIT GPL-3.0-or-later; do
	[ -s LICENSES/$t.txt ] || { echo "LICENSES/$t.txt: missing"; rc=1; }
done
echo "$n files"
[ $n -gt 20 ] || rc=1
exit $rc

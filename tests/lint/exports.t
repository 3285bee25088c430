#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What goes into other people's processes exports exactly what its map says and
# imports only what tests/lint/imports lists; pmdb has no libkmem in it.
rc=0
cd "$TOP" || exit 1
map_names() { # map: "name@version" lines of the global parts
	awk '/^[A-Z0-9_a-z.]+ *\{/ { ver = $1; sub(/\{.*/, "", ver) }
	{
		gsub(/\/\*[^*]*\*\//, "")
		if (/global:/) g = 1
		if (/local:/) g = 0
		line = $0
		sub(/.*global:/, "", line)
		sub(/^[A-Z0-9_a-z.]+ *\{/, "", line)
		if (g) {
			n = split(line, w, ";")
			for (i = 1; i < n; i++) {
				gsub(/[ \t]/, "", w[i])
				if (w[i] != "" && w[i] !~ /}/)
					print w[i] "@@" ver
			}
		}
		if (/}/) g = 0
	}' "$1" | sort
}
check() { # library, map
	local want=want.$1 got=got.$1
	map_names "src/kmem/$2" > "$WORK/$want"
	nm -D --defined-only "$B/$1" | awk '$2 != "A" { print $3 }' | sort > "$WORK/$got"
	[ -s "$WORK/$got" ] || { echo "$1: exports nothing"; rc=1; }
	if grep -q '[*?]' "$WORK/$want"; then
		# a pattern: each export must match a row
		while read -r sym; do
			local hit=
			while read -r pat; do
				# shellcheck disable=SC2053
				[[ $sym == $pat ]] && hit=1 && break
			done < "$WORK/$want"
			[ "$hit" ] || { echo "$1: exports $sym, which $2 does not name"; rc=1; }
		done < "$WORK/$got"
	elif ! diff "$WORK/$want" "$WORK/$got" > "$WORK/diff"; then
		sed -n "s/^> \(.*\)/$1: exports \1, which $2 does not name/p
			s/^< \(.*\)/$1: does not export \1, which $2 names/p" "$WORK/diff"
		rc=1
	fi
	nm -D --undefined-only "$B/$1" | awk '{ print $2 }' | sed 's/@.*//' | sort -u |
		while read -r sym; do
			grep -qx "$sym" tests/lint/imports || echo "$1: imports $sym"
		done > "$WORK/imports"
	if [ -s "$WORK/imports" ]; then
		cat "$WORK/imports"
		rc=1
	fi
}
check libkmem.so.1 libkmem.map
check libkmem_preload.so preload.map
for lib in libkmem.so.1 libkmem_preload.so; do
	if readelf -d "$B/$lib" | grep NEEDED | grep -Ev 'libc\.so|ld-linux|libpthread|libdl'; then
		echo "$lib: needs more than the C library"
		rc=1
	fi
done
if ldd "$B/pmdb" | grep libkmem; then
	echo "pmdb: has libkmem in it"
	rc=1
fi
exit $rc

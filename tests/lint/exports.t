#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# What goes into other people's processes exports exactly what its map says and
# imports only what tests/lint/imports lists; pmdb has no libkmem in it.
rc=0
cd "$TOP" || exit 1
map_names() { # map: a line "name@@VERSION" for each name of a global part
	perl -0777 -ne 's|/\*.*?\*/||gs;
		while (/(\w*)\s*\{(.*?)\}/gs) {
			my ($ver, $body) = ($1, $2);
			$body =~ s/local:.*//s;
			$body =~ s/global://;
			print "$_" . ($ver ? "\@\@$ver" : "") . "\n"
				for grep { $_ } split /[;\s]+/, $body;
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

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Each header compiles alone, and has a guard.
cd "$TOP" || exit 1
rc=0 n=0
while read -r h; do
	n=$((n + 1))
	inc=-Isrc
	case $h in src/kmem/* | src/snap/*) inc="-Isrc -Isrc/kmem" ;; esac
	# shellcheck disable=SC2086 # two words on purpose
	echo "#include \"${h#src/}\"" | ${CC:-gcc} -std=gnu11 -Wall -Wextra \
		-Wstrict-prototypes -Werror $inc -I. -fsyntax-only -x c - || {
		echo "$h: does not compile alone"
		rc=1
	}
	grep -q '^#ifndef [A-Z0-9_]*_H$' "$h" || {
		echo "$h: no #ifndef guard that ends in _H"
		rc=1
	}
done < <(find src dcmds -name '*.h' | sort)
echo "$n headers"
[ $n -gt 5 ] || rc=1
exit $rc

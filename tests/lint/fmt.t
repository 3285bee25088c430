#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# C files are laid out as clang-format 14 lays them out ("make fmt").
cd "$TOP" || exit 1
command -v clang-format-14 >/dev/null || { echo "no clang-format-14"; exit 77; }
mapfile -t files < <(find src dcmds fixtures tests -name '*.[ch]' | sort)
[ ${#files[@]} -gt 5 ] || { echo "no files"; exit 1; }
clang-format-14 --dry-run -Werror "${files[@]}" 2>&1 | grep -E 'error:' |
	sed "s|$TOP/||" > "$WORK/bad"
cut -d: -f1 "$WORK/bad" | sort | uniq -c | sed 's/$/: places not laid out (make fmt)/'
[ ! -s "$WORK/bad" ]

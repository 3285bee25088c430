#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Scripts pass shellcheck (sh, bash) or compile (python); words are spelled right.
cd "$TOP" || exit 1
rc=0
if [ -d .git ]; then
	mapfile -t files < <(git ls-files --cached --others --exclude-standard)
else
	mapfile -t files < <(find . -type f ! -path './build/*' | sed 's|^\./||')
fi
sh=() py=() text=()
for f in "${files[@]}"; do
	[ -f "$f" ] || continue
	case $f in LICENSES/* | fixtures/cores/*) continue ;; esac
	grep -qI . "$f" || continue
	text+=("$f")
	case $(head -1 "$f") in
	'#!'*bash | '#!'*/sh) sh+=("$f") ;;
	'#!'*python3) py+=("$f") ;;
	esac
done
if command -v shellcheck >/dev/null; then
	# SC2015: A && B || C is a habit here; SC2046: so is "$(echo $(x))", which trims
	shellcheck -x -S warning -e SC1091,SC2015,SC2046 "${sh[@]}" || rc=1
else
	echo "no shellcheck"; rc=77
fi
for f in "${py[@]}"; do
	python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read(), sys.argv[1])' "$f" || rc=1
done
if command -v codespell >/dev/null; then
	codespell -I tests/lint/words "${text[@]}" || rc=1
else
	echo "no codespell"; [ $rc = 0 ] && rc=77
fi
echo "${#sh[@]} shell scripts, ${#py[@]} python scripts, ${#text[@]} texts"
[ ${#sh[@]} -gt 3 ] && [ ${#text[@]} -gt 20 ] || rc=1
exit $rc

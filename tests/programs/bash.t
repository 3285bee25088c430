#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's bash: arrays, functions, subshells, pipes, substitutions, traps,
background jobs."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SCRIPT = r'''
trap 'echo bye >&2' EXIT
declare -A map
for i in {1..2000}; do map[k$((i % 300))]+=$i,; done
echo ${#map[@]} ${#map[k7]}
fib() { (($1 < 2)) && { echo $1; return; }; echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); }
fib 5
a=($(seq 1 500)); echo "${a[@]: -3}" "${#a[*]}"
s=$(printf 'x%.0s' {1..5000}); s=${s//x/yz}; echo ${#s} ${s:0:6} ${s^^[z]:0:4}X
( exit 5 ); echo $?
cat <<END | tr a-z A-Z
here $((6 * 7)) ${map[k0]:0:9}
END
while read -r x y; do echo "$y-$x"; done < <(paste -d' ' <(seq 3) <(seq 4 6))
sleep 0.05 & sleep 0.02 & wait; echo jobs done
[[ "some text 123" =~ ([a-z]+)\ ([0-9]+) ]] && echo "${BASH_REMATCH[2]}"
trap 'echo usr1' USR1; (kill -USR1 $$) & wait; wait
printf '%s\n' "${!map[@]}" | sort | head -3 > list.txt
eval 'f() { local v=$1; echo "$v"; }'; f "quoted  text"
exit 3
'''


def setup(box):
    with open(os.path.join(box, "work.sh"), "w") as f:
        f.write(SCRIPT)


proglib.plan(proglib.CHECKS)
proglib.same("bash", ["/bin/bash", "work.sh"], setup=setup, rc=3, dumps=20)

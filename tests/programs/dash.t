#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's dash: functions, pipes, here documents, traps, background jobs."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SCRIPT = r"""
trap 'echo bye >&2' EXIT
i=0; s=
while [ $i -lt 3000 ]; do s=$s,$((i * 7 % 100)); i=$((i + 1)); done
echo ${#s} "${s##*,}"
fact() { [ "$1" -le 1 ] && echo 1 || echo $(($1 * $(fact $(($1 - 1))))); }
fact 12
IFS=,; set -- $s; unset IFS; echo $# "$5"
cat <<END | tr a-z A-Z | sort | uniq -c | sort -rn | head -3
$(for w in a b c a b a; do echo $w; done)
END
(exit 5) || echo "status $?"
sleep 0.05 & sleep 0.02 & wait; echo jobs done
trap 'echo usr1' USR1; kill -USR1 $$
case "some text" in *text) echo matched ;; esac
eval 'f() { local v=$1; echo "$v"; }'; f "quoted  text"
seq 300 | while read -r n; do echo "line $n"; done >lines.txt
umask 077; echo x >private; stat -c %a private
exit 3
"""


def setup(box):
    proglib.write(box, "work.sh", SCRIPT)


proglib.plan(proglib.CHECKS)
proglib.same("dash", ["/bin/dash", "work.sh"], setup=setup, rc=3, dumps=20)

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# python3 installs its own SIGINT handler only where it finds SIG_DFL: with our
# handlers in place it must find that.
set -u
. "$TOP/tests/snap/lib.sh"
echo "1..9"
# as a terminal would have it: a job of a shell that is not interactive has
# SIGINT ignored
cat > int.py <<'PY'
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
p = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE, text=True,
                     start_new_session=True)
assert p.stdout.readline() == "ready\n"
time.sleep(0.5)
os.killpg(p.pid, int(sys.argv[1]))
out, err = p.communicate()
print(p.returncode if p.returncode >= 0 else 128 - p.returncode)
print(out + err)
PY
caught='
import sys, time
print("ready", flush=True)
try:
    time.sleep(30)
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(3)'
uncaught='
import time
print("ready", flush=True)
time.sleep(30)'
is "caught: plainly" \
	"$(python3 int.py 2 /usr/bin/python3 -c "$caught" | tr '\n' ' ')" \
	"3 interrupted  "
is "caught: under us" \
	"$(python3 int.py 2 "$B/pmdb" run -o a.core -- /usr/bin/python3 -c "$caught" |
		tr '\n' ' ')" "3 interrupted  "
is "caught: the dump" "$(find . -name a.core)" ./a.core
python3 int.py 2 /usr/bin/python3 -c "$uncaught" > plain
python3 int.py 2 "$B/pmdb" run -o b.core -- /usr/bin/python3 -c "$uncaught" > ours
is "not caught: same status and traceback" "$(cat ours)" "$(cat plain)"
like "not caught: ends by the signal" "$(head -1 ours)" '^130$'
like "not caught: the dump" "$(gdb_core /usr/bin/python3 b.core)" \
	'with signal SIGINT'
is "SIGTERM: status" "$(python3 int.py 15 "$B/pmdb" run -o c.core -- \
	/usr/bin/python3 -c "$uncaught" | sed -n 1p)" 143
like "SIGTERM: the dump" "$(gdb_core /usr/bin/python3 c.core)" \
	'with signal SIGTERM'
# what python says of every signal is the same
show='
import signal
for s in sorted(signal.valid_signals()):
    print(s, signal.getsignal(s))'
is "every signal as without us" \
	"$("$B/pmdb" run -- /usr/bin/python3 -c "$show" | sed 's/0x[0-9a-f]*//')" \
	"$(/usr/bin/python3 -c "$show" | sed 's/0x[0-9a-f]*//')"

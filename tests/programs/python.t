#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's python3 at ordinary work: json, re, threads, subprocesses, zlib."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SCRIPT = r'''
import collections, ctypes, hashlib, json, os, queue, re, subprocess, sys
import threading, zlib
data = {"k%d" % i: [i, str(i) * 5, {"x": i / 7}] for i in range(3000)}
text = json.dumps(data, sort_keys=True)
assert json.loads(text) == data
print(hashlib.sha256(text.encode()).hexdigest())
words = re.findall(r"k(\d+)", text)
print(len(words), collections.Counter(len(w) for w in words))
print(len(zlib.decompress(zlib.compress(text.encode() * 20))))
q, out = queue.Queue(), []
def work():
    while True:
        n = q.get()
        if n is None:
            return
        out.append(sum(len(str(i)) for i in range(n)))
threads = [threading.Thread(target=work) for _ in range(8)]
for t in threads: t.start()
for n in range(200): q.put(n * 10)
for t in threads: q.put(None)
for t in threads: t.join()
print(sorted(out)[-5:], len(out))
for i in range(3):
    p = subprocess.run([sys.executable, "-c", "print(sum(range(%d)))" % i],
                       capture_output=True, text=True, check=True)
    print(p.stdout.strip())
print(ctypes.CDLL(None).strlen(b"twelve chars"))
pid = os.fork()
if pid == 0:
    big = [bytes(100) * i for i in range(1000)]
    os._exit(len(big) % 256)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
with open("result.json", "w") as f: f.write(text)
print("last words", file=sys.stderr)
sys.exit(7)
'''


def setup(box):
    with open(os.path.join(box, "work.py"), "w") as f:
        f.write(SCRIPT)


proglib.plan(proglib.CHECKS)
proglib.same("python3", ["/usr/bin/python3", "work.py"], setup=setup, rc=7,
             env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
             dumps=5)

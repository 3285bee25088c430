#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's tar and xz with two threads, there and back, of a few megabytes."""
import os, random, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SCRIPT = r'''
set -e
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf a.tar data
xz -T2 --block-size=1MiB -3 -k a.tar
xz -t a.tar.xz
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -czf a.tgz data
mkdir back
tar -xJf a.tar.xz -C back
diff -r data back/data
tar -tzf a.tgz | tail -3
xz -dc a.tar.xz | sha256sum
xz -t a.tar 2>&1 || echo "status $?"
'''


def setup(box):
    rnd = random.Random(1)
    words = ["w%d" % i for i in range(2000)]
    for d in range(6):
        os.makedirs(os.path.join(box, "data", str(d)))
        for f in range(10):
            with open(os.path.join(box, "data", str(d), "f%d" % f), "w") as o:
                o.write(" ".join(rnd.choice(words) for _ in range(12000)))
    with open(os.path.join(box, "work.sh"), "w") as f:
        f.write(SCRIPT)


proglib.plan(proglib.CHECKS)
proglib.same("tar and xz", ["/bin/sh", "work.sh"], setup=setup, dumps=10)

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's git: init, add, commit, branch, merge, diff, log, gc, fsck."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SCRIPT = r'''
set -e
git init -q -b main .
git config user.name A; git config user.email a@example.org
git config pack.threads 2; git config gc.auto 0
for i in $(seq 1 60); do
	seq $i $((i * 20)) > f$i.txt
done
git add .
git commit -q -m one
git checkout -q -b side
seq 5 900 > f3.txt; git rm -q f4.txt; git commit -q -a -m two
git checkout -q main
seq 1 99 > f5.txt; git commit -q -a -m three
git merge -q -m merged side
git log --stat --format='%h %s %ad'
git diff HEAD~1 | sha256sum
git blame -s f3.txt | tail -3
git gc -q
git clone -q . copy
git clone -q --no-local --depth 2 "file://$PWD" shallow
git -C shallow log --format=%h | wc -l
git -C copy gc -q --prune=now
git fsck --no-progress
git count-objects -v | grep in-pack
git rev-list --objects --all | sort | sha256sum
git show no-such-thing 2>&1 || echo "status $?"
'''


def setup(box):
    with open(os.path.join(box, "work.sh"), "w") as f:
        f.write(SCRIPT)


date = "2020-02-02T02:02:02Z"
proglib.plan(proglib.CHECKS)
proglib.same("git", ["/bin/sh", "work.sh"], setup=setup, ignore=(".git",),
             env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date,
                  "GIT_CONFIG_NOSYSTEM": "1"}, dumps=20)

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The man pages are clean mdoc.
cd "$TOP" || exit 1
command -v mandoc >/dev/null || { echo "no mandoc"; exit 77; }
rc=0
for p in doc/man/*.[13]; do
	[ -s $p ] || { echo "$p: missing"; rc=1; continue; }
	mandoc -Tlint -W warning $p || rc=1
done
exit $rc

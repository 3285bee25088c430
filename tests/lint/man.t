#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The man pages are clean mdoc.
cd "$TOP" || exit 1
command -v mandoc >/dev/null || { echo "no mandoc"; exit 77; }
rc=0
for p in pmdb.1 libkmem.3 kmem_snapshot.3 rmalloc.3 kmalloc.3 umem_alloc.3 kmem_debug.3 \
	kmem_alloc.3 kmem_cache_create.3 vmem.3; do
	[ -s doc/man/$p ] || { echo "doc/man/$p: missing"; rc=1; }
done
for p in doc/man/*.[13]; do
	mandoc -Tlint -W warning $p || rc=1
done
exit $rc

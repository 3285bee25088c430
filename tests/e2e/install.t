#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# make install: the same tree twice, works from there, and uninstall leaves
# nothing behind.
set -u
n=0
t() { # name, command...
	local name=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		echo "$out" | tail -5 | sed 's/^/# /'
	fi
}
# a copy of what is built: other tests run the original meanwhile
mkdir build && cp -a "$B" build/ && B=$WORK/build/${B##*/}
mk() {
	make -s -C "$TOP" --no-print-directory BUILD="$WORK/build" \
		PREFIX=/usr "$@" > make.log 2>&1 || { tail -5 make.log; return 1; }
}
tree() { (cd "$1" && find . -printf '%y %m %p %l\n' | sort && find . -type f | sort | xargs sha256sum); }
same() { tree "$1" > a; tree "$2" > b; [ -s a ] && diff a b; }
has() { [ -e "$WORK/one/$1" ] || { echo "no $1"; return 1; }; }
run_it() {
	PATH=$WORK/one/usr/bin:$PATH pmdb run -o "$WORK/d.core" -- /bin/echo hello > out 2> err
	rc=$?
	[ $rc = 0 ] && [ "$(cat out)" = hello ] && [ ! -s err ] && [ -s d.core ] ||
		{ echo "status $rc"; cat out err; return 1; }
}
opens() { "$WORK/one/usr/bin/pmdb" -e '::status' d.core | grep -q core; }
checks() {
	"$WORK/one/usr/bin/pmdb" check d.core > out 2> err
	rc=$?
	[ $rc = 0 ] || [ $rc = 1 ] || { echo "status $rc"; cat out err; return 1; }
}
compiles() {
	cat > api.c <<-'EOF'
	#include <kmem.h>
	#include <stdio.h>
	int main(void)
	{
		kmem_cache_t *cp = kmem_cache_create("widget", 40, 8, NULL, NULL,
						     NULL, NULL, NULL, 0);
		void *p = cp ? kmem_cache_alloc(cp, KM_SLEEP) : NULL;
		if (!p)
			return 1;
		kmem_cache_free(cp, p);
		kmem_cache_destroy(cp);
		puts("fine");
		return 0;
	}
	EOF
	gcc -Wall -Werror -I"$WORK/one/usr/include" -L"$WORK/one/usr/lib" -o api api.c -lkmem &&
		[ "$(LD_LIBRARY_PATH=$WORK/one/usr/lib ./api)" = fine ]
}
gone() { find "$WORK/one" ! -type d | grep . && return 1; return 0; }

echo 1..16
t "install" mk DESTDIR="$WORK/one" install
t "install elsewhere" mk DESTDIR="$WORK/two" install
t "the two trees are the same" same one two
t "install over an installation" mk DESTDIR="$WORK/one" install
t "still the same" same one two
for f in usr/bin/pmdb usr/lib/libkmem.so.1 usr/lib/libkmem.so usr/include/kmem.h \
	usr/share/man/man1/pmdb.1 usr/share/man/man3/libkmem.3; do
	t "there is $f" has $f
done
t "run, from there" run_it
t "a dump opens, from there" opens
t "check, from there" checks
t "a program compiles and runs against it" compiles
mk DESTDIR="$WORK/one" uninstall
t "uninstall leaves no file" gone

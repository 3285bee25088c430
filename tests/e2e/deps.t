#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Set-up: nothing to do when all is there; a user who may not install is told
# the one command that would.
set -u
n=0
ok() { # condition's status, name, text when it failed
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2: $3"; fi
}
user=()
[ "$(id -u)" = 0 ] && user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
cp "$TOP/tests/deps" . # the checkout may be where only its owner may look
chmod 755 deps . && chmod 711 "$(dirname "$PWD")"
echo 1..4
out=$(./deps bash libc6 2>&1)
[ $? = 0 ] && [ -z "$out" ]
ok $? "what is there is not installed again" "$out"
out=$("${user[@]}" "$PWD/deps" bash pmdb-no-such-package pmdb-nor-this 2>&1)
[ $? = 1 ]
ok $? "a user who may not install: status 1" "$out"
[ "$out" = "pmdb: packages are missing; run: sudo apt-get install -y pmdb-no-such-package pmdb-nor-this" ]
ok $? "and the one command" "$out"
# each package the build file names is one that exists here
missing=$(make -s -C "$TOP" -f deps.mk -f - <<< 'p: ; @for x in $(DEPS_PACKAGES); do dpkg-query -W $$x >/dev/null 2>&1 || echo $$x; done')
[ -z "$missing" ]
ok $? "every package of deps.mk is installed" "$missing"

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Bad input: one line on stderr that says what and why, the right status, no
# crash, no hang.
set -u
n=0
rows=()
P=$B/pmdb
ok() { n=$((n + 1)); rows+=("ok $n - $1"); }
nok() { n=$((n + 1)); rows+=("not ok $n - $1"); sed 's/^/# /' <<< "$2"; }
# one NAME WANTED-STATUS PATTERN COMMAND...
one() {
	local name=$1 want=$2 pattern=$3 rc lines
	shift 3
	timeout -k 1 20 "$@" > out 2> err < /dev/null
	rc=$?
	lines=$(grep -c '' err)
	if [[ " $want " != *" $rc "* ]]; then
		nok "$name" "status $rc, not $want: $* : $(head -3 err)"
	elif [ "$lines" != 1 ]; then
		nok "$name" "$lines lines on stderr: $* : $(head -5 err)"
	elif ! grep -qE -e "^pmdb: " err || ! grep -qiE -e "$pattern" err; then
		nok "$name" "stderr is not like \"$pattern\": $(cat err)"
	else
		ok "$name"
	fi
}
both() { # NAME PATTERN FILE: as a dump for check and for the debugger
	one "check: $1" 3 "$2" "$P" check "$3"
	one "debugger: $1" 3 "$2" "$P" -e ::status "$3"
}

cat > prog.c <<'EOF'
#include <stdlib.h>
char *volatile keep;
int main(void)
{
	keep = malloc(100);
#ifdef OTHER
	keep[0] = 7;
#endif
	return 0;
}
EOF
gcc -g -O1 -o prog prog.c && gcc -g -O1 -DOTHER -o other prog.c &&
	gcc -static -o static prog.c || exit 1
"$P" run -o good.core -- ./prog || { echo "Bail out! no dump"; exit 1; }

# ---- what is no core --------------------------------------------------------
echo "hello, world, this is a text file of some length, which is no ELF file" > text
: > empty
mkdir dir
head -c 100000 /dev/urandom > noise
cp good.core unreadable && chmod 0 unreadable
both "a text file" 'text: .*not an ELF' text
both "noise" 'noise: .*not an ELF' noise
both "an empty file" 'empty: .*empty' empty
both "a directory" 'dir: .*directory' dir
both "a file that is not there" 'nothere: .*No such file' nothere
one "check: an executable" 3 'prog: .*(executable|not a core)' "$P" check ./prog
one "check: a library" 3 'libkmem.*: .*(not a core|shared|library)' "$P" check "$B/libkmem.so.1"
one "debugger: an object where the core should be" 3 'not a core' "$P" -e ::status ./prog ./prog
if [ "$(id -u)" = 0 ]; then
	chmod 755 . && chmod 711 "$(dirname "$PWD")"
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	if "${nobody[@]}" test -x "$P" 2>/dev/null; then
		one "check: no permission" 3 'unreadable: .*Permission' \
			"${nobody[@]}" "$P" check unreadable
		one "debugger: no permission" 3 'unreadable: .*Permission' \
			"${nobody[@]}" "$P" -e ::status unreadable
	else
		n=$((n + 1)); rows+=("ok $n - no permission # SKIP nobody cannot reach the build tree")
	fi
else
	one "check: no permission" 3 'unreadable: .*Permission' "$P" check unreadable
	one "debugger: no permission" 3 'unreadable: .*Permission' "$P" -e ::status unreadable
fi

# ---- cores that cannot be judged --------------------------------------------
cat > dies.c <<'EOF'
#include <stdlib.h>
int main(void) { char *p = malloc(10); p[0] = 1; abort(); }
EOF
gcc -g -o dies dies.c
gdb -q -batch -ex run -ex 'generate-core-file foreign.core' ./dies > gdb.log 2>&1
if [ -s foreign.core ]; then
	# a heap of glibc's malloc is judged as well; p is on the stack
	timeout 20 "$P" check foreign.core > out 2> err < /dev/null
	rc=$?
	if [ $rc = 0 ] && grep -q clean out; then
		ok "check: a core without libkmem"
	else
		nok "check: a core without libkmem" "status $rc: $(cat out err)"
	fi
	timeout 20 "$P" -e '::status' foreign.core > out 2> err < /dev/null
	rc=$?
	if [ $rc = 0 ] && grep -q core out; then
		ok "debugger: a core without libkmem opens"
	else
		nok "debugger: a core without libkmem opens" "status $rc: $(cat err)"
	fi
	one "debugger: a dcmd its heap has no answer for says so" "1 3" 'glibc heap' \
		"$P" -e '::kmem_slabs' foreign.core
else
	n=$((n + 1)); rows+=("ok $n - a core without libkmem # SKIP gdb wrote no core")
fi
# the executable: wrong build, missing
one "debugger: an executable of another build" 3 'other: .*(build|match)' \
	"$P" -e ::status ./other good.core
one "debugger: an executable that is not there" 3 'nothere: .*No such file' \
	"$P" -e ::status ./nothere good.core
one "debugger: a text file for an executable" 3 'text: not an .*ELF' \
	"$P" -e ::status ./text good.core
mv prog moved
one "check: the executable is gone" "0 1 3" 'prog' "$P" check good.core
cp other prog
one "check: the executable is of another build" "0 1 3" 'prog: .*(build|match)' "$P" check good.core
mv moved prog

# ---- truncated --------------------------------------------------------------
size=$(stat -c %s good.core)
mapfile -t cuts < <(python3 - "$size" <<'EOF'
import random, struct, sys
d = open("good.core", "rb").read()
size = int(sys.argv[1])
phoff, = struct.unpack_from("<Q", d, 32)
phnum, = struct.unpack_from("<H", d, 56)
cuts = {0, 1, 3, 4, 15, 16, 17, 32, 40, 56, 58, 63, 64, size - 1}
for i in range(phnum):
    at = phoff + i * 56
    t, _, off, _, _, fsz = struct.unpack_from("<IIQQQQ", d, at)
    cuts |= {at, at + 1, at + 55}
    cuts |= {off, off + 1, off + fsz - 1}
    if t == 4:
        p = off
        while p + 12 <= off + fsz:
            nsz, dsz, _ = struct.unpack_from("<III", d, p)
            cuts |= {p, p + 4, p + 12, p + 12 + nsz}
            p += 12 + (nsz + 3) // 4 * 4 + (dsz + 3) // 4 * 4
            cuts.add(p - 1)
random.seed(417)
cuts |= {random.randrange(size) for _ in range(60)}
cuts = sorted(c for c in cuts if 0 <= c < size)
if len(cuts) > 220:
    cuts = sorted(set(random.sample(cuts, 200) + cuts[:20]))
print("\n".join(map(str, cuts)))
EOF
)
bad=""
ncut=0
cp good.core cut.core
for ((i = ${#cuts[@]} - 1; i >= 0; i--)); do # downwards: truncate only shortens
	c=${cuts[i]}
	truncate -s "$c" cut.core
	ncut=$((ncut + 1))
	timeout -k 1 20 "$P" check cut.core > out 2> err < /dev/null
	rc=$?
	[ $rc = 3 ] && [ "$(grep -c '' err)" = 1 ] ||
		bad+="check, $c of $size bytes: status $rc, $(grep -c '' err) lines: $(head -2 err)"$'\n'
	timeout -k 1 20 "$P" -e '::status' cut.core > out 2> err < /dev/null
	rc=$?
	grep -q '^pmdb: cut.core: ' err ||
		bad+="debugger, $c of $size bytes: not a word on stderr"$'\n'
	[ $rc -le 3 ] || bad+="debugger, $c of $size bytes: status $rc: $(tail -1 err)"$'\n'
done
if [ -z "$bad" ] && [ $ncut -gt 50 ]; then
	ok "truncated at $ncut places: check has no verdict"
else
	nok "truncated at $ncut places: check has no verdict" "$(head -10 <<< "$bad")"
fi
# a truncated dump still answers what it can
truncate -s $((size - 1)) good.core
timeout 20 "$P" -e '::kmastat' good.core > out 2> err < /dev/null
if grep -q kmem_alloc out; then
	ok "a dump short of its last byte still shows its caches"
else
	nok "a dump short of its last byte still shows its caches" "$(cat err)"
fi

# ---- damaged ----------------------------------------------------------------
"$P" run -o good2.core -- ./prog
bad=""
for seed in $(seq 1 40); do
	python3 - "$seed" <<'EOF'
import random, struct, sys
random.seed(int(sys.argv[1]))
d = bytearray(open("good2.core", "rb").read())
phoff, = struct.unpack_from("<Q", d, 32)
phnum, = struct.unpack_from("<H", d, 56)
parts = []
for i in range(phnum):
    _, _, off, _, _, size = struct.unpack_from("<IIQQQQ", d, phoff + i * 56)
    if size:
        parts.append((off, size))
# headers; notes; what comes first in the file, the allocator's own memory
where = random.choice(((0, 64 + 56 * phnum), parts[0], parts[1],
                       random.choice(parts)))
for _ in range(random.choice((1, 5, 50, 500))):
    at = where[0] + random.randrange(where[1])
    if random.random() < .3 and at + 8 < len(d):
        struct.pack_into("<Q", d, at, random.choice(
            (0, 1, 2**64 - 1, 2**63, random.randrange(2**48))))
    else:
        d[at] = random.choice((0, 1, 0x7f, 0x80, 0xff, random.randrange(256)))
open("hurt.core", "wb").write(d)
EOF
	for what in "check hurt.core" "-e ::kmem_verify hurt.core" "-e ::findleaks hurt.core"; do
		# shellcheck disable=SC2086 # several words
		timeout -k 1 20 "$P" $what > out 2> err < /dev/null
		rc=$?
		[ $rc -le 3 ] || bad+="seed $seed, $what: status $rc: $(tail -1 err)"$'\n'
	done
done
[ -z "$bad" ] && ok "damaged at random: no crash, no hang" ||
	nok "damaged at random: no crash, no hang" "$(head -10 <<< "$bad")"

# ---- pmdb run ---------------------------------------------------------------
one "run: a program that does not exist" 127 'nosuch' "$P" run -- nosuch
one "run: a path that does not exist" 127 './nosuch: .*No such file' "$P" run -- ./nosuch
one "run: a file that is not executable" 126 'text: .*Permission' "$P" run -- ./text
one "run: a directory" 126 'dir: .*directory' "$P" run -- ./dir
one "run: a static program" 125 'static: .*static' "$P" run -- ./static
cp prog setuid && chmod 4755 setuid
one "run: a set-uid program" 125 'setuid: .*set-uid' "$P" run -- ./setuid
one "run --check: a static program" 125 'static: .*static' "$P" run --check -- ./static
timeout 20 "$P" run -o /nonexistent/dir/x.core -- ./prog > out 2> err
rc=$?
[ $rc = 0 ] && [ "$(grep -c '' err)" = 1 ] && grep -q 'No such file' err &&
	ok "run: the dump cannot be written: one line, status unharmed" ||
	nok "run: the dump cannot be written: one line, status unharmed" "status $rc: $(cat err)"

# ---- usage ------------------------------------------------------------------
for args in "run" "check" "check --format xml x" "--nosuch" "run --nosuch -- true"; do
	# shellcheck disable=SC2086 # several words
	timeout 20 "$P" $args > out 2> err < /dev/null
	rc=$?
	[ $rc = 2 ] && [ -s err ] && [ ! -s out ] && ok "usage: pmdb $args" ||
		nok "usage: pmdb $args" "status $rc: $(head -2 err)"
done
printf '%s\n' "${rows[@]}"
echo "1..$n"

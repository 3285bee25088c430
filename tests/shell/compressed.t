#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Compressed cores are opened by what they begin with, whatever their name; one
# that is cut short or damaged says so; nothing is left behind.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
make_core
mkdir unpacked
export TMPDIR=$PWD/unpacked
gzip -c core.prog > a
xz -1 -c core.prog > b
zstd -q -c core.prog > c
(gzip -c core.prog | head -c 20000) > cut.a
(xz -1 -c core.prog | head -c 20000) > cut.b
(zstd -q -c core.prog | head -c 20000) > cut.c
# as two members and as two frames
(head -c 1000000 core.prog | gzip -c; tail -c +1000001 core.prog | gzip -c) > two.a
(head -c 1000000 core.prog | xz -1 -c; tail -c +1000001 core.prog | xz -1 -c) > two.b
(head -c 1000000 core.prog | zstd -q -c; tail -c +1000001 core.prog | zstd -q -c) > two.c
plain=$("$PMDB" -e '::status;::mappings;shape::print' core.prog)
for f in a b c; do
	name=$(case $f in a) echo gzip ;; b) echo xz ;; c) echo zstd ;; esac)
	run -e '::status;::mappings;shape::print' $f
	is "$name: as the core itself" "0$plain" "$rc$out$err"
	run -e '::status;::mappings;shape::print' two.$f
	is "$name: in two parts" "0$plain" "$rc$out$err"
	run -e '1=X' cut.$f
	has "$name: cut short" "cut.$f: the dump is incomplete: the $name file is cut short after [0-9]+ bytes" "$err"
	head -c 12 $f > tiny
	run -e '1=X' tiny
	has "$name: nothing there" "$name-compressed, and there is nothing in it: the file is cut short" "$rc$err"
	(head -c 30000 $f; head -c 100 /dev/zero; tail -c +30101 $f) > bad
	run -e '1=X' bad
	has "$name: damaged" "incomplete: the $name file is damaged after|$name-compressed, and there is nothing" "$err"
	run -c $f -e answer/D prog
	has "$name: with the executable" '^answer: +42' "$out"
done
is 'nothing is left behind' '' "$(ls unpacked)"
(ulimit -f 500 && "$PMDB" -e 1=X a) >/dev/null 2>err
is 'no room: status' 3 $?
has 'no room: why, and what to do' 'a: compressed, and cannot be unpacked in .*unpacked: .* after [0-9]+ bytes \(set TMPDIR' "$(cat err)"
TMPDIR=/nosuch run -e 1=X a
has 'no directory' 'no file to unpack it can be made in /nosuch' "$err"
head -c 200000000 /dev/zero | zstd -q -c > bomb
run -e 1=X bomb
has 'zeros cost no disk, and are no core' 'bomb: not an ELF file' "$err"
head -c 3000 /dev/urandom | gzip -c > noise
run -e 1=X noise
has 'something else, compressed' 'noise: not an ELF file' "$err"
cp core.prog plain.gz
run -e answer/D plain.gz
has 'a name says nothing' '^answer: +42' "$out"
echo "1..$n"

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Each gate of tests/lint turns red, and says on what, when the fault it is for
# is planted in a scratch copy of the tree.
n=0
rows=()
S=$WORK/tree
fresh() {
	rm -rf "$S" "$WORK/b"
	mkdir -p "$S"
	(cd "$TOP" && tar cf - --exclude=./build --exclude=./.git --exclude=./fixtures/cores .) |
		tar xf - -C "$S"
	FB=$B
}
# plant NAME GATE MESSAGE COMMAND: the command runs in the fresh copy
plant() {
	fresh
	(cd "$S" && eval "$4") || { rows+=("not ok - $1: could not plant"); return; }
	[ -d "$WORK/b" ] && FB=$WORK/b
	mkdir -p "$WORK/w"
	out=$(cd "$WORK/w" && TOP=$S B=$FB WORK=$WORK/w "$S/tests/lint/$2.t" 2>&1)
	rc=$?
	n=$((n + 1))
	if [ $rc = 77 ]; then
		rows+=("ok - $1 # SKIP ${out##*$'\n'}")
	elif [ $rc != 0 ] && grep -qE -e "$3" <<< "$out"; then
		rows+=("ok - $1")
	else
		rows+=("not ok - $1: status $rc, no line like \"$3\"")
		tail -5 <<< "$out" | sed 's/^/# /'
	fi
}
# shellcheck disable=SC2034 # used by what plant evaluates
# the gate of scripts looks at every script: leave it few
few='find tests -name "*.t" ! -path "*/lint/*" -delete; rm -rf tests/truth tests/programs'
# shellcheck disable=SC2034 # used by what plant evaluates
MIT='/* SPDX-License-Identifier: MIT */'
# shellcheck disable=SC2034
GPL='/* SPDX-License-Identifier: GPL-3.0-or-later */'

plant "an upward include" floors 'src/base/err\.c:[0-9]+: folder base may not include heap/heap\.h' \
	'echo "#include \"heap/heap.h\"" >> src/base/err.c'
plant "the debugger includes the allocator" floors 'folder heap may not include kmem/' \
	'echo "#include \"kmem/kmem_impl.h\"" >> src/heap/heap.c'
plant "a dcmd goes round its header" floors 'folder dcmds may not include shell/' \
	'echo "#include \"shell/session.h\"" >> dcmds/registry.c'
plant "libelf above its floor" floors '<gelf.h> does not belong' \
	'echo "#include <gelf.h>" >> src/heap/heap.c'
plant "an include that climbs" floors 'climbs out' \
	'echo "#include \"../heap/heap.h\"" >> src/base/err.c'
plant "a folder nobody listed" floors 'is not in src/FLOORS' \
	'mkdir src/attic && echo "$GPL" > src/attic/x.c'
plant "a header that does not compile alone" headers 'src/base/lame.h: does not compile alone' \
	'printf "%s\n#ifndef LAME_H\n#define LAME_H\nstruct err *f(size_t n);\n#endif\n" "$GPL" > src/base/lame.h'
plant "a header without a guard" headers 'src/base/lame.h: no #ifndef' \
	'echo "$GPL" > src/base/lame.h'
plant "no licence line" spdx 'src/base/err\.c: licence is ""' \
	'sed -i /SPDX/d src/base/err.c'
plant "the wrong licence" spdx 'src/kmem/kmem\.h: licence is "GPL-3.0-or-later", should be "MIT"' \
	'sed -i "1s|MIT|GPL-3.0-or-later|" src/kmem/kmem.h'
plant "a prototype without docstring" docstrings 'src/base/bare.h:4: bare_thing has no docstring' \
	'printf "%s\n#ifndef BARE_H\n#define BARE_H\nint bare_thing(int x);\n#endif\n" "$GPL" > src/base/bare.h'
plant "a function without docstring" docstrings 'src/base/bare.c:3: bare_thing has no docstring' \
	'printf "%s\n/* no docstring, this */\nint bare_thing(int x)\n{\n\treturn x;\n}\n" "$GPL" > src/base/bare.c'
plant "a file too long" sizes 'src/base/long.c: 1[0-9]+ lines, more than 1500' \
	'{ echo "$GPL"; yes "" | head -1600; } > src/base/long.c'
plant "a function too long" sizes 'src/base/long.c:2: endless has' \
	'{ echo "$GPL"; echo "int endless(int x)"; echo "{"; yes "	x++;" | head -120; echo "	return x;"; echo "}"; } > src/base/long.c'
plant "strcpy" banned 'strcpy\(\) is banned' \
	'printf "%s\nvoid f(char *a)\n{\n\tstrcpy(a, a);\n}\n" "$GPL" > src/heap/b.c'
plant "malloc above base" banned 'malloc\(\) is banned' \
	'printf "%s\nvoid *f(void)\n{\n\treturn malloc(1);\n}\n" "$GPL" > src/heap/b.c'
plant "printf in the target" banned 'printf\(\) is banned' \
	'printf "%s\nvoid f(void)\n{\n\tprintf(\"x\");\n}\n" "$MIT" > src/kmem/b.c'
plant "a // comment" banned 'src/heap/b.c:2: a // comment' \
	'printf "%s\n// x\n" "$GPL" > src/heap/b.c'
plant "an export the map does not name" exports 'libkmem.so.1: exports kmem_reap' \
	'sed -i "s/kmem_reap;//" src/kmem/libkmem.map'
plant "a name nobody exports" exports 'does not export kmem_nothing' \
	'sed -i "s/kmem_reap;/kmem_reap; kmem_nothing;/" src/kmem/libkmem.map'
plant "an import nobody allowed" exports 'libkmem.so.1: imports ' \
	'sed -i "/^[a-z]/d" tests/lint/imports'
plant "mutable data in pmdb" data 'planted_counter is mutable data' \
	'mkdir -p "$WORK/b/src" && cp "$B"/lib*.a "$WORK/b" &&
	cp -r "$B/src/pmdb" "$WORK/b/src" && cp -r "$B/dcmds" "$WORK/b" &&
	echo "int planted_counter;" | gcc -x c -c -o "$WORK/p.o" - && ar r "$WORK/b/libbase.a" "$WORK/p.o"'
plant "calloc that calls itself" calloc 'calloc: calls calloc' \
	'mkdir -p "$WORK/b" && printf "#include <stdlib.h>\n#include <string.h>\nvoid *calloc(size_t n, size_t s)\n{\n\tvoid *p = malloc(n * s);\n\tif (p) memset(p, 0, n * s);\n\treturn p;\n}\n" |
	gcc -O2 -fPIC -shared -x c -o "$WORK/b/libkmem_preload.so" -'
# a library of a hundred pushes, one loop over patterns and one body
# shellcheck disable=SC2329 # used by what plant evaluates
vectored() {
	mkdir -p "$WORK/b"
	{
		printf '.text\nkmem_turns_fill:\n%b\n' "$1"
		yes 'movq %rax, (%rsp)' | head -101
		printf '.globl other\nother:\n%b\tret\n' "${2-}"
	} | gcc -shared -nostdlib -x assembler -o "$WORK/b/libkmem.so.1" - &&
		cp "$WORK/b/libkmem.so.1" "$WORK/b/libkmem_preload.so"
}
plant "a vector register outside the loops" vectors 'other|movdqu' \
	'vectored "\tret" "\tmovdqu (%rsi), %xmm1\n\tpxor %xmm1, %xmm1\n"'
plant "upper halves left in a loop" vectors 'leaves the upper half of %ymm1' \
	'vectored "\tvpxor %ymm1, %ymm1, %ymm1\n\tret"'
plant "a loop that leaves a register" vectors 'ret .*leaves %xmm5' \
	'vectored "\tmovq %rcx, %xmm5\n\tmovq %rdi, %xmm0\n\tpxor %xmm0, %xmm0\n\tret"'
plant "a loop that leaves a register on one way" vectors 'ret .*leaves %xmm0' \
	'vectored "\tmovq %rdi, %xmm0\n\tjz 1f\n\tret\n1:\tpxor %xmm0, %xmm0\n\tret"'
plant "no loop over patterns" vectors 'no loop over patterns' \
	'vectored "" && for f in "$WORK/b"/*; do objcopy --redefine-sym kmem_turns_fill=x "$f"; strip -N kmem_turns_fill "$f"; done'
plant "a page without a dcmd" dcmds 'doc/dcmds/nosuch.md: there is no such dcmd' \
	'echo x > doc/dcmds/nosuch.md'
plant "a dcmd without a page" dcmds 'findleaks: no page' \
	'rm -f doc/dcmds/findleaks.md'
plant "a page with another usage" dcmds 'findleaks.md: does not quote' \
	'sed -i "s/^\[ addr \] ::findleaks/[ addr ] ::findlekas/" doc/dcmds/findleaks.md'
plant "a page without an example" dcmds 'findleaks.md: has no example' \
	'sed -i "/^> /d" doc/dcmds/findleaks.md'
plant "a shell script with a fault" scripts 'SC2154|SC2086' \
	'eval "$few"; printf "#!/bin/sh\n# SPDX-License-Identifier: GPL-3.0-or-later\nrm \$nowhere\n" > tests/bad'
plant "a misspelled word" scripts 'rec[i]eve ==>' \
	'eval "$few"; printf "rec%s\n" ieve >> README.md'
plant "a broken python script" scripts 'SyntaxError' \
	'eval "$few"; printf "#!/usr/bin/python3\ndef (:\n" > tests/bad'
plant "a file not laid out" fmt 'src/base/ugly.c: places not laid out' \
	'printf "%s\nint   f( int x ){return x;}\n" "$GPL" > src/base/ugly.c'
plant "a man page with a fault" man 'WARNING|ERROR' \
	'echo ".Xx nonsense" >> doc/man/pmdb.1'
plant "no man page" man 'libkmem.3: missing' \
	'rm -f doc/man/libkmem.3'
plant "a link that leads nowhere" docs 'README.md:[0-9]+: link to doc/nowhere.md' \
	'echo "[x](doc/nowhere.md)" >> README.md'
plant "a document that names a file that is gone" docs 'README.md:[0-9]+: there is no src/base/gone.c' \
	'echo "see src/base/gone.c" >> README.md'
plant "a document that names a target that is gone" docs 'there is no target frobnicate' \
	'echo "\`make frobnicate\`" >> README.md'

# a member of the contract is renamed: the library does not compile
fresh
sed -i 's/\bbc_lastlog\b/bc_previous/' "$S/src/kmem/kmem_impl.h"
out=$(cd "$S" && gcc -std=gnu11 -Isrc -Isrc/kmem -fsyntax-only src/kmem/kmem_abi.c 2>&1)
if [ $? != 0 ] && grep -q bc_lastlog <<< "$out"; then
	rows+=("ok - a renamed contract member does not compile")
else
	rows+=("not ok - a renamed contract member compiles")
fi
printf '%s\n' "${rows[@]}"
echo "1..${#rows[@]}"

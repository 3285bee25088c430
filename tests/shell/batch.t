#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Operands, options, standard input, statuses, what is where.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
make_core

# ARGS... WANT-STATUS is in $s, the one line of stderr matches $e
s=0 e=''
usage() {
	local name=$1
	shift
	run "$@"
	is "$name: status" "$s" "$rc"
	has "$name: one line that says so" "$e" "$err"
	is "$name: one line" 1 "$(printf '%s\n' "$err" | wc -l)"
	is "$name: nothing on stdout" '' "$out"
}
for args in "core.prog" "prog core.prog" "core.prog prog" "prog -c core.prog" \
	"-c core.prog" "--core core.prog prog"; do
	# shellcheck disable=SC2086 # words on purpose
	run -e 'answer/D' $args
	is "operands: $args" "answer:
answer:         42              0" "$out$rc"
done
s=2
e='pmdb: too many operands' usage 'three operands' prog core.prog x
e='pmdb: two core files' usage 'two cores' core.prog core.prog
e='pmdb: unknown option -Z' usage 'an unknown option' -Z core.prog
e='pmdb: unknown option --nosuch' usage 'a long one' --nosuch core.prog
e='pmdb: option -e needs an argument' usage 'a missing argument' core.prog -e
s=3
e='pmdb: nosuch: No such file' usage 'no such file' nosuch
e='pmdb: .*: a directory' usage 'a directory' .
e='pmdb: prog: an executable, not a core' usage 'an executable as the core' -c prog
: > empty
e='pmdb: empty: ' usage 'an empty file' empty
cp /bin/true other
e='not the program of this core' usage 'the wrong program' other core.prog
e='pmdb: nosuch: ' usage 'no such program' nosuch core.prog

# ---- nothing to examine: the language is there
out=$(printf '1+1=X\n*0=X\n' | "$PMDB" -S 2>err)
is 'no operand: arithmetic' '                2               ' "$out"
is 'no operand: there is no memory' \
	'pmdb: failed to read from address 0x0: no mapping for address' "$(cat err)"

# ---- standard input
script() { # TEXT
	out=$("$PMDB" core.prog 2>err <<< "$1")
	rc=$?
	err=$(cat err)
}
script '1=X
::nosuch
2=X'
is 'a script goes on after an error' '                1               
                2               0' "$out$rc"
is 'the error is on stderr' "pmdb: invalid command '::nosuch': unknown dcmd name" "$err"
script '

1 )
::echo ok'
is 'a syntax error names its line' 'pmdb: syntax error on line 3 of (stdin) near ")"' "$err"
is 'the rest is run' 'ok 0' "$out$rc"
script '::echo a
quit
::echo b'
is 'quit ends' 'a 0' "$out$rc"
script '::echo a
$q
::echo b'
is '$q ends' 'a 0' "$out$rc"
script '::walk thread ! wc -l
! cat
for the child'
is 'a child may read the rest' '2
for the child' "$out"
out=$(printf '::echo no newline' | "$PMDB" core.prog)
is 'a last line without newline' 'no newline ' "$out"
script '1::echo x
2
3'
is 'an address alone repeats the last pipeline' 'x 
x 
x ' "$out"
script 'text/c
+/c
+/c'
is 'dot and increment' "text:
text:           b
text+1:         u
text+2:         f" "$out"
script '! kill -9 $$
::echo alive'
is 'a shell command that dies' 'alive 0' "$out$rc"

# ---- output that cannot be written, or is not wanted
"$PMDB" -e '::nm' core.prog >/dev/full 2>err
is 'a full disk: status' 3 $?
has 'a full disk: message' 'pmdb: cannot write the output: No space left' "$(cat err)"
"$PMDB" -e '::nm' core.prog 2>err | head -1 >/dev/null
is 'a reader that goes away: no complaint' '' "$(cat err)"
is 'a reader that goes away: status' 0 "${PIPESTATUS[0]}"
run -e '::nm ! head -1;::echo after' core.prog
has 'a shell filter that stops early' '^after $' "$out"
is 'is no error' 0 "$rc$err"
SHELL=/nosuch run -e '! true' core.prog
is 'no shell' 'pmdb: cannot access /nosuch1' "$err$rc"

# ---- nothing of the dump's directory is used
mkdir hostile
cp core.prog hostile/
for f in .pmdbrc .mdbrc pmdbrc .gdbinit .inputrc; do
	echo '! touch pwned' > hostile/$f
done
(cd hostile && "$PMDB" -e '::status' core.prog >/dev/null)
[ ! -e hostile/pwned ]
tap 'no start-up file of the current directory is read' $?
echo "1..$n"

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Macro files, aliases, the start-up file, the log; variables and what tells
# about them.  No target is needed.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
export HOME=$PWD/home
unset XDG_CONFIG_HOME
mkdir -p home macros other

prints() { # COMMAND WANT: the exact output
	run -S -I "$PWD/macros:$PWD/other" -e "$1"
	is "output of $1" "$2" "$out$err"
}
fails() { # COMMAND WANT: one line on stderr, status 1
	run -S -I "$PWD/macros:$PWD/other" -e "$1"
	is "error of $1" "1 pmdb: $2" "$rc $err"
}

# ---- $< and $<<
cat > macros/one <<'END1'
// a comment
.=X     // and another
::echo one
END1
echo '::echo first; $<<two; ::echo back' > macros/nest
echo '::echo two' > other/two
echo '::echo a; $<two; ::echo not reached' > macros/chain
echo '::echo count $[<9]; $<' > macros/count
echo '.=X; .-1>n; <n,<n$<loop' > macros/loop
echo '::echo a; 0,0$<; ::echo b; 0,1$<; ::echo c' > macros/leave
printf '::echo x\n1 )\n::echo y' > macros/bad
echo '$<<self' > macros/self
echo '.+1=X; $<two' > macros/each
printf 'a\0b' > macros/binary
prints '5$<one' '                5               
one '
prints '$<nest' 'first 
two 
back '
prints '$<chain' 'a 
two '
prints '$<chain;::echo after' 'a 
two 
after '
prints '7,3$<count' 'count 3 '
prints '3$<loop' '                3               
                2               
                1               '
echo '.-1>n; <n,#(#<n)$<long' > macros/long
prints '0t5000$<long;<n=D' '                0               '
prints '$<leave' 'a 
b '
prints '1$<<one;::echo on' '                1               
one 
on '
run -S -I "$PWD/macros" -e '$<bad'
is 'a bad line names its file, and the rest is run' "x 
y pmdb: syntax error on line 2 of $PWD/macros/bad near \")\"" "$out$err"
fails '$<self' 'commands are nested too deeply'
fails '$<nosuch' "nosuch: no macro file, alias or type of this name (see ::help '\$<')"
fails '$<./nosuch' './nosuch: No such file or directory'
fails '$<binary' "$PWD/macros/binary: not a text file"
fails '$<' 'there is no macro to leave
Usage: [ addr ] $< [macro]'
fails '$<a b' 'only one macro may be named
Usage: [ addr ] $< [macro]'
fails '$<one | ::map .' 'a macro cannot feed a pipeline'
prints "! 'seq 1 2' | \$<each" '                2               
two 
                3               
two '
prints '$<'"$PWD/other/two" 'two '
mkfifo macros/fifo
fails '$<fifo' "$PWD/macros/fifo: not a regular file"
run -S -e '$M'
has '$M lists the aliases' '^bufctl_audit +- ::bufctl -v$' "$out"
run -S -e '1234$<bufctl_audit'
is 'an alias is a command' "$("$PMDB" -S -e '1234::bufctl -v' 2>&1)" "$err"
gcc -g -o prog "$TOP/tests/shell/prog.c" -pthread || exit 1
run -S -e 'shape$<shape ! head -2' prog
is 'a type that is no macro is printed' '{
    next = second' "$out"
run -S -e 'shape+0t50$<inner' prog
has 'also as NAME_t or a struct' '^    x = ' "$out"

# ---- the start-up file
echo '::echo from home' > home/.pmdbrc
run -e '::echo cmd'
is 'the start-up file runs first' 'from home 
cmd ' "$out"
run -S -e '::echo cmd'
is '-S: it does not' 'cmd ' "$out"
is 'with a script, too' 'from home 
cmd ' "$(echo '::echo cmd' | "$PMDB")"
printf '5>five\n::nosuch\n::set -P abc\n' > home/.pmdbrc
run -e '<five=X'
is 'what it sets stays; its errors end nothing' \
	"0 5 pmdb: invalid command '::nosuch': unknown dcmd name" "$rc $(echo $out) $err"
mkdir -p home/.config/pmdb xdg/pmdb
rm home/.pmdbrc
echo '::echo config' > home/.config/pmdb/pmdbrc
echo '::echo xdg' > xdg/pmdb/pmdbrc
run -e '::echo cmd'
is 'below .config' 'config 
cmd ' "$out"
XDG_CONFIG_HOME=$PWD/xdg run -e '::echo cmd'
is 'XDG_CONFIG_HOME' 'xdg 
cmd ' "$out"
HOME='' run -e '::echo cmd'
is 'no HOME' 'cmd ' "$out"
HOME=home run -e '::echo cmd'
is 'a HOME that is no absolute path' 'cmd ' "$out"
rm -r home/.config

# ---- the log
printf '::log session\n1=X\n::nosuch\n::log\n$>\n2=X\n' | "$PMDB" >/dev/null 2>&1
is 'the log has what was typed, printed, and wrong' "> 1=X
                1               
> ::nosuch
pmdb: invalid command '::nosuch': unknown dcmd name
> ::log
logging to session
> \$>" "$(cat session)"
is 'it is nobody else'"'"'s' 600 "$(stat -c %a session)"
run -S -e '$>session; ::echo more; ::log -d; ::echo no'
is 'a log is appended to' 'more ' "$(tail -1 session)"
fails '::log /nosuch/x' '/nosuch/x: No such file or directory'

# ---- variables
prints '5>a;6>b;::vars -n ! grep -E "^(a|b|x)"' 'a = 5
b = 6'
prints '::typeset -t t1 t2; 7>t1; ::vars -t' 't1 = 7
t2 = 0'
prints '::typeset -t t1 t2; ::typeset +t t1; ::vars -t' 't2 = 0'
prints '0xff>v1; ::vars -p ! grep v1' '0xff>v1'
prints '10>x; ::unset x; ::vars ! grep -c "^x "' 0
fails '::unset 0' "variable '0' is persistent: it cannot be unset"
fails '::unset nope' "variable 'nope' is not defined"
prints '::typeset ! grep "^9 "' '9 persistent'
prints '0t10$d;0x10>x;::vars ! grep ^x' 'radix = 10 base ten
x = 16'
prints '4=D;<0=X' '                4               
                4               '
fails '5>a=b' 'syntax error on line 1 of (-e) near "="'
fails '5>"a' "'\"' may not be used in a variable name on line 1 of (-e) near \"\"\""
fails '5>/q/a' 'q is not a valid // modifier on line 1 of (-e) near "/"'
prints '$s' 'symbol matching distance = 0 (smart mode)'
prints '0t20$s' 'symbol matching distance = 20 (absolute mode)'
prints '0t100$w' 'output page width = 100'
echo '10
20 // a comment
::nosuch' > addrs
head -2 addrs > good
prints '::cat good | ::map .+1' '0x11
0x21'
fails '::cat addrs | ::map .' 'syntax error: the pipe holds text that is no expression'
fails '::cat nosuch' 'nosuch: No such file or directory'
fails '1::write -l 3 5' 'the length is 1, 2, 4 or 8
Usage: [ addr ] ::write [-l length] [-o] [-p] value'
fails '1::write -op 5' '-o and -p are incompatible
Usage: [ addr ] ::write [-l length] [-o] [-p] value'
fails '10::write 5' 'failed to write 0x5 at address 0x10: target is not open for writing'
fails '$W' 'the target is a core file: it cannot be opened for writing'

# ---- statements of a script
script() { # TEXT WANT: output and errors together
	out=$(printf '%s' "$1" | "$PMDB" -S 2>&1)
	is "script: $(tr '\n' '~' <<< "$1")" "$2" "$out"
}
script '1=X
5
,2
' '                1               
                5               
                5               5               '
script '1 );2=X
3=X
' 'pmdb: syntax error on line 1 of (stdin) near ")"
                2               
                3               '
script "::echo 'a;::echo b
::echo c
" "pmdb: syntax error: ' unmatched on line 1 of (stdin) near \"'\"
c "
script '::set -o repeatlast
1=X

' '                1               
                1               '
script '5,0=X
.=X
' '                5               '
script '1=X \
2=X
' 'pmdb: syntax error on line 1 of (stdin) near "\"
                2               '
fails '::echo $[1 // no]' 'syntax error on line 1 of (-e) near "/"'
prints '::echo a //b' 'a '
prints '1=X//c' '                1               '
fails '1=//c' "expected one or more format characters following '='"
prints "::echo 1 | ::eval '.=X' ! 'tr 1 2'" '                2               '
fails "::echo 1 ! 'cat' ! ::map ." 'syntax error on line 1 of (-e) near "!"'
prints "! \"echo \\'a;b\\' '\\\$HOME' | cut -c1-4\"" 'a;b '
prints "! 'printf \"10\\n20\\n\"' | ::grep '.==20' | ::map .*2" '0x40'
prints "!< 'echo 1=X; echo 2=X'" '                1               
                2               '
prints "::echo 5 !< 'sed s/\$/=X/'" '                5               '
run -S -e "::nosuch !< 'echo ::echo never'"
is 'what a failed pipeline fed is not run' '' "$out"
echo "1..$n"

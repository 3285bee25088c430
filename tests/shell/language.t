#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The language without a target: expressions, literals, formats, quoting,
# pipelines, errors.  One run of pmdb a case, from -e.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"

# EXPR WANT: the value, printed by =E without its blanks
value() {
	run -e "$1=E"
	is "value of $1" "$2" "$(echo $out)$err"
}
# COMMAND WANT: the exact output
prints() {
	run -e "$1"
	is "output of $1" "$2" "$out$err"
}
# COMMAND WANT: one line on stderr, status 1, nothing on stdout
fails() {
	run -e "$1"
	is "error of $1" "1 pmdb: $2" "$rc $err"
}

# ---- precedence, tightest first: every neighbouring pair
value '-1%%7' 1 # of 2^64 - 1: unsigned
value '2*7%%4' 6
value '8%2*3' 12
value '13#8' 24
value '10#8+1' 17
value '1+5#4' 9
value '2+3*4' 14
value '(2+3)*4' 20
value '1<<4+1' 32
value '10-4-2' 10
value '100>>4>>1' 8
value '1==1<<1' 0
value '2==1<<1' 1
value '3&1==1' 1
value '6^3&1' 7
value '1|6^6' 1
value '5&3^1|8' 8
value '1!=2' 1
value '#0' 1
value '#5' 0
value '~0' 18446744073709551615
value '-1' 18446744073709551615
value '- -1' 1
value '-8%2' 18446744073709551612
value '0i100%0i11' 1

# ---- literals
value '0i1010' 10
value '0I11' 3
value '0o17' 15
value '0O7' 7
value '0t100' 100
value '0T9' 9
value '0xff' 255
value '0XFF' 255
value 'ff' 255
value '0xdead_beef' 3735928559
value '1_0' 16
value '1_' 1
value "'a'" 97
value "'abcd'" 1633837924
value "''" 0
value "'\\n'" 10
value "'\\101'" 65
value "'\\''" 39
value '.' 0
prints '0t1.5=F' '                1.5'
prints '0t10$d; 10=E' 'radix = 10 base ten
                10                   '
fails '0i12=E' 'digit '\''2'\'' is invalid in current base on line 1 of (-e) near "0i12"'
fails '0x_1=E' 'digit '\''_'\'' is invalid in current base on line 1 of (-e) near "0x_1"'
fails '0i_=E' 'digit '\''_'\'' is invalid in current base on line 1 of (-e) near "0i_"'
fails '10000000000000000=E' 'specified value exceeds maximum immediate value on line 1 of (-e) near "10000000000000000"'
fails "'123456789'=E" 'character constant may not exceed 8 bytes on line 1 of (-e) near "'\''"'
fails 'zoo=E' "failed to dereference symbol 'zoo': unknown symbol name"
fails '1%0=E' 'attempted to divide by zero'
fails '1%%0=E' 'attempted to divide by zero'
fails '1#0=E' 'attempted to divide by zero'
fails '8000000000000000%-1=E' 'divide overflow'
fails '*/z/0=E' 'invalid cast -- */z/ on line 1 of (-e) near "/"'

# ---- variables
value '5>a;<a+1' 6
value '12345>/c/b;<b' 69
value '12345>/s/b;<b' 9029
value '123456789>/i/b;<b' 591751049
fails '<nope=E' "variable 'nope' is not defined"
fails '5>rax' "variable 'rax' is read-only: the target is a core file"
fails '5>a234567890123456789012345678901' 'variable names may not exceed 30 characters on line 1 of (-e) near "a234567890123456789012345678901"'
prints '7=X;<0=X' '                7               
                7               '

# ---- formats: field widths
w() { # FORMAT VALUE WANT: columns from 16 on, "|" at the end
	run -e "$2=$1"
	is "$2=$1" "                $3|" "$out|"
}
w B ff 'ff      '
w V ff '255     '
w v ff '-1      '
w b ff '0377    '
w x ffff 'ffff    '
w d ffff '-1      '
w u ffff '65535   '
w o ffff '0177777 '
w q ffff '-01     '
w X ffffffff 'ffffffff        '
w D ffffffff '-1              '
w U ffffffff '4294967295      '
w O ffffffff '037777777777    '
w Q ffffffff '-01             '
w K 800 '800             '
w J 7fffffffffffffff '7fffffffffffffff '
w J ffffffffffffffff 'ffffffffffffffff '
w E ffffffffffffffff '18446744073709551615 '
w e ffffffffffffffff '-1                   '
w G ffffffffffffffff '1777777777777777777777 '
w g ffffffffffffffff '-1                      '
w H 12345678 '78563412        '
w h 1234 '3412    '
w w ff 'ff      '
w W ff 'ff              '
w P 10 '0x10               '
w p 0 '0                  '
w c 41 'A'
w C 9 '\t'
w C 1 '\001'
w s 6f6c6c6568 'hello'
w R 5 '101                                                             '
w R 8000000000000000 '1000000000000000000000000000000000000000000000000000000000000000 '
w Y 0 "$(date -d @0 '+%Y %b %e %H:%M:%S')    "
w j 0 '0'
prints '5=j' '                101
                | |
                | +-- bit 0 mask 0x1
                +---- bit 2 mask 0x4'
prints '0t2 << 0t10=K' '                800             '
prints '0t20*0t251+1=KX' '                139d            139d            '
prints '1="a"X"b"' '                a1               b'
prints '1=XnX' '                1               
                1               '
prints '1=3X' '                1               1               1               '
prints '1=$[1+1]X' '                1               1               '
prints '1=5X' '                1               1               1               1               
                1               '
prints '1=4E' '                1                    1                    1                    
                1                    '
fails '5=' "expected one or more format characters following '='"
fails '5=k' "invalid format character 'k'"

# ---- commands and comments
prints '1=X;2=X' '                1               
                2               '
prints '1=X // a comment; 2=X' '                1               '
prints '// nothing' ''
prints ';;;' ''
prints '5;.=X' '                5               '
prints '1,3::echo hi' 'hi 
hi 
hi '
prints '1,0::echo hi' ''
prints '::echo a//b' 'a//b '
fails '1=X)' 'syntax error on line 1 of (-e) near ")"'
run -e '1=X;2)'
is 'what stands before a syntax error is done' '                1               ' "$out"
is 'and the error is in the status' 1 "$rc"
run -e '::nosuch;::echo on'
is 'a failed command does not end the rest' 'on ' "$out"
is 'but fails -e' 1 "$rc"
run -e '1=X' -e '2=X'
is '-e may be repeated' '                1               
                2               0' "$out$rc"

# ---- quoting
prints "::echo a 'b c' \"d\\te\" f'g h'i" 'a b c d	e fg hi '
prints '::echo "\x\$\101\"" $[1+0t10]' '\x\$A" b '
fails "::echo 'a" "syntax error: ' unmatched on line 1 of (-e) near \"'\""
fails '::echo "a' 'syntax error: " unmatched on line 1 of (-e) near """'
fails '::echo $[1' 'syntax error: $[ unmatched on line 1 of (-e) near "$"'
fails '::echo $[' 'syntax error: $[ unmatched on line 1 of (-e) near "$"'
fails '::echo $x' 'syntax error on line 1 of (-e) near "$"'

# ---- pipelines
prints '::echo 5 | ::eval .=X' '                5               '
prints "! 'echo 1; echo 2' | ::map .*2 | ::eval .=X" '                2               
                4               '
prints "! 'seq 1 9' | ::grep '.>>1==2'" '4
5'
prints "! 'seq 1 30' | ::head -3" '1
2
3'
prints "! 'seq 1 30' | ::head ! wc -l" '10'
prints "! 'seq 1 3' | >x | ::echo" ''
prints "! 'seq 4 6' | >x;<x=X" '                6               '
prints "! 'seq 1 3' | ::map .*10" '0x10
0x20
0x30'
prints "0t10\$d; ! 'seq 8 11' | ::map .+1" 'radix = 10 base ten
9
0t10
0t11
0t12'
prints "8\$d; ! 'seq 6 7' | ::map .+1" 'radix = 8 base ten
7
0o10'
prints "! 'true' | ::echo never" ''
prints "! 'seq 1 3' | ::map .+1 ! 'tail -1'" 4
prints '!< echo "1=X"' '                1               '
prints '::echo 1 !< sed s/$/=X/' '                1               '
prints '::echo one; ! echo two
::echo three' 'one 
two
three '
fails '::echo 5 6 | ::echo' 'syntax error: the pipe holds text that is no expression, near "6"'
fails "! 'seq 2' | ::walk thread" "failed to perform walk 'thread': walker does not accept starting address"
fails "::walk kmem_hash" "failed to perform walk 'kmem_hash': walker requires starting address"
fails "::walk nosuch" "failed to perform walk 'nosuch': unknown walk name"
fails '::echo 1 | ::nosuch' "invalid command '::nosuch': unknown dcmd name"
fails '::stauts' "invalid command '::stauts': unknown dcmd name (did you mean ::status?)"
fails '$l x' '$l takes no arguments
Usage: $l'
fails '1$l' '$l takes no address
Usage: $l'
fails '::version 1' '::version takes no arguments
Usage: ::version'
fails '$z' "invalid command '\$z': unknown dcmd name"
fails '::echo 1 | ::head -x' "'x' is no decimal number
Usage: [ addr ] ::head [-N | -n N]"
fails '::dump -Z' 'illegal option -- Z
Usage: [ addr ] ::dump [-e] [-f] [-g bytes] [-l bytes] [-p] [-q] [-r] [-s] [-t] [-u] [-v] [-w paras]'
fails '! "unmatched' 'syntax error: quote unmatched on line 1 of (-e) near """'

# ---- a script cannot overflow us
run -e "$(printf '(%.0s' $(seq 1000))1"
is 'deep nesting is refused' 'pmdb: expression is too complex on line 1 of (-e) near "("' "$err"
run -e "1$(printf '+1%.0s' $(seq 9000))=D"
is 'a long sum is fine' 9001 "$(echo $out)"
run -e "1$(printf '+1%.0s' $(seq 20000))=D"
is 'a sum without end is refused' 1 "$rc"
cat > loop <<'END'
::eval '::eval "::echo deep"'
END
run -e "$(cat loop)"
is 'nested ::eval' 'deep ' "$out"
echo "1..$n"

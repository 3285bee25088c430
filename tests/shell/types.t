#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Types: enumerations, lists of them, formats, types of the user's making.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
make_core

q() { # COMMANDS: output, errors too
	"$PMDB" -e "$1" core.prog 2>&1
}
g() { # gdb command
	gdb -q -nx -batch -ex "$1" ./prog core.prog 2>/dev/null
}
t() { # COMMANDS, without a dump
	"$PMDB" -e "$1" 2>&1
}

# ---- enum
is 'enum' '      VALUE NAME
          0 RED
          5 GREEN' "$(q '::enum enum color')"
is 'of single bits' '   VALUE NAME
       1 OPT_READ
       2 OPT_WRITE
       4 OPT_EXEC' "$(q '::enum "enum flags"')"
is '-e' 'READ WRITE EXEC' "$(echo $(q '::enum -e "enum flags"' | awk 'NR > 1 { print $2 }'))"
is '-x' '0x5' "$(q '::enum -x "enum color"' | awk '$2 == "GREEN" { print $1 }')"
is 'a name' 5 "$(q '::enum "enum color" GREEN')"
is 'a value' GREEN "$(q '::enum "enum color" $[2+3]')"
is 'an address is a value' GREEN "$(q '5::enum "enum color"')"
is 'a set of flags' 'OPT_{READ|WRITE}' "$(q '::enum "enum flags" 3')"
is 'no such name' "pmdb: name \"BLUE\" not in 'enum color'" "$(q '::enum "enum color" BLUE')"
is 'no such value' "pmdb: value 8 not in 'enum flags'" "$(q '::enum "enum flags" 8')"
is 'no enumeration' "pmdb: 'struct shape': not an enumeration" "$(q '::enum "struct shape"')"
is 'into a pipe' '0 5' "$(echo $(q '::enum "enum color" | ::eval .=K'))"

# ---- typelist
pahole --sizes prog 2>/dev/null | awk '{ print $1 }' | sort -u >want
q '::typelist a.out' | sed -n 's/^\(struct\|union\) //p' | sort -u >got
[ -s want ] && [ -z "$(comm -23 want got)" ]
tap 'typelist has the structures of pahole' $?
is 'each once' '' "$(q ::typelist | sort | uniq -d)"
has 'enumerations and typedefs' '^enum flags$' "$(q ::typelist)"
has 'typedefs too' '^inner_t$' "$(q ::typelist)"
has 'an unknown object' 'no such object: nosuch' "$(q '::typelist nosuch')"

# ---- the layouts of a program of some size, pahole's against ours
pahole --sizes "$B/pmdb" 2>/dev/null | sort -u >sizes
awk '{ print "::sizeof \"struct " $1 "\"; ::sizeof \"union " $1 "\"" }' sizes >script
gdb -q -nx -batch -ex 'break main' -ex run -ex 'gcore core.pmdb' "$B/pmdb" \
	</dev/null >gdb.out 2>&1
"$PMDB" core.pmdb <script 2>/dev/null |
	sed -n 's/^sizeof (\(struct\|union\) \(.*\)) = \(.*\)$/\2 \3/p' >ours
python3 - <<'END'
import collections
ours = dict(l.split() for l in open("ours"))
theirs = collections.defaultdict(set)
for l in open("sizes"):
    name, size = l.split()[:2]
    theirs[name].add(int(size))  # several units may have one of that name
bad = [n for n in theirs if n not in ours or int(ours[n], 16) not in theirs[n]]
print("# %d structures, %d differ %s" % (len(theirs), len(bad), bad[:5]))
raise SystemExit(bool(bad) or len(theirs) < 50)
END
tap 'sizes of all structures of the debugger are those of pahole' $?
pahole "$B/pmdb" 2>/dev/null >layout
python3 - <<'END'
import re, subprocess, os
want, name, level = {}, None, 0
for l in open("layout"):
    m = re.match(r"struct (\w+) \{", l)
    if m:
        name = m.group(1)
        if name in want:
            name = None  # a second one of that name
        else:
            want[name] = {}
        continue
    if l.startswith("}"):
        name = None
    m = re.match(r"\t(?!\t)[^/]*?(\w+)(?:\[\w*\])*(?:\)\(.*\))?;\s*/\*\s*(\d+)(?:\s+(\d+))? \*/", l)
    if m and name and ":" not in l:
        want[name][m.group(1)] = int(m.group(2))
script = "".join('::offsetof "struct %s" %s\n' % (s, f)
                 for s in want for f in want[s])
out = subprocess.run([os.environ["B"] + "/pmdb", "core.pmdb"], input=script,
                     text=True, stdout=subprocess.PIPE,
                     stderr=subprocess.DEVNULL).stdout
got = {(s, f): int(o, 16) for s, f, o in re.findall(
    r"^offsetof \(struct (\w+), (\w+)\) = (\w+),", out, re.M)}
pairs = [(s, f) for s in want for f in want[s]]
bad = [p for p in pairs if got.get(p) != want[p[0]][p[1]]]
print("# %d members, %d differ %s" % (len(pairs), len(bad), bad[:5]))
raise SystemExit(bool(bad) or len(pairs) < 300)
END
tap 'and the offsets of their members' $?

# ---- printf
is 'printf' 'second|hello|abc     |     abc|0007|-3|-3|%' \
	"$(q 'shape::printf "%a|%s|%-8s|%8s|%04x|%d|%q|%%" struct shape next string name name in.x negative negative')"
is 'printf: what is at the address' 42 "$(q 'answer::printf "%d" int .')"
is 'printf: bits' '5 11' "$(q 'shape::printf "%x %x" "struct shape" three five')"
is 'printf: an enumerator' GREEN "$(q 'shape::printf %s "struct shape" color')"
is 'printf: time' "$(date -d @1700000000 '+%Y %b %e %H:%M:%S')" "$(q 'shape::printf %Y struct shape when')"
is 'printf: no symbol' '[]' "$(q 'shape::printf "[%A]" struct shape string')"
is 'printf: a width of a pointer' '               7' "$(q 'shape::printf %?x struct shape in.x')"
is 'printf: a size' '55.7K' "$(q 'beef::printf %H int .')"
has 'printf: conversions and members' 'the format has 2 conversions, and there are 1 members' \
	"$(q 'shape::printf "%d %d" struct shape in.x')"
has 'printf: an illegal one' "illegal format string at or near 'k' \(position 4\)" "$(q 'shape::printf "a %k" int .')"
has 'printf: no format' 'expected a format string' "$(q 'shape::printf')"
has 'printf: no integer' 'expected integer type' "$(q 'shape::printf %d struct shape in')"
has 'printf: no pointer' 'expected pointer type' "$(q 'shape::printf %p struct shape in')"
is 'printf in a loop' 'abc second' "$(echo $(q 'shape::list struct shape next | ::printf "%s\n" struct shape name'))"

# ---- typedef
node='::typedef -c lp64; ::typedef "struct node { struct node *next; char name[12]; uint64_t *v; uint8_t tail[]; }" node_t; '
is 'typedef: the size' 'sizeof (node_t) = 0x20' "$(t "$node ::sizeof node_t")"
is 'typedef: the layout is the compiler'"'"'s' '0 node_t {
    0 struct node *next 
    8 char [12] name 
    18 uint64_t *v 
    20 uint8_t [] tail 
}' "$(t "$node ::print -at node_t")"
is 'typedef -l' 'struct node node_t' "$(echo $(t "$node ::typedef -l"))"
is 'typedef -d' '' "$(t "$node ::typedef -d; ::typedef -l")"
is 'typedef -w and -r' "$(t "$node ::print -at node_t")" \
	"$(t "$node ::typedef -w t.h; ::typedef -d; ::typedef -r t.h; ::print -at node_t")"
is 'typedef of a union' 'sizeof (u) = 8' "$(t '::typedef -c lp64; ::typedef "union { int a; double b; }" u; ::sizeof u')"
is 'typedef in ILP32: pointers stay' 'sizeof (long) = 4 sizeof (p) = 0x10' \
	"$(echo $(t '::typedef -c ilp32; ::sizeof long; ::typedef "struct { char *a; long b; }" p; ::sizeof p'))"
is 'typedef on a dump' 'x = 7' "$(q '::typedef inner_t mine_t; shape::print struct shape in | ::print mine_t x')"
is 'a made type over memory' 'second = second' \
	"$(q '::typedef "struct { void *first; void *p; }" pair_t; shape::print pair_t first' | sed 's/first/second/')"
refused() { # NAME COMMAND...
	"$PMDB" -e "::typedef -c lp64; $2" >out 2>&1
	[ $? = 1 ] && [ -s out ]
	tap "typedef: $1" $?
}
refused 'a digit first' '::typedef int 9x'
refused 'a percent sign' '::typedef int %a'
refused 'one argument' '::typedef int'
refused 'three arguments' '::typedef int a b'
refused 'a name that is taken' '::typedef int foo_t; ::typedef char foo_t'
refused 'a member without a name' '::typedef "struct { int; }" x'
refused 'no semicolon' '::typedef "struct { int a }" x'
refused 'no brace' '::typedef "struct { int a; " x'
refused 'no opening brace' '::typedef "struct int a; }" x'
refused 'neither struct nor union' '::typedef "{ int a; }" x'
refused 'two members of a name' '::typedef "struct { int a; int a; }" x'
refused '[0]' '::typedef "struct { int a[0]; }" x'
refused '[-1]' '::typedef "struct { int a[-1]; }" x'
refused '[] first' '::typedef "struct { int a[]; int b; }" x'
refused '[] alone' '::typedef "struct { int a[]; }" x'
refused '[] in a union' '::typedef "union { int b; int a[]; }" x'
refused 'an unknown type' '::typedef nosuch x'
refused 'an unknown model' '::typedef -c vax'
refused 'no model' '::typedef -c'
refused 'text behind' '::typedef "struct { int a; } b" x'
is 'typedef: none before a model' '' "$("$PMDB" -e '::typedef int foo_t; ::typedef -l' 2>/dev/null)"
echo "1..$n"

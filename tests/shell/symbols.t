#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Symbols of the user's making, source files, C++ names, bytes of the file;
# walkers of lists and trees.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
cat >s.cc <<'END'
#include <cstdlib>
#include <map>
#include <search.h>
struct node { node *next; long n; };
struct avl_node { avl_node *child[2]; unsigned long pcb; };
struct thing { long n; avl_node link; };
struct { avl_node *root; void *compar; unsigned long offset, count, size; } avl;
extern node ring2;
node c = {nullptr, 3}, b = {&c, 2}, a = {&b, 1}, ring1 = {&ring2, 1};
node ring2 = {&ring1, 2};
thing t1 = {10, {}}, t3 = {30, {}}, t2 = {20, {{&t1.link, &t3.link}, 0}};
std::map<int, long> squares;
long keys[] = {5, 3, 9, 1, 7};
void *root;
int answer = 42;
static int compare(const void *x, const void *y)
{
	return *(const long *)x < *(const long *)y ? -1 : *(const long *)x > *(const long *)y;
}
namespace ns { int twice(int n) { return 2 * n; } void stop(int) { abort(); } }
int main()
{
	avl.root = &t2.link;
	avl.offset = 8;
	for (int i = 5; i > 0; i--)
		squares[i] = i * i;
	for (long &k : keys)
		tsearch(&k, &root, compare);
	answer += ns::twice(0);
	ns::stop(1);
}
END
g++ -g -O0 -o s s.cc || exit 1
gdb -q -nx -batch -ex run -ex 'gcore core.s' ./s </dev/null >gdb.out 2>&1
[ -s core.s ] || exit 77

q() { # COMMANDS: output, errors too
	"$PMDB" -e "$1" core.s 2>&1
}
is 'nmadd' "added here, value=$(q 'main=K' | tr -d ' ') size=8" "$(q 'main::nmadd -f -s 8 here')"
is 'it is found' "$(q 'main=K')" "$(q 'main::nmadd -f -s 8 here; here=K' | tail -1)"
is 'and names its address' 'here+4' "$(q 'main::nmadd -f -s 8 here; main+4=p' | tail -1 | tr -d ' ')"
is 'not what is behind it' 'main+8' "$(q 'main::nmadd -f -s 8 here; main+8=p' | tail -1 | tr -d ' ')"
is 'nmadd -e' 'size=10' "$(q 'main::nmadd -e $[main+10] here' | grep -o 'size=.*')"
has 'nm -P' '\|0x0000000000000008\|FUNC \|GLOB \|0x0  \|ABS +\|here$' "$(q 'main::nmadd -f -s 8 here; ::nm -P')"
has 'nm -p' '^[0-9a-f]+::nmadd -f -s 8 here$' "$(q 'main::nmadd -f -s 8 here; ::nm -p -P')"
line=$(q 'answer::nm -p')
is 'what nm -p prints can be typed' 'answer' "$("$PMDB" -e "${line/ answer/ mine}; ::nmdel mine; answer=p" core.s | tail -1 | tr -d ' ')"
has 'nmdel' '^deleted here, value=[0-9a-f]+ size=8$' "$(q 'main::nmadd -f -s 8 here; ::nmdel here')"
has 'it is gone' 'unknown symbol name' "$(q 'main::nmadd here; ::nmdel here; here=K')"
has 'nmdel of another' 'main is not a symbol that ::nmadd has made' "$(q '::nmdel main')"
has 'twice' 'there is a symbol here already' "$(q 'main::nmadd here; main::nmadd here')"
is 'nm -f ctype of a function' 'int (*)(void)' "$(q 'main::nm -h -f ctype' | sed 's/ *$//')"
is 'nm -f ctype of data' 'int' "$(q 'answer::nm -h -f ctype' | sed 's/ *$//')"
is 'an object by its path' "$(q 'answer=K')" "$(q "$PWD/s\`answer=K")"
is 'in an expression' "$(q 'answer+1=K')" "$(q "1+$PWD/s\`answer=K")"
is 'a sized read of one' 2a "$(q "*/i/$PWD/s\`answer=K" | tr -d ' ')"
is 'stack -t: C++ names have their types' 1 "$(q '::stack -t' | grep -cE '^ns::stop\(int\)\+0x[0-9a-f]+$')"
has 'C names get them' '^main\+0x[0-9a-f]+\(void\)$' "$(q '::stack -t')"
has 'files' '^[0-9]+ +s\.cc$' "$(q ::files)"
is '$f' "$(q ::files)" "$(q '$f')"
is 'files of readelf' "$(readelf -sW s | awk '$4 == "FILE" && NF == 8 { print $8 }')" "$(q ::files | sed 's/^[0-9]* *//')"
has '$e' '^answer:	2a$' "$(q '$e')"
is 'dem' '_ZN2ns5twiceEi == ns::twice(int)
main == main' "$(q '::dem _ZN2ns5twiceEi main')"
is '$g: how names are' 'C++ symbol demangling enabled' "$(q '$g')"
has '$G: as the linker has them' '^_ZN2ns4stopEi\+0x[0-9a-f]+' "$(q '$G; $c')"
is 'and back' "$(q '$c')" "$(q '$G; $G; $c' | grep -v demangling)"
is 'dump -f reads the file' "$(q 'main::dump')" "$(q 'main::dump -f')"
has 'dump -p' 'operation not supported by target' "$(q 'main::dump -p')"

is 'walk list' '1 2 3' "$(echo $(q 'a::walk list | ::print node n' | sed 's/n = //'))"
is 'walk list: a ring' '1 2' "$(echo $(q 'ring1::walk list | ::print node n' | sed 's/n = //'))"
is 'walk avl' '10 20 30' "$(echo $(q 'avl::walk avl | ::print -d thing n' | sed 's/n = //'))"
is 'walk tsearch' '1 3 5 7 9' "$(echo $(q 'root::walk tsearch | ::print long' ))"
is 'walk stdmap' '1 4 9 16 25' "$(echo $(q 'squares::walk stdmap | ::eval *(.+8)=E'))"
has 'a tree that is none' 'no memory at|is too deep' "$(q 'main::walk tsearch')"
has 'a list needs an address' 'walker requires starting address' "$(q '::walk list')"
echo "1..$n"

#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Modules: the example is built against an installed pmdb, by one command, and
# works; what is no module, or a bad one, is refused, and the session goes on.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"

# a copy of what is built: other tests run the original meanwhile
mkdir build && cp -a "$B" build/
make -s -C "$TOP" --no-print-directory BUILD="$WORK/build" PREFIX="$WORK/inst" \
	install >make.log 2>&1
tap 'install' $?
PMDB=$WORK/inst/bin/pmdb
cp -r "$TOP/dcmds/example" ex
export PKG_CONFIG_PATH=$WORK/inst/lib/pkgconfig
make -s -C ex CFLAGS='-g -O2 -Wall -Wextra -Werror' >make.log 2>&1
tap 'the example builds with one command' $?
sed 's/^/# /' make.log
gcc -g -o prog "$TOP/doc/cases/leak.c"
"$PMDB" run -o prog.core -- ./prog >/dev/null 2>&1

q() { # COMMANDS: output, errors too
	"$PMDB" -e "$1" prog.core 2>&1
}
has 'nothing is loaded by itself' 'unknown dcmd name' "$(cd ex && "$PMDB" -e 'stock::pointers' ../prog.core 2>&1)"
is 'load says nothing' '' "$(q '::load ./ex/example.so')"
has 'its dcmd' 'ADDR +VALUE +WHERE' "$(q '::load ./ex/example.so; stock::pointers')"
is 'its other dcmd' '5 -> 4 -> 3 -> 2 -> 1 -> 6 -> 5 -> 4 -> 3 -> 2 ...' \
	"$(q '::load ./ex/example.so; stock::chain struct item next quantity')"
is 'its walker' "$(q 'stock=K' | tr -d ' ')" "$(q '::load ./ex/example.so; stock::walk words | ::eval .=K' | tr -d ' ')"
has 'JSON' '^\{"addr":"0x[0-9a-f]+","value":"0x[0-9a-f]+","where":\{"addr"' \
	"$("$PMDB" --json -e '::load ./ex/example.so; stock::pointers' prog.core)"
has 'in a pipe' '^name = ' "$(q '::load ./ex/example.so; stock::pointers | ::print struct item name')"
has 'its usage' 'Usage: addr ::pointers \[-n words\]' "$(q '::load ./ex/example.so; stock::pointers x')"
has 'its help' '^  pointers - words that are pointers' "$(q '::load ./ex/example.so; ::help pointers')"
has 'help says which module' '^  Module: example' "$(q '::load ./ex/example.so; ::help pointers')"
has 'dcmds lists it' '^pointers ' "$(q '::load ./ex/example.so; ::dcmds pointers')"
has 'walkers lists it' '^words ' "$(q '::load ./ex/example.so; ::walkers words')"
is 'which' 'pointers is a dcmd from module example' "$(q '::load ./ex/example.so; ::which pointers')"
is 'dmods' example "$(q '::load ./ex/example.so; ::dmods' | tail -20 | grep example)"
has 'dmods -l' '^  walker +words +- words of' "$(q '::load ./ex/example.so; ::dmods -l example')"
has 'by its full name' 'ADDR +VALUE' "$(q '::load ./ex/example.so; stock::example`pointers')"
has 'twice' 'module example is loaded already' "$(q '::load ./ex/example.so; ::load ./ex/example.so')"
has 'unloaded' 'unknown dcmd name' "$(q '::load ./ex/example.so; ::unload example; stock::pointers')"
has 'and loaded again' 'ADDR +VALUE' "$(q '::load ./ex/example.so; ::unload example; ::load ./ex/example.so; stock::pointers')"
mkdir -p "$WORK/mods" && cp ex/example.so "$WORK/mods/"
has 'from the module path' 'ADDR +VALUE' "$("$PMDB" -L "$WORK/mods" -e '::load example; stock::pointers' prog.core 2>&1)"
has 'not in the path' 'failed to load module nosuch: it is not in the module path' "$(q '::load nosuch')"
has 'a built-in one stays' 'cannot unload built-in module' "$(q '::unload types')"
has 'one that is not there' 'specified module is not loaded' "$(q '::unload example')"

# ---- bad ones
build() { # NAME: NAME.so of stdin
	# shellcheck disable=SC2046 # words on purpose
	gcc -shared -fPIC $(pkg-config --cflags pmdb) -o "$1.so" -x c - || echo "# $1 does not build"
}
refused() { # NAME MODULE PATTERN: refused so, and the session goes on
	out=$(q "::load ./$2.so; ::echo still here")
	echo "$out" | grep -qE "^pmdb: failed to load module \./$2\.so: $3" &&
		echo "$out" | grep -q '^still here'
	tap "$1" $?
	echo "$out" | sed 's/^/# /'
}
head='#include <pmdb_mod.h>
static struct err *nothing(struct dcmd_call *call) { (void)call; return NULL; }'
build older <<END
$head
const struct module pmdb_module = {.api_version = PMDB_API_VERSION + 1};
END
refused 'another version' older 'it was compiled for version 2 of the API, and this is version 1$'
build plain <<'END'
int answer = 42;
END
refused 'no module' plain 'it is no module: it does not define pmdb_module$'
build undefined <<END
$head
extern int nowhere(void);
static struct err *init(struct session *s) { (void)s; return nowhere() ? NULL : NULL; }
const struct module pmdb_module = {PMDB_API_VERSION, NULL, NULL, init, NULL};
END
refused 'a missing symbol' undefined '.*undefined symbol: nowhere$'
echo 'not an ELF file' >text.so
refused 'no ELF file' text '.*invalid ELF header$|.*file too short$'
build crash <<END
$head
static struct err *init(struct session *s) { (void)s; *(volatile int *)8 = 1; return NULL; }
const struct module pmdb_module = {PMDB_API_VERSION, NULL, NULL, init, NULL};
END
refused 'a crash in init' crash 'it crashes while it is loaded: Segmentation fault$'
build early <<END
$head
__attribute__((constructor)) static void begin(void) { __builtin_trap(); }
const struct module pmdb_module = {PMDB_API_VERSION, NULL, NULL, NULL, NULL};
END
refused 'a crash in a constructor' early 'it crashes while it is loaded: Illegal instruction$'
build leaves <<END
#include <stdlib.h>
$head
static struct err *init(struct session *s) { (void)s; exit(7); }
const struct module pmdb_module = {PMDB_API_VERSION, NULL, NULL, init, NULL};
END
refused 'one that exits' leaves 'it exits while it is loaded$'
build unwilling <<END
$head
static struct err *init(struct session *s) { (void)s; return err_new(ERR_NOSUP, "not for this dump"); }
const struct module pmdb_module = {PMDB_API_VERSION, NULL, NULL, init, NULL};
END
refused 'one that refuses' unwilling 'not for this dump$'
build twice <<END
$head
static const struct dcmd dcmds[] = {
	{.name = "one", .usage = "", .brief = "b", .run = nothing},
	{.name = "one", .usage = "", .brief = "b", .run = nothing}, {0}};
const struct module pmdb_module = {PMDB_API_VERSION, dcmds, NULL, NULL, NULL};
END
refused 'two dcmds of one name' twice 'there are two dcmds called one$'
build nameless <<END
$head
static const struct dcmd dcmds[] = {{.name = "a b", .usage = "", .brief = "b", .run = nothing}, {0}};
const struct module pmdb_module = {PMDB_API_VERSION, dcmds, NULL, NULL, NULL};
END
refused 'a name that cannot be typed' nameless "'a b' is no name for a dcmd$"
build types <<END
$head
const struct module pmdb_module = {PMDB_API_VERSION, NULL, NULL, NULL, NULL};
END
refused 'the name of a built-in one' types 'types is the name of a built-in module$'
build self <<END
$head
static struct err *away(struct dcmd_call *call) { return session_unload(call->s, "self"); }
static const struct dcmd dcmds[] = {{.name = "away", .usage = "", .brief = "b", .run = away}, {0}};
const struct module pmdb_module = {PMDB_API_VERSION, dcmds, NULL, NULL, NULL};
END
has 'one that runs is not unloaded' 'failed to unload self: it is running' "$(q '::load ./self.so; ::away')"
is '-s' '' "$(q '::load -s ./text.so')"
echo "1..$n"

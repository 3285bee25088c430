#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# "did you mean": mistyped dcmds, walkers, types, members, symbols and options.
# shellcheck source=tests/shell/lib.sh
. "$TOP/tests/shell/lib.sh"
make_core

# COMMAND MEANT: the error offers it
offers() {
	run -e "$1" core.prog
	has "$1" "\(did you mean $2\?\)" "$err"
}
# COMMAND: there is an error, and nothing is offered
offers_none() {
	run -e "$1" core.prog
	is "$1: an error" 1 "$rc"
	is "$1: nothing is near" '' "$(grep -o 'did you mean.*' <<<"$err")"
}

offers '::findlaeks' '::findleaks'
offers '::walk thraed' 'thread'
offers 'mian=X' 'main'
offers 'libc.so.6`mallok=X' 'malloc'
offers '::sizeof struct shpae' 'struct shape'
offers '::sizeof innre_t' 'inner_t'
offers 'shape::print struct sahpe' 'struct shape'
offers 'shape::print struct shape strnig' 'string'
offers 'shape::print strnig' 'string'
offers 'shape::print as_flaot' 'as_float'
offers '::offsetof "struct shape" minus_on' 'minus_one'
offers '::nm -V' '-v'
offers_none '::zzyzx'
offers_none 'zzyzx_plugh=X'
offers_none '::sizeof struct zzyzx_plugh'
offers_none '::nm -Q'
echo "1..$n"

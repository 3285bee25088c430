# shellcheck shell=bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by the cases here: runs a program plainly and then in each mode of
# libkmem, and wants the same output and status.
n=0
ok() { # status, name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else
		echo "not ok $n - $2"
		sed 's/^/# /' out err 2>/dev/null | head -30
	fi
}
ulimit -c 0
G=$B/tests/guest
L=LD_PRELOAD=$B/libkmem_preload.so
LOG=KMEM_LOGGING=transaction
preloaded=(none default guards audit firewall)
dumping=(run run-plain)
modes=("${preloaded[@]}" "${dumping[@]}")
in_mode() { # mode, program, arguments...
	local mode=$1
	shift
	case $mode in
	none) env "$L" "$@" ;;
	default) env "$L" KMEM_DEBUG=default $LOG "$@" ;;
	guards | audit) env "$L" KMEM_DEBUG="$mode" $LOG "$@" ;;
	firewall) env "$L" KMEM_DEBUG=guards,firewall=64 "$@" ;;
	run) "$B/pmdb" run -o "$WORK/%c.%p.core" -- "$@" ;;
	run-plain) env KMEM_DEBUG= KMEM_LOGGING= "$B/pmdb" run \
		-o "$WORK/%c.%p.core" -- "$@" ;;
	esac
}
# one check a mode: as without libkmem, which is to end with the status given
# and to print the text
same() { # status, text, program, arguments...
	local status=$1 text=$2 mode rc
	shift 2
	timeout "${LONG:+2}100" "$@" >want 2>want.err
	rc=$?
	if [ $rc != "$status" ] || ! grep -q "$text" want; then
		echo "# without libkmem: status $rc: $(cat want want.err)"
		status=none
	fi
	for mode in "${modes[@]}"; do
		in_mode "$mode" timeout "${LONG:+2}100" "$@" >out 2>err
		rc=$?
		[ "$rc" = "$status" ] && cmp -s out want && cmp -s err want.err
		ok $? "$mode: ${*#"$G/"} (status $rc)"
		rm -f ./*.core ./*.core.*
	done
}

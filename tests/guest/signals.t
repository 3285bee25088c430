#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Signal handlers that interrupt malloc, that jump, on stacks of their own;
# coroutines.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..$((3 * ${#modes[@]}))
same 0 'quiet: 0' "$G/signals" quiet 200
same 0 'jump: 0' "$G/signals" jump 100
same 0 'stack: 0' "$G/signals" stack 50

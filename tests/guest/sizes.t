#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Alignments to 1 GiB, sizes near PTRDIFF_MAX, address space and data limited as
# without overcommit, huge pages allowed and forbidden.
# shellcheck source=tests/guest/guestlib.sh
. "$TOP/tests/guest/guestlib.sh"
echo 1..$((5 * ${#modes[@]} - 1))
same 0 'alignments: 0 failed' "$G/sizes" align
same 0 'sizes: 0 failed' "$G/sizes" large
same 0 'RLIMIT_AS: 0 failed' "$G/sizes" as
same 0 'huge pages: 0 failed' "$G/sizes" thp
# a guard page that is to be data again may find none left
modes=(none default guards audit run run-plain)
same 0 'RLIMIT_DATA: 0 failed' "$G/sizes" data

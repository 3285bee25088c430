#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The heap of a program that allocates next to nothing, without debugging: a
# dump of it is read as it is, and what the library has of its own is little.
. "$TOP/tests/guest/guestlib.sh"
cd "$WORK" || exit 1
echo 1..6

# pages of the process that are its own: what the library has beside one slab
own_kb() { awk '/^Private_Dirty:/ { n += $2 } END { print n }' "/proc/$1/smaps"; }

# starts a program that ends when 3 is closed, and waits for its "ready"
start() {
	rm -f in ready
	mkfifo in
	"$@" <in >ready &
	pid=$!
	exec 3>in
	until [ -s ready ]; do
		kill -0 $pid || break
		sleep 0.02
	done
}

end() {
	exec 3>&-
	wait $pid || echo "# small: status $?"
}

for count in 1 2 40; do
	kept=$(((count + 1) / 2))
	start env "$L" "$G/small" $count
	[ $count != 1 ] || with=$(own_kb $pid)
	timeout 60 "$B/pmdb" snap -p $pid -o dump >out 2>err
	end
	"$B/pmdb" -e '::kmem_verify' -e '::walk -s data kmem' dump >out 2>err
	! grep -q damaged out err
	ok $? "$count of 16 bytes: nothing is damaged"
	if [ $count = 1 ]; then
		start "$G/small" 1
		without=$(own_kb $pid)
		end
		echo "# own pages: $with KiB, without the library $without KiB"
		[ "$with" -le $((without + 200)) ]
		ok $? "and no more than 200 KiB are the library's own"
	else
		"$B/pmdb" -e '::walk -s data kmem' dump >out 2>err
		[ "$(grep -c '^0x' out)" = $kept ]
		ok $? "and $kept of them are kept"
	fi
	rm -f dump
done

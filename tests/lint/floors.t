#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Each folder of the sources includes only what src/FLOORS lets it include, and
# each outside library is used on its own floor only.
cd "$TOP" || exit 1
# shellcheck disable=SC2016 # the text is awk's
find src dcmds -name '*.[ch]' | sort | xargs awk '
function bad(why) {
	printf "%s:%d: %s\n", FILENAME, FNR, why
	nbad++
}
BEGIN {
	while ((getline line < "src/FLOORS") > 0) {
		sub(/#.*/, "", line)
		if (line !~ /:/)
			continue
		n = split(line, w, /[ \t:]+/)
		known[w[1]] = 1
		for (i = 2; i <= n; i++)
			if (w[i] != "")
				may[w[1], w[i]] = 1
		nfloors++
	}
	# outside libraries: header pattern, and the files that may
	nlib = 0
	lib[++nlib] = "^(libelf|gelf)[.]h$"; who[nlib] = "^src/(target|types)/"
	lib[++nlib] = "^(dwarf[.]h|elfutils/)"; who[nlib] = "^src/types/"
	lib[++nlib] = "^readline/"; who[nlib] = "^src/shell/(repl|history)[.]c$"
	lib[++nlib] = "^capstone/"; who[nlib] = "^src/types/disasm[.]c$"
	lib[++nlib] = "^(libiberty/|)demangle[.]h$"; who[nlib] = "^src/types/"
	lib[++nlib] = "^jansson[.]h$"; who[nlib] = "^src/(shell|pmdb)/"
}
FNR == 1 {
	nfiles++
	split(FILENAME, part, "/")
	if (FILENAME == "src/pmdb_mod.h")
		floor = "shell"
	else
		floor = part[1] == "src" ? part[2] : part[1]
	if (!(floor in known))
		bad("folder \"" floor "\" is not in src/FLOORS")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, q, "\"")
	inc = q[2]
	nincludes++
	if (split(inc, p, "/") == 1) {
		if (inc == "pmdb_mod.h") {
			if (!((floor, inc) in may) && floor != "shell" && floor != "pmdb")
				bad("folder " floor " may not include " inc)
			next
		}
		own = FILENAME
		sub(/[^\/]*$/, "", own)
		if (system("test -f " own inc) != 0)
			bad("\"" inc "\" is not in this folder: say \"floor/" inc "\"")
	} else if (inc ~ /\.\./) {
		bad("\"" inc "\" climbs out of its folder")
	} else if (p[1] != floor && !((floor, p[1]) in may)) {
		bad("folder " floor " may not include " inc)
	}
}
/^[ \t]*#[ \t]*include[ \t]*</ {
	inc = $0
	sub(/^[^<]*</, "", inc)
	sub(/>.*/, "", inc)
	for (i = 1; i <= nlib; i++)
		if (inc ~ lib[i] && FILENAME !~ who[i])
			bad("<" inc "> does not belong on this floor")
}
END {
	if (nfloors < 5 || nfiles < 5 || nincludes < 5) {
		print "src/FLOORS or the sources were not found"
		nbad++
	}
	printf "%d files, %d includes of our own\n", nfiles, nincludes
	exit nbad ? 1 : 0
}'

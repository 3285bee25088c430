# SPDX-License-Identifier: GPL-3.0-or-later
# doc/dcmds/*.md as a table in C: what ::help shows is what the manual says.
BEGIN {
	print "/* Made from doc/dcmds by src/shell/help_pages.awk. */"
	print "#include \"shell/help_page.h\"\n"
	print "const struct help_page help_pages[] = {"
}
FNR == 1 {
	if (NR > 1)
		print "\t},"
	name = FILENAME
	sub(/.*\//, "", name)
	sub(/[.]md$/, "", name)
	print "\t{\"" name "\","
	if ($0 ~ /SPDX/)
		next
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	gsub(/\?\?/, "?\"\"?") # no trigraphs
	print "\t\"" $0 "\\n\""
}
END {
	if (NR > 0)
		print "\t},"
	print "\t{0},\n};"
}

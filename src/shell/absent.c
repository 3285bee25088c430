/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Commands of mdb that have nothing to act on in a dump: what is said to those
 * who type them.  doc/mdb-differences.md lists them, too.
 */
#include "shell/shell_impl.h"

static const struct {
	const char *why;
	const char *names; /* blanks around each */
} absent[] = {
	{"the target does not run",
	 " $b $i :A :R :a :b :c :d :e :i :k :p :r :s :t :u :w :z attach bp cont "
	 "delete events evset fltbp gcore kill next release run setenv sigbp "
	 "step sysbp unsetenv wp "},
	{"it is for kernels", " $p context linkerset vtop "},
	{"there is nothing of the kind on Linux",
	 " Bind Rt_maps pr_addr2map pr_symtab ps_prochandle tid2ulwp tmodel "
	 "uberdata ulwp "},
};

const char *dcmd_absent(const char *name)
{
	_free_ char *word = mem_printf(" %s ", name);

	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++)
		if (!strchr(name, ' ') && strstr(absent[i].names, word))
			return absent[i].why;
	return NULL;
}

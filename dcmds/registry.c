/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The groups of dcmds, in the order names are looked up. */
#include "pmdb_mod.h"

extern const struct group group_session, group_lang, group_vars, group_settings,
	group_files, group_syms, group_types, group_print, group_dis,
	group_cache, group_vmem, group_audit, group_verify, group_leaks,
	group_whatis;

const struct group *const dcmd_groups[] = {
	&group_session, &group_lang,  &group_vars,   &group_settings,
	&group_files,   &group_syms,  &group_types,  &group_print,
	&group_dis,     &group_cache, &group_vmem,   &group_audit,
	&group_verify,  &group_leaks, &group_whatis, NULL,
};

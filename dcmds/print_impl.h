/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of ::print share. */
#ifndef DCMDS_PRINT_IMPL_H
#define DCMDS_PRINT_IMPL_H

#include "place.h"

struct print {
	struct dcmd_call *call;
	struct out *o;
	struct types *types;
	struct place_env env;
	bool addrs, decimal, hex, numeric, show_types, show_base_types, holes;
	bool no_char_limit, no_elem_limit, raw, physical;
	uint64_t char_limit, elem_limit, depth_limit;
	struct strbuf path; /* JSON: where we are */
	const char *prefix; /* of the members of the first level, or NULL */
	const char *joint;  /* between prefix and member: "." or "->" */
};

/** One value on a line; aggregates that have no such form are not for this.
 * Owned. */
struct err *print_scalar(const struct print *p, const struct place *pl,
			 char **ret) must_use;
/** A struct that is written as one value: an internet address, a std::string;
 * *ret is NULL when it is none.  Owned. */
struct err *print_known(const struct print *p, const struct place *pl,
			char **ret) must_use;
/** The text of a character array that holds a printable string, quoted;
 * *ret is NULL when it does not.  Owned. */
struct err *print_char_array(const struct print *p, const struct place *pl,
			     char **ret) must_use;

#endif

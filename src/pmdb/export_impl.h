/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of "pmdb export" share. */
#ifndef PMDB_EXPORT_IMPL_H
#define PMDB_EXPORT_IMPL_H

#include <stdio.h>

#include "pmdb/profile.h"

/* a dump that is exported */
struct export
{
	const char *path;
	struct target *target;
	struct types *types;
	struct heap *heap;
	struct leaks *leaks;
	struct profile profile;
	bool has_sample; /* else every one that there is */
	enum profile_sample sample;
};

/** "alloc", "inuse", "leaked". */
const char *export_sample_name(enum profile_sample sample);
/** True when values of a kind are wanted, and known. */
bool export_wants(const struct export *e, enum profile_sample sample);
/** The kind a format that has one value shows. */
enum profile_sample export_sample(const struct export *e);

/* a format each; out is borrowed.  Errors: ERR_IO, unless of writing to out,
 * which the caller sees. */

/** A line a stack, for flamegraph.pl, inferno and others. */
struct err *export_folded(const struct export *e, FILE *out) must_use;
/** RFC 4180, a row a stack and size. */
struct err *export_csv(const struct export *e, FILE *out) must_use;
/** A file for speedscope: a profile of bytes and one of buffers. */
struct err *export_speedscope(const struct export *e, FILE *out) must_use;
/** A gzipped profile.proto. */
struct err *export_pprof(const struct export *e, FILE *out) must_use;
/** A database: made at path, which does not exist. */
struct err *export_sqlite(const struct export *e, const char *path) must_use;

#endif

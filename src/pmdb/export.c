/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb export": a dump in the formats of other people's tools.
 */
#include "pmdb/pmdb.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "pmdb/check_impl.h"
#include "pmdb/export_impl.h"
#include "pmdb/options.h"

#define VERB "export"

struct format {
	const char *name;
	struct err *(*put)(const struct export *e, FILE *out);
	/* of one that is a file, not a stream */
	struct err *(*make)(const struct export *e, const char *path);
};

static const struct format formats[] = {
	{"pprof", export_pprof, NULL},
	{"folded", export_folded, NULL},
	{"csv", export_csv, NULL},
	{"speedscope", export_speedscope, NULL},
	{"sqlite", NULL, export_sqlite},
};

static const char *const samples[PROFILE_NSAMPLES] = {
	[PROFILE_ALLOC] = "alloc",
	[PROFILE_INUSE] = "inuse",
	[PROFILE_LEAKED] = "leaked",
};

const char *export_sample_name(enum profile_sample sample)
{
	return samples[sample];
}

bool export_wants(const struct export *e, enum profile_sample sample)
{
	if (sample == PROFILE_ALLOC && !e->profile.has_alloc)
		return false;
	return !e->has_sample || sample == e->sample;
}

enum profile_sample export_sample(const struct export *e)
{
	return e->has_sample ? e->sample : PROFILE_INUSE;
}

/* ---- the dump -------------------------------------------------------- */

static void close_dump(struct export *e)
{
	profile_fini(&e->profile);
	leaks_free(e->leaks);
	heap_close(e->heap);
	types_close(e->types);
	target_close(e->target);
}

static struct err *open_dump(struct export *e)
{
	struct types_options opt = {0};
	struct err *err = target_open_core(e->path, &e->target);

	if (!err)
		err = types_open(e->target, &opt, &e->types);
	if (!err)
		err = heap_open(e->target, e->types, &e->heap);
	if (!err)
		err = leaks_find(e->heap, &e->leaks);
	if (!err)
		err = profile_build(e->heap, e->leaks, &e->profile);
	if (!err && e->has_sample && !export_wants(e, e->sample))
		err = err_new(ERR_NOSUP,
			      "there is no transaction log: what was "
			      "allocated and freed again is not known");
	return err_prefix(err, "%s", e->path);
}

/* what the reader of numbers ought to know */
static void print_doubts(const struct export *e)
{
	const char *incomplete = target_info(e->target)->incomplete;

	if (incomplete)
		fprintf(stderr, "pmdb: %s: the dump is incomplete: %s\n",
			e->path, incomplete);
	else if (e->leaks->inconclusive)
		fprintf(stderr, "pmdb: %s: what is leaked is no verdict: %s\n",
			e->path, e->leaks->inconclusive);
}

/* ---- the file -------------------------------------------------------- */

struct writing {
	const struct export *e;
	const struct format *format;
	struct err *err;
};

static void write_stream(const void *arg, FILE *out)
{
	struct writing *const *w = arg;

	(*w)->err = (*w)->format->put((*w)->e, out);
}

/* a database is made beside its name and renamed when it is whole */
static struct err *make_file(const struct export *e, const struct format *f,
			     const char *path)
{
	_free_ char *temp = mem_printf("%s.%ld.tmp", path, (long)getpid());
	struct err *err = NULL;

	if (access(temp, F_OK) == 0)
		return err_new(ERR_IO, "%s: is in the way", temp);
	err = f->make(e, temp);
	if (!err && rename(temp, path))
		err = err_new(ERR_IO, "%s", strerror(errno));
	if (err)
		(void)unlink(temp);
	return err_prefix(err, "%s", path);
}

static struct err *put_file(const struct export *e, const struct format *f,
			    const char *path)
{
	struct writing w = {.e = e, .format = f};
	struct writing *const arg = &w;
	struct err *err = NULL;

	if (f->make)
		return make_file(e, f, path);
	if (strcmp(path, "-") != 0) {
		err = check_write_file(path, write_stream, &arg);
	} else {
		write_stream(&arg, stdout);
		if (!w.err && (fflush(stdout) || ferror(stdout)))
			err = err_new(ERR_IO, "standard output: %s",
				      strerror(errno));
	}
	if (!w.err)
		return err;
	err_free(err);
	return w.err;
}

/* ---- the command ----------------------------------------------------- */

static const char help_text[] =
	"usage: pmdb export --format FORMAT [-o FILE] [--sample KIND] DUMP\n"
	"\n"
	"Writes a dump in a format of other tools:\n"
	"  pprof       go tool pprof, Pyroscope, Parca (gzipped)\n"
	"  folded      a line a stack, for flame graphs\n"
	"  speedscope  https://www.speedscope.app, which also works offline\n"
	"  csv         a row a call site and size\n"
	"  sqlite      a database of caches, buffers, stacks, edges, "
	"transactions; needs -o\n"
	"\n"
	"-f, --format FORMAT  one of these\n"
	"-o, --output FILE    written when it is whole; - is standard output, "
	"as without\n"
	"-s, --sample KIND    only alloc (allocated ever, as far as the log "
	"goes back),\n"
	"                     inuse (allocated now) or leaked\n"
	"\n"
	"Status: 0 written, 2 usage, 3 it could not be.\n";

static const struct format *find_format(const char *name)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (!strcmp(formats[i].name, name))
			return &formats[i];
	return NULL;
}

static bool find_sample(const char *name, struct export *e)
{
	for (int i = 0; i < PROFILE_NSAMPLES; i++) {
		if (strcmp(samples[i], name) != 0)
			continue;
		e->has_sample = true;
		e->sample = (enum profile_sample)i;
		return true;
	}
	return false;
}

static int export_dump(struct export *e, const struct format *f,
		       const char *out)
{
	struct err *err = open_dump(e);

	if (!err)
		print_doubts(e);
	if (!err)
		err = put_file(e, f, out);
	close_dump(e);
	if (!err)
		return PMDB_CLEAN;
	fprintf(stderr, "pmdb: %s\n", err->msg);
	err_free(err);
	return PMDB_NO_VERDICT;
}

static const struct option long_options[] = {
	{"format", required_argument, NULL, 'f'},
	{"output", required_argument, NULL, 'o'},
	{"sample", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

int export_main(int argc, char **argv)
{
	struct export e = {0};
	const struct format *format = NULL;
	const char *out = "-";
	int c = 0;

	opterr = 0; /* we say it, in one line */
	optind = 0;
	while ((c = getopt_long(argc, argv, ":f:o:s:h", long_options, NULL)) !=
	       -1) {
		switch (c) {
		case 'f':
			format = find_format(optarg);
			if (!format)
				return opt_usage(VERB, "there is no format ",
						 optarg);
			break;
		case 'o':
			out = optarg;
			break;
		case 's':
			if (!find_sample(optarg, &e))
				return opt_usage(VERB, "there is no sample ",
						 optarg);
			break;
		case 'h':
			return opt_help(help_text);
		default:
			return opt_wrong(VERB, c, argv);
		}
	}
	if (!format)
		return opt_usage(VERB, "--format is missing", NULL);
	if (optind + 1 != argc)
		return opt_usage(VERB, "one dump is exported", NULL);
	if (format->make && !strcmp(out, "-"))
		return opt_usage(VERB, "a database needs -o FILE", NULL);
	if (e.has_sample && format->make)
		return opt_usage(VERB, "a database has everything: no --sample",
				 NULL);
	if (format->put == export_pprof && !strcmp(out, "-") &&
	    isatty(STDOUT_FILENO))
		return opt_usage(VERB, "pprof is binary: name a file with -o",
				 NULL);
	e.path = argv[optind];
	return export_dump(&e, format, out);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ::replay: the heap as it was.
 *
 * The moment is kept by the session: every dcmd then asks a heap that answers
 * for it (src/heap/heap_replay.c) and knows nothing of that.  ::replay -g is in
 * churn.c, with what else is told of the log as a whole.
 */
#include <ctype.h>
#include <stdlib.h>
#include "churn.h"

static const struct column cols[] = {
	{"moment_ns", "MOMENT", CELL_TIME, 16},
	{NULL, "FROM DUMP", CELL_TEXT, 15},
	{"dump_ns", NULL, CELL_TIME, 0},
	{"transaction", "TRANSACTION", CELL_COUNT, 12},
	{"transactions", "OF", CELL_COUNT, 12},
	{"live", "LIVE", CELL_COUNT, 10},
	{"live_bytes", "BYTES", CELL_BYTES, 13},
	{"unknown", "UNKNOWN", CELL_COUNT, 10},
	{"oldest_ns", NULL, CELL_TIME, 0},
	{"covered_since_ns", NULL, CELL_TIME, 0},
	{"covered_until_ns", NULL, CELL_TIME, 0},
};

static const struct opt opts[] = {
	{'t', OPT_STRING, "time",
	 "to a time stamp, or by +SECONDS or -SECONDS"},
	{'n', OPT_STRING, "count", "over so many transactions; - is back"},
	{'r', OPT_FLAG, NULL, "back to the dump"},
	{'g', OPT_FLAG, NULL, "draw live bytes and buffers over time"},
	{'A', OPT_FLAG, NULL, "with -g: ASCII only"},
	{0},
};

struct replay_opts {
	const char *time, *count;
	bool is_reset, is_graph, is_ascii;
};

/* ---- where to -------------------------------------------------------- */

static struct err *bad(char letter, const char *text)
{
	return err_new(ERR_USAGE, "invalid argument for -%c: '%s'", letter,
		       text);
}

/* "1.5", "20ms", "300us", "7ns": nanoseconds */
static bool parse_gap(const char *text, uint64_t *ret)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{"", 1000000000}, {"s", 1000000000}, {"ms", 1000000},
		{"us", 1000},     {"ns", 1},
	};
	uint64_t whole = 0;
	uint64_t part = 0;
	uint64_t scale = 1;

	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text); text++) {
		whole = whole * 10 + (uint64_t)(*text - '0');
		if (whole > UINT32_MAX)
			return false;
	}
	for (text += *text == '.'; isdigit((unsigned char)*text); text++) {
		if (scale >= 1000000000)
			continue;
		part = part * 10 + (uint64_t)(*text - '0');
		scale *= 10;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(text, units[i].name) != 0)
			continue;
		*ret = whole * units[i].ns + part * units[i].ns / scale;
		return true;
	}
	return false;
}

static struct err *time_wanted(struct dcmd_call *call, const char *text,
			       const struct heap_moment *m, uint64_t *ret)
{
	uint64_t gap_ns = 0;

	if (text[0] != '+' && text[0] != '-') {
		/* a time stamp, as the tables print it */
		struct err *err = session_parse_number(call->s, text, ret);

		if (err)
			err_free(err);
		return err ? bad('t', text) : NULL;
	}
	if (!parse_gap(text + 1, &gap_ns))
		return bad('t', text);
	if (text[0] == '+')
		*ret = m->stamp_ns + gap_ns;
	else
		*ret = gap_ns < m->stamp_ns ? m->stamp_ns - gap_ns : 0;
	return NULL;
}

/* counts are decimal, unless they say otherwise: 1000, 0t1000, 0x400 */
static struct err *count_wanted(struct heap *replay, const char *text,
				const struct heap_moment *m, uint64_t *ret)
{
	bool is_back = text[0] == '-';
	const char *digits = text + (is_back || text[0] == '+');
	unsigned base = 10;
	char *end = NULL;
	uint64_t n = 0;

	if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 't')) {
		base = digits[1] == 'x' ? 16 : 10;
		digits += 2;
	}
	if (isxdigit((unsigned char)*digits))
		n = strtoull(digits, &end, (int)base);

	if (!end || *end != '\0')
		return bad('n', text);
	if (is_back && n >= m->nbefore)
		return err_new(ERR_NOTFOUND,
			       "the log has %" PRIu64
			       " transactions before this moment",
			       m->nbefore);
	if (!is_back && n > m->nevents - m->nbefore)
		return err_new(ERR_NOTFOUND,
			       "the log has %" PRIu64
			       " transactions after this moment",
			       m->nevents - m->nbefore);
	*ret = n ? heap_replay_nth(replay,
				   is_back ? m->nbefore - n : m->nbefore + n)
		 : m->stamp_ns;
	return NULL;
}

/* ---- where we are ---------------------------------------------------- */

static void print_moment(struct out *o, const struct heap_moment *m)
{
	bool is_later = m->stamp_ns > m->dump_ns;
	uint64_t gap_ns =
		is_later ? m->stamp_ns - m->dump_ns : m->dump_ns - m->stamp_ns;
	_free_ char *seconds = seconds_text(gap_ns);
	_free_ char *text = mem_printf("%s%s", is_later ? "+" : "-", seconds);

	out_begin(o, cols, sizeof(cols) / sizeof(*cols), NULL);
	out_u64(o, m->stamp_ns);
	out_str(o, gap_ns ? text : "0");
	out_u64(o, m->dump_ns);
	out_u64(o, m->nbefore);
	out_u64(o, m->nevents);
	out_u64(o, m->nlive);
	out_u64(o, m->live_bytes);
	out_u64(o, m->nunknown);
	out_u64(o, m->first_ns);
	if (m->covered.since_ns == HEAP_NOT_KNOWN)
		out_none(o);
	else
		out_u64(o, m->covered.since_ns);
	out_u64(o, m->covered.until_ns);
	out_end_row(o, m->stamp_ns);
	out_end(o);
}

static void print_coverage(struct out *o, const struct heap_moment *m)
{
	const struct heap_coverage *c = &m->covered;
	_free_ char *gap = NULL;

	if (out_is_json(o) || out_is_pipe(o))
		return;
	if (c->since_ns == HEAP_NOT_KNOWN)
		out_text(o, "no time is covered whole\n");
	else if (c->since_ns <= m->first_ns)
		out_text(o, "every transaction is known\n");
	else {
		gap = seconds_text(m->dump_ns > c->since_ns
					   ? m->dump_ns - c->since_ns
					   : 0);
		out_text(o,
			 "every transaction is known of the last %s, since "
			 "0x%" PRIx64 "\n",
			 gap, c->since_ns);
	}
	if (c->path && !c->is_open)
		out_text(o, "the process kept them all in %s\n", c->path);
	if (c->stop_ns)
		out_text(o, "%s ends at 0x%" PRIx64 ": %s\n", c->path,
			 c->stop_ns, strerror(c->stop_errno));
}

static void warn_unknown(struct out *o, const struct heap_moment *m)
{
	if (m->nunaudited)
		out_warn(o,
			 "replay: %" PRIu64
			 " buffers are of caches without audit: not known",
			 m->nunaudited);
	if (m->nunknown > m->nunaudited)
		out_warn(o,
			 "replay: of %" PRIu64
			 " buffers the log does not know any more what they "
			 "were, and of others not that they were",
			 m->nunknown - m->nunaudited);
	else if (m->stamp_ns < m->covered.since_ns)
		out_warn(o, "replay: the log does not cover this moment: there "
			    "may have been other buffers");
}

static struct err *move(struct dcmd_call *call, struct heap *replay,
			const struct replay_opts *ro)
{
	bool is_moved = ro->time || ro->count || ro->is_reset;
	struct heap_moment m;
	uint64_t wanted = 0;
	struct err *err = NULL;

	heap_replay_moment(replay, &m);
	wanted = ro->is_reset ? m.dump_ns : m.stamp_ns;
	if (ro->time)
		err = time_wanted(call, ro->time, &m, &wanted);
	else if (ro->count)
		err = count_wanted(replay, ro->count, &m, &wanted);
	if (!err && wanted > m.covered.until_ns)
		err = err_new(ERR_NOTFOUND,
			      "the last that is known is of 0x%" PRIx64,
			      m.covered.until_ns);
	if (!err && (is_moved || !session_is_replaying(call->s)))
		err = heap_replay_to(replay, wanted);
	if (err)
		return err;
	if (is_moved)
		session_set_replaying(call->s, wanted != m.dump_ns);
	heap_replay_moment(replay, &m);
	print_moment(call->out, &m);
	print_coverage(call->out, &m);
	if (session_is_replaying(call->s))
		warn_unknown(call->out, &m);
	return NULL;
}

static struct err *dcmd_replay(struct dcmd_call *call)
{
	struct replay_opts ro = {0};
	void *const values[] = {&ro.time, &ro.count, &ro.is_reset, &ro.is_graph,
				&ro.is_ascii};
	struct heap *replay = NULL;
	size_t first = 0;
	struct err *err = dcmd_options(call, opts, values, &first);
	size_t nargs = call->argc - first;

	if (!err &&
	    (ro.time != NULL) + (ro.count != NULL) + ro.is_reset + ro.is_graph >
		    1)
		err = err_new(ERR_USAGE, "one of -t, -n, -r and -g");
	if (!err && (nargs > (ro.is_graph ? 1 : 0) ||
		     (nargs && call->argv[first].type != ARG_STRING)))
		err = err_new(ERR_USAGE, "unexpected argument");
	if (!err && ro.is_graph)
		return churn_graph(call, nargs ? call->argv[first].str : NULL,
				   ro.is_ascii);
	if (!err)
		err = session_replay(call->s, &replay);
	return err ? err : move(call, replay, &ro);
}

static const struct dcmd dcmds[] = {
	{.name = "replay",
	 .addr = ADDR_NONE,
	 .usage = "[cache]",
	 .opts = opts,
	 .brief = "have everything answer for an earlier moment",
	 .run = dcmd_replay},
	{0},
};

const struct group group_replay = {.name = "replay", .dcmds = dcmds};

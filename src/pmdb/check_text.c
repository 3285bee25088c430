/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A verdict for people, in the words of LeakSanitizer where it has some. */
#include "pmdb/check_suppress.h"

#include <inttypes.h>
#include <string.h>

/* so many findings are printed; all are counted */
#define FINDINGS_SHOWN 100

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

void check_frame_line(struct strbuf *sb, const struct check_frame *f,
		      unsigned n, const struct check *check)
{
	strbuf_printf(sb, "    #%-2u 0x%012" PRIx64 " in %s", n, f->pc,
		      f->function ? f->function : "??");
	if (f->file) {
		strbuf_printf(sb, " %s:%d", check->has_root ? f->path : f->file,
			      f->line);
	} else if (f->object && f->is_own) {
		const char *slash = strrchr(f->object, '/');

		strbuf_printf(sb, " (%s)", slash ? slash + 1 : f->object);
	} else if (f->object) {
		strbuf_printf(sb, " (%s+0x%" PRIx64 ")", f->object, f->offset);
	}
	strbuf_putc(sb, '\n');
}

static void print_stack(const struct check *check, FILE *out, bool is_there,
			const struct check_stack *s, const char *why)
{
	struct strbuf sb = {0};

	if (!is_there)
		strbuf_printf(&sb, "    (no stack: %s)\n",
			      why ? why : "it was not recorded");
	for (size_t i = 0; i < s->n; i++)
		check_frame_line(&sb, s->v[i], (unsigned)i, check);
	fputs(strbuf_str(&sb), out);
	strbuf_free(&sb);
}

/* what keeps an indirect leak: that is the one to look at */
static void print_keeper(const struct verdict *v, FILE *out,
			 const struct item *item)
{
	const struct item *keeper = &v->items.v[item->kept_by];
	const struct check_frame *f = check_where(keeper);
	struct strbuf sb = {0};

	strbuf_printf(&sb, "  kept by the %s leak of %" PRIu64 " byte%s",
		      keeper->kind == ITEM_LEAK ? "direct" : "indirect",
		      keeper->bytes, plural(keeper->bytes));
	if (f) {
		strbuf_puts(&sb, " from ");
		check_frame_words(f, &sb);
	}
	fprintf(out, "%s [%016" PRIx64 "]\n", strbuf_str(&sb),
		keeper->fingerprint);
	strbuf_free(&sb);
}

static void print_buffers(const struct check *check, const struct verdict *v,
			  FILE *out, const struct item *item)
{
	static const char *const kinds[] = {
		[ITEM_LEAK] = "Direct",
		[ITEM_INDIRECT] = "Indirect",
		[ITEM_POSSIBLE] = "Possible",
	};

	fprintf(out, "%s leak of %" PRIu64 " byte%s in %" PRIu64 " buffer%s",
		kinds[item->kind], item->bytes, plural(item->bytes),
		item->nbufs, plural(item->nbufs));
	if (item->kind == ITEM_LEAK && item->ndirect < item->nbufs)
		fprintf(out, " (%" PRIu64 " of them indirect)",
			item->nbufs - item->ndirect);
	fprintf(out, " of %s", item->cache);
	if (item->ncaches > 1)
		fprintf(out, " and %zu other%s", item->ncaches - 1,
			plural(item->ncaches - 1));
	if (item->type)
		fprintf(out, " (%s)", item->type);
	if (item->shape)
		fprintf(out, " %s", item->shape);
	fprintf(out,
		*item->call ? ", allocated by %s at:" : ", allocated%s at:",
		item->call);
	fprintf(out, " [%016" PRIx64 "]%s\n", item->fingerprint,
		item->state == ITEM_KNOWN   ? " known"
		: item->state == ITEM_NOTED ? " tolerated"
					    : "");
	print_stack(check, out, item->has_stack, &item->stack, item->no_stack);
	if (item->kept_by != ITEM_NONE && item->kind == ITEM_INDIRECT)
		print_keeper(v, out, item);
	if (item->kept_bufs && item->kind == ITEM_LEAK)
		fprintf(out,
			"  keeps %" PRIu64 " more byte%s in %" PRIu64
			" buffer%s\n",
			item->kept_bytes, plural(item->kept_bytes),
			item->kept_bufs, plural(item->kept_bufs));
	fputc('\n', out);
}

static void print_damage(const struct check *check, FILE *out,
			 const struct item *item)
{
	if (item->is_structure)
		fprintf(out, "Heap corruption: %s\n", item->text);
	else
		fprintf(out, "Heap corruption in %s: %s\n",
			item->cache ? item->cache : "?", item->text);
	if (item->did) {
		fprintf(out, "  last %s by thread %u at:\n", item->did,
			item->tid);
		print_stack(check, out, item->has_stack, &item->stack,
			    item->no_stack);
	}
	fputc('\n', out);
}

static void print_mismatch(const struct check *check, FILE *out,
			   const struct item *item)
{
	fputs("Mismatched free", out);
	if (item->bytes != UINT64_MAX)
		fprintf(out, " of %" PRIu64 " byte%s", item->bytes,
			plural(item->bytes));
	if (item->nbufs > 1)
		fprintf(out, ", %" PRIu64 " times", item->nbufs);
	fprintf(out, ": allocated by %s, freed by %s", item->call,
		item->freed_by);
	if (item->freed_bytes != UINT64_MAX)
		fprintf(out, " of %" PRIu64 " byte%s", item->freed_bytes,
			plural(item->freed_bytes));
	fputs("\n  allocated", out);
	if (item->tid)
		fprintf(out, " by thread %u", item->tid);
	fputs(" at:\n", out);
	print_stack(check, out, item->has_stack, &item->stack, item->no_stack);
	fprintf(out, "  freed by thread %u at:\n", item->freed_tid);
	print_stack(check, out, item->has_freed, &item->freed, NULL);
	fputc('\n', out);
}

static void print_item(const struct check *check, const struct verdict *v,
		       FILE *out, const struct item *item)
{
	switch (item->kind) {
	case ITEM_PANIC:
		fprintf(out, "Heap corruption, reported by the allocator:\n%s",
			item->report);
		fputs(*item->report ? "\n" : "  (no message)\n\n", out);
		break;
	case ITEM_DAMAGE:
		print_damage(check, out, item);
		break;
	case ITEM_MISMATCH:
		print_mismatch(check, out, item);
		break;
	case ITEM_LEAK:
	case ITEM_INDIRECT:
	case ITEM_POSSIBLE:
		print_buffers(check, v, out, item);
		break;
	}
}

/* in the order of kinds; of damage not all */
static void print_items(const struct check *check, const struct verdict *v,
			FILE *out)
{
	size_t nshown[ITEM_POSSIBLE + 1] = {0};
	uint64_t nfrees = v->nmismatches;

	for (size_t i = 0; i < v->items.n; i++) {
		const struct item *item = &v->items.v[i];

		if (item->state == ITEM_SUPPRESSED)
			continue;
		if (item_is_buffers(item) ||
		    nshown[item->kind] < FINDINGS_SHOWN) {
			print_item(check, v, out, item);
			if (item->kind == ITEM_MISMATCH)
				nfrees -= item->nbufs;
		}
		nshown[item->kind]++;
	}
	if (nshown[ITEM_DAMAGE] > FINDINGS_SHOWN)
		fprintf(out, "... and %zu more corruptions\n\n",
			nshown[ITEM_DAMAGE] - FINDINGS_SHOWN);
	if (nshown[ITEM_MISMATCH] > FINDINGS_SHOWN)
		fprintf(out, "... and %" PRIu64 " more mismatched frees\n\n",
			nfrees);
}

/* "3 leaks, 156 bytes in 8 buffers" */
static void add_leaks(struct strbuf *sb, const struct check_counts *c,
		      const char *what)
{
	if (c->nitems == 0)
		return;
	strbuf_printf(sb,
		      "%s%" PRIu64 " %sleak%s, %" PRIu64 " byte%s in %" PRIu64
		      " buffer%s",
		      sb->n ? "; " : "", c->nitems, what, plural(c->nitems),
		      c->bytes, plural(c->bytes), c->nbufs, plural(c->nbufs));
}

/* the reason without the path of the dump, which stands before it anyway */
static const char *reason_alone(const struct verdict *v)
{
	size_t n = strlen(v->path);

	if (strncmp(v->reason, v->path, n) == 0 &&
	    strncmp(v->reason + n, ": ", 2) == 0)
		return v->reason + n + 2;
	return v->reason;
}

/* leaks, "2 corruptions", "4 mismatched frees at 1 place" */
static void add_counts(const struct verdict *v, struct strbuf *sb)
{
	size_t ncorruptions = verdict_ncorruptions(v);
	size_t nplaces = 0;

	for (size_t i = 0; i < v->items.n; i++)
		nplaces += v->items.v[i].kind == ITEM_MISMATCH &&
			   v->items.v[i].state != ITEM_SUPPRESSED;
	add_leaks(sb, &v->sums[ITEM_FAILS], "");
	if (ncorruptions)
		strbuf_printf(sb, "%s%zu corruption%s", sb->n ? "; " : "",
			      ncorruptions, plural(ncorruptions));
	if (v->nmismatches && nplaces)
		strbuf_printf(sb,
			      "%s%" PRIu64 " mismatched free%s at %zu place%s",
			      sb->n ? "; " : "", v->nmismatches,
			      plural(v->nmismatches), nplaces, plural(nplaces));
	add_leaks(sb, &v->sums[ITEM_NOTED], "tolerated ");
	add_leaks(sb, &v->sums[ITEM_KNOWN], "known ");
	add_leaks(sb, &v->sums[ITEM_SUPPRESSED], "suppressed ");
}

void check_summary_words(const struct verdict *v, struct strbuf *sb)
{
	if (v->status == PMDB_NO_VERDICT) {
		strbuf_printf(sb, "no verdict: %s", reason_alone(v));
		return;
	}
	if (v->status == PMDB_CLEAN)
		strbuf_printf(sb, "clean, %" PRIu64 " buffer%s live",
			      v->live.nbufs, plural(v->live.nbufs));
	add_counts(v, sb);
	if (v->status == PMDB_FINDINGS && v->reason)
		strbuf_printf(sb, " (leaks uncertain: %s)", v->reason);
}

static void print_summary(const struct verdict *v, FILE *out)
{
	struct strbuf sb = {0};

	check_summary_words(v, &sb);
	fprintf(out, "pmdb: %s: %s\n", v->path, strbuf_str(&sb));
	strbuf_free(&sb);
}

static void print_verdict(const struct check *check, const struct verdict *v,
			  FILE *out)
{
	size_t n = 0;

	for (size_t i = 0; i < v->items.n; i++)
		n += v->items.v[i].state != ITEM_SUPPRESSED;
	if (n)
		fprintf(out, "==== %s: %s, process %u ====\n\n", v->path,
			v->psargs[0] ? v->psargs : v->program, v->pid);
	print_items(check, v, out);
	if (v->status != PMDB_NO_VERDICT)
		print_summary(v, out);
}

void check_print_text(const struct report *r, FILE *out)
{
	suppressions_print(r->check->suppressions, out);
	for (size_t i = 0; i < r->n; i++)
		print_verdict(r->check, &r->v[i], out);
}

void check_print_trouble(const struct verdict *v)
{
	if (v->status == PMDB_NO_VERDICT)
		print_summary(v, stderr);
	else if (v->trouble)
		fprintf(stderr, "pmdb: %s: %s\n", v->path, v->trouble);
}

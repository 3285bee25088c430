/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A verdict for people. */
#include "pmdb/check_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

/* so many findings are printed; all are counted */
#define FINDINGS_SHOWN 100

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

struct print_arg {
	const struct verdict *v;
	FILE *out;
	unsigned n;
};

static void print_frame(void *arg, taddr_t pc, const char *function,
			const char *file, int line)
{
	struct print_arg *p = arg;
	const struct object *obj = types_object_at(p->v->types, pc);

	fprintf(p->out, "    #%-2u 0x%012" PRIx64 " in %s", p->n++, pc,
		function ? function : "??");
	if (file)
		fprintf(p->out, " %s:%d\n", file, line);
	else if (obj && object_is_libkmem(obj))
		fprintf(p->out, " (%s)\n", obj->name);
	else if (obj)
		fprintf(p->out, " (%s+0x%" PRIx64 ")\n", obj->path,
			pc - obj->bias);
	else
		fputc('\n', p->out);
}

static void print_stack(const struct verdict *v, FILE *out, uint32_t id)
{
	struct print_arg p = {v, out, 0};
	struct heap_stack stack;

	if (!check_stack(v, id, &stack)) {
		fputs("    (no stack: auditing was off)\n", out);
		return;
	}
	for (unsigned i = 0; i < stack.depth; i++)
		types_each_function(v->types, stack.pc[i], print_frame, &p);
}

static void print_leak(const struct verdict *v, FILE *out, const struct leak *l)
{
	const char *kind = check_alloc_kind(v, l);

	fprintf(out, "%s leak of %" PRIu64 " byte%s in %zu buffer%s",
		l->is_direct ? "Direct" : "Indirect", l->bytes,
		plural(l->bytes), l->nbufs, plural(l->nbufs));
	if (l->is_direct && l->ndirect < l->nbufs)
		fprintf(out, " (%zu of them indirect)", l->nbufs - l->ndirect);
	fprintf(out, " of %s%s%s%s\n", heap_name(v->heap, l->cache),
		*kind ? ", allocated by " : ", allocated at:", kind,
		*kind ? " at:" : "");
	print_stack(v, out, l->stack);
	fputc('\n', out);
}

static void print_record(const struct verdict *v, FILE *out, taddr_t addr)
{
	static const char *const did[] = {
		[HEAP_ALLOC] = "allocated",
		[HEAP_FREE] = "freed",
	};
	struct heap_buf b;
	struct heap_audit a;

	if (!v->heap->ops->buf_at(v->heap, addr, &b) || !v->heap->ops->audit ||
	    !v->heap->ops->audit(v->heap, &b, &a) ||
	    (a.what != HEAP_ALLOC && a.what != HEAP_FREE))
		return;
	fprintf(out, "  last %s by thread %u at:\n", did[a.what], a.tid);
	print_stack(v, out, a.stack);
}

/*
 * The pc of a line as the allocator prints frames: "    object+0xoffset", or
 * "    object`symbol+0xn [0xoffset]".
 */
static bool frame_of(const struct verdict *v, const char *line, size_t len,
		     taddr_t *ret)
{
	_free_ char *s = mem_strndup(line, len);
	char *name = s + strspn(s, " ");
	char *tick = strchr(name, '`');
	char *number = strstr(name, tick ? " [0x" : "+0x");
	char *end = NULL;

	if (name == s || !number)
		return false;
	uint64_t offset = strtoull(number + (tick ? 4 : 3), &end, 16);

	if (strcmp(end, tick ? "]" : "") != 0)
		return false;
	*(tick ? tick : number) = '\0';
	const struct object *obj = types_object_named(v->types, name);

	if (!obj)
		return false;
	*ret = obj->bias + offset;
	return true;
}

/* what the allocator printed, with its frames by name */
static void print_report(const struct verdict *v, FILE *out, const char *text)
{
	struct print_arg frames = {v, out, 0};
	taddr_t pc = 0;

	fprintf(out, "Heap corruption, reported by the allocator:\n");
	for (const char *p = text; *p;) {
		size_t len = strcspn(p, "\n");

		if (frame_of(v, p, len, &pc)) {
			types_each_function(v->types, pc, print_frame, &frames);
		} else {
			frames.n = 0;
			fprintf(out, "  %.*s\n", (int)len, p);
		}
		p += len + (p[len] == '\n');
	}
	fputs(*text ? "\n" : "  (no message)\n\n", out);
}

static void print_damage(const struct verdict *v, FILE *out)
{
	const struct heap_health *h = &v->heap->health;

	if (h->has_panic)
		print_report(v, out, h->panic ? h->panic : "");
	for (size_t i = 0; i < v->findings.n && i < FINDINGS_SHOWN; i++) {
		const struct heap_finding *f = &v->findings.v[i];

		if (f->kind == FINDING_BUFFER) {
			fprintf(out, "Heap corruption in %s: %s\n",
				heap_name(v->heap, f->cache), f->text);
			print_record(v, out, f->addr);
		} else {
			fprintf(out, "Heap corruption: %s\n", f->text);
		}
		fputc('\n', out);
	}
	if (v->findings.n > FINDINGS_SHOWN)
		fprintf(out, "... and %zu more\n\n",
			v->findings.n - FINDINGS_SHOWN);
}

static void print_mismatch(const struct verdict *v, FILE *out,
			   const struct heap_mismatch *m)
{
	fputs("Mismatched free", out);
	if (m->size_bytes != UINT64_MAX)
		fprintf(out, " of %" PRIu64 " byte%s", m->size_bytes,
			plural(m->size_bytes));
	if (m->count > 1)
		fprintf(out, ", %" PRIu64 " times", m->count);
	fprintf(out, ": allocated by %s, freed by %s",
		heap_alloc_call(m->alloc.kind), heap_free_call(m->free.kind));
	if (m->freed_bytes != UINT64_MAX)
		fprintf(out, " of %" PRIu64 " byte%s", m->freed_bytes,
			plural(m->freed_bytes));
	fputs("\n  allocated", out);
	if (m->alloc.tid)
		fprintf(out, " by thread %u", m->alloc.tid);
	fputs(" at:\n", out);
	print_stack(v, out, m->alloc.stack);
	fprintf(out, "  freed by thread %u at:\n", m->free.tid);
	print_stack(v, out, m->free.stack);
	fputc('\n', out);
}

static void print_mismatches(const struct verdict *v, FILE *out)
{
	uint64_t shown = 0;

	for (size_t i = 0; i < v->mismatches.n && i < FINDINGS_SHOWN; i++) {
		print_mismatch(v, out, &v->mismatches.v[i]);
		shown += v->mismatches.v[i].count;
	}
	if (v->nmismatches > shown)
		fprintf(out, "... and %" PRIu64 " more mismatched frees\n\n",
			v->nmismatches - shown);
}

static size_t ncorruptions(const struct verdict *v)
{
	return v->findings.n +
	       (v->heap && v->heap->health.has_panic && v->findings.n == 0);
}

/* "3 leaks, 156 bytes in 8 buffers", "2 corruptions", "4 mismatched frees at 1
 * place", or all of them */
static void add_counts(const struct verdict *v, struct strbuf *sb)
{
	const struct leaks *l = v->leaks;
	size_t n = ncorruptions(v);

	if (l && l->nbufs)
		strbuf_printf(sb,
			      "%zu leak%s, %" PRIu64 " byte%s in %" PRIu64
			      " buffer%s",
			      l->n, plural(l->n), l->bytes, plural(l->bytes),
			      l->nbufs, plural(l->nbufs));
	if (n)
		strbuf_printf(sb, "%s%zu corruption%s", sb->n ? "; " : "", n,
			      plural(n));
	if (v->nmismatches)
		strbuf_printf(sb,
			      "%s%" PRIu64 " mismatched free%s at %zu place%s",
			      sb->n ? "; " : "", v->nmismatches,
			      plural(v->nmismatches), v->mismatches.n,
			      plural(v->mismatches.n));
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

static void print_summary(const struct verdict *v, FILE *out)
{
	struct strbuf sb = {0};

	if (v->status == PMDB_CLEAN) {
		strbuf_printf(&sb, "clean, %" PRIu64 " buffer%s live",
			      v->leaks->nlive, plural(v->leaks->nlive));
	} else if (v->status == PMDB_NO_VERDICT) {
		strbuf_printf(&sb, "no verdict: %s", reason_alone(v));
	} else {
		add_counts(v, &sb);
		if (v->reason)
			strbuf_printf(&sb, " (leaks uncertain: %s)", v->reason);
	}
	fprintf(out, "pmdb: %s: %s\n", v->path, strbuf_str(&sb));
	strbuf_free(&sb);
}

void check_print_text(const struct verdict *v, FILE *out)
{
	if (v->leaks) {
		const struct target_info *info = target_info(v->target);

		if (v->leaks->n || ncorruptions(v) || v->nmismatches)
			fprintf(out, "==== %s: %s, process %u ====\n\n",
				v->path,
				info->psargs[0] ? info->psargs : info->fname,
				info->pid);
		print_damage(v, out);
		print_mismatches(v, out);
		for (size_t i = 0; i < v->leaks->n; i++)
			print_leak(v, out, &v->leaks->v[i]);
	}
	if (v->status != PMDB_NO_VERDICT)
		print_summary(v, out);
}

void check_print_trouble(const struct verdict *v)
{
	const struct object *first = NULL;
	size_t n = 0;

	if (v->status == PMDB_NO_VERDICT) {
		print_summary(v, stderr);
		return;
	}
	for (size_t i = 0; v->types && i < types_nobjects(v->types); i++) {
		const struct object *o = types_object(v->types, i);

		if (o->state != OBJECT_OK && n++ == 0)
			first = o;
	}
	if (first)
		fprintf(stderr, "pmdb: %s: %s: %s%s\n", v->path, first->path,
			first->why ? first->why : "not found",
			n > 1 ? " (nor are others)" : "");
}

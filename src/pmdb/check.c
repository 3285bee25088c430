/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "pmdb check": the verdict on dumps, for people and for CI.
 *
 *   clean       everything could be looked at, and nothing was found
 *   findings    leaks, damage that is certain, or frees by the wrong call
 *   no verdict  something could not be looked at
 *
 * "Clean" is said only when nothing stood in the way.  Leaks of a dump that is
 * incomplete, or was taken in the middle of an operation of the allocator, are
 * printed but are no verdict.  Damage is certain when the dump is whole and the
 * allocator was at rest, or when the allocator reported it itself.
 */
#include "pmdb/pmdb.h"

#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "graph/graph.h"
#include "heap/heap.h"
#include "target/target.h"
#include "types/types.h"

/* so many findings are printed; all are counted */
#define FINDINGS_SHOWN 100
/* functions inlined into each other at one address */
#define INLINES_MAX 32

/* one dump and what was found out about it */
struct verdict {
	const char *path;
	struct target *target;
	struct types *types;
	struct heap *heap;
	struct leaks *leaks;
	VEC(struct heap_finding) findings;
	VEC(struct heap_mismatch) mismatches; /* newest first */
	uint64_t nmismatches; /* frees; also of those that are not there */
	char *reason;         /* why there is no verdict; NULL: there is one */
	enum pmdb_status status;
};

/* ---- looking --------------------------------------------------------- */

static void no_verdict(struct verdict *v, struct err *err)
{
	if (!v->reason)
		v->reason = mem_strdup(err->msg);
	err_free(err);
}

static struct err *keep_finding(void *arg, const struct heap_finding *f)
{
	struct verdict *v = arg;

	VEC_PUSH(&v->findings, *f);
	return NULL;
}

/* counts what there is, so that an empty answer is known to be one */
static struct err *count_cache(void *arg, const struct heap_cache *c)
{
	size_t *n = arg;

	(void)c; /* that it is there is enough */
	(*n)++;
	return NULL;
}

static struct err *keep_mismatch(void *arg, const struct heap_mismatch *m)
{
	struct verdict *v = arg;

	VEC_PUSH(&v->mismatches, *m);
	return NULL;
}

static struct err *look(struct verdict *v)
{
	struct types_options opt = {0};
	size_t ncaches = 0;
	struct err *err = target_open_core(v->path, &v->target);

	if (!err)
		err = types_open(v->target, &opt, &v->types);
	if (!err)
		err = heap_open(v->target, v->types, &v->heap);
	if (!err)
		err = v->heap->ops->caches(v->heap, count_cache, &ncaches);
	if (!err && ncaches == 0)
		err = err_new(ERR_BADDATA, "the heap has no caches");
	if (!err)
		err = leaks_find(v->heap, &v->leaks);
	if (!err && v->heap->ops->verify)
		err = v->heap->ops->verify(v->heap, 0, keep_finding, v);
	if (!err && v->heap->ops->mismatches)
		err = v->heap->ops->mismatches(v->heap, &v->nmismatches,
					       keep_mismatch, v);
	return err;
}

/* is damage certain, or may it be the dump's own fault? */
static bool is_damage_certain(const struct verdict *v)
{
	const struct heap_health *h = &v->heap->health;

	if (target_info(v->target)->incomplete)
		return false;
	return h->has_panic || v->nmismatches > 0 ||
	       (h->is_quiescent && v->findings.n > 0);
}

static void judge(struct verdict *v)
{
	struct err *err = look(v);

	/* a file that is cut off explains whatever else is wrong with it */
	if (err && v->target && target_info(v->target)->incomplete)
		v->reason = mem_printf("the dump is incomplete: %s",
				       target_info(v->target)->incomplete);
	if (err)
		no_verdict(v, err);
	else if (v->leaks->inconclusive)
		v->reason = mem_strdup(v->leaks->inconclusive);
	if (v->heap && v->leaks && is_damage_certain(v))
		v->status = PMDB_FINDINGS;
	else if (v->reason)
		v->status = PMDB_NO_VERDICT;
	else
		v->status = v->leaks->nbufs || v->findings.n || v->nmismatches
				    ? PMDB_FINDINGS
				    : PMDB_CLEAN;
}

static void verdict_fini(struct verdict *v)
{
	leaks_free(v->leaks);
	heap_close(v->heap);
	types_close(v->types);
	target_close(v->target);
	VEC_FREE(&v->findings);
	VEC_FREE(&v->mismatches);
	mem_free(v->reason);
}

static bool get_stack(const struct verdict *v, uint32_t id,
		      struct heap_stack *ret)
{
	return id && v->heap->ops->stack &&
	       v->heap->ops->stack(v->heap, id, ret);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* ---- text ------------------------------------------------------------ */

/* is it the allocator, of whose insides nobody wants to know? */
static bool is_own(const struct object *obj)
{
	return strncmp(obj->name, "libkmem", 7) == 0;
}

/* calls fn for the functions at a return address, those inlined there first;
 * function and file are NULL when not known */
static void each_function(const struct verdict *v, taddr_t pc,
			  void (*fn)(void *arg, taddr_t pc,
				     const char *function, const char *file,
				     int line),
			  void *arg)
{
	const struct object *obj = types_object_at(v->types, pc);
	bool is_ours = obj && is_own(obj);
	struct inline_frame frames[INLINES_MAX];
	struct symbol sym;
	size_t n = 0;

	/* a return address may be the first of the next function; what the
	 * allocator has inlined in malloc() is nobody's business */
	if (!is_ours)
		n = types_inlines(v->types, pc - 1, frames, INLINES_MAX);
	for (size_t i = 0; i < n; i++) {
		_free_ char *name = types_demangle(frames[i].name);

		fn(arg, pc, name, frames[i].file, frames[i].line);
	}
	if (n)
		return;
	const char *file = NULL;
	int line = 0;
	_free_ char *name = NULL;

	if (types_symbol_at(v->types, pc - 1, &sym))
		name = types_demangle(sym.name);
	if (is_ours || !types_source_line(v->types, pc - 1, &file, &line))
		file = NULL;
	fn(arg, pc, name, file, line);
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
	else if (obj && is_own(obj))
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

	if (!get_stack(v, id, &stack)) {
		fputs("    (no stack: auditing was off)\n", out);
		return;
	}
	for (unsigned i = 0; i < stack.depth; i++)
		each_function(v, stack.pc[i], print_frame, &p);
}

/* "malloc", "new", ... as the record says; "" when there is none */
static const char *alloc_kind(const struct verdict *v, const struct leak *l)
{
	struct heap_audit a;
	struct heap_buf b;

	bufset_get(v->heap, v->leaks->set, l->buf, &b);
	if (v->heap->ops->audit && v->heap->ops->audit(v->heap, &b, &a))
		return a.kind;
	return "";
}

static void print_leak(const struct verdict *v, FILE *out, const struct leak *l)
{
	const char *kind = alloc_kind(v, l);

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
	static const char *const did[] = {NULL, "allocated", "freed"};
	struct heap_buf b;
	struct heap_audit a;

	if (!v->heap->ops->buf_at(v->heap, addr, &b) || !v->heap->ops->audit ||
	    !v->heap->ops->audit(v->heap, &b, &a) || a.what < 1 || a.what > 2)
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
			each_function(v, pc, print_frame, &frames);
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

static void print_text(const struct verdict *v, FILE *out)
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

/*
 * What went wrong with the looking, one line on stderr whatever the format: why
 * there is no verdict; else, which file of the program is missing or of another
 * build, so that names are.
 */
static void print_trouble(const struct verdict *v)
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

/* ---- JSON ------------------------------------------------------------ */

/* names in a target may be any bytes: JSON is UTF-8 */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	if (j)
		return j;
	_free_ char *ascii = mem_strdup(s);

	for (char *p = ascii; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(ascii);
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? text(s) : json_null();
}

static json_t *hex(uint64_t n)
{
	_free_ char *s = mem_printf("0x%" PRIx64, n);

	return json_string(s);
}

struct json_arg {
	const struct verdict *v;
	json_t *list;
};

static void json_frame(void *arg, taddr_t pc, const char *function,
		       const char *file, int line)
{
	struct json_arg *a = arg;
	const struct object *obj = types_object_at(a->v->types, pc);
	json_t *j = json_object();

	json_object_set_new(j, "pc", hex(pc));
	json_object_set_new(j, "function", text_or_null(function));
	json_object_set_new(j, "object", text_or_null(obj ? obj->path : NULL));
	json_object_set_new(j, "offset",
			    obj ? hex(pc - obj->bias) : json_null());
	json_object_set_new(j, "file", text_or_null(file));
	json_object_set_new(j, "line", file ? json_integer(line) : json_null());
	json_array_append_new(a->list, j);
}

static json_t *json_stack(const struct verdict *v, uint32_t id)
{
	struct heap_stack stack;
	struct json_arg a = {v, json_array()};

	if (!get_stack(v, id, &stack))
		return a.list;
	for (unsigned i = 0; i < stack.depth; i++)
		each_function(v, stack.pc[i], json_frame, &a);
	return a.list;
}

static json_t *json_leak(const struct verdict *v, const struct leak *l)
{
	json_t *j = json_object();

	json_object_set_new(j, "kind",
			    json_string(l->is_direct ? "direct" : "indirect"));
	json_object_set_new(j, "buffers", json_integer((json_int_t)l->nbufs));
	json_object_set_new(j, "bytes", json_integer((json_int_t)l->bytes));
	json_object_set_new(j, "direct_buffers",
			    json_integer((json_int_t)l->ndirect));
	json_object_set_new(j, "cache", text(heap_name(v->heap, l->cache)));
	json_object_set_new(j, "allocated_by", text_or_null(alloc_kind(v, l)));
	json_object_set_new(j, "addr", hex(v->leaks->set->v[l->buf].addr));
	json_object_set_new(j, "stack", json_stack(v, l->stack));
	return j;
}

static json_t *json_damage(const struct verdict *v)
{
	json_t *list = json_array();

	if (!v->heap)
		return list;
	if (v->heap->health.has_panic) {
		json_t *j = json_object();

		json_object_set_new(j, "kind", json_string("reported"));
		json_object_set_new(j, "text",
				    text_or_null(v->heap->health.panic));
		json_array_append_new(list, j);
	}
	for (size_t i = 0; i < v->findings.n; i++) {
		const struct heap_finding *f = &v->findings.v[i];
		json_t *j = json_object();

		json_object_set_new(j, "kind",
				    json_string(f->kind == FINDING_BUFFER
							? "buffer"
							: "structure"));
		json_object_set_new(j, "text", text(f->text));
		json_object_set_new(j, "addr", hex(f->addr));
		json_object_set_new(j, "at", f->at ? hex(f->at) : json_null());
		json_object_set_new(j, "cache",
				    f->cache
					    ? text(heap_name(v->heap, f->cache))
					    : json_null());
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *json_call(const struct verdict *v, const struct heap_audit *a,
			 const char *call, uint64_t bytes)
{
	json_t *j = json_object();

	json_object_set_new(j, "call", json_string(call));
	json_object_set_new(j, "bytes",
			    bytes == UINT64_MAX
				    ? json_null()
				    : json_integer((json_int_t)bytes));
	json_object_set_new(j, "thread",
			    a->tid ? json_integer(a->tid) : json_null());
	json_object_set_new(j, "stack", json_stack(v, a->stack));
	return j;
}

static json_t *json_mismatches(const struct verdict *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->mismatches.n; i++) {
		const struct heap_mismatch *m = &v->mismatches.v[i];
		json_t *j = json_object();

		json_object_set_new(j, "addr", hex(m->free.buf));
		json_object_set_new(j, "count",
				    json_integer((json_int_t)m->count));
		json_object_set_new(j, "allocation",
				    json_call(v, &m->alloc,
					      heap_alloc_call(m->alloc.kind),
					      m->size_bytes));
		json_object_set_new(j, "free",
				    json_call(v, &m->free,
					      heap_free_call(m->free.kind),
					      m->freed_bytes));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *json_live(const struct verdict *v)
{
	json_t *j = json_object();

	json_object_set_new(j, "buffers",
			    json_integer((json_int_t)v->leaks->nlive));
	json_object_set_new(j, "bytes",
			    json_integer((json_int_t)v->leaks->live_bytes));
	return j;
}

static void print_json(const struct verdict *v, FILE *out)
{
	static const char *const words[] = {
		[PMDB_CLEAN] = "clean",
		[PMDB_FINDINGS] = "findings",
		[PMDB_NO_VERDICT] = "no-verdict",
	};
	const struct target_info *info =
		v->target ? target_info(v->target) : NULL;
	json_t *j = json_object();
	json_t *list = json_array();

	json_object_set_new(j, "schema", json_string("pmdb.check/1"));
	json_object_set_new(j, "status", json_string(words[v->status]));
	json_object_set_new(j, "reason", text_or_null(v->reason));
	json_object_set_new(j, "dump", text(v->path));
	json_object_set_new(j, "program",
			    text_or_null(info ? info->fname : NULL));
	json_object_set_new(j, "pid",
			    info ? json_integer(info->pid) : json_null());
	json_object_set_new(j, "live", v->leaks ? json_live(v) : json_null());
	for (size_t i = 0; v->leaks && i < v->leaks->n; i++)
		json_array_append_new(list, json_leak(v, &v->leaks->v[i]));
	json_object_set_new(j, "leaks", list);
	json_object_set_new(j, "corruption", json_damage(v));
	json_object_set_new(j, "mismatches", json_mismatches(v));
	json_object_set_new(j, "mismatched_frees",
			    json_integer((json_int_t)v->nmismatches));
	json_dumpf(j, out, JSON_COMPACT);
	fputc('\n', out);
	json_decref(j);
}

/* ---- the commands ---------------------------------------------------- */

/* no verdict outranks findings, findings outrank clean */
static int worse(int a, int b)
{
	return a > b ? a : b;
}

int check_dumps(char *const paths[], size_t n, const struct check_options *opt,
		FILE *out)
{
	int status = PMDB_CLEAN;

	for (size_t i = 0; i < n; i++) {
		struct verdict v = {.path = paths[i]};

		judge(&v);
		if (opt && opt->is_json)
			print_json(&v, out);
		else
			print_text(&v, out);
		print_trouble(&v);
		status = worse(status, v.status);
		verdict_fini(&v);
	}
	/* a verdict nobody could read is none */
	if (fflush(out) || ferror(out))
		return PMDB_NO_VERDICT;
	return status;
}

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "pmdb: check: %s%s (see pmdb check --help)\n", what,
		arg ? arg : "");
	return PMDB_USAGE;
}

static const struct option long_options[] = {
	{"format", required_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const char help_text[] =
	"usage: pmdb check [--format text|json] DUMP...\n"
	"\n"
	"Says of each dump whether it shows leaks, heap corruption or frees by "
	"the wrong\ncall.  The last line is the verdict; JSON is one object a "
	"line.  Why there is none\n"
	"is said on standard error.\n"
	"\n"
	"Status: 0 clean, 1 findings, 2 usage, 3 no verdict; of several dumps "
	"the worst,\nno verdict before findings before clean.\n";

int check_main(int argc, char **argv)
{
	struct check_options opt = {0};
	int c = 0;

	opterr = 0; /* we say it, in one line */
	optind = 0;
	while ((c = getopt_long(argc, argv, ":f:h", long_options, NULL)) !=
	       -1) {
		switch (c) {
		case 'f':
			if (strcmp(optarg, "json") == 0)
				opt.is_json = 1;
			else if (strcmp(optarg, "text") == 0)
				opt.is_json = 0;
			else
				return usage("there is no format ", optarg);
			break;
		case 'h':
			fputs(help_text, stdout);
			return fflush(stdout) ? PMDB_NO_VERDICT : PMDB_CLEAN;
		case ':':
			return usage("an argument is missing after ",
				     argv[optind - 1]);
		default:
			return usage("there is no option ", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return usage("no dump is named", NULL);
	return check_dumps(argv + optind, (size_t)(argc - optind), &opt,
			   stdout);
}

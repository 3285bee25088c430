/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A verdict as an object on a line: doc/man/pmdb.1 says what is in it. */
#include "pmdb/check_impl.h"

#include "shell/out_json.h"

static json_t *text_or_null(const char *s)
{
	return s && *s ? out_json_string(s) : json_null();
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

	json_object_set_new(j, "pc", out_json_hex(pc));
	json_object_set_new(j, "function", text_or_null(function));
	json_object_set_new(j, "object", text_or_null(obj ? obj->path : NULL));
	json_object_set_new(j, "offset",
			    obj ? out_json_hex(pc - obj->bias) : json_null());
	json_object_set_new(j, "file", text_or_null(file));
	json_object_set_new(j, "line", file ? json_integer(line) : json_null());
	json_array_append_new(a->list, j);
}

static json_t *json_stack(const struct verdict *v, uint32_t id)
{
	struct heap_stack stack;
	struct json_arg a = {v, json_array()};

	if (!check_stack(v, id, &stack))
		return a.list;
	for (unsigned i = 0; i < stack.depth; i++)
		types_each_function(v->types, stack.pc[i], json_frame, &a);
	return a.list;
}

static json_t *json_leak(const struct verdict *v, const struct leak *l)
{
	json_t *j = json_object();

	json_object_set_new(j, "kind",
			    json_string(l->is_direct ? "direct" : "indirect"));
	json_object_set_new(j, "buffers", out_json_count(l->nbufs));
	json_object_set_new(j, "bytes", out_json_count(l->bytes));
	json_object_set_new(j, "direct_buffers", out_json_count(l->ndirect));
	json_object_set_new(j, "cache",
			    out_json_string(heap_name(v->heap, l->cache)));
	json_object_set_new(j, "allocated_by",
			    text_or_null(check_alloc_kind(v, l)));
	json_object_set_new(j, "addr",
			    out_json_hex(v->leaks->set->v[l->buf].addr));
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
		json_object_set_new(j, "text", out_json_string(f->text));
		json_object_set_new(j, "addr", out_json_hex(f->addr));
		json_object_set_new(j, "at",
				    f->at ? out_json_hex(f->at) : json_null());
		json_object_set_new(
			j, "cache",
			f->cache ? out_json_string(heap_name(v->heap, f->cache))
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
			    bytes == UINT64_MAX ? json_null()
						: out_json_count(bytes));
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

		json_object_set_new(j, "addr", out_json_hex(m->free.buf));
		json_object_set_new(j, "count", out_json_count(m->count));
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

	json_object_set_new(j, "buffers", out_json_count(v->leaks->nlive));
	json_object_set_new(j, "bytes", out_json_count(v->leaks->live_bytes));
	return j;
}

void check_print_json(const struct verdict *v, FILE *out)
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
	json_object_set_new(j, "dump", out_json_string(v->path));
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
			    out_json_count(v->nmismatches));
	json_dumpf(j, out, JSON_COMPACT);
	fputc('\n', out);
	json_decref(j);
}

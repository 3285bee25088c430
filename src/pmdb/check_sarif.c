/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SARIF 2.1.0 (OASIS), as GitHub's code scanning wants it: one run for all dumps;
 * each result with a place in a file, a stack, the same stack as a code flow,
 * which is what is displayed, outermost first, and a fingerprint.
 *
 * Names of files below the root are relative to it.  An absolute one beside
 * relative ones makes GitHub refuse the whole file, so a function from elsewhere
 * has its name only.
 */
#include "pmdb/check_impl.h"

#include <inttypes.h>
#include <string.h>

#include "shell/out_json.h"

#define URI "https://json.schemastore.org/sarif-2.1.0.json"

struct rule {
	const char *id, *name, *brief, *full, *help;
};

static const struct rule rules[] = {
	[ITEM_PANIC] = {"pmdb/panic", "HeapPanic",
			"The allocator found the heap corrupted.",
			"libkmem met damage in the running program and stopped "
			"it.",
			"The report names the buffer, who allocated and who "
			"freed it last. Run pmdb on the dump for its story."},
	[ITEM_DAMAGE] = {"pmdb/corruption", "HeapCorruption",
			 "A buffer or a structure of the heap is damaged.",
			 "Bytes behind a buffer, or of one that was freed, are "
			 "not what the allocator left there.",
			 "Look at who allocated or freed the buffer last; "
			 "run pmdb on the dump and ::kmem_verify."},
	[ITEM_MISMATCH] = {"pmdb/mismatched-free", "MismatchedFree",
			   "A buffer was freed by the wrong call.",
			   "What operator new, new[] or malloc allocated has "
			   "to be freed by delete, delete[] or free.",
			   "Free the buffer with the call that belongs to its "
			   "allocation."},
	[ITEM_LEAK] = {"pmdb/leak", "HeapLeak", "Heap memory is leaked.",
		       "Nothing in the program points at the buffer any more.",
		       "Free the buffer on every path, or suppress the leak."},
	[ITEM_INDIRECT] = {"pmdb/indirect-leak", "IndirectHeapLeak",
			   "Heap memory is leaked with what points at it.",
			   "Only other leaked buffers point at the buffer.",
			   "Look at the leak that keeps it first."},
	[ITEM_POSSIBLE] = {"pmdb/possible-leak", "PossibleHeapLeak",
			   "Heap memory may be leaked.",
			   "Only the inside of the buffer is pointed at.",
			   "Keep a pointer to the start of the buffer, or "
			   "free it."},
};

static json_t *message(const char *text)
{
	return json_pack("{s:o}", "text", out_json_string(text));
}

static json_t *json_rules(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		const struct rule *r = &rules[i];

		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:o,s:o,s:o,s:{s:s},s:{s:[s,s],s:s,"
				  "s:s}}",
				  "id", r->id, "name", r->name,
				  "shortDescription", message(r->brief),
				  "fullDescription", message(r->full), "help",
				  message(r->help), "defaultConfiguration",
				  "level", "error", "properties", "tags",
				  "memory", "heap", "precision", "high",
				  "problem.severity", "error"));
	}
	return list;
}

/* a path as a relative reference of RFC 3986.  Owned. */
static char *uri_of(const char *path)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz"
				   "0123456789-._~/+@";
	struct strbuf sb = {0};

	for (; *path; path++) {
		if (strchr(safe, *path))
			strbuf_putc(&sb, *path);
		else
			strbuf_printf(&sb, "%%%02X", (unsigned char)*path);
	}
	return sb.s ? sb.s : mem_strdup("");
}

/* a line of a file; path NULL: the name of what has no file */
static json_t *physical(const char *path, int line)
{
	_free_ char *uri = uri_of(path);

	return json_pack("{s:{s:s},s:{s:i,s:i,s:i,s:i}}", "artifactLocation",
			 "uri", uri, "region", "startLine", line > 0 ? line : 1,
			 "startColumn", 1, "endLine", line > 0 ? line : 1,
			 "endColumn", 2);
}

/* the place of a frame, if it is in the project; else its name only */
static json_t *location(const struct check_frame *f)
{
	json_t *j = json_object();
	struct strbuf sb = {0};

	check_frame_words(f, &sb);
	json_object_set_new(j, "message", message(strbuf_str(&sb)));
	strbuf_free(&sb);
	if (f->function) {
		json_t *name = json_object();

		json_object_set_new(name, "name", out_json_string(f->function));
		json_object_set_new(name, "kind", json_string("function"));
		json_object_set_new(j, "logicalLocations",
				    json_pack("[o]", name));
	}
	if (f->is_inside) {
		json_object_set_new(j, "physicalLocation",
				    physical(f->path, f->line));
	}
	return j;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* where a result is; one without a line of the project is in its program */
static json_t *primary(const struct verdict *v, const struct item *item)
{
	const struct check_frame *f = check_where(item);
	json_t *j = f ? location(f) : json_object();

	json_object_del(j, "message");
	if (!json_object_get(j, "physicalLocation")) {
		const char *path = f && f->object && *f->object
					   ? base_name(f->object)
				   : v->program && *v->program ? v->program
							       : "program";

		json_object_set_new(j, "physicalLocation", physical(path, 1));
	}
	return j;
}

static json_t *json_stack(const struct check_stack *s, const char *what)
{
	json_t *frames = json_array();

	for (size_t i = 0; i < s->n; i++) {
		const struct check_frame *f = s->v[i];
		json_t *j = json_object();

		json_object_set_new(j, "location", location(f));
		if (f->object)
			json_object_set_new(
				j, "module",
				out_json_string(base_name(f->object)));
		json_array_append_new(frames, j);
	}
	return json_pack("{s:o,s:o}", "message", message(what), "frames",
			 frames);
}

/* the same, as it is displayed: outermost first */
static json_t *json_flow(const struct check_stack *s, const char *what)
{
	json_t *list = json_array();

	for (size_t i = s->n; i-- > 0;) {
		json_t *l = location(s->v[i]);

		if (json_object_get(l, "physicalLocation"))
			json_array_append_new(
				list, json_pack("{s:o}", "location", l));
		else
			json_decref(l);
	}
	if (json_array_size(list) == 0) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:o,s:[{s:o}]}", "message", message(what),
			 "threadFlows", "locations", list);
}

static void add_stack(json_t *j, const struct check_stack *s, const char *what)
{
	json_t *flow = NULL;

	if (s->n == 0)
		return;
	if (!json_object_get(j, "stacks"))
		json_object_set_new(j, "stacks", json_array());
	json_array_append_new(json_object_get(j, "stacks"),
			      json_stack(s, what));
	flow = json_flow(s, what);
	if (!flow)
		return;
	if (!json_object_get(j, "codeFlows"))
		json_object_set_new(j, "codeFlows", json_array());
	json_array_append_new(json_object_get(j, "codeFlows"), flow);
}

static json_t *json_properties(const struct verdict *v, const struct item *item)
{
	json_t *j = json_object();

	json_object_set_new(j, "kind",
			    json_string(check_kind_name(item->kind)));
	json_object_set_new(j, "dump", out_json_string(v->path));
	if (!item_is_buffers(item))
		return j;
	json_object_set_new(j, "bytes", out_json_count(item->bytes));
	json_object_set_new(j, "buffers", out_json_count(item->nbufs));
	json_object_set_new(j, "cache", out_json_string(item->cache));
	return j;
}

static json_t *json_result(const struct verdict *v, const struct item *item)
{
	json_t *j = json_object();
	struct strbuf sb = {0};
	const char *what = item->kind == ITEM_DAMAGE  ? "Last transaction"
			   : item->kind == ITEM_PANIC ? "Who did it"
						      : "Allocation";

	check_item_words(item, &sb);
	json_object_set_new(j, "ruleId", json_string(rules[item->kind].id));
	json_object_set_new(j, "ruleIndex", json_integer(item->kind));
	json_object_set_new(
		j, "level",
		json_string(item->state == ITEM_FAILS ? "error" : "note"));
	json_object_set_new(j, "message", message(strbuf_str(&sb)));
	strbuf_free(&sb);
	json_object_set_new(j, "locations", json_pack("[o]", primary(v, item)));
	add_stack(j, &item->stack, what);
	add_stack(j, &item->freed, "Free");
	json_object_set_new(
		j, "partialFingerprints",
		json_pack("{s:o,s:o}", "primaryLocationLineHash",
			  json_sprintf("%016" PRIx64 ":1", item->fingerprint),
			  "pmdbStackHash/v1",
			  json_sprintf("%016" PRIx64, item->fingerprint)));
	if (item->state == ITEM_KNOWN)
		json_object_set_new(j, "baselineState",
				    json_string("unchanged"));
	json_object_set_new(j, "properties", json_properties(v, item));
	return j;
}

/* whether the tool did its work, and why not */
static json_t *json_invocation(const struct report *r)
{
	json_t *list = json_array();
	bool is_ok = true;

	for (size_t i = 0; i < r->n; i++) {
		const struct verdict *v = &r->v[i];

		if (v->status != PMDB_NO_VERDICT)
			continue;
		_free_ char *text =
			mem_printf("%s: no verdict: %s", v->path, v->reason);

		is_ok = false;
		json_array_append_new(list,
				      json_pack("{s:s,s:o}", "level", "error",
						"message", message(text)));
	}
	return json_pack("{s:b,s:i,s:o}", "executionSuccessful", (int)is_ok,
			 "exitCode", r->status, "toolExecutionNotifications",
			 list);
}

void check_print_sarif(const struct report *r, FILE *out)
{
	json_t *results = json_array();
	json_t *j = NULL;

	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; k < r->v[i].items.n; k++)
			if (r->v[i].items.v[k].state != ITEM_SUPPRESSED)
				json_array_append_new(
					results,
					json_result(&r->v[i],
						    &r->v[i].items.v[k]));
	j = json_pack("{s:s,s:s,s:[{s:{s:{s:s,s:s,s:s,s:o}},s:{s:s},s:s,s:[o],"
		      "s:o}]}",
		      "$schema", URI, "version", "2.1.0", "runs", "tool",
		      "driver", "name", "pmdb", "version", PMDB_VERSION,
		      "semanticVersion", PMDB_VERSION, "rules", json_rules(),
		      "automationDetails", "id", "pmdb-check/", "columnKind",
		      "utf16CodeUnits", "invocations", json_invocation(r),
		      "results", results);
	json_dumpf(j, out, JSON_INDENT(1));
	fputc('\n', out);
	json_decref(j);
}

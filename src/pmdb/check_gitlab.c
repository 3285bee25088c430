/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * GitLab's code quality report: a JSON array of what its documentation
 * ("Implement a custom tool") asks for, of what fails only.  GitLab merges
 * entries of one fingerprint, which is what is wanted of several dumps.
 */
#include "pmdb/check_impl.h"

#include <inttypes.h>
#include <string.h>

#include "shell/out_json.h"

static json_t *json_place(const struct verdict *v, const struct item *item)
{
	const struct check_frame *f = check_where(item);
	const char *path = f && f->is_inside ? f->path : NULL;
	const char *name = path                        ? path
			   : v->program && *v->program ? v->program
						       : "program";

	return json_pack("{s:o,s:{s:i}}", "path", out_json_string(name),
			 "lines", "begin", path && f->line > 0 ? f->line : 1);
}

static json_t *json_entry(const struct verdict *v, const struct item *item)
{
	static const char *const severities[] = {
		[ITEM_PANIC] = "blocker",     [ITEM_DAMAGE] = "critical",
		[ITEM_MISMATCH] = "critical", [ITEM_LEAK] = "major",
		[ITEM_INDIRECT] = "minor",    [ITEM_POSSIBLE] = "minor",
	};
	json_t *j = json_object();
	struct strbuf sb = {0};

	check_item_words(item, &sb);
	json_object_set_new(j, "description", out_json_string(strbuf_str(&sb)));
	strbuf_free(&sb);
	json_object_set_new(
		j, "check_name",
		json_sprintf("pmdb/%s", check_kind_name(item->kind)));
	json_object_set_new(j, "fingerprint",
			    json_sprintf("%016" PRIx64, item->fingerprint));
	json_object_set_new(j, "severity", json_string(severities[item->kind]));
	json_object_set_new(j, "location", json_place(v, item));
	return j;
}

void check_print_gitlab(const struct report *r, FILE *out)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n; i++) {
		const struct verdict *v = &r->v[i];

		for (size_t k = 0; k < v->items.n; k++)
			if (v->items.v[k].state == ITEM_FAILS)
				json_array_append_new(
					list, json_entry(v, &v->items.v[k]));
	}
	json_dumpf(list, out, JSON_INDENT(1));
	fputc('\n', out);
	json_decref(list);
}

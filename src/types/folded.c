/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stack on one line, for flame graphs. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "types/types.h"

char *types_place_name(struct types *types, taddr_t pc)
{
	const struct object *o = types_object_at(types, pc);

	return o ? mem_printf("%s+0x%" PRIx64, o->name, pc - o->bias)
		 : mem_printf("0x%" PRIx64, pc);
}

struct names {
	struct types *types;
	VEC(char *) list; /* innermost first */
};

static void take_name(void *arg, taddr_t pc, const char *function,
		      const char *file, int line)
{
	struct names *names = arg;
	char *name = function ? mem_strdup(function)
			      : types_place_name(names->types, pc);

	(void)file;
	(void)line;
	for (char *p = name; *p; p++)
		if (*p == ';' || *p == '\n')
			*p = ':';
	VEC_PUSH(&names->list, name);
}

char *types_folded(struct types *types, const taddr_t *pcs, size_t n)
{
	struct names names = {.types = types};
	struct strbuf sb = {0};

	for (size_t i = 0; i < n; i++)
		types_each_function(types, pcs[i], take_name, &names);
	strbuf_puts(&sb, names.list.n ? "" : "?");
	for (size_t i = names.list.n; i > 0; i--) {
		strbuf_puts(&sb, names.list.v[i - 1]);
		if (i > 1)
			strbuf_putc(&sb, ';');
		mem_free(names.list.v[i - 1]);
	}
	VEC_FREE(&names.list);
	return sb.s;
}

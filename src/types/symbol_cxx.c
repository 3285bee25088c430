/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * C++ symbols by the name they have in the source.
 *
 * The linker's name of "ns::queue::push(int)" is _ZN2ns5queue4pushEi.  Each
 * such symbol is entered under its last identifier ("push"), which can be read
 * off without demangling; the few that share it with a question are demangled
 * and compared, without parameters, template arguments kept.  "push" alone, and
 * "queue::push", find it, too; of several the first in the file is taken.  What
 * is in a template is entered under the template: "box" of "box<int>::get".
 *
 * Cost: one pass over an object's symbols, when a name is first not found.
 */
#include "types/types_impl.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

void cxx_index_free(struct cxx_index *index)
{
	hash_fini(&index->heads);
	mem_free(index->next);
}

/* the last <length><identifier> of the name proper; false: there is none */
static bool last_identifier(const char *mangled, const char **ret,
			    size_t *ret_n)
{
	const char *p = mangled + 2; /* _Z */
	bool is_nested = false;

	*ret_n = 0;
	for (; *p; p++) {
		if (isdigit((unsigned char)*p)) {
			char *end = NULL;
			unsigned long n = strtoul(p, &end, 10);

			if (n == 0 || n > strlen(end))
				break;
			*ret = end;
			*ret_n = n;
			p = end + n - 1;
			if (!is_nested)
				break;
		} else if (*p == 'N') {
			is_nested = true;
		} else if (!strchr("LrVKROSt", *p)) {
			break; /* template arguments, operators, the end */
		}
	}
	return *ret_n > 0;
}

static void make_index(struct cxx_index *index, const struct symtab *tab)
{
	index->is_made = true;
	hash_init(&index->heads);
	index->next = mem_array(tab->all.n, sizeof(*index->next));
	/* backwards, see finish() in symbol.c */
	for (size_t i = tab->all.n; i > 0; i--) {
		const struct sym_entry *sym = &tab->all.v[i - 1];
		const char *id;
		uint64_t *head;
		size_t n;

		if (strncmp(sym->name, "_Z", 2) != 0 ||
		    sym->shndx == SHN_UNDEF || sym->type == STT_TLS ||
		    !last_identifier(sym->name, &id, &n))
			continue;
		head = hash_put(&index->heads, hash_bytes(id, n, 0), NULL);
		index->next[i - 1] = (uint32_t)*head;
		*head = i;
	}
}

/* "ns::f[abi:cxx11]" is "ns::f"; so are "f" and, of x::ns::f, "ns::f" */
static bool is_meant(const char *plain, const char *name)
{
	size_t n = strcspn(plain, "[");
	size_t len = strlen(name);

	if (n < len || strncmp(plain + n - len, name, len) != 0)
		return false;
	return n == len || (n >= len + 2 && plain[n - len - 1] == ':' &&
			    plain[n - len - 2] == ':');
}

const struct sym_entry *cxx_symbol(struct cxx_index *index,
				   const struct symtab *tab, const char *name)
{
	const char *end = name + strcspn(name, "<");
	const char *id = end;
	uint64_t *head;
	uint64_t i;

	while (id > name && id[-1] != ':')
		id--;
	if (!index->is_made)
		make_index(index, tab);
	head = hash_get(&index->heads, hash_bytes(id, (size_t)(end - id), 0));
	for (i = head ? *head : 0; i != 0; i = index->next[i - 1]) {
		const struct sym_entry *sym = &tab->all.v[i - 1];
		_free_ char *plain = cplus_demangle(sym->name, DMGL_ANSI);

		if (plain && is_meant(plain, name))
			return sym;
	}
	return NULL;
}

char *types_plain_name(const char *mangled)
{
	char *plain = NULL;
	char *copy = NULL;

	if (strncmp(mangled, "_Z", 2) == 0)
		plain = cplus_demangle(mangled, DMGL_ANSI);
	/* "vtable for x" is not called so in a source */
	if (plain && !strpbrk(plain, " ({["))
		copy = mem_strdup(plain);
	free(plain);
	return copy;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The words of a C type name:
 *
 *      [const|volatile] [struct|union|enum|class] BASE [*...] [[N]...]
 *
 * where BASE is a name, qualified in C++ (with template arguments kept as they
 * are written), or a combination of int's adjectives in any order.
 */
#include "types/names.h"

#include <ctype.h>
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"

/* ---- unsigned long int --------------------------------------------------- */

struct adjectives {
	unsigned nlong, nshort, nsigned, nunsigned, nint, nchar, ndouble,
		nother;
};

static void count_word(struct adjectives *adj, const char *word, size_t n)
{
	const struct {
		const char *word;
		unsigned *count;
	} known[] = {
		{"long", &adj->nlong},         {"short", &adj->nshort},
		{"signed", &adj->nsigned},     {"int", &adj->nint},
		{"unsigned", &adj->nunsigned}, {"char", &adj->nchar},
		{"double", &adj->ndouble},
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].word) == n &&
		    memcmp(known[i].word, word, n) == 0) {
			(*known[i].count)++;
			return;
		}
	adj->nother++;
}

static const char *spell(const struct adjectives *adj)
{
	static const char *const longs[3][2] = {
		{"int", "unsigned int"},
		{"long int", "long unsigned int"},
		{"long long int", "long long unsigned int"},
	};
	bool is_unsigned = adj->nunsigned > 0;

	if (adj->nchar > 0)
		return is_unsigned        ? "unsigned char"
		       : adj->nsigned > 0 ? "signed char"
					  : "char";
	if (adj->ndouble > 0)
		return adj->nlong > 0 ? "long double" : "double";
	if (adj->nshort > 0)
		return is_unsigned ? "short unsigned int" : "short int";
	return longs[adj->nlong][is_unsigned];
}

char *names_base_type(const char *name)
{
	struct adjectives adj = {0};
	const char *at = name;

	while (*at) {
		size_t n = strcspn(at, " \t");

		if (n > 0)
			count_word(&adj, at, n);
		at += n;
		at += strspn(at, " \t");
	}
	if (adj.nother > 0 || adj.nlong > 2 || adj.nshort > 1 ||
	    adj.nsigned + adj.nunsigned > 1 || adj.nchar > 1 || adj.nint > 1 ||
	    adj.ndouble > 1 ||
	    adj.nlong + adj.nshort + adj.nsigned + adj.nunsigned + adj.nint +
			    adj.nchar + adj.ndouble ==
		    0)
		return NULL;
	return mem_strdup(spell(&adj));
}

/* ---- a whole name -------------------------------------------------------- */

static int tag_of_word(const char *word, size_t n)
{
	static const struct {
		char word[8];
		int tag;
	} known[] = {
		{"struct", DW_TAG_structure_type},
		{"class", DW_TAG_structure_type},
		{"union", DW_TAG_union_type},
		{"enum", DW_TAG_enumeration_type},
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].word) == n &&
		    memcmp(known[i].word, word, n) == 0)
			return known[i].tag;
	return 0;
}

static bool is_qualifier(const char *word, size_t n)
{
	return (n == 5 && memcmp(word, "const", 5) == 0) ||
	       (n == 8 && memcmp(word, "volatile", 8) == 0);
}

/* the length of the next word of the base: template arguments and brackets of
 * C++ belong to it, spaces within them too */
static size_t word_length(const char *at)
{
	size_t n = 0;
	int depth = 0;

	for (; at[n]; n++) {
		if (at[n] == '<' || at[n] == '(')
			depth++;
		else if ((at[n] == '>' || at[n] == ')') && depth > 0)
			depth--;
		else if (depth == 0 && (isspace((unsigned char)at[n]) ||
					at[n] == '*' || at[n] == '['))
			break;
	}
	return n;
}

static const char *skip_space(const char *at)
{
	while (isspace((unsigned char)*at))
		at++;
	return at;
}

static const char *parse_base(const char *at, struct type_words *words)
{
	struct strbuf base = {0};
	size_t n;

	for (at = skip_space(at); *at && *at != '*' && *at != '[';
	     at = skip_space(at + n)) {
		int tag;

		n = word_length(at);
		tag = tag_of_word(at, n);
		if (is_qualifier(at, n))
			continue;
		if (tag != 0 && base.n == 0 && words->tag == 0) {
			words->tag = tag;
			continue;
		}
		if (base.n > 0)
			strbuf_putc(&base, ' ');
		strbuf_add(&base, at, n);
	}
	words->base = base.s; /* owned by words now */
	return at;
}

static const char *parse_stars(const char *at, struct type_words *words)
{
	while (*at == '*') {
		size_t n;

		words->nstars++;
		for (at = skip_space(at + 1);
		     (n = word_length(at)) > 0 && is_qualifier(at, n);
		     at = skip_space(at + n))
			continue;
	}
	return at;
}

static bool parse_dims(const char *at, struct type_words *words)
{
	enum {
		DIMS_MAX = sizeof(words->dims) / sizeof(words->dims[0])
	};

	while (*at == '[') {
		char *end;
		uint64_t n;

		if (words->ndims == DIMS_MAX)
			return false;
		at = skip_space(at + 1);
		if (*at == '-')
			return false;
		n = strtoull(at, &end, 0);
		at = skip_space(end);
		if (*at != ']')
			return false;
		words->dims[words->ndims++] = n;
		at = skip_space(at + 1);
	}
	return *at == '\0';
}

bool names_parse(const char *text, struct type_words *ret)
{
	char *canonical;

	*ret = (struct type_words){0};
	text = parse_base(text, ret);
	text = parse_stars(text, ret);
	if (!ret->base || ret->nstars > 64 || !parse_dims(text, ret)) {
		names_free(ret);
		return false;
	}
	canonical = ret->tag == 0 ? names_base_type(ret->base) : NULL;
	if (canonical) {
		mem_free(ret->base);
		ret->base = canonical;
	}
	return true;
}

void names_free(struct type_words *words)
{
	mem_free(words->base);
	*words = (struct type_words){0};
}

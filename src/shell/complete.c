/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Completion, without the terminal: what may stand for the last word of a line.
 * The command is the one after the last "::"; its name is completed, or, after
 * ::walk and ::help, the name of a walker or dcmd.
 */
#include "shell/shell_impl.h"

struct matches {
	const char *prefix;
	VEC(char *) list;
};

static void add(struct matches *m, const char *name)
{
	if (!strncmp(name, m->prefix, strlen(m->prefix)) && name[0] != '$')
		VEC_PUSH(&m->list, mem_strdup(name));
}

static void add_dcmds(struct session *s, struct matches *m)
{
	const struct dcmd *const *v = NULL;
	size_t n = session_dcmds(s, &v);

	for (size_t i = 0; i < n; i++)
		add(m, v[i]->name);
	mem_free((void *)v);
}

static void add_walkers(struct session *s, struct matches *m)
{
	const struct walker *const *v = NULL;
	size_t n = session_walkers(s, &v);

	for (size_t i = 0; i < n; i++)
		add(m, v[i]->name);
	mem_free((void *)v);
}

/* where the last "::" of the line is, or NULL */
static const char *last_colons(const char *line)
{
	const char *p = NULL;

	for (const char *q = line; (q = strstr(q, "::")); q += 2)
		p = q;
	return p;
}

size_t complete_words(struct session *s, const char *line, char ***ret,
		      size_t *ret_start)
{
	const char *name = last_colons(line);
	struct matches m = {0};
	size_t n = 0;

	*ret = NULL;
	if (!name)
		return 0;
	name += 2;
	n = strcspn(name, " \t");
	m.prefix = name;
	if (name[n] == '\0') {
		add_dcmds(s, &m);
	} else {
		m.prefix = name + n + strspn(name + n, " \t");
		if (strpbrk(m.prefix, " \t|;!"))
			return 0;
		if (n == 4 && !strncmp(name, "walk", n))
			add_walkers(s, &m);
		if (n == 4 && !strncmp(name, "help", n))
			add_dcmds(s, &m);
	}
	*ret_start = (size_t)(m.prefix - line);
	*ret = m.list.v;
	return m.list.n;
}

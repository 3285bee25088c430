/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options of a dcmd, from its table: "-dv", "-n 5", "-n5", "--". */
#include "shell/shell_impl.h"

#include <ctype.h>

struct scan {
	const struct dcmd_call *call;
	const struct opt *opts;
	void *const *values;
	size_t i; /* argument that is looked at */
};

static size_t find(const struct scan *sc, char letter)
{
	size_t i = 0;

	while (sc->opts[i].letter && sc->opts[i].letter != letter)
		i++;
	return i;
}

static struct err *number_arg(struct session *s, const struct opt *o,
			      const struct arg *a, const char *text,
			      uint64_t *ret)
{
	struct err *err = NULL;

	if (!text && a->type == ARG_NUMBER) {
		*ret = a->num;
		return NULL;
	}
	err = session_parse_number(s, text ? text : a->str, ret);
	if (!err)
		return NULL;
	err_free(err);
	return err_new(ERR_USAGE, "invalid argument for -%c: '%s'", o->letter,
		       text ? text : a->str);
}

/* rest: what follows the letter in its word, "" nothing */
static struct err *take(struct scan *sc, size_t o, const char *rest,
			bool *ret_ate_rest)
{
	const struct opt *opt = &sc->opts[o];
	const struct arg *a = NULL;

	*ret_ate_rest = false;
	if (opt->type == OPT_FLAG) {
		*(bool *)sc->values[o] = true;
		return NULL;
	}
	*ret_ate_rest = true;
	if (rest[0] == '\0') {
		if (++sc->i == sc->call->argc)
			return err_new(ERR_USAGE,
				       "option requires an argument -- %c",
				       opt->letter);
		a = &sc->call->argv[sc->i];
		rest = NULL;
	}
	if (opt->type == OPT_NUMBER)
		return number_arg(sc->call->s, opt, a, rest, sc->values[o]);
	*(const char **)sc->values[o] = rest ? rest : a->str;
	return NULL;
}

/* the usage line follows; the slip that it hides best is the other case */
static struct err *illegal(const struct scan *sc, char letter)
{
	char other = (char)(isupper((unsigned char)letter)
				    ? tolower((unsigned char)letter)
				    : toupper((unsigned char)letter));

	if (other != letter && sc->opts[find(sc, other)].letter)
		return err_new(ERR_USAGE,
			       "illegal option -- %c (did you mean -%c?)",
			       letter, other);
	return err_new(ERR_USAGE, "illegal option -- %c", letter);
}

/* a flag by its long form */
static struct err *take_long(struct scan *sc, const char *text)
{
	size_t o = 0;
	bool ate = false;

	while (sc->opts[o].letter &&
	       (sc->opts[o].type != OPT_FLAG || !sc->opts[o].arg ||
		strcmp(sc->opts[o].arg, text) != 0))
		o++;
	if (!sc->opts[o].letter || !sc->values[o])
		return err_new(ERR_USAGE, "illegal option -- %s", text + 1);
	return take(sc, o, "", &ate);
}

struct err *dcmd_options(const struct dcmd_call *call, const struct opt *opts,
			 void *const values[], size_t *ret_first)
{
	struct scan sc = {.call = call, .opts = opts, .values = values};
	static const struct opt none[] = {{0}};

	if (!opts)
		sc.opts = none;
	for (; sc.i < call->argc; sc.i++) {
		const struct arg *a = &call->argv[sc.i];
		bool ate = false;

		/* "->member" is none */
		if (a->type == ARG_NUMBER || a->str[0] != '-' ||
		    a->str[1] == '\0' || a->str[1] == '>')
			break;
		if (!strcmp(a->str, "--")) {
			sc.i++;
			break;
		}
		if (a->str[1] == '-') {
			struct err *err = take_long(&sc, a->str);

			if (err)
				return err;
			continue;
		}
		for (const char *p = a->str + 1; *p && !ate; p++) {
			size_t o = find(&sc, *p);
			struct err *err = NULL;

			if (!sc.opts[o].letter || !values[o])
				return illegal(&sc, *p);
			err = take(&sc, o, p + 1, &ate);
			if (err)
				return err;
		}
	}
	*ret_first = sc.i;
	return NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors as values; see err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <stddef.h>

#include "base/mem.h"

struct err *err_new(enum err_code code, const char *fmt, ...)
{
	struct err *err = mem_alloc(sizeof(*err));
	va_list ap;

	err->code = code;
	va_start(ap, fmt);
	err->msg = mem_vprintf(fmt, ap);
	va_end(ap);
	return err;
}

struct err *err_prefix(struct err *err, const char *fmt, ...)
{
	_free_ char *prefix = NULL;
	_free_ char *old = NULL;
	va_list ap;

	if (!err)
		return NULL;
	va_start(ap, fmt);
	prefix = mem_vprintf(fmt, ap);
	va_end(ap);
	old = err->msg;
	err->msg = mem_printf("%s: %s", prefix, old);
	return err;
}

void err_free(struct err *err)
{
	if (!err)
		return;
	mem_free(err->msg);
	mem_free(err);
}

void err_free_ptr(struct err **errp)
{
	err_free(*errp);
}

bool err_is(const struct err *err, enum err_code code)
{
	return err && err->code == code;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors as values: a code and one sentence.  NULL is success. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err_code {
	ERR_STOP,     /* the user interrupted, or a callback asked to end */
	ERR_FAULT,    /* no bytes at an address of the target */
	ERR_BADDATA,  /* what was read cannot be true */
	ERR_NOTFOUND, /* no such symbol, type, file, dcmd */
	ERR_USAGE,    /* the user's words are wrong */
	ERR_IO,       /* a file cannot be read or written */
	ERR_NOSUP,    /* this target or heap cannot answer that */
};

struct err {
	enum err_code code;
	char *msg; /* lower case, no full stop, says on what */
};

#define must_use __attribute__((warn_unused_result))

/** A new error; printf-like.  Owned by the caller, see err_free(). */
struct err *err_new(enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull)) must_use;

/** Puts "prefix: " before the message; consumes err, returns it (NULL: NULL).*/
struct err *err_prefix(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))) must_use;

/** Releases an error; NULL allowed. */
void err_free(struct err *err);

/** True when err is set and has this code. */
bool err_is(const struct err *err, enum err_code code);

/** For local ownership: _err_free_ struct err *err = ... */
void err_free_ptr(struct err **errp);
#define _err_free_ __attribute__((cleanup(err_free_ptr)))

#endif

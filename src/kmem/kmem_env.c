/* SPDX-License-Identifier: MIT */
/*
 * KMEM_DEBUG, KMEM_LOGGING and KMEM_OPTIONS, each a list of items name or
 * name=value separated by commas.  When one is unset the UMEM_ spelling of it
 * counts.  An item that is not understood is dropped, with a warning when
 * verbose was asked for; a set-id process reads none of it.
 *
 * A variable that is unset in both spellings may be answered by a function of
 * the program, _kmem_debug_init() and so on.
 *
 * The first allocation may come from the dynamic linker, before libc has set
 * environ; the environment then is where the kernel put it, behind the
 * arguments on the first stack.
 */
#define _GNU_SOURCE
#include "kmem_internal.h"

#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define LOG_DEFAULT ((size_t)64 * 1024)
#define ITEM_MAX    512
#define FILE_PREFIX "file:"

enum value_kind {
	NO_VALUE,
	NUMBER,     /* required */
	NUMBER_OPT, /* may be left out */
	SIZE,       /* required; suffix k, m, g or t allowed */
	SIZE_OPT,
	SIZE_OR_FILE, /* the same, or file:PATH */
	ADD_SIZE,     /* required; of size classes, as are these: */
	REMOVE_SIZE,
	CLEAR_SIZES, /* no value */
	UNSUPPORTED, /* of umem, and known */
};

struct option {
	const char *name;
	enum value_kind kind;
	int flags;   /* added to kmem_flags */
	size_t none; /* value when it is left out */
	size_t min, max;
	size_t *target; /* where the value goes, or NULL */
};

struct kmem_options kmem_options = {
	.stack_depth = 15,
	.content_maxsave = 256,
	.maxverify = SIZE_MAX,
	.minfirewall = SIZE_MAX,
	.max_contention = 3,
	.reap_interval = 15,
	.thread_cache = SIZE_MAX,
};
int kmem_flags; /* written while starting only */

/* values that are not size_t in kmem_options pass through these */
static size_t depth_value, mtbf_value, seed_value, concurrency_value;
static size_t verbose_value, noabort_value, nomismatch_value;
static size_t abort_mismatch_value;

static const struct option debug_options[] = {
	{"default", NO_VALUE, KMF_AUDIT | KMF_CONTENTS | KMF_BUFTAG, 0, 0, 0,
	 NULL},
	{"audit", NUMBER_OPT, KMF_AUDIT, 15, 1, KMEM_STACK_DEPTH, &depth_value},
	{"contents", SIZE_OPT, KMF_CONTENTS, 256, 0, SIZE_MAX,
	 &kmem_options.content_maxsave},
	{"guards", NO_VALUE, KMF_BUFTAG, 0, 0, 0, NULL},
	{"verbose", NO_VALUE, 0, 1, 0, 0, &verbose_value},
	{"allverbose", NO_VALUE, 0, 1, 0, 0, &verbose_value},
	{"firewall", SIZE, KMF_BUFTAG, 0, 0, SIZE_MAX,
	 &kmem_options.minfirewall},
	{"lite", NO_VALUE, KMF_LITE, 0, 0, 0, NULL},
	{"maxverify", SIZE, 0, 0, 0, SIZE_MAX, &kmem_options.maxverify},
	{"noabort", NO_VALUE, 0, 1, 0, 0, &noabort_value},
	{"nomismatch", NO_VALUE, 0, 1, 0, 0, &nomismatch_value},
	{"mismatch=abort", NO_VALUE, 0, 1, 0, 0, &abort_mismatch_value},
	{"mtbf", NUMBER, 0, 0, 0, UINT32_MAX, &mtbf_value},
	{"seed", NUMBER, 0, 0, 0, SIZE_MAX, &seed_value},
	{"random", NO_VALUE, KMF_RANDOMIZE, 0, 0, 0, NULL},
	{"checknull", NO_VALUE, KMF_CHECKNULL, 0, 0, 0, NULL},
	{"nosignal", NO_VALUE, KMF_AUDIT | KMF_CHECKSIGNAL, 0, 0, 0, NULL},
	{NULL, NO_VALUE, 0, 0, 0, 0, NULL},
};

static const struct option log_options[] = {
	{"transaction", SIZE_OR_FILE, 0, LOG_DEFAULT, 0, SIZE_MAX / 4,
	 &kmem_options.log_transaction},
	{"contents", SIZE_OPT, KMF_CONTENTS, LOG_DEFAULT, 0, SIZE_MAX / 4,
	 &kmem_options.log_content},
	{"fail", SIZE_OPT, 0, LOG_DEFAULT, 0, SIZE_MAX / 4,
	 &kmem_options.log_failure},
	{"slab", SIZE_OPT, 0, LOG_DEFAULT, 0, SIZE_MAX / 4,
	 &kmem_options.log_slab},
	{"zerosized", SIZE_OPT, 0, LOG_DEFAULT, 0, SIZE_MAX / 4,
	 &kmem_options.log_zerosized},
	{NULL, NO_VALUE, 0, 0, 0, 0, NULL},
};

static const struct option other_options[] = {
	{"nomagazines", NO_VALUE, KMF_NOMAGAZINE, 0, 0, 0, NULL},
	{"concurrency", NUMBER, 0, 0, 1, 1024, &concurrency_value},
	{"limit", SIZE, 0, 0, 1, SIZE_MAX, &kmem_options.limit},
	{"max_contention", NUMBER, 0, 0, 0, INT32_MAX,
	 &kmem_options.max_contention},
	{"reap_interval", NUMBER, 0, 0, 1, 86400 * 365,
	 &kmem_options.reap_interval},
	{"perthread_cache", SIZE_OPT, 0, SIZE_MAX, 0, SIZE_MAX,
	 &kmem_options.thread_cache},
	{"allocator=best", NO_VALUE, 0, VM_BESTFIT, 0, 0,
	 &kmem_options.heap_policy},
	{"allocator=first", NO_VALUE, 0, VM_FIRSTFIT, 0, 0,
	 &kmem_options.heap_policy},
	{"allocator=next", NO_VALUE, 0, VM_NEXTFIT, 0, 0,
	 &kmem_options.heap_policy},
	{"allocator=instant", NO_VALUE, 0, 0, 0, 0, &kmem_options.heap_policy},
	{"backend=mmap", NO_VALUE, 0, 0, 0, 0, NULL},
	{"backend=sbrk", UNSUPPORTED, 0, 0, 0, 0, NULL},
	{"sbrk_minalloc", UNSUPPORTED, 0, 0, 0, 0, NULL},
	{"sbrk_pagesize", UNSUPPORTED, 0, 0, 0, 0, NULL},
	{"size_add", ADD_SIZE, 0, 0, 0, SIZE_MAX, NULL},
	{"size_remove", REMOVE_SIZE, 0, 0, 0, SIZE_MAX, NULL},
	{"size_clear", CLEAR_SIZES, 0, 0, 0, 0, NULL},
	{NULL, NO_VALUE, 0, 0, 0, 0, NULL},
};

/* ---- environment ---- */

extern void *__libc_stack_end; /* of the dynamic linker: &argc */

static char **environment(void)
{
	long *argc = __libc_stack_end;
	char **argv;

	if (environ)
		return environ;
	if (!argc || *argc < 0 || *argc > 1 << 24)
		return NULL;
	argv = (char **)(argc + 1);
	return argv[*argc] ? NULL : argv + *argc + 1;
}

const char *kmem_getenv(const char *name)
{
	char **env = environment();
	size_t n = strlen(name);

	if (!env || getauxval(AT_SECURE))
		return NULL;
	for (; *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* ---- items ---- */

/** Reads a decimal number with, when allowed, a size suffix; NULL, or what is
 * wrong with it. */
static const char *read_number(const char *s, int has_suffix, size_t *ret)
{
	static const char suffixes[] = "kmgt";
	size_t value = 0;
	const char *p;

	if (*s < '0' || *s > '9')
		return "not a number";
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *s - '0', &value))
			return "overflowed";
	if (*s && has_suffix) {
		p = strchr(suffixes, *s | 0x20);
		if (!p)
			return "not a number";
		for (; p >= suffixes; p--)
			if (__builtin_mul_overflow(value, 1024, &value))
				return "overflowed";
		s++;
	}
	if (*s)
		return "not a number";
	*ret = value;
	return NULL;
}

/** Takes the name of the log's file; NULL, or what is wrong with it. */
static const char *read_file(const char *path)
{
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(kmem_options.log_file))
		return n ? "the name is too long" : "the name is missing";
	memcpy(kmem_options.log_file, path, n + 1);
	return NULL;
}

/** Applies an option; NULL, or why it was dropped. */
static const char *apply(const struct option *opt, const char *value)
{
	size_t number = opt->none;
	const char *flaw;

	if (opt->kind == UNSUPPORTED)
		return "not supported";
	if (value && (opt->kind == NO_VALUE || opt->kind == CLEAR_SIZES))
		return "does not take a value. ignored";
	if (!value && (opt->kind == NUMBER || opt->kind == SIZE ||
		       opt->kind == ADD_SIZE || opt->kind == REMOVE_SIZE))
		return "Required value missing";
	if (value && opt->kind == SIZE_OR_FILE &&
	    strncmp(value, FILE_PREFIX, strlen(FILE_PREFIX)) == 0)
		return read_file(value + strlen(FILE_PREFIX));
	if (value) {
		flaw = read_number(value, opt->kind >= SIZE, &number);
		if (flaw)
			return flaw;
		if (number < opt->min || number > opt->max)
			return "out of range";
	}
	if (opt->kind == ADD_SIZE)
		return kmem_sizes_add(number);
	if (opt->kind == REMOVE_SIZE)
		return kmem_sizes_remove(number);
	if (opt->kind == CLEAR_SIZES)
		kmem_sizes_clear();
	if (opt->kind == SIZE_OR_FILE)
		kmem_options.log_file[0] = '\0';
	if (opt->target)
		*opt->target = number;
	kmem_flags |= opt->flags;
	return NULL;
}

static const char *read_item(const struct option *table, char *item)
{
	char *value = strchr(item, '=');

	if (!*item)
		return "empty option";
	/* a word as value is part of the name */
	for (const struct option *opt = table; opt->name; opt++)
		if (strcmp(opt->name, item) == 0)
			return apply(opt, NULL);
	if (value)
		*value++ = '\0';
	for (; table->name; table++)
		if (strcmp(table->name, item) == 0)
			return apply(table, value);
	return "not recognized";
}

/** Copies the next item, trimmed and cut to ITEM_MAX - 1 characters, and returns
 * what is behind it, or NULL. */
static const char *next_item(const char *s, char *item)
{
	const char *end = strchr(s, ',');
	const char *next = end ? end + 1 : NULL;
	size_t n;

	if (!end)
		end = s + strlen(s);
	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	while (end > s && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	n = (size_t)(end - s);
	if (n >= ITEM_MAX)
		n = ITEM_MAX - 1;
	memcpy(item, s, n);
	item[n] = '\0';
	return next;
}

/* functions a program may have; not looked up but bound by the linker */
typedef const char *init_fn(void);
extern init_fn _kmem_debug_init __attribute__((weak));
extern init_fn _umem_debug_init __attribute__((weak));
extern init_fn _kmem_logging_init __attribute__((weak));
extern init_fn _umem_logging_init __attribute__((weak));
extern init_fn _kmem_options_init __attribute__((weak));
extern init_fn _umem_options_init __attribute__((weak));

struct variable {
	const char *name, *other;
	init_fn *init, *other_init;
	const struct option *table;
};

/* what one of the variables says, and who says it */
struct list {
	const char *name;
	const char *text; /* NULL: nobody says anything */
	const struct option *table;
};

static struct list find_list(const struct variable *var)
{
	struct list list = {var->name, kmem_getenv(var->name), var->table};

	if (!list.text) {
		list.name = var->other;
		list.text = kmem_getenv(var->other);
	}
	if (!list.text && var->init)
		list.text = var->init();
	else if (!list.text && var->other_init)
		list.text = var->other_init();
	if (list.text && !*list.text)
		list.text = NULL;
	return list;
}

/** Applies the items of a list; says, if it is to, what is wrong with them. */
static void read_list(const struct list *list, int is_spoken)
{
	const char *s = list->text;
	char item[ITEM_MAX];

	while (s) {
		const char *flaw;

		s = next_item(s, item);
		flaw = strlen(item) == ITEM_MAX - 1
			       ? "is too long"
			       : read_item(list->table, item);
		if (flaw && is_spoken)
			kmem_warn("%s: '%s' %s", list->name, item, flaw);
	}
}

void kmem_env_init(void)
{
	static const struct variable variables[] = {
		{"KMEM_DEBUG", "UMEM_DEBUG", _kmem_debug_init, _umem_debug_init,
		 debug_options},
		{"KMEM_LOGGING", "UMEM_LOGGING", _kmem_logging_init,
		 _umem_logging_init, log_options},
		{"KMEM_OPTIONS", "UMEM_OPTIONS", _kmem_options_init,
		 _umem_options_init, other_options},
	};
	struct list lists[sizeof(variables) / sizeof(*variables)];
	const size_t n = sizeof(variables) / sizeof(*variables);

	depth_value = kmem_options.stack_depth;
	for (size_t i = 0; i < n; i++) {
		lists[i] = find_list(&variables[i]);
		read_list(&lists[i], 0);
	}
	kmem_options.stack_depth = (unsigned)depth_value;
	kmem_options.mtbf = mtbf_value;
	kmem_options.seed = seed_value;
	kmem_options.concurrency = (unsigned)concurrency_value;
	kmem_options.is_verbose = verbose_value != 0;
	kmem_options.no_abort = noabort_value != 0;
	kmem_options.no_mismatch = nomismatch_value != 0;
	kmem_options.abort_mismatch = abort_mismatch_value != 0;
	if (mtbf_value)
		kmem_warn("mtbf=%lu,seed=%lu", mtbf_value, seed_value);
	/* once more: only now is known that somebody wants to hear it */
	if (kmem_options.is_verbose)
		kmem_sizes_reset();
	for (size_t i = 0; i < n && kmem_options.is_verbose; i++)
		read_list(&lists[i], 1);
}

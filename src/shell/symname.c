/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Symbols as the user names them:
 *
 *	name             the program's, then every other object's
 *	object`name      of one object: "libc.so.6", "libc.so", "libc", a path,
 *	                 "a.out" for the program
 *	file`name        static in a source file: of the program, then of others
 *	object`file`name
 *
 * Before any of them "LM0`" is allowed: a dump has one list of link maps that
 * we read, so the number says nothing.
 */
#include "shell/shell_impl.h"

#include <ctype.h>
#include <elf.h>

/* a static symbol that is looked for among those of its object */
struct file_search {
	const char *file, *name;
	bool is_in_file;
	bool is_found;
	struct symbol sym;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* the symbols of a file follow its STT_FILE, up to the next one */
static struct err *try_symbol(void *arg, const struct symbol *sym)
{
	struct file_search *fs = arg;

	if (sym->type == STT_FILE) {
		fs->is_in_file = !strcmp(base_name(sym->name), fs->file);
		return NULL;
	}
	if (!fs->is_in_file || sym->bind != STB_LOCAL ||
	    sym->shndx == SHN_UNDEF || sym->type == STT_SECTION ||
	    strcmp(sym->name, fs->name))
		return NULL;
	fs->sym = *sym;
	fs->is_found = true;
	return err_new(ERR_STOP, "%s", "");
}

static bool find_static(struct types *types, const struct object *o,
			const char *file, const char *name, struct symbol *ret)
{
	struct file_search fs = {.file = file, .name = name};

	err_free(types_symbols(types, o, false, try_symbol, &fs));
	if (fs.is_found)
		*ret = fs.sym;
	return fs.is_found;
}

/* file`name, in one object or (NULL) in all */
static bool find_in_file(struct types *types, const struct object *o,
			 const char *file, const char *name, struct symbol *ret)
{
	if (o)
		return find_static(types, o, file, name, ret);
	for (size_t i = 0; i < types_nobjects(types); i++)
		if (find_static(types, types_object(types, i), file, name, ret))
			return true;
	return false;
}

/* a symbol; a thread-local one is where the current thread has it */
static bool find_named(struct session *s, const struct object *o,
		       const char *name, struct symbol *ret)
{
	return types_symbol_named(s->types, o, name, ret) ||
	       types_tls_symbol(s->types, o, session_thread(s), name, ret);
}

/* past "LM0`", or name */
static const char *skip_link_map(const char *name)
{
	size_t n = 2;

	if (strncmp(name, "LM", 2))
		return name;
	while (isxdigit((unsigned char)name[n]))
		n++;
	return n > 2 && name[n] == '`' ? name + n + 1 : name;
}

bool session_symbol(struct session *s, const char *name, struct symbol *ret)
{
	const char *mark = NULL;
	const struct object *o = NULL;
	_free_ char *first = NULL;
	_free_ char *file = NULL;

	if (!s->types)
		return false;
	name = skip_link_map(name);
	mark = strchr(name, '`');
	if (!mark)
		return find_named(s, NULL, name, ret);
	first = mem_strndup(name, (size_t)(mark - name));
	o = types_object_named(s->types, first);
	name = mark + 1;
	mark = strchr(name, '`');
	if (!mark && o)
		return find_named(s, o, name, ret);
	if (!mark)
		return find_in_file(s->types, NULL, first, name, ret);
	file = mem_strndup(name, (size_t)(mark - name));
	return o && find_in_file(s->types, o, file, mark + 1, ret);
}

char *session_suggest_symbol(struct session *s, const char *name)
{
	const char *mark = strrchr(name, '`');
	const struct object *o = NULL;
	_free_ char *scope = NULL;

	if (!s->types)
		return mem_strdup("");
	if (!mark)
		return types_suggest_symbol(s->types, NULL, name);
	scope = mem_strndup(name, (size_t)(mark - name));
	o = types_object_named(s->types, scope);
	return o ? types_suggest_symbol(s->types, o, mark + 1) : mem_strdup("");
}

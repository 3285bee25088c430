/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of a struct types, and its one Dwfl.
 *
 * libdwfl is told which modules there are rather than asked to find them: each
 * object whose file was verified is reported with its bias.  Threads come from
 * the target's notes, memory from target_read().  So a core without NT_PRPSINFO
 * unwinds, and a file of another build is never looked at.
 */
#define _GNU_SOURCE /* memfd_create */
#include "types/types_impl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* libdwfl takes a relative directory to be one beside each object */
static char *absolute(const char *path)
{
	char *full = realpath(path, NULL);

	return full ? full : mem_strdup(path);
}

/* the same for a list with ":" between */
static char *absolute_list(const char *list)
{
	struct strbuf sb = {0};

	while (*list) {
		size_t n = strcspn(list, ":");
		_free_ char *one = mem_strndup(list, n);
		_free_ char *full = absolute(one);

		strbuf_printf(&sb, "%s%s", sb.n ? ":" : "", full);
		list += n + (list[n] == ':');
	}
	return sb.s;
}

struct err *types_open(struct target *target, const struct types_options *opt,
		       struct types **ret_types)
{
	struct types *types = mem_zalloc(sizeof(*types));
	struct err *err;

	types->target = target;
	if (opt && opt->exe)
		types->exe = mem_strdup(opt->exe);
	if (opt && opt->sysroot && opt->sysroot[0])
		types->sysroot = absolute(opt->sysroot);
	types->use_servers = opt && opt->use_servers;
	if (opt && opt->debug_path && opt->debug_path[0])
		types->own_debug_path = absolute_list(opt->debug_path);
	err = objects_find(types);
	if (err) {
		types_close(types);
		return err;
	}
	*ret_types = types;
	return NULL;
}

void types_close(struct types *types)
{
	if (!types)
		return;
	disasm_release(types);
	types_release(types);
	objects_release(types);
	if (types->dwfl)
		dwfl_end(types->dwfl);
	unwind_release(types);
	mem_free(types->debug_path);
	mem_free(types->exe);
	mem_free(types->sysroot);
	mem_free(types->own_debug_path);
	mem_free(types);
}

/* libdwfl keeps a file or two open for each object */
static void raise_file_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur >= 65536)
		return;
	lim.rlim_cur = lim.rlim_max < 65536 ? lim.rlim_max : 65536;
	(void)setrlimit(RLIMIT_NOFILE, &lim); /* fewer names, no error */
}

/* an object that is in memory only becomes a file without a name */
static int image_fd(const struct object_impl *obj)
{
	int fd = memfd_create(obj->pub.name, MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (write(fd, obj->image, obj->image_bytes) !=
	    (ssize_t)obj->image_bytes) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static void report(struct object_impl *obj)
{
	Dwfl *dwfl = obj->types->dwfl;
	void **userdata = NULL;
	const unsigned char *id;
	GElf_Addr at;
	int fd = -1;
	int n;

	if (obj->pub.state != OBJECT_OK || !obj->image) {
		object_report_missing(obj);
		return;
	}
	if (obj->is_image_heap) {
		fd = image_fd(obj);
		if (fd < 0)
			return;
	}
	obj->mod = dwfl_report_elf(
		dwfl, obj->pub.name, fd >= 0 ? obj->pub.name : obj->file, fd,
		obj->head.type == ET_EXEC ? 0 : obj->pub.bias, true);
	if (!obj->mod) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	(void)dwfl_module_info(obj->mod, &userdata, NULL, NULL, NULL, NULL,
			       NULL, NULL); /* its name is not needed */
	*userdata = obj;
	/* the file may have been replaced since it was verified */
	n = dwfl_module_build_id(obj->mod, &id, &at);
	if (obj->pub.build_id_bytes > 0 && !obj->is_image_heap &&
	    ((size_t)n != obj->pub.build_id_bytes ||
	     memcmp(id, obj->pub.build_id, (size_t)n) != 0))
		obj->mod = NULL;
}

Dwfl *types_dwfl(struct types *types)
{
	size_t i;

	if (types->dwfl)
		return types->dwfl;
	raise_file_limit();
	/* a verdict must not depend on the network */
	if (!types->use_servers)
		(void)unsetenv("DEBUGINFOD_URLS");
	types->debug_path = mem_printf(
		":%s%s.debug:/usr/lib/debug%s%s%s",
		types->own_debug_path ? types->own_debug_path : "",
		types->own_debug_path ? ":" : "", types->sysroot ? ":" : "",
		types->sysroot ? types->sysroot : "",
		types->sysroot ? "/usr/lib/debug" : "");
	types->callbacks = (Dwfl_Callbacks){
		.find_elf = debuginfo_find_elf,
		.find_debuginfo = debuginfo_find,
		.debuginfo_path = &types->debug_path,
	};
	types->dwfl = dwfl_begin(&types->callbacks);
	if (!types->dwfl)
		return NULL;
	dwfl_report_begin(types->dwfl);
	for (i = 0; i < types->objects.n; i++)
		report(types->by_start[i]);
	(void)dwfl_report_end(types->dwfl, NULL, NULL); /* nothing removed */
	return types->dwfl;
}

Dwfl_Module *object_module(struct object_impl *obj)
{
	(void)types_dwfl(obj->types); /* mod stays NULL if there is none */
	return obj->mod;
}

/* which file the debug information is in */
static void name_debug_file(struct object_impl *obj)
{
	const char *main = NULL;
	const char *debug = NULL;

	(void)dwfl_module_info(obj->mod, NULL, NULL, NULL, NULL, NULL, &main,
			       &debug);
	if (!debug)
		debug = main;
	obj->debug_file = debug ? mem_strdup(debug) : NULL;
	obj->pub.debug_file = obj->debug_file;
}

Dwarf *object_dwarf(struct object_impl *obj)
{
	Dwfl_Module *mod = object_module(obj);

	if (obj->has_looked_dwarf)
		return obj->dwarf;
	obj->has_looked_dwarf = true;
	if (mod)
		obj->dwarf = dwfl_module_getdwarf(mod, &obj->dwarf_bias);
	obj->pub.has_dwarf = obj->dwarf != NULL;
	if (obj->dwarf)
		name_debug_file(obj);
	return obj->dwarf;
}

bool types_object_has_dwarf(struct types *types, const struct object *object)
{
	return object_dwarf(object_impl(types, object)) != NULL;
}

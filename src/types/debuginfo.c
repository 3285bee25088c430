/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where debug information comes from when it is not in the object's file.
 *
 * libdwfl looks for it by build-id and by .gnu_debuglink, below the directories
 * of debug files, and asks debuginfod servers when the user has named some (not
 * for a verdict, which must not depend on the network).  It takes no file of
 * another build, and does not say so; we do.
 *
 * An object whose file is not on this machine is looked for by build-id, too:
 * the file itself, or else its debug file, which has names and types, but no
 * code and no tables to unwind with.
 */
#include "types/types_impl.h"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* the object a module was reported for */
static struct object_impl *object_of(Dwfl_Module *mod)
{
	void **userdata = NULL;

	(void)dwfl_module_info(mod, &userdata, NULL, NULL, NULL, NULL, NULL,
			       NULL); /* its name is not needed */
	return userdata ? *userdata : NULL;
}

/* ---- files of another build ---------------------------------------------- */

/* the build-id of a file; 0: it has none, or is no ELF file */
static size_t file_build_id(const char *path, unsigned char ret[64])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf = fd >= 0 ? elf_begin(fd, ELF_C_READ_MMAP, NULL) : NULL;
	const void *id = NULL;
	ssize_t n = elf ? dwelf_elf_gnu_build_id(elf, &id) : 0;

	if (n < 0 || n > 64)
		n = 0;
	if (n > 0)
		memcpy(ret, id, (size_t)n);
	if (elf)
		(void)elf_end(elf);
	if (fd >= 0)
		(void)close(fd);
	return (size_t)n;
}

/* notes that a file is there, and is not the object's */
static void note_refused(struct object_impl *obj, const char *path)
{
	unsigned char id[64];
	size_t n;

	if (obj->debug_why || access(path, R_OK) != 0)
		return;
	n = file_build_id(path, id);
	if (n == obj->pub.build_id_bytes &&
	    memcmp(id, obj->pub.build_id, n) == 0)
		return;
	obj->debug_why = mem_printf("%s is of another build", path);
	obj->pub.debug_why = obj->debug_why;
}

/* the places where libdwfl has looked for a file named by .gnu_debuglink */
static void note_links(struct object_impl *obj, const char *main,
		       const char *link)
{
	const char *slash = strrchr(main, '/');
	int n = slash ? (int)(slash - main) : 0;
	const struct types *types = obj->types;
	_free_ char *beside = mem_printf("%.*s/%s", n, main, link);
	_free_ char *below = mem_printf("%.*s/.debug/%s", n, main, link);
	_free_ char *global =
		mem_printf("%s/usr/lib/debug%.*s/%s",
			   types->sysroot ? types->sysroot : "", n, main, link);
	_free_ char *own = mem_printf(
		"%s/%s", types->own_debug_path ? types->own_debug_path : "",
		link);

	if (strcmp(beside, main) != 0)
		note_refused(obj, beside);
	note_refused(obj, below);
	note_refused(obj, global);
	if (types->own_debug_path)
		note_refused(obj, own);
}

int debuginfo_find(Dwfl_Module *mod, void **userdata, const char *name,
		   Dwarf_Addr base, const char *file, const char *link,
		   GElf_Word crc, char **ret_file)
{
	struct object_impl *obj = object_of(mod);
	int fd;

	/* of the kernel's object in each process there is no file.  The other
	 * call would load what speaks to servers, some 30 libraries. */
	if (obj && obj->is_image_heap && !obj->types->use_servers)
		return dwfl_build_id_find_debuginfo(mod, userdata, name, base,
						    file, link, crc, ret_file);
	fd = dwfl_standard_find_debuginfo(mod, userdata, name, base, file, link,
					  crc, ret_file);
	if (fd < 0 && obj && file && link)
		note_links(obj, file, link);
	return fd;
}

/* ---- objects without a file ---------------------------------------------- */

/* "DIR/.build-id/ab/cdef.debug" in a path of directories; -1: none has it */
static int open_by_id(const struct object_impl *obj, const char *path,
		      char **ret_file)
{
	while (*path) {
		size_t n = strcspn(path, ":");
		const unsigned char *id = obj->pub.build_id;
		struct strbuf sb = {0};
		int fd;

		strbuf_printf(&sb, "%.*s/.build-id/%02x/", (int)n, path, id[0]);
		for (size_t i = 1; i < obj->pub.build_id_bytes; i++)
			strbuf_printf(&sb, "%02x", id[i]);
		strbuf_puts(&sb, ".debug");
		fd = path[0] == '/' ? open(sb.s, O_RDONLY | O_CLOEXEC) : -1;
		if (fd >= 0) {
			*ret_file = sb.s; /* libdwfl releases it */
			return fd;
		}
		strbuf_free(&sb);
		path += n + (path[n] == ':');
	}
	return -1;
}

/* the callback for objects reported by build-id: see object_report_missing() */
int debuginfo_find_elf(Dwfl_Module *mod, void **userdata, const char *name,
		       Dwarf_Addr base, char **ret_file, Elf **ret_elf)
{
	struct object_impl *obj = object_of(mod);
	int fd;

	if (!obj || obj->pub.build_id_bytes < 2)
		return -1;
	fd = dwfl_build_id_find_elf(mod, userdata, name, base, ret_file,
				    ret_elf);
	if (fd < 0)
		fd = open_by_id(obj, obj->types->debug_path, ret_file);
	/* a server that has stripped files only */
	if (fd < 0)
		fd = dwfl_build_id_find_debuginfo(mod, userdata, name, base,
						  NULL, NULL, 0, ret_file);
	return fd;
}

void object_report_missing(struct object_impl *obj)
{
	void **userdata = NULL;

	if (obj->pub.build_id_bytes == 0 || obj->head.nph == 0)
		return;
	obj->mod = dwfl_report_module(obj->types->dwfl, obj->pub.name,
				      obj->pub.start, obj->pub.end);
	if (!obj->mod)
		return;
	(void)dwfl_module_info(obj->mod, &userdata, NULL, NULL, NULL, NULL,
			       NULL, NULL);
	*userdata = obj;
	if (dwfl_module_report_build_id(obj->mod, obj->pub.build_id,
					obj->pub.build_id_bytes, 0) != 0)
		obj->mod = NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Load objects: which files the process had loaded, where, and whether the
 * file of that name here is the same build.
 *
 * An object begins where a map of a file begins at offset 0 with an ELF header.
 * Its program headers, from the dumped first page if it is there, else from
 * the file, say what else belongs to it; a file that was merely read through
 * mmap is told from a loaded one by its writable segment, which lies elsewhere.
 * The link map (AT_PHDR -> PT_DYNAMIC -> DT_DEBUG) then says the load order,
 * and names objects of a core without NT_FILE.
 *
 * (I1) a file is used only when its build-id is the one in the target's
 *      memory; where that is not known, its segments must be those mapped;
 * (I2) a verified file is mapped at once and read only through that map;
 * (I3) nothing that the core names is opened unless it is a regular file.
 */
#include "types/types_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char deleted[] = " (deleted)";

/* ---- bytes of a file, bytes of the target -------------------------------- */

struct bytes {
	const unsigned char *base;
	size_t n;
};

static bool fetch_bytes(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct bytes *bytes = arg;

	if (off > bytes->n || len > bytes->n - off)
		return false;
	memcpy(buf, bytes->base + off, len);
	return true;
}

struct memory {
	const struct target *target;
	taddr_t base;
};

static bool fetch_memory(void *arg, uint64_t off, void *buf, size_t len)
{
	const struct memory *memory = arg;
	struct err *err;

	if (memory->base + off + len < len)
		return false;
	err = target_read(memory->target, memory->base + off, buf, len);
	if (!err)
		return true;
	err_free(err);
	return false;
}

/* maps a file for reading; NULL: *ret_why (owned) */
static const unsigned char *map_file(const char *path, size_t *ret_bytes,
				     char **ret_why)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = open(path, flags);
	struct stat st;
	void *base = MAP_FAILED;

	if (fd < 0) {
		*ret_why = mem_printf("%s", strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		*ret_why = mem_printf("%s", S_ISDIR(st.st_mode)
						    ? "a directory"
						    : "not a regular file");
	else if (st.st_size == 0)
		*ret_why = mem_strdup("empty file");
	else
		base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
			    fd, 0);
	(void)close(fd);
	if (base == MAP_FAILED) {
		if (!*ret_why)
			*ret_why = mem_strdup("cannot be mapped");
		return NULL;
	}
	*ret_bytes = (size_t)st.st_size;
	return base;
}

static void unmap_file(const unsigned char *base, size_t n)
{
	(void)munmap((void *)(uintptr_t)base, n);
}

/* ---- one object ---------------------------------------------------------- */

static struct object_impl *object_new(struct types *types, const char *path)
{
	struct object_impl *obj = mem_zalloc(sizeof(*obj));
	const char *slash = strrchr(path, '/');
	size_t n = strlen(path);

	obj->types = types;
	obj->path = mem_strdup(path);
	/* the name ends where " (deleted)" begins */
	if (n > sizeof(deleted) - 1 &&
	    strcmp(path + n - (sizeof(deleted) - 1), deleted) == 0)
		n -= sizeof(deleted) - 1;
	slash = slash && slash < path + n ? slash + 1 : path;
	obj->file = mem_strndup(path, n);
	obj->pub.path = obj->path;
	obj->pub.name = mem_strndup(slash, (size_t)(path + n - slash));
	obj->pub.state = OBJECT_MISSING;
	obj->order = SIZE_MAX;
	return obj;
}

static void object_free(struct object_impl *obj)
{
	if (!obj)
		return;
	index_free(obj);
	cxx_index_free(&obj->cxx);
	symtab_free(&obj->symtab);
	symtab_free(&obj->dynsym);
	head_free(&obj->head);
	if (obj->image && obj->is_image_heap)
		mem_free((void *)(uintptr_t)obj->image);
	else if (obj->image)
		unmap_file(obj->image, obj->image_bytes);
	mem_free((void *)(uintptr_t)obj->pub.name);
	mem_free(obj->path);
	mem_free(obj->file);
	mem_free(obj->why);
	dwp_close(obj->dwp);
	mem_free(obj->debug_file);
	mem_free(obj->debug_why);
	mem_free(obj);
}

static void set_why(struct object_impl *obj, enum object_state state, char *why)
{
	mem_free(obj->why);
	obj->why = why;
	obj->pub.why = why;
	obj->pub.state = state;
}

/* places the object by its headers; false: they make no sense */
static bool place(struct object_impl *obj, taddr_t bias)
{
	taddr_t lo, hi;

	if (!head_extent(&obj->head, &lo, &hi))
		return false;
	obj->pub.bias = bias;
	obj->pub.start = lo + bias;
	obj->pub.end = hi + bias;
	return obj->pub.start < obj->pub.end;
}

/* the segment that holds file offset 0 says the bias of a map at start */
static bool find_bias(const struct head *head, taddr_t start, taddr_t *ret)
{
	size_t i;

	for (i = 0; i < head->nph; i++) {
		const Elf64_Phdr *ph = &head->ph[i];

		if (ph->p_type != PT_LOAD || ph->p_offset >= PAGE_BYTES)
			continue;
		*ret = start - (ph->p_vaddr & ~(taddr_t)(PAGE_BYTES - 1));
		return true;
	}
	return false;
}

/* whether a segment is mapped from the object's file where it should be */
static bool is_mapped(const struct object_impl *obj, const Elf64_Phdr *ph,
		      taddr_t bias)
{
	taddr_t at = (ph->p_vaddr + bias) & ~(taddr_t)(PAGE_BYTES - 1);
	uint64_t off = ph->p_offset & ~(uint64_t)(PAGE_BYTES - 1);
	const struct target_map *map = target_map_at(obj->types->target, at);

	return map && map->path && strcmp(map->path, obj->path) == 0 &&
	       map->file_off + (at - map->start) == off;
}

/* told by the writable segment, or by all if there is none */
static bool is_loaded(const struct object_impl *obj, const struct head *head,
		      taddr_t bias)
{
	bool all = true;
	size_t i;

	for (i = 0; i < head->nph; i++) {
		const Elf64_Phdr *ph = &head->ph[i];

		if (ph->p_type != PT_LOAD || ph->p_filesz == 0)
			continue;
		if (!is_mapped(obj, ph, bias))
			all = false;
		else if (ph->p_flags & PF_W)
			return true;
	}
	return all;
}

/* ---- files --------------------------------------------------------------- */

static bool is_same_build(const struct object_impl *obj,
			  const struct head *head, struct bytes *bytes)
{
	unsigned char id[64];
	size_t n;

	if (obj->pub.build_id_bytes == 0)
		return obj->head.nph > 0 ? head_equal(&obj->head, head) : true;
	n = head_build_id(head, fetch_bytes, bytes, false, id);
	return n == obj->pub.build_id_bytes &&
	       memcmp(id, obj->pub.build_id, n) == 0;
}

/* tries one file; true: it is the object's, and is kept */
static bool try_file(struct object_impl *obj, const char *file)
{
	struct bytes bytes = {0};
	struct head head = {0};
	char *why = NULL;

	bytes.base = map_file(file, &bytes.n, &why);
	if (!bytes.base) {
		set_why(obj, OBJECT_MISSING, why);
		return false;
	}
	if (!head_read(fetch_bytes, &bytes, &head)) {
		set_why(obj, OBJECT_MISMATCH,
			mem_strdup("not an ELF executable or library"));
	} else if (!is_same_build(obj, &head, &bytes)) {
		set_why(obj, OBJECT_MISMATCH,
			mem_strdup("the file is of another build (build-ids "
				   "differ)"));
	} else {
		set_why(obj, OBJECT_OK, NULL);
		if (obj->head.nph == 0) {
			obj->head = head;
			head = (struct head){0};
			obj->pub.build_id_bytes =
				head_build_id(&obj->head, fetch_bytes, &bytes,
					      false, obj->pub.build_id);
		}
		obj->image = bytes.base;
		obj->image_bytes = bytes.n;
		mem_free(obj->file);
		obj->file = mem_strdup(file);
		obj->pub.file = obj->file;
	}
	head_free(&head);
	if (!obj->image)
		unmap_file(bytes.base, bytes.n);
	return obj->image != NULL;
}

static bool open_file(struct object_impl *obj)
{
	_free_ char *path = NULL;
	const char *sysroot = obj->types->sysroot;

	if (obj->file[0] != '/') {
		set_why(obj, OBJECT_MISSING, mem_strdup("not a path"));
		return false;
	}
	path = mem_printf("%s%s", sysroot ? sysroot : "", obj->file);
	return try_file(obj, path);
}

/* ---- from maps ----------------------------------------------------------- */

static bool head_from_memory(struct object_impl *obj, taddr_t start)
{
	struct memory memory = {obj->types->target, start};
	taddr_t bias;

	if (!head_read(fetch_memory, &memory, &obj->head))
		return false;
	if (!find_bias(&obj->head, start, &bias)) {
		head_free(&obj->head);
		return false;
	}
	memory.base = bias;
	obj->pub.build_id_bytes = head_build_id(
		&obj->head, fetch_memory, &memory, true, obj->pub.build_id);
	return true;
}

/* an object that begins with this map, or NULL */
static struct object_impl *object_from_map(struct types *types,
					   const struct target_map *map)
{
	struct object_impl *obj = object_new(types, map->path);
	unsigned char magic[SELFMAG];
	size_t there;
	const void *peek = target_peek(types->target, map->start, &there);
	taddr_t bias;

	if (peek && there >= SELFMAG) {
		memcpy(magic, peek, SELFMAG);
		if (memcmp(magic, ELFMAG, SELFMAG) != 0 ||
		    !head_from_memory(obj, map->start))
			goto out_not_one;
	} else if (!open_file(obj)) {
		goto out_not_one;
	}
	if (!find_bias(&obj->head, map->start, &bias) ||
	    !is_loaded(obj, &obj->head, bias) || !place(obj, bias))
		goto out_not_one;
	return obj;
out_not_one:
	object_free(obj);
	return NULL;
}

static void find_in_maps(struct types *types)
{
	size_t n = target_nmaps(types->target);
	taddr_t last = 0;
	size_t i;

	for (i = 0; i < n && types->objects.n < OBJECTS_MAX; i++) {
		const struct target_map *map = target_map(types->target, i);
		struct object_impl *obj;

		if (!map->path || map->file_off != 0 || map->start < last)
			continue;
		obj = object_from_map(types, map);
		if (!obj)
			continue;
		last = obj->pub.end;
		VEC_PUSH(&types->objects, obj);
	}
}

static void find_vdso(struct types *types)
{
	const struct target_map *map;
	struct object_impl *obj;
	unsigned char *copy;
	struct err *err;
	size_t n;
	taddr_t at, bias;

	if (!target_auxv(types->target, AT_SYSINFO_EHDR, &at))
		return;
	map = target_map_at(types->target, at);
	if (!map || map->start != at || map->core_end - at > 1 << 20)
		return;
	n = map->core_end - at;
	obj = object_new(types, "linux-vdso.so.1");
	copy = mem_alloc(n);
	err = target_read(types->target, at, copy, n);
	if (err || !head_from_memory(obj, at) ||
	    !find_bias(&obj->head, at, &bias) || !place(obj, bias)) {
		err_free(err);
		mem_free(copy);
		object_free(obj);
		return;
	}
	set_why(obj, OBJECT_OK, NULL);
	obj->image = copy;
	obj->image_bytes = n;
	obj->is_image_heap = true;
	VEC_PUSH(&types->objects, obj);
}

/* ---- the program --------------------------------------------------------- */

/* the object the kernel started, or NULL */
static struct object_impl *find_exec(const struct types *types)
{
	taddr_t at;
	size_t i;

	if (!target_auxv(types->target, AT_PHDR, &at) &&
	    !target_auxv(types->target, AT_ENTRY, &at))
		return NULL;
	for (i = 0; i < types->objects.n; i++) {
		struct object_impl *obj = types->objects.v[i];

		if (at >= obj->pub.start && at < obj->pub.end)
			return obj;
	}
	return NULL;
}

/* whether the kernel's words on the program fit the headers of a file */
static bool fits_auxv(const struct types *types, const struct head *head)
{
	const Elf64_Phdr *ph = head_find(head, PT_PHDR);
	taddr_t entry, phdr;
	uint64_t n;

	if (target_auxv(types->target, AT_PHNUM, &n) && n != head->nph)
		return false;
	return !ph || !target_auxv(types->target, AT_PHDR, &phdr) ||
	       !target_auxv(types->target, AT_ENTRY, &entry) ||
	       phdr - entry == ph->p_vaddr - head->entry;
}

/* the user's executable for a core that names no files; false: another */
static bool exec_from_file(struct types *types, struct object_impl **ret)
{
	struct object_impl *obj;
	struct memory memory = {types->target, 0};
	unsigned char id[64];
	taddr_t entry;
	size_t n;

	if (!target_auxv(types->target, AT_ENTRY, &entry))
		return true; /* a core that says nothing contradicts nothing */
	obj = object_new(types, types->exe);
	if (try_file(obj, types->exe) && fits_auxv(types, &obj->head) &&
	    place(obj, entry - obj->head.entry)) {
		memory.base = obj->pub.bias;
		n = head_build_id(&obj->head, fetch_memory, &memory, true, id);
		if (n == 0 || (n == obj->pub.build_id_bytes &&
			       memcmp(id, obj->pub.build_id, n) == 0)) {
			VEC_PUSH(&types->objects, obj);
			*ret = obj;
			return true;
		}
	}
	object_free(obj);
	return false;
}

/* what is wrong with the file the user named, beside its build */
static struct err *check_exe(const char *exe)
{
	struct bytes bytes = {0};
	struct head head = {0};
	char *why = NULL;
	bool ok;

	bytes.base = map_file(exe, &bytes.n, &why);
	if (!bytes.base) {
		struct err *err = err_new(ERR_IO, "%s: %s", exe, why);

		mem_free(why);
		return err;
	}
	ok = head_read(fetch_bytes, &bytes, &head);
	head_free(&head);
	unmap_file(bytes.base, bytes.n);
	if (!ok)
		return err_new(ERR_BADDATA, "%s: not an x86-64 ELF executable",
			       exe);
	return NULL;
}

/* makes the user's executable the file of the program, if it is that */
static bool take_exe(struct object_impl *obj, const char *exe)
{
	taddr_t start = obj->pub.start;
	taddr_t bias;

	if (obj->image) {
		/* its headers came from a file nothing could verify */
		unmap_file(obj->image, obj->image_bytes);
		obj->image = NULL;
		head_free(&obj->head);
		obj->pub.build_id_bytes = 0;
	}
	return try_file(obj, exe) && find_bias(&obj->head, start, &bias) &&
	       is_loaded(obj, &obj->head, bias) && place(obj, bias);
}

/* the target is an executable that nobody runs: there is only it */
static struct err *open_idle(struct types *types)
{
	const char *path = target_path(types->target);
	struct object_impl *obj = object_new(types, path);

	if (!try_file(obj, path) || !place(obj, 0)) {
		object_free(obj);
		return err_new(ERR_BADDATA, "%s: not an x86-64 ELF executable",
			       path);
	}
	obj->pub.is_exec = true;
	VEC_PUSH(&types->objects, obj);
	return NULL;
}

static struct err *open_exec(struct types *types)
{
	struct object_impl *obj = find_exec(types);
	struct err *err;

	if (!types->exe) {
		if (obj)
			obj->pub.is_exec = true;
		return NULL;
	}
	err = check_exe(types->exe);
	if (err)
		return err;
	if (obj ? !take_exe(obj, types->exe) : !exec_from_file(types, &obj))
		return err_new(ERR_BADDATA,
			       "%s: not the program of this core "
			       "(build-ids differ)",
			       types->exe);
	if (obj)
		obj->pub.is_exec = true;
	return NULL;
}

/* ---- the link map -------------------------------------------------------- */

static bool read_words(const struct types *types, taddr_t at, uint64_t *ret,
		       size_t n)
{
	struct memory memory = {types->target, 0};

	return fetch_memory(&memory, at, ret, n * sizeof(*ret));
}

/* address of struct r_debug, through the program's dynamic section */
static bool find_r_debug(const struct types *types, taddr_t *ret)
{
	const struct object_impl *exec = NULL;
	const Elf64_Phdr *ph;
	size_t i;

	for (i = 0; i < types->objects.n; i++)
		if (types->objects.v[i]->pub.is_exec)
			exec = types->objects.v[i];
	ph = exec ? head_find(&exec->head, PT_DYNAMIC) : NULL;
	if (!ph)
		return false;
	for (i = 0; i < ph->p_memsz / sizeof(Elf64_Dyn) && i < 1024; i++) {
		uint64_t dyn[2];

		if (!read_words(types,
				exec->pub.bias + ph->p_vaddr + i * sizeof(dyn),
				dyn, 2) ||
		    dyn[0] == DT_NULL)
			return false;
		if (dyn[0] == DT_DEBUG) {
			*ret = dyn[1];
			return dyn[1] != 0;
		}
	}
	return false;
}

/* an object only the link map knows */
static struct object_impl *object_from_link(struct types *types, taddr_t bias,
					    taddr_t name, taddr_t ld)
{
	_free_ char *path = NULL;
	struct object_impl *obj;
	const Elf64_Phdr *dyn;
	struct err *err = target_read_str(types->target, name, 4096, &path);

	if (err) {
		err_free(err);
		return NULL;
	}
	obj = object_new(types, path);
	if (open_file(obj) && place(obj, bias)) {
		dyn = head_find(&obj->head, PT_DYNAMIC);
		if (dyn && dyn->p_vaddr + bias == ld) {
			VEC_PUSH(&types->objects, obj);
			return obj;
		}
	}
	object_free(obj);
	return NULL;
}

static void walk_link_map(struct types *types, taddr_t at, size_t *order)
{
	while (at != 0 && *order < LINK_MAP_MAX) {
		uint64_t link[4]; /* l_addr, l_name, l_ld, l_next */
		struct object_impl *found = NULL;
		size_t i;

		if (!read_words(types, at, link, 4))
			return;
		for (i = 0; i < types->objects.n && !found; i++) {
			struct object_impl *obj = types->objects.v[i];

			if (link[2] >= obj->pub.start && link[2] < obj->pub.end)
				found = obj;
		}
		if (!found && types->objects.n < OBJECTS_MAX)
			found = object_from_link(types, link[0], link[1],
						 link[2]);
		if (found && found->order == SIZE_MAX)
			found->order = *order;
		(*order)++;
		at = link[3];
	}
}

static void read_link_maps(struct types *types)
{
	taddr_t at;
	size_t order = 0;
	size_t i;

	if (!find_r_debug(types, &at))
		return;
	/* each name space has a list of its own; a few at most */
	for (i = 0; i < 16 && at != 0; i++) {
		/* r_version, r_map, r_brk, r_state, r_ldbase, r_next */
		uint64_t debug[6];

		if (!read_words(types, at, debug, 2))
			return;
		walk_link_map(types, debug[1], &order);
		if ((debug[0] & 0xffffffff) < 2 ||
		    !read_words(types, at, debug, 6))
			return;
		at = debug[5];
	}
}

/* ---- all ----------------------------------------------------------------- */

static int by_order(const void *a, const void *b)
{
	const struct object_impl *x = *(struct object_impl *const *)a;
	const struct object_impl *y = *(struct object_impl *const *)b;

	if (x->pub.is_exec != y->pub.is_exec)
		return x->pub.is_exec ? -1 : 1;
	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->pub.start < y->pub.start ? -1 : 1;
}

static int by_start(const void *a, const void *b)
{
	const struct object_impl *x = *(struct object_impl *const *)a;
	const struct object_impl *y = *(struct object_impl *const *)b;

	return x->pub.start < y->pub.start ? -1 : x->pub.start > y->pub.start;
}

/* what the target may read of files: verified ones only */
static bool read_file(void *arg, const char *path, uint64_t off, void *buf,
		      size_t len)
{
	const struct types *types = arg;
	size_t i;

	for (i = 0; i < types->objects.n; i++) {
		const struct object_impl *obj = types->objects.v[i];
		uint64_t end, there;

		if (!obj->image || obj->is_image_heap ||
		    strcmp(obj->path, path) != 0)
			continue;
		/* the last page goes on with zeros after the file's end */
		end = (obj->image_bytes + PAGE_BYTES - 1) &
		      ~(uint64_t)(PAGE_BYTES - 1);
		if (off > end || len > end - off)
			return false;
		there = off < obj->image_bytes ? obj->image_bytes - off : 0;
		if (there > len)
			there = len;
		memcpy(buf, obj->image + off, there);
		memset((char *)buf + there, 0, len - there);
		return true;
	}
	return false;
}

struct err *types_read_file(struct types *types, taddr_t addr, void *buf,
			    size_t len)
{
	const struct target_map *map = target_map_at(types->target, addr);
	const struct object_impl *obj = object_at(types, addr);

	if (!map || !map->path || !obj || len > map->end - addr ||
	    !read_file(types, map->path, map->file_off + (addr - map->start),
		       buf, len))
		return err_new(ERR_FAULT,
			       "failed to read from address 0x%" PRIx64
			       ": no object file holds it",
			       addr);
	return NULL;
}

struct err *objects_find(struct types *types)
{
	struct err *err;
	size_t i;
	size_t n;

	if (target_info(types->target)->is_exec) {
		err = open_idle(types);
	} else {
		find_in_maps(types);
		err = open_exec(types);
	}
	if (err)
		return err;
	find_vdso(types);
	for (i = 0; i < types->objects.n; i++)
		if (!types->objects.v[i]->image)
			(void)open_file(types->objects.v[i]); /* state says */
	read_link_maps(types);
	n = types->objects.n;
	types->by_start = mem_array(n, sizeof(struct object_impl *));
	if (n > 0) {
		qsort(types->objects.v, n, sizeof(*types->objects.v), by_order);
		memcpy(types->by_start, types->objects.v,
		       n * sizeof(*types->by_start));
		qsort(types->by_start, n, sizeof(*types->by_start), by_start);
	}
	target_set_file_reader(types->target, read_file, types);
	return NULL;
}

void objects_release(struct types *types)
{
	size_t i;

	target_set_file_reader(types->target, NULL, NULL);
	for (i = 0; i < types->objects.n; i++)
		object_free(types->objects.v[i]);
	VEC_FREE(&types->objects);
	mem_free(types->by_start);
}

struct object_impl *object_impl(const struct types *types,
				const struct object *object)
{
	(void)types;
	return (struct object_impl *)(uintptr_t)object; /* pub comes first */
}

struct object_impl *object_at(const struct types *types, taddr_t addr)
{
	size_t lo = 0;
	size_t hi = types->objects.n;

	/* the last that starts at or below addr */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (types->by_start[mid]->pub.start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || addr >= types->by_start[lo - 1]->pub.end)
		return NULL;
	return types->by_start[lo - 1];
}

size_t types_nobjects(const struct types *types)
{
	return types->objects.n;
}

const struct object *types_object(const struct types *types, size_t i)
{
	return &types->objects.v[i]->pub;
}

const struct object *types_object_at(const struct types *types, taddr_t addr)
{
	const struct object_impl *obj = object_at(types, addr);

	return obj ? &obj->pub : NULL;
}

const struct object *types_object_named(const struct types *types,
					const char *name)
{
	size_t n = strlen(name);
	size_t i;

	for (i = 0; i < types->objects.n; i++) {
		const struct object *obj = &types->objects.v[i]->pub;

		if (strcmp(obj->name, name) == 0 ||
		    strcmp(obj->path, name) == 0 ||
		    (obj->is_exec && strcmp(name, "a.out") == 0))
			return obj;
	}
	for (i = 0; i < types->objects.n; i++) {
		const struct object *obj = &types->objects.v[i]->pub;

		if (n > 0 && strncmp(obj->name, name, n) == 0 &&
		    obj->name[n] == '.')
			return obj;
	}
	return NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of a stack stays when everything else changes: see check_finger.c. */
#include "pmdb/frames.h"

#include <inttypes.h>
#include <string.h>

uint64_t frames_hash_text(uint64_t hash, const char *s)
{
	return hash_bytes(s, strlen(s) + 1, hash);
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "";
}

/* the part of a linker's name that stays from build to build.  Owned. */
static char *stable_name(const char *name)
{
	if (strncmp(name, "_Z", 2) != 0 && strncmp(name, "_R", 2) != 0) {
		if (strncmp(name, "__GI_", 5) == 0)
			name += 5;
		name += strspn(name, "_");
	}
	size_t n = strcspn(name, ".");

	/* _ZN5prog4main17h0123456789abcdefE */
	if (n > 20 && name[n - 1] == 'E' &&
	    memcmp(name + n - 20, "17h", 3) == 0 &&
	    strspn(name + n - 17, "0123456789abcdef") == 16)
		n -= 20;
	return mem_strndup(name, n);
}

static uint64_t add_frame(uint64_t hash, const struct check_frame *f)
{
	const char *object = base_name(f->object);
	const char *so = strstr(object, ".so");
	_free_ char *name = NULL;

	if (f->linkname && f->linkname[0])
		name = stable_name(f->linkname);
	else
		name = mem_printf("+%" PRIx64, f->offset);
	_free_ char *stem = mem_strndup(object, so ? (size_t)(so - object) + 3
						   : strlen(object));

	return frames_hash_text(frames_hash_text(hash, stem), name);
}

/* a caller of main() or of a thread's function */
static bool is_starter(const struct check_frame *f)
{
	return types_is_starter(base_name(f->object)) ||
	       (f->linkname && strcmp(f->linkname, "_start") == 0);
}

uint64_t frames_hash(uint64_t hash, const struct check_stack *s)
{
	size_t n = s->n;

	while (n > 0 && is_starter(s->v[n - 1]))
		n--;
	for (size_t i = 0; i < n; i++)
		if (!s->v[i]->is_own && !s->v[i]->is_inlined)
			hash = add_frame(hash, s->v[i]);
	return hash;
}

int frames_compare(const struct check_stack *a, const struct check_stack *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->v[i]->offset != b->v[i]->offset)
			return a->v[i]->offset < b->v[i]->offset ? -1 : 1;
	return a->n < b->n ? -1 : a->n > b->n;
}

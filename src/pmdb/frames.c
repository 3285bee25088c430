/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stacks by name: the functions at each return address are looked up once. */
#include "pmdb/frames.h"

#include "pmdb/check_impl.h"

struct frames_arg {
	const struct check *check;
	const struct object *object;
	const char *dir; /* where it was compiled; NULL unknown */
	VEC(struct check_frame) frames;
};

char *frames_copy(const char *name)
{
	char *copy = name ? mem_strdup(name) : NULL;

	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return copy;
}

static void take_frame(void *arg, taddr_t pc, const char *function,
		       const char *file, int line)
{
	struct frames_arg *a = arg;
	struct check_frame f = {
		.pc = pc,
		.function = frames_copy(function),
		.file = frames_copy(file),
		.line = file ? line : 0,
		.object = frames_copy(a->object ? a->object->path : NULL),
		.offset = a->object ? pc - a->object->bias : pc,
		.is_inlined = true,
		.is_own = a->object && object_is_libkmem(a->object),
	};

	check_place(a->check, a->dir, &f);
	VEC_PUSH(&a->frames, f);
}

/* the linker's names of functions that were inlined, all but the last of n */
static void name_inlined(struct types *types, taddr_t pc,
			 struct check_frame *frames, size_t n)
{
	_free_ struct inline_frame *inlined =
		mem_array(n + 1, sizeof(*inlined));

	if (n < 2 || types_inlines(types, pc - 1, inlined, n) != n)
		return;
	for (size_t i = 0; i + 1 < n; i++)
		frames[i].linkname = frames_copy(inlined[i].name);
}

/* the functions at a return address; pc is not 0 */
static const struct check_frame *frames_of(struct frames *frames, taddr_t pc,
					   bool is_starter)
{
	uint64_t *place = hash_put(&frames->pcs, pc, NULL);
	struct types *types = frames->types;
	struct frames_arg a = {.check = frames->check};
	struct check_frame end = {0};
	struct symbol sym;

	if (*place)
		return frames->v.v[*place - 1];
	a.object = types_object_at(types, pc - 1);
	if (is_starter) {
		types_starter(types, pc, take_frame, &a);
	} else {
		a.dir = types_compile_dir(types, pc - 1);
		types_each_function(types, pc, take_frame, &a);
		name_inlined(types, pc, a.frames.v, a.frames.n);
	}
	if (a.frames.n > 0) {
		struct check_frame *outer = &a.frames.v[a.frames.n - 1];

		outer->is_inlined = false;
		if (types_symbol_at(types, pc - 1, &sym))
			outer->linkname = frames_copy(sym.name);
	}
	VEC_PUSH(&a.frames, end);
	VEC_PUSH(&frames->v, a.frames.v);
	*place = frames->v.n;
	return a.frames.v;
}

void frames_init(struct frames *frames, const struct check *check,
		 struct types *types)
{
	*frames = (struct frames){.check = check, .types = types};
	hash_init(&frames->pcs);
}

void frames_fini(struct frames *frames)
{
	for (size_t i = 0; i < frames->v.n; i++) {
		for (struct check_frame *f = frames->v.v[i]; f->pc; f++) {
			mem_free(f->function);
			mem_free(f->linkname);
			mem_free(f->file);
			mem_free(f->path);
			mem_free(f->object);
		}
		mem_free(frames->v.v[i]);
	}
	VEC_FREE(&frames->v);
	hash_fini(&frames->pcs);
}

static void add(struct frames *frames, taddr_t pc, bool is_starter,
		struct check_stack *s)
{
	if (pc == 0)
		return;
	for (const struct check_frame *f = frames_of(frames, pc, is_starter);
	     f->pc; f++) {
		s->v = mem_realloc(s->v, s->n + 1, sizeof(*s->v));
		s->v[s->n++] = f;
	}
}

void frames_add(struct frames *frames, taddr_t pc, struct check_stack *s)
{
	add(frames, pc, false, s);
}

bool frames_stack(struct frames *frames, struct heap *heap, uint32_t id,
		  struct check_stack *ret)
{
	struct heap_stack stack;

	if (id == 0 || !heap->ops->stack || !heap->ops->stack(heap, id, &stack))
		return false;
	size_t n = types_before_starters(frames->types, stack.pc, stack.depth);

	for (unsigned i = 0; i < stack.depth; i++)
		add(frames, stack.pc[i], i >= n, ret);
	return true;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Is a thread in the middle of malloc()?
 *
 * Then it may have a list or a chunk in its hands, and what looks like damage or a
 * leak is none.  The locks of arenas do not tell: the only thread takes none, and
 * a thread's cache has none.  So what its stack says counts.
 *
 * (I1) From the innermost frame on, or from one that a signal interrupted, as
 * long as the frames are libc's: which functions they are in.  Whom malloc() calls
 * (memset, mmap) is libc's, too; what is called back from libc (a thread's start)
 * is not.  (I2) A thread in a system call that malloc() does not make is not in
 * it, but below a signal.
 *
 * A libc without its symbol table names what it exports only.  (I3) malloc.c is
 * linked as one piece: what has no name and lies next to a function that malloc.c
 * exports, with no other one between, is its, or next to it.  That may be a
 * neighbour's: better no verdict than a wrong one.
 *
 * Where libc's file is not there, or a program without symbols has its own, what a
 * thread does in it is not known, except in a system call.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include "base/err.h"
#include "heap/heap_glibc_impl.h"

#define FUNCTION_ALIGN 16u
#define SYSCALL_BYTES  2u
#define NAMELESS_MAX   0x8000u /* of functions without a name, one by another */

struct look {
	struct glibc_heap *gh;
	const struct object *code; /* what malloc is a part of */
	const char *where;
	bool is_innermost; /* the next frame is */
	bool is_run;       /* (I1) holds as yet */
};

/* what malloc.c exports; what it does not; others work beside these */
static const char *const exported[] = {
	"malloc",
	"free",
	"calloc",
	"realloc",
	"memalign",
	"valloc",
	"pvalloc",
	"aligned_alloc",
	"posix_memalign",
	"cfree",
	"malloc_trim",
	"free_sized",
	"mallopt",
	"mallinfo",
	"mallinfo2",
	"malloc_stats",
	"malloc_info",
	"malloc_usable_size",
	"free_aligned_sized",
	"__libc_malloc",
	"__libc_free",
	"__libc_calloc",
	"__libc_realloc",
	"__libc_memalign",
	"__libc_valloc",
	"__libc_pvalloc",
	"__libc_mallopt",
	"__libc_mallinfo",
};
static const char *const internal[] = {
	"_int_malloc",
	"_int_free",
	"_int_free_chunk",
	"_int_free_merge_chunk",
	"_int_free_create_chunk",
	"_int_free_maybe_consolidate",
	"_int_free_maybe_trim",
	"_int_realloc",
	"_int_memalign",
	"malloc_consolidate",
	"unlink_chunk",
	"sysmalloc",
	"sysmalloc_mmap",
	"sysmalloc_mmap_fallback",
	"systrim",
	"munmap_chunk",
	"mremap_chunk",
	"_mid_memalign",
	"arena_get2",
	"arena_get_retry",
	"get_free_list",
	"detach_arena",
	"new_heap",
	"alloc_new_heap",
	"heap_trim",
	"mtrim",
	"ptmalloc_init",
	"__ptmalloc_init",
	"tcache_init",
	"tcache_thread_shutdown",
	"__malloc_arena_thread_freeres",
	"__libc_malloc2",
	"__libc_calloc2",
	"malloc_check",
	"free_check",
	"realloc_check",
	"memalign_check",
};

/* the one of names that a symbol is; what the compiler made of a function has its
 * name, a dot and more */
static const char *find(const char *const *names, size_t n, const char *symbol)
{
	if (strncmp(symbol, "__GI_", 5) == 0)
		symbol += 5;
	size_t len = strcspn(symbol, ".@");

	for (size_t i = 0; i < n; i++)
		if (len == strlen(names[i]) &&
		    strncmp(symbol, names[i], len) == 0)
			return names[i];
	return NULL;
}

static const char *find_exported(const char *symbol)
{
	return find(exported, sizeof(exported) / sizeof(*exported), symbol);
}

/* (I3) */
static const char *beside(struct look *l, taddr_t pc)
{
	taddr_t at = pc & ~(taddr_t)(FUNCTION_ALIGN - 1);
	const char *found = NULL;
	struct symbol sym;

	for (unsigned n = 0; n < NAMELESS_MAX; n += FUNCTION_ALIGN)
		if (types_symbol_at(l->gh->types, at - n, &sym)) {
			found = find_exported(sym.name);
			break;
		}
	for (unsigned n = 0; !found && n < NAMELESS_MAX; n += FUNCTION_ALIGN)
		if (types_symbol_at(l->gh->types, at + n, &sym)) {
			found = find_exported(sym.name);
			break;
		}
	return found;
}

static const char *function_at(struct look *l, taddr_t pc)
{
	struct symbol sym;
	const char *found = NULL;

	if (!types_symbol_at(l->gh->types, pc, &sym))
		return beside(l, pc);
	found = find_exported(sym.name);
	return found ? found
		     : find(internal, sizeof(internal) / sizeof(*internal),
			    sym.name);
}

static struct err *look_at(void *arg, const struct frame *f)
{
	struct look *l = arg;
	taddr_t pc = f->is_activation ? f->pc : f->pc - 1;

	if (f->is_activation && !l->is_innermost)
		l->is_run = true;
	l->is_innermost = false;
	if (l->is_run && types_object_at(l->gh->types, pc) != l->code)
		l->is_run = false;
	if (l->is_run)
		l->where = function_at(l, pc);
	return l->where ? err_new(ERR_STOP, "found") : NULL;
}

/* The system call that a thread is in; negative: none.  Where a signal handler has
 * taken the registers, its number is lost; but the instruction leaves in rcx where
 * the next one is, and the kernel makes the call again, or it was interrupted. */
static long long call_of(const struct user_regs_struct *regs)
{
	if ((long long)regs->orig_rax >= 0)
		return (long long)regs->orig_rax;
	if (regs->rcx == regs->rip + SYSCALL_BYTES)
		return (long long)regs->rax;
	if (regs->rcx == regs->rip && (long long)regs->rax == -EINTR)
		return SYS_restart_syscall;
	return -1;
}

/* (I2): for memory, and of what it asks the system about that */
static bool is_in_foreign_call(const struct target_thread *th)
{
	long long nr = call_of(&th->regs);

	switch (nr) {
	case SYS_brk:
	case SYS_mmap:
	case SYS_munmap:
	case SYS_mremap:
	case SYS_mprotect:
	case SYS_madvise:
	case SYS_getrandom:
	case SYS_open:
	case SYS_openat:
	case SYS_read:
	case SYS_close:
		return false;
	default:
		return nr >= 0;
	}
}

enum glibc_inside glibc_inside(struct glibc_heap *gh,
			       const struct target_thread *th,
			       const char **ret_where)
{
	struct look l = {.gh = gh, .code = gh->libc, .is_innermost = true};
	struct symbol sym;

	*ret_where = NULL;
	if (!gh->types || !th->has_regs)
		return INSIDE_NO;
	if (!l.code)
		l.code = types_object_at(gh->types, gh->main_arena);
	if (!l.code)
		return INSIDE_NO;
	l.is_run = !is_in_foreign_call(th);
	if (l.code->state != OBJECT_OK ||
	    !types_symbol_named(gh->types, l.code, "malloc", &sym))
		return l.is_run && types_object_at(gh->types, th->regs.rip) ==
					       l.code
			       ? INSIDE_UNKNOWN
			       : INSIDE_NO;
	err_free(types_unwind(gh->types, th, look_at, &l));
	*ret_where = l.where;
	return l.where ? INSIDE_YES : INSIDE_NO;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads: NT_PRSTATUS begins one, the register notes after it are its own.
 * A snapshot names its threads, and says whose registers could not be had.
 */
#include "target/target_impl.h"

#include <elf.h>
#include <string.h>

#include "base/hash.h"
#include "contract/notes.h"

void threads_note(struct target *t, const struct target_note *note)
{
	struct target_thread thread = {0};
	struct target_thread *last;
	struct elf_prstatus pr;

	if (note->type == NT_PRSTATUS) {
		if (note->desc_bytes < sizeof(pr) ||
		    t->threads.n >= THREADS_MAX)
			return;
		memcpy(&pr, note->desc, sizeof(pr));
		thread.tid = pr.pr_pid;
		thread.cursig = pr.pr_cursig;
		thread.has_regs = true;
		_Static_assert(sizeof(thread.regs) == sizeof(pr.pr_reg),
			       "the kernel's order of registers");
		memcpy(&thread.regs, &pr.pr_reg, sizeof(thread.regs));
		VEC_PUSH(&t->threads, thread);
		return;
	}
	if (t->threads.n == 0)
		return;
	last = &t->threads.v[t->threads.n - 1];
	if (note->type == NT_FPREGSET && !last->fpregs) {
		last->fpregs = note->desc;
		last->fpregs_bytes = note->desc_bytes;
	} else if (note->type == NT_X86_XSTATE && !last->xstate) {
		last->xstate = note->desc;
		last->xstate_bytes = note->desc_bytes;
	}
}

/* a row of KMEM_NT_THREADS */
static void name_thread(struct target *t, struct hash *by_tid,
			const struct kmem_note_thread *row)
{
	struct target_thread *thread;
	bool is_new;
	uint64_t *index = hash_put(by_tid, row->nt_tid, &is_new);

	if (is_new) {
		struct target_thread fresh = {.tid = row->nt_tid};

		if (t->threads.n >= THREADS_MAX)
			return;
		*index = t->threads.n;
		VEC_PUSH(&t->threads, fresh);
	}
	thread = &t->threads.v[*index];
	memcpy(thread->name, row->nt_name, sizeof(row->nt_name));
	if (row->nt_regs == 0)
		thread->has_regs = false;
	else if (row->nt_regs == 1)
		thread->regs_partial = true;
	else if (row->nt_regs == 3)
		thread->is_at_call = true;
}

static void name_threads(struct target *t, const struct target_note *note)
{
	const unsigned char *desc = note->desc;
	size_t n = note->desc_bytes / sizeof(struct kmem_note_thread);
	struct hash by_tid;
	size_t i;

	hash_init(&by_tid);
	for (i = t->threads.n; i > 0; i--)
		*hash_put(&by_tid, t->threads.v[i - 1].tid, NULL) = i - 1;
	for (i = 0; i < n; i++) {
		struct kmem_note_thread row;

		memcpy(&row, desc + i * sizeof(row), sizeof(row));
		if (row.nt_tid != 0)
			name_thread(t, &by_tid, &row);
	}
	hash_fini(&by_tid);
}

static const char *snap_reason(uint32_t reason)
{
	switch ((enum kmem_snap_reason)reason) {
	case KMEM_SNAP_CALL:
		return "the program called kmem_snapshot()";
	case KMEM_SNAP_EXIT:
		return "exit";
	case KMEM_SNAP__EXIT:
		return "_exit";
	case KMEM_SNAP_SIGNAL:
		return "a signal asked for it";
	case KMEM_SNAP_FATAL:
		return "fatal signal";
	case KMEM_SNAP_PANIC:
		return "the allocator found corruption";
	case KMEM_SNAP_OUTSIDE:
		return "pmdb stopped the process";
	}
	return NULL;
}

void threads_finish(struct target *t)
{
	const struct target_note *note =
		target_find_note(t, KMEM_NOTE_OWNER, KMEM_NT_THREADS);
	struct kmem_note_snap snap;
	size_t i;

	if (note)
		name_threads(t, note);
	note = target_find_note(t, KMEM_NOTE_OWNER, KMEM_NT_ENV);
	if (note) {
		t->info.snap_env = note->desc;
		t->info.snap_env_bytes = note->desc_bytes;
	}
	note = target_find_note(t, KMEM_NOTE_OWNER, KMEM_NT_SNAP);
	if (!note || note->desc_bytes < sizeof(snap))
		return;
	memcpy(&snap, note->desc, sizeof(snap));
	if (t->info.pid == 0)
		t->info.pid = snap.ns_pid;
	t->info.snap_reason = snap_reason(snap.ns_reason);
	t->info.is_outside = snap.ns_reason == KMEM_SNAP_OUTSIDE;
	t->info.snap_wall_ns = snap.ns_wall_ns;
	for (i = 1; i < t->threads.n; i++) {
		struct target_thread asked = t->threads.v[i];

		if (asked.tid != snap.ns_tid)
			continue;
		memmove(&t->threads.v[1], &t->threads.v[0],
			i * sizeof(t->threads.v[0]));
		t->threads.v[0] = asked;
		break;
	}
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Notes: who the process was, what it mapped, why it ended.
 *
 * A note is three 32-bit words (name size, description size, type), the name,
 * the description, each padded to the alignment of the segment.  All sizes are
 * the file's word and may be anything:
 *
 * (I1) a note is kept only if its whole description lies in the segment, which
 *      lies in the file; the first that does not ends the segment;
 * (I2) descriptions have any alignment: they are copied out, never cast;
 * (I3) at most NOTES_MAX notes are looked at, however many segments repeat
 *      the same bytes.
 */
#include "target/target_impl.h"

#include <elf.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "contract/notes.h"

static uint64_t round_up(uint64_t n, uint64_t align)
{
	return (n + align - 1) & ~(align - 1);
}

void notes_parse(struct target *t, uint64_t off, uint64_t len, uint64_t align)
{
	const unsigned char *seg = t->base + off;
	uint64_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		struct target_note note = {0};
		Elf64_Nhdr hdr;
		uint64_t name_at = at + sizeof(hdr);
		uint64_t desc_at;

		memcpy(&hdr, seg + at, sizeof(hdr));
		desc_at = round_up(name_at + hdr.n_namesz, align);
		if (desc_at > len || hdr.n_descsz > len - desc_at) {
			if (!t->info.incomplete)
				target_incomplete(t, "damaged notes");
			return;
		}
		if (t->notes.n >= NOTES_MAX) {
			target_incomplete(t, "more than %d notes", NOTES_MAX);
			return;
		}
		note.owner = mem_strndup((const char *)seg + name_at,
					 hdr.n_namesz < 64 ? hdr.n_namesz : 64);
		note.type = hdr.n_type;
		note.desc = seg + desc_at;
		note.desc_bytes = hdr.n_descsz;
		VEC_PUSH(&t->notes, note);
		at = round_up(desc_at + hdr.n_descsz, align);
		if (at > len)
			return;
	}
}

/* ---- what they say ------------------------------------------------------- */

static void read_prpsinfo(struct target *t, const struct target_note *note)
{
	struct elf_prpsinfo ps;
	size_t n = 0;

	if (note->desc_bytes < sizeof(ps) || t->info.fname[0])
		return;
	memcpy(&ps, note->desc, sizeof(ps));
	t->info.pid = ps.pr_pid;
	memcpy(t->info.fname, ps.pr_fname, sizeof(ps.pr_fname));
	memcpy(t->info.psargs, ps.pr_psargs, sizeof(ps.pr_psargs));
	/* the kernel ends each argument with a blank */
	n = strlen(t->info.psargs);
	if (n > 0 && t->info.psargs[n - 1] == ' ')
		t->info.psargs[n - 1] = '\0';
}

static void read_siginfo(struct target *t, const struct target_note *note)
{
	siginfo_t si = {0};

	/* the first is the thread that was hit; gcore writes one each */
	if (t->info.signo != 0 || note->desc_bytes < 24)
		return;
	memcpy(&si, note->desc,
	       note->desc_bytes < sizeof(si) ? note->desc_bytes : sizeof(si));
	t->info.signo = si.si_signo;
	t->info.si_code = si.si_code;
	if (si.si_code <= 0) {
		t->info.sender_pid = (uint32_t)si.si_pid;
		t->info.sender_uid = si.si_uid;
	}
	switch (si.si_signo) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
		t->info.fault_addr = (taddr_t)(uintptr_t)si.si_addr;
		break;
	default:
		break;
	}
}

static void read_auxv(struct target *t, const struct target_note *note)
{
	if (t->auxv)
		return;
	t->auxv = note->desc;
	t->nauxv = note->desc_bytes / (2 * sizeof(uint64_t));
}

/* NT_FILE: count, page size, count x (start, end, offset in pages), names */
static void read_files(struct target *t, const struct target_note *note)
{
	const unsigned char *desc = note->desc;
	uint64_t head[2];
	uint64_t i;
	const char *name, *end;

	if (t->files.n > 0 || note->desc_bytes < sizeof(head))
		return;
	memcpy(head, desc, sizeof(head));
	if (head[0] > FILES_MAX ||
	    head[0] > (note->desc_bytes - sizeof(head)) / 24 || head[1] == 0 ||
	    head[1] > 1u << 30) {
		target_incomplete(t, "damaged list of mapped files");
		return;
	}
	name = (const char *)desc + sizeof(head) + head[0] * 24;
	end = (const char *)desc + note->desc_bytes;
	for (i = 0; i < head[0]; i++) {
		struct file_range range = {.path = name};
		uint64_t row[3];
		const char *nul = memchr(name, '\0', (size_t)(end - name));

		if (!nul)
			break;
		name = nul + 1;
		memcpy(row, desc + sizeof(head) + i * 24, sizeof(row));
		range.start = row[0];
		range.end = row[1];
		if (__builtin_mul_overflow(row[2], head[1], &range.file_off) ||
		    range.start >= range.end)
			continue;
		VEC_PUSH(&t->files, range);
	}
	ranges_tidy(t->files.v, &t->files.n);
}

static void read_absent(struct target *t, const struct target_note *note)
{
	const unsigned char *desc = note->desc;
	size_t n = note->desc_bytes / (2 * sizeof(uint64_t));
	size_t i;

	for (i = 0; i < n && t->absents.n < FILES_MAX; i++) {
		struct file_range range = {0};
		uint64_t pair[2];

		memcpy(pair, desc + i * sizeof(pair), sizeof(pair));
		if (pair[0] >= pair[1])
			continue;
		range.start = pair[0];
		range.end = pair[1];
		VEC_PUSH(&t->absents, range);
	}
}

static void read_end(struct target *t, const struct target_note *note,
		     bool *ret_has_end)
{
	struct kmem_note_end end;

	if (note->desc_bytes < sizeof(end))
		return;
	memcpy(&end, note->desc, sizeof(end));
	*ret_has_end = true;
	t->info.absent_bytes += end.ne_unreadable;
	if (end.ne_size != t->size_bytes && !t->info.incomplete)
		target_incomplete(t,
				  "its end mark was set at %" PRIu64
				  " bytes, the file has %" PRIu64,
				  end.ne_size, t->size_bytes);
}

static void core_note(struct target *t, const struct target_note *note)
{
	switch (note->type) {
	case NT_PRPSINFO:
		read_prpsinfo(t, note);
		break;
	case NT_SIGINFO:
		read_siginfo(t, note);
		break;
	case NT_AUXV:
		read_auxv(t, note);
		break;
	case NT_FILE:
		read_files(t, note);
		break;
	default:
		threads_note(t, note);
		break;
	}
}

static void finish_info(struct target *t)
{
	size_t i;

	ranges_tidy(t->absents.v, &t->absents.n);
	for (i = 0; i < t->absents.n; i++)
		t->info.absent_bytes +=
			t->absents.v[i].end - t->absents.v[i].start;
	if (t->threads.n > 0) {
		if (t->info.pid == 0)
			t->info.pid = t->threads.v[0].tid;
		if (t->info.signo == 0)
			t->info.signo = t->threads.v[0].cursig;
	}
}

void notes_interpret(struct target *t)
{
	bool has_end = false;
	size_t i;

	for (i = 0; i < t->notes.n; i++) {
		const struct target_note *note = &t->notes.v[i];

		if (strcmp(note->owner, "CORE") == 0 ||
		    strcmp(note->owner, "LINUX") == 0) {
			core_note(t, note);
		} else if (strcmp(note->owner, KMEM_NOTE_OWNER) == 0) {
			t->info.is_snapshot = true;
			if (note->type == KMEM_NT_ABSENT)
				read_absent(t, note);
			else if (note->type == KMEM_NT_END)
				read_end(t, note, &has_end);
		}
	}
	if (t->info.is_snapshot && !has_end)
		target_incomplete(t, "the snapshot has no end mark: it was not "
				     "finished");
	threads_finish(t);
	finish_info(t);
}

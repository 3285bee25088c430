/* SPDX-License-Identifier: MIT */
/*
 * A stream of bytes that becomes an ELF core file: headers, notes, memory and
 * holes, written front to back, never seeking back.
 *
 * With fd -1 nothing is written and bytes are only counted, so that one
 * function can first measure its notes and then write them.
 */
#ifndef SNAP_ELFCORE_H
#define SNAP_ELFCORE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define ELFCORE_PAGE   4096
#define ELFCORE_BUFFER 65536

struct elfcore {
	int fd;
	int err;           /* the first error, a positive errno; then nothing
			      * more is written */
	uint64_t at_bytes; /* where the next byte goes */
	uint64_t unreadable_bytes; /* of memory, in whose place zeros stand */
	int ends_in_hole;
	size_t nbuf;
	char buf[ELFCORE_BUFFER];
};

/**
 * Begins a stream.
 *
 * @fd:  borrowed; positioned at the start of an empty file, or -1 to count
 */
void elfcore_init(struct elfcore *core, int fd);

/** Appends bytes; p must be readable. */
void elfcore_put(struct elfcore *core, const void *p, size_t bytes);

/** Appends zero bytes up to a multiple of align, a power of two. */
void elfcore_pad(struct elfcore *core, size_t align);

/** Leaves bytes out that read as zero, where the file system can. */
void elfcore_hole(struct elfcore *core, uint64_t bytes);

/**
 * Appends memory of this process that may not be readable: zeros take the
 * place of pages that fault, and are counted.
 */
void elfcore_copy(struct elfcore *core, uintptr_t addr, uint64_t bytes);

/**
 * Appends the ELF header of a core and, when there are more program headers
 * than its field can hold, the place where their number then is: the section
 * header that follows them.
 *
 * @nphdrs:  program headers the caller appends next with elfcore_phdr()
 */
void elfcore_ehdr(struct elfcore *core, size_t nphdrs);

/** Appends a program header. */
void elfcore_phdr(struct elfcore *core, const Elf64_Phdr *phdr);

/** Appends what follows the last program header: see elfcore_ehdr(). */
void elfcore_shdr(struct elfcore *core, size_t nphdrs);

/** Bytes of all headers: where the first note may be. */
uint64_t elfcore_header_bytes(size_t nphdrs);

/**
 * Appends the header of a note.  The caller appends desc_bytes, then pads
 * to 4.
 *
 * @owner:  a string; its NUL is part of the name
 */
void elfcore_note(struct elfcore *core, const char *owner, uint32_t type,
		  size_t desc_bytes);

/**
 * Writes what is buffered and sets the length of the file.
 *
 * Returns 0 or the first error, a positive errno.
 */
int elfcore_finish(struct elfcore *core);

#endif

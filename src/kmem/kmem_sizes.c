/* SPDX-License-Identifier: MIT */
/*
 * The size classes.  KMEM_OPTIONS may change the table before there is a cache:
 * size_add=, size_remove= and size_clear, in the order in which they are there.
 * The largest always stays.
 *
 * A size is found in two steps (kmem_alloc.c), by 8 bytes up to KMEM_SIZE_SMALL
 * and by 64 above: so what is added is rounded up to a multiple of that.
 */
#include "kmem_internal.h"

#define NSIZES (sizeof(usual) / sizeof(*usual))

static const uint32_t usual[] = {
	8,     16,    32,     48,     64,     80,     96,    112,
	128,   160,   192,    224,    256,    320,    384,   448,
	512,   640,   768,    896,    1152,   1344,   1600,  2048,
	2304,  2688,  4096,   4544,   8192,   9216,   12288, 16384,
	24576, 32768, 40960,  49152,  57344,  65536,  73728, 81920,
	90112, 98304, 106496, 114688, 122880, 131072,
};
static uint32_t changed[KMEM_SIZES_MAX] KM_SELDOM;

const uint32_t *kmem_sizes = usual;
unsigned kmem_nsizes = NSIZES;

void kmem_sizes_reset(void)
{
	kmem_sizes = usual;
	kmem_nsizes = NSIZES;
}

/** Makes the table one that can be changed. */
static void make_own(void)
{
	for (unsigned i = 0; i < kmem_nsizes && kmem_sizes != changed; i++)
		changed[i] = usual[i];
	kmem_sizes = changed;
}

/** The place of the first size that is not smaller. */
static unsigned place_of(size_t bytes)
{
	unsigned i = 0;

	while (kmem_sizes[i] < bytes)
		i++;
	return i;
}

const char *kmem_sizes_add(size_t bytes)
{
	size_t step = bytes <= KMEM_SIZE_SMALL ? 8 : 64;
	unsigned at;

	if (bytes == 0 || bytes > KMEM_SIZE_LAST)
		return "out of range";
	bytes = (bytes + step - 1) & -step;
	at = place_of(bytes);
	if (kmem_sizes[at] == bytes)
		return "is a size already";
	if (kmem_nsizes == KMEM_SIZES_MAX)
		return "is one size too many";
	make_own();
	for (unsigned i = kmem_nsizes++; i > at; i--)
		changed[i] = changed[i - 1];
	changed[at] = (uint32_t)bytes;
	return NULL;
}

const char *kmem_sizes_remove(size_t bytes)
{
	unsigned at;

	if (bytes == KMEM_SIZE_LAST)
		return "always stays";
	at = bytes < KMEM_SIZE_LAST ? place_of(bytes) : 0;
	if (kmem_sizes[at] != bytes)
		return "is no size";
	make_own();
	kmem_nsizes--;
	for (unsigned i = at; i < kmem_nsizes; i++)
		changed[i] = changed[i + 1];
	return NULL;
}

void kmem_sizes_clear(void)
{
	changed[0] = KMEM_SIZE_LAST;
	kmem_sizes = changed;
	kmem_nsizes = 1;
}

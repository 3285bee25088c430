/* SPDX-License-Identifier: MIT */
/*
 * Filling buffers with a pattern, and looking whether it is still there.
 *
 * Small buffers are handled word by word, longer ones in turns of 64 bytes by
 * vector registers, three times as fast: with every check on, a program that
 * uses large buffers spends most of its time here.  It is the one place of the
 * library that uses them (lint/vectors).  What they held is of no use to the
 * caller of a function; what they hold when a turn is over is zero, so that no
 * word of a buffer stays in a register to be taken for a pointer of the
 * program's.  SSE2, which every x86-64 has, is enough: wider registers gain
 * little outside the first cache, and would have to be asked for.
 */
#include "kmem_pattern.h"

#define FUNCTION(name)                                            \
	".text\n\t.p2align 4\n\t.hidden " name "\n\t.globl " name \
	"\n\t.type " name ", @function\n" name ":\n\t.cfi_startproc\n\t"
#define FUNCTION_END(name) "ret\n\t.cfi_endproc\n\t.size " name ", .-" name "\n"
#define SPREAD(gpr, xmm) \
	"movq " gpr ", " xmm "\n\tpunpcklqdq " xmm ", " xmm "\n\t"
/* is the turn at rsi all xmm0?  ZF says so */
#define COMPARE                      \
	"movdqu (%rsi), %xmm1\n\t"   \
	"movdqu 16(%rsi), %xmm2\n\t" \
	"movdqu 32(%rsi), %xmm3\n\t" \
	"movdqu 48(%rsi), %xmm4\n\t" \
	"pcmpeqd %xmm0, %xmm1\n\t"   \
	"pcmpeqd %xmm0, %xmm2\n\t"   \
	"pcmpeqd %xmm0, %xmm3\n\t"   \
	"pcmpeqd %xmm0, %xmm4\n\t"   \
	"pand %xmm2, %xmm1\n\t"      \
	"pand %xmm4, %xmm3\n\t"      \
	"pand %xmm3, %xmm1\n\t"      \
	"pmovmskb %xmm1, %eax\n\t"   \
	"cmpl $0xffff, %eax\n\t"
#define STORE(xmm)                     \
	"movdqu " xmm ", (%rsi)\n\t"   \
	"movdqu " xmm ", 16(%rsi)\n\t" \
	"movdqu " xmm ", 32(%rsi)\n\t" \
	"movdqu " xmm ", 48(%rsi)\n\t"
#define CLEAR                   \
	"pxor %xmm0, %xmm0\n\t" \
	"pxor %xmm1, %xmm1\n\t" \
	"pxor %xmm2, %xmm2\n\t" \
	"pxor %xmm3, %xmm3\n\t" \
	"pxor %xmm4, %xmm4\n\t" \
	"pxor %xmm5, %xmm5\n\t"

__asm__(FUNCTION("kmem_turns_verify")
		SPREAD("%rdi",
		       "%xmm0") "1:	cmpq %rdx, %rsi\n\t"
				"je 2f\n\t" COMPARE "jne 2f\n\t"
				"addq $64, %rsi\n\t"
				"jmp 1b\n"
				"2:	movq %rsi, %rax\n\t" CLEAR FUNCTION_END(
					"kmem_turns_verify"));

__asm__(FUNCTION("kmem_turns_fill") SPREAD(
	"%rdi",
	"%xmm0") "1:	cmpq %rdx, %rsi\n\t"
		 "je 2f\n\t" STORE(
			 "%xmm0") "addq $64, %rsi\n\t"
				  "jmp 1b\n"
				  "2:	pxor %xmm0, %xmm0\n\t" FUNCTION_END(
					  "kmem_turns_fill"));

__asm__(FUNCTION("kmem_turns_replace") SPREAD("%rdi", "%xmm0") SPREAD(
	"%rcx",
	"%xmm5") "1:	cmpq %rdx, %rsi\n\t"
		 "je 2f\n\t" COMPARE "jne 2f\n\t" STORE(
			 "%xmm5") "addq $64, %rsi\n\t"
				  "jmp 1b\n"
				  "2:	movq %rsi, %rax\n\t" CLEAR FUNCTION_END(
					  "kmem_turns_replace"));

void kmem_pattern_fill(uint64_t pattern, void *buf, size_t bytes)
{
	kmem_words_fill(pattern, buf, bytes);
}

uint64_t *kmem_pattern_verify(uint64_t pattern, void *buf, size_t bytes)
{
	return kmem_words_verify(pattern, buf, bytes);
}

uint64_t *kmem_pattern_replace(uint64_t old, uint64_t new, void *buf,
			       size_t bytes)
{
	return kmem_words_replace(old, new, buf, bytes);
}

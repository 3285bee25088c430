/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Patterns of suppressions: LeakSanitizer's, which are looked for anywhere in a
 * name, and valgrind's, which a name is matched with as a whole; and stacks.
 *
 * Both kinds of pattern are matched with one place to go back to, the last "*":
 * whatever that one swallows, the rest either fits later or not at all, so that
 * an earlier one never has to be tried again.  Cost: pattern times text.  "..."
 * among the frames of a stack is the same once more.
 */
#include "pmdb/check_suppress.h"

#include <string.h>

bool match_glob(const char *pattern, const char *text)
{
	const char *star = NULL; /* behind the last one */
	const char *from = NULL; /* what it has not swallowed yet */

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			from = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++from;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

/* does text begin with n characters of the pattern? */
static bool match_part(const char *pattern, size_t n, const char *text)
{
	return strncmp(pattern, text, n) == 0;
}

bool match_leak(const char *pattern, const char *text)
{
	bool is_anchored = *pattern == '^';
	size_t len = strlen(pattern);
	bool is_whole = len > 0 && pattern[len - 1] == '$';
	const char *end = pattern + len - is_whole;

	if (is_anchored)
		pattern++;
	while (pattern < end) {
		size_t n = strcspn(pattern, "*");

		if (pattern + n > end)
			n = (size_t)(end - pattern);
		if (n == 0) {
			pattern++;
			is_anchored = false;
			continue;
		}
		/* the last part of "...$" is the end of the text */
		if (pattern + n == end && is_whole) {
			size_t left = strlen(text);

			return left >= n && (!is_anchored || left == n) &&
			       match_part(pattern, n, text + left - n);
		}
		while (*text && !is_anchored && !match_part(pattern, n, text))
			text++;
		if (!match_part(pattern, n, text))
			return false;
		text += n;
		pattern += n;
		is_anchored = false;
	}
	/* "^$" and "a*$" */
	return !is_whole || !is_anchored || *text == '\0';
}

/* file or file:line */
static bool match_source(const char *pattern, const struct check_frame *f)
{
	if (!f->file)
		return false;
	_free_ char *place = mem_printf("%s:%d", f->file, f->line);
	const char *slash = strrchr(place, '/');

	return match_glob(pattern, f->file) || match_glob(pattern, place) ||
	       (slash && match_glob(pattern, slash + 1)) ||
	       (strrchr(f->file, '/') &&
		match_glob(pattern, strrchr(f->file, '/') + 1));
}

static bool match_frame(const struct frame_rule *rule,
			const struct check_frame *f)
{
	switch (rule->kind) {
	case RULE_FUN:
		return (f->linkname &&
			match_glob(rule->pattern, f->linkname)) ||
		       (f->function &&
			match_glob(rule->pattern, f->function)) ||
		       (!f->function && strcmp(rule->pattern, "*") == 0);
	case RULE_OBJ:
		return f->object && match_glob(rule->pattern, f->object);
	case RULE_SRC:
		return match_source(rule->pattern, f);
	case RULE_ANY:
		return false; /* no frame at all: match_stack() knows it */
	}
	return false;
}

bool match_stack(const struct frame_rule *rules, size_t n,
		 const struct check_stack *stack)
{
	size_t rule = 0;
	size_t frame = 0;
	size_t after_any = n; /* behind the last "..."; n: there was none */
	size_t from = 0;      /* the frame it has not swallowed yet */

	while (rule < n) {
		if (rules[rule].kind == RULE_ANY) {
			after_any = ++rule;
			from = frame;
		} else if (frame < stack->n &&
			   match_frame(&rules[rule], stack->v[frame])) {
			rule++;
			frame++;
		} else if (after_any < n && from < stack->n) {
			rule = after_any;
			frame = ++from;
		} else {
			return false;
		}
	}
	return true;
}

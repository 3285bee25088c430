/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values of a dump as JSON: what every object that is printed is made of. */
#ifndef SHELL_OUT_JSON_H
#define SHELL_OUT_JSON_H

#include <jansson.h>
#include <stdint.h>

/** A string; what is not UTF-8 becomes U+FFFD. */
json_t *out_json_string(const char *s);
/** An address: "0x...". */
json_t *out_json_hex(uint64_t n);
/** A count: a number; one larger than JSON's are signed in jansson is damage in
 * the target and stays readable as text. */
json_t *out_json_count(uint64_t n);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shapes of C and C++ types against what gdb says of the same program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <cmocka.h>

#include "base/interrupt.h"
#include "sample.h"

static const char c_source[] =
	"#include <stdlib.h>\n"
	"#include <stdint.h>\n"
	"struct inner { short a; unsigned b : 3, c : 7; int s : 5;\n"
	"	union { int u; float f; }; };\n"
	"enum color { RED, GREEN = 5, BLUE = -1, BIG = 200 };\n"
	"typedef struct node { struct node *next; char name[12];\n"
	"	struct inner in; enum color col; double d[3][2];\n"
	"	void (*fn)(int, char *); const char *const s;\n"
	"	volatile uint64_t v; _Bool ok; unsigned long long w : 40;\n"
	"	struct opaque *o; char tail[]; } node_t;\n"
	"typedef struct { int x, y; } point_t;\n"
	"typedef int matrix_t[4][5];\n"
	"node_t global = { .name = \"first\" }; point_t point;\n"
	"static int counter = 7; matrix_t matrix; const char *table[4];\n"
	"int apply(node_t *n, unsigned long k)\n"
	"{ static node_t *kept; kept = n; return kept->in.a + (int)k; }\n"
	"int main(void) { counter += apply(&global, 3) + point.x + \n"
	"	matrix[1][1] + (table[0] != 0); abort(); }\n";

static const char cc_source[] =
	"#include <cstdlib>\n"
	"namespace ns { struct base { virtual ~base() {} int b; };\n"
	"struct other { long o; };\n"
	"template <class T> struct box { T value; int tag; };\n"
	"class derived : public base, public other { public:\n"
	"	static int shared; struct nested { char c[3]; } n; int d;\n"
	"	int sum(int k) const { return d + k; } };\n"
	"int derived::shared = 3; enum class kind : unsigned char { A, B = 250 };\n"
	"} ns::derived obj; ns::box<double> boxed; ns::kind k = ns::kind::B;\n"
	"__attribute__((noinline)) int use(ns::derived &r, ns::box<double> *p)\n"
	"{ return r.sum((int)p->value); }\n"
	"int main() { if (use(obj, &boxed) + ns::derived::shared + (int)k)\n"
	"	abort(); }\n";

/* the flags under which every fact must be the same */
static const struct {
	const char *name, *compiler, *flags;
} variants[] = {
	{"d5", "gcc", "-gdwarf-5"},
	{"d4", "gcc", "-gdwarf-4"},
	{"d3", "gcc", "-gdwarf-3 -gstrict-dwarf"},
	{"tu", "gcc", "-g -fdebug-types-section"},
	{"split", "gcc", "-g -gsplit-dwarf"},
	{"zlib", "gcc", "-g -gz=zlib"},
	{"clang5", "clang", "-gdwarf-5 -fstandalone-debug"},
	{"clang4", "clang", "-gdwarf-4 -fno-debug-macro"},
};
enum {
	NVARIANTS = sizeof(variants) / sizeof(variants[0])
};

static struct sample samples[NVARIANTS], cc;

static void build(size_t i)
{
	_free_ char *command = mem_printf("%s -O0 %s -o %s sample.c 2>&1",
					  variants[i].compiler,
					  variants[i].flags, variants[i].name);
	_free_ char *core = mem_printf("%s.core", variants[i].name);

	mem_free(sample_shell(command));
	sample_core(variants[i].name);
	samples[i] = sample_open(core, NULL);
}

static int set_up(void **state)
{
	size_t i;

	(void)state;
	sample_write("sample.c", c_source);
	sample_write("sample.cc", cc_source);
	for (i = 0; i < NVARIANTS; i++)
		build(i);
	mem_free(sample_shell("g++ -O0 -g -o cc sample.cc 2>&1"));
	sample_core("cc");
	cc = sample_open("cc.core", NULL);
	return 0;
}

static int tear_down(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NVARIANTS; i++)
		sample_close(&samples[i]);
	sample_close(&cc);
	return 0;
}

static const struct type *lookup(struct sample *s, const char *name)
{
	const struct type *type = NULL;
	struct err *err = types_lookup(s->types, NULL, name, &type);

	if (err)
		fail_msg("%s", err->msg);
	return type;
}

static const struct type *of_symbol(struct sample *s, const char *name)
{
	const struct type *type = NULL;
	struct symbol sym;
	struct err *err;

	assert_true(types_symbol_named(s->types, NULL, name, &sym));
	err = types_of_symbol(s->types, &sym, &type);
	if (err)
		fail_msg("%s", err->msg);
	return type;
}

/* the last number gdb prints for an expression */
static int64_t gdb_value(const char *prog, const char *expr)
{
	_free_ char *command = mem_printf("-ex 'output/d (long)(%s)'", expr);
	_free_ char *out = sample_gdb(prog, command);
	const char *line = strrchr(out, '\n');

	return strtoll(line ? line + 1 : out, NULL, 0);
}

static void sizes_and_offsets_are_those_of_gdb(void **state)
{
	static const char *const members[] = {"next", "name", "in",  "col", "d",
					      "fn",   "s",    "v",   "ok",  "o",
					      "tail", "in.a", "in.u"};
	int64_t node_bytes, inner_bytes;
	size_t i, k;

	(void)state;
	for (k = 0; k < sizeof(members) / sizeof(members[0]); k++) {
		_free_ char *expr =
			mem_printf("&((struct node *)0)->%s", members[k]);
		int64_t want = gdb_value("d5", expr);

		for (i = 0; i < NVARIANTS; i++) {
			const struct type *node =
				lookup(&samples[i], "struct node");
			const char *name = members[k];
			struct type_member member, in;
			uint64_t base = 0;

			if (strncmp(name, "in.", 3) == 0) {
				assert_true(type_find_member(node, "in", &in));
				base = in.offset_bits;
				node = in.type;
				name += 3;
			}
			if (!type_find_member(node, name, &member))
				fail_msg("%s: no %s", variants[i].name, name);
			if ((member.offset_bits + base) / 8 != (uint64_t)want)
				fail_msg("%s: %s at %" PRIu64 ", gdb: %" PRId64,
					 variants[i].name, name,
					 (member.offset_bits + base) / 8, want);
		}
	}
	node_bytes = gdb_value("d5", "sizeof(struct node)");
	inner_bytes = gdb_value("d5", "sizeof(struct inner)");
	for (i = 0; i < NVARIANTS; i++) {
		struct sample *s = &samples[i];

		assert_int_equal(type_info(lookup(s, "node_t")).size_bytes,
				 node_bytes);
		assert_int_equal(
			type_info(lookup(s, "struct inner")).size_bytes,
			inner_bytes);
	}
}

static void bit_fields_are_where_the_compiler_put_them(void **state)
{
	static const struct {
		const char *name;
		uint32_t at, size;
	} want[] = {{"b", 16, 3}, {"c", 19, 7}, {"s", 26, 5}};
	size_t i, k;

	(void)state;
	for (i = 0; i < NVARIANTS; i++) {
		const struct type *inner = lookup(&samples[i], "struct inner");
		struct type_member m;

		for (k = 0; k < 3; k++) {
			assert_true(type_find_member(inner, want[k].name, &m));
			if (m.offset_bits != want[k].at ||
			    m.bit_size != want[k].size)
				fail_msg("%s: %s at bit %" PRIu64 ", %u bits",
					 variants[i].name, want[k].name,
					 m.offset_bits, m.bit_size);
		}
	}
}

static void names_are_written_as_c_declares(void **state)
{
	static const struct {
		const char *member, *name;
	} want[] = {
		{"next", "struct node *"},  {"name", "char [12]"},
		{"in", "struct inner"},     {"col", "enum color"},
		{"d", "double [3][2]"},     {"fn", "void (*)(int, char *)"},
		{"s", "const char *const"}, {"v", "volatile uint64_t"},
		{"o", "struct opaque *"},   {"tail", "char []"},
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < NVARIANTS; i++)
		for (k = 0; k < sizeof(want) / sizeof(want[0]); k++) {
			struct type_member m;

			assert_true(
				type_find_member(lookup(&samples[i], "node_t"),
						 want[k].member, &m));
			if (strcmp(type_name(m.type), want[k].name) != 0)
				fail_msg("%s: %s is \"%s\"", variants[i].name,
					 want[k].member, type_name(m.type));
		}
}

static void names_a_user_writes_are_found(void **state)
{
	static const struct {
		const char *asked, *name;
		enum type_kind kind;
		uint64_t size;
	} want[] = {
		{"int", "int", TYPE_INT, 4},
		{"unsigned long", "long unsigned int", TYPE_INT, 8},
		{"unsigned", "unsigned int", TYPE_INT, 4},
		{"long long int", "long long int", TYPE_INT, 8},
		{"char *", "char *", TYPE_POINTER, 8},
		{"char**", "char **", TYPE_POINTER, 8},
		{" const  char * const", "char *", TYPE_POINTER, 8},
		{"char [8]", "char [8]", TYPE_ARRAY, 8},
		{"int [2][3]", "int [2][3]", TYPE_ARRAY, 24},
		{"int[0x10]", "int [16]", TYPE_ARRAY, 64},
		{"node_t *[4]", "node_t *[4]", TYPE_ARRAY, 32},
		{"struct inner", "struct inner", TYPE_STRUCT, 8},
		{"inner", "struct inner", TYPE_STRUCT, 8},
		{"enum color", "enum color", TYPE_ENUM, 4},
		{"point_t", "point_t", TYPE_STRUCT, 8},
		{"matrix_t", "matrix_t", TYPE_ARRAY, 80},
		{"uint64_t", "uint64_t", TYPE_INT, 8},
		{"void *", "void *", TYPE_POINTER, 8},
		{"void", "void", TYPE_VOID, 0},
		{"double", "double", TYPE_FLOAT, 8},
		{"struct opaque", "struct opaque", TYPE_FORWARD, 0},
	};
	static const char *const wrong[] = {
		"struct color",
		"nope",
		"struct",
		"",
		"*",
		"int [",
		"int [-1]",
		"int [2",
		"int]x",
		"struct point_t",
		"no-such-object`int",
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < NVARIANTS; i++) {
		for (k = 0; k < sizeof(want) / sizeof(want[0]); k++) {
			const struct type *type =
				lookup(&samples[i], want[k].asked);

			assert_string_equal(type_name(type), want[k].name);
			if (type_info(type).kind != want[k].kind ||
			    type_info(type).size_bytes != want[k].size)
				fail_msg("%s: %s: kind %d, %" PRIu64 " bytes",
					 variants[i].name, want[k].asked,
					 type_info(type).kind,
					 type_info(type).size_bytes);
		}
		for (k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			const struct type *type = NULL;
			struct err *err = types_lookup(samples[i].types, NULL,
						       wrong[k], &type);

			if (!err)
				fail_msg("\"%s\" is %s", wrong[k],
					 type_name(type));
			assert_true(err_is(err, ERR_NOTFOUND));
			err_free(err);
		}
	}
}

static void enumerators_keep_their_signs(void **state)
{
	static const struct {
		const char *name;
		int64_t value;
	} want[] = {{"RED", 0}, {"GREEN", 5}, {"BLUE", -1}, {"BIG", 200}};
	size_t i, k;

	(void)state;
	for (i = 0; i < NVARIANTS; i++) {
		const struct type *type = lookup(&samples[i], "enum color");

		assert_int_equal(type_nenums(type), 4);
		for (k = 0; k < 4; k++) {
			int64_t value;

			assert_string_equal(type_enum(type, k, &value),
					    want[k].name);
			assert_int_equal(value, want[k].value);
		}
	}
}

static void globals_and_functions_have_types(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NVARIANTS; i++) {
		struct sample *s = &samples[i];

		assert_string_equal(type_name(of_symbol(s, "global")),
				    "node_t");
		assert_string_equal(type_name(of_symbol(s, "counter")), "int");
		assert_string_equal(type_name(of_symbol(s, "matrix")),
				    "matrix_t");
		assert_string_equal(type_name(of_symbol(s, "table")),
				    "const char *[4]");
		assert_string_equal(
			type_name(of_symbol(s, "apply")),
			strcmp(variants[i].compiler, "clang") == 0
				? "int (node_t *, unsigned long)"
				: "int (node_t *, long unsigned int)");
		assert_true(types_object_has_dwarf(s->types,
						   types_object(s->types, 0)));
	}
	/* a static inside a function */
	{
		struct symbol sym;
		const struct type *type;

		_free_ char *name =
			sample_shell("nm d5 | grep -o 'kept[.0-9]*' | "
				     "tr -d '\\n'");

		assert_true(
			types_symbol_named(samples[0].types, NULL, name, &sym));
		assert_null(types_of_symbol(samples[0].types, &sym, &type));
		assert_string_equal(type_name(type), "node_t *");
	}
}

static void what_an_interrupt_cut_short_is_read_again(void **state)
{
	struct sample s = sample_open("d5.core", NULL);
	const struct type *type;
	struct symbol sym;
	struct err *err;

	(void)state;
	assert_true(types_symbol_named(s.types, NULL, "global", &sym));
	interrupt_flag = 1;
	err = types_of_symbol(s.types, &sym, &type);
	assert_non_null(err);
	err_free(err);
	err = types_lookup(s.types, NULL, "node_t", &type);
	assert_non_null(err);
	err_free(err);
	interrupt_flag = 0;
	assert_string_equal(type_name(of_symbol(&s, "global")), "node_t");
	assert_string_equal(type_name(lookup(&s, "node_t")), "node_t");
	sample_close(&s);
}

static void cplusplus_has_scopes_bases_and_statics(void **state)
{
	const struct type *type = lookup(&cc, "ns::derived");
	struct type_member m;
	int64_t value;

	(void)state;
	assert_string_equal(type_name(type), "ns::derived");
	assert_int_equal(type_info(type).size_bytes,
			 gdb_value("cc", "sizeof(ns::derived)"));
	/* through a base, and past a static */
	assert_true(type_find_member(type, "b", &m));
	assert_int_equal(m.offset_bits / 8,
			 gdb_value("cc", "(char *)&obj.b - (char *)&obj"));
	assert_true(type_find_member(type, "o", &m));
	assert_int_equal(m.offset_bits / 8,
			 gdb_value("cc", "(char *)&obj.o - (char *)&obj"));
	assert_true(type_find_member(type, "d", &m));
	assert_int_equal(m.offset_bits / 8,
			 gdb_value("cc", "(char *)&obj.d - (char *)&obj"));
	assert_false(type_find_member(type, "shared", &m));
	assert_int_equal(
		type_info(lookup(&cc, "ns::derived::nested")).size_bytes, 3);
	assert_int_equal(type_info(lookup(&cc, "ns::box<double>")).size_bytes,
			 16);
	assert_string_equal(type_name(of_symbol(&cc, "boxed")),
			    "ns::box<double>");
	type = lookup(&cc, "ns::kind");
	assert_int_equal(type_info(type).size_bytes, 1);
	assert_string_equal(type_enum(type, 1, &value), "B");
	assert_int_equal(value, 250);
}

static void names_are_demangled(void **state)
{
	struct symbol sym;
	char *name;

	(void)state;
	assert_true(types_symbol_named(
		cc.types, NULL, "_Z3useRN2ns7derivedEPNS_3boxIdEE", &sym));
	name = types_addr_name(cc.types, sym.value + 4);
	assert_string_equal(name, "use(ns::derived&, ns::box<double>*)+4");
	mem_free(name);
	name = types_function_name(cc.types, sym.value);
	assert_string_equal(name, "use(ns::derived&, ns::box<double>*)");
	mem_free(name);
	name = types_demangle("_RNvCs1234_7mycrate3foo");
	assert_string_equal(name, "mycrate::foo");
	mem_free(name);
	name = types_demangle("i"); /* no int */
	assert_string_equal(name, "i");
	mem_free(name);
}

static void dwz_shares_types_and_they_are_found(void **state)
{
	struct sample s;

	(void)state;
	if (system("command -v dwz >/dev/null") != 0)
		skip();
	mem_free(sample_shell("gcc -O0 -g -c sample.c -o 1.o && "
			      "gcc -O0 -g -Dmain=other -Dglobal=g2 "
			      "-Dpoint=p2 -Dmatrix=m2 -Dtable=t2 -Dapply=a2 "
			      "-c sample.c -o 2.o && "
			      "gcc -o dwz 1.o 2.o && dwz dwz 2>&1"));
	sample_core("dwz");
	s = sample_open("dwz.core", NULL);
	assert_int_equal(type_info(lookup(&s, "node_t")).size_bytes,
			 type_info(lookup(&samples[0], "node_t")).size_bytes);
	sample_close(&s);
}

static void a_view_binds_members_by_name(void **state)
{
	struct view_row rows[] = {
		{.member = "name", .is_required = true},
		{.member = "in.s", .is_required = true},
		{.member = "nothing"},
		{.member = "v", .is_required = true},
		{.member = "w", .is_required = true},
	};
	struct view view = {.struct_name = "node", .rows = rows, .nrows = 5};
	struct view_row missing[] = {{.member = "gone", .is_required = true}};
	struct view bad = {.struct_name = "node", .rows = missing, .nrows = 1};
	struct view none = {.struct_name = "nosuch"};
	int64_t node_bytes = gdb_value("d5", "sizeof(struct node)");
	unsigned char raw[256] = {0};
	struct err *err;
	size_t i;

	(void)state;
	for (i = 0; i < NVARIANTS; i++) {
		struct types *types = samples[i].types;
		const struct object *exe = types_object(types, 0);

		assert_null(view_bind(types, exe, &view));
		assert_int_equal(view.size_bytes, node_bytes);
		assert_int_equal(rows[0].offset_bytes, 8);
		assert_int_equal(rows[0].size_bytes, 12);
		assert_int_equal(rows[0].elem_bytes, 1);
		assert_false(rows[2].is_bound);
		/* inner.s: 5 signed bits at bit 26 of inner, at 20 */
		raw[23] = 0x1e << 2 & 0xff;
		assert_true(view_get(&rows[1], raw) == (uint64_t)-2);
		raw[23] = 0x0f << 2;
		assert_int_equal(view_get(&rows[1], raw), 15);
		memset(raw + rows[3].offset_bytes, 0xab, 8);
		assert_true(view_get(&rows[3], raw) == 0xababababababababULL);
		assert_int_equal(rows[4].bit_size, 40);
		memset(raw, 0xff, sizeof(raw));
		assert_true(view_get(&rows[4], raw) == 0xffffffffffULL);
		memset(raw, 0, sizeof(raw));
		err = view_bind(types, exe, &bad);
		assert_true(err_is(err, ERR_NOTFOUND));
		assert_non_null(strstr(err->msg, "gone"));
		err_free(err);
		err = view_bind(types, exe, &none);
		assert_true(err_is(err, ERR_NOTFOUND));
		assert_non_null(strstr(err->msg, "nosuch"));
		err_free(err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_offsets_are_those_of_gdb),
		cmocka_unit_test(bit_fields_are_where_the_compiler_put_them),
		cmocka_unit_test(names_are_written_as_c_declares),
		cmocka_unit_test(names_a_user_writes_are_found),
		cmocka_unit_test(enumerators_keep_their_signs),
		cmocka_unit_test(globals_and_functions_have_types),
		cmocka_unit_test(what_an_interrupt_cut_short_is_read_again),
		cmocka_unit_test(cplusplus_has_scopes_bases_and_statics),
		cmocka_unit_test(names_are_demangled),
		cmocka_unit_test(dwz_shares_types_and_they_are_found),
		cmocka_unit_test(a_view_binds_members_by_name),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

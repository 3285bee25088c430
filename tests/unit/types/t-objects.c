/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Objects, symbols, stacks and lines of a real process, against gdb. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "sample.h"

static const char lib_source[] =
	"#include <stdlib.h>\n"
	"int lib_data[10] = {1};\n"
	"static int hidden(int n) { return lib_data[n % 10]; }\n"
	"__attribute__((weak)) int lib_weak(int n) { return hidden(n); }\n"
	"extern int __lib_alias(int) __attribute__((alias(\"lib_weak\")));\n"
	"__attribute__((noinline)) void lib_call(void (*fn)(int), int n)\n"
	"{ fn(n); __asm__ volatile(\"\"); }\n";

static const char source[] =
	"#define _GNU_SOURCE\n"
	"#include <pthread.h>\n"
	"#include <signal.h>\n"
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <unistd.h>\n"
	"void lib_call(void (*fn)(int), int n);\n"
	"int lib_weak(int);\n"
	"int shown = 1; static int hidden_data = 2; const char text[] = \"abc\";\n"
	"static volatile char zeros[4096];\n"
	"static inline __attribute__((always_inline)) void innermost(void)\n"
	"{ if (shown) raise(SIGUSR1); }\n" /* line 12 */
	"static inline __attribute__((always_inline)) void middle(void)\n"
	"{ innermost(); }\n" /* line 14 */
	"__attribute__((noinline)) void handler(int n)\n"
	"{ hidden_data += n; abort(); }\n" /* line 16 */
	"__attribute__((noinline)) void leaf(int n)\n"
	"{ zeros[n] = (char)hidden_data; middle(); __asm__ volatile(\"\"); }\n"
	"__attribute__((noinline)) void deep(int n)\n"
	"{ if (n > 0) deep(n - 1); else lib_call(leaf, n);\n"
	"  __asm__ volatile(\"\"); }\n"
	"static pthread_barrier_t bar;\n"
	"static void *worker(void *arg)\n"
	"{ pthread_barrier_wait(&bar); for (;;) pause(); return arg; }\n"
	"int main(void) { pthread_t t;\n"
	"  static char stack[1 << 16]; stack_t ss = { .ss_sp = stack,\n"
	"    .ss_size = sizeof(stack) };\n"
	"  struct sigaction sa = { .sa_handler = handler,\n"
	"    .sa_flags = SA_ONSTACK };\n"
	"  sigaltstack(&ss, 0); sigaction(SIGUSR1, &sa, 0);\n"
	"  pthread_barrier_init(&bar, 0, 2);\n"
	"  pthread_create(&t, 0, worker, 0); pthread_barrier_wait(&bar);\n"
	"  deep(3 + 0 * lib_weak(1)); return 0; }\n";

static struct sample s;

static int set_up(void **state)
{
	(void)state;
	sample_write("lib.c", lib_source);
	sample_write("prog.c", source);
	mem_free(sample_shell(
		"gcc -O2 -g -shared -fPIC -o libtest.so.1 lib.c "
		"2>&1 && "
		"gcc -O2 -g -o prog prog.c \"$(pwd)/libtest.so.1\" "
		"-lpthread 2>&1"));
	sample_core("prog");
	s = sample_open("prog.core", NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sample_close(&s);
	return 0;
}

static const struct object *named(const char *name)
{
	const struct object *obj = types_object_named(s.types, name);

	if (!obj)
		fail_msg("no object %s", name);
	return obj;
}

/* ---- objects ------------------------------------------------------------- */

static void objects_come_in_load_order_with_their_files(void **state)
{
	size_t i;

	(void)state;
	assert_true(types_nobjects(s.types) >= 4);
	assert_true(types_object(s.types, 0)->is_exec);
	assert_string_equal(types_object(s.types, 0)->name, "prog");
	for (i = 0; i < types_nobjects(s.types); i++) {
		const struct object *obj = types_object(s.types, i);

		assert_int_equal(obj->state, OBJECT_OK);
		assert_null(obj->why);
		assert_true(obj->build_id_bytes > 0);
		assert_ptr_equal(types_object_at(s.types, obj->start), obj);
		assert_ptr_equal(types_object_at(s.types, obj->end - 1), obj);
		assert_int_equal(obj->is_exec, i == 0);
	}
	assert_null(types_object_at(s.types, 0));
	assert_null(types_object_at(s.types, UINT64_MAX));
}

static void an_object_answers_to_each_of_its_names(void **state)
{
	const struct object *lib = named("libtest.so.1");

	(void)state;
	assert_ptr_equal(named("libtest"), lib);
	assert_ptr_equal(named("libtest.so"), lib);
	assert_ptr_equal(named(lib->path), lib);
	assert_ptr_equal(named("a.out"), types_object(s.types, 0));
	assert_null(types_object_named(s.types, "libtes"));
	assert_null(types_object_named(s.types, ""));
	assert_true(named("libc")->file != NULL);
	assert_null(named("linux-vdso")->file); /* in memory only */
}

static void the_build_id_is_that_of_the_file(void **state)
{
	const struct object *obj = types_object(s.types, 0);
	_free_ char *want = sample_shell("eu-readelf -n prog | "
					 "sed -n 's/.*Build ID: //p' | "
					 "tr -d '\\n'");
	struct strbuf got = {0};
	size_t i;

	(void)state;
	for (i = 0; i < obj->build_id_bytes; i++)
		strbuf_printf(&got, "%02x", obj->build_id[i]);
	assert_string_equal(strbuf_str(&got), want);
	strbuf_free(&got);
}

static void a_file_of_another_build_is_not_used(void **state)
{
	struct types_options opt = {.exe = "prog"};
	struct sample other;
	const struct object *obj;
	struct types *types = NULL;
	struct symbol sym;
	struct err *err;

	(void)state;
	mem_free(
		sample_shell("mv prog prog.kept && mv libtest.so.1 lib.kept && "
			     "gcc -O1 -g -o prog prog.c ./lib.kept -lpthread "
			     "2>&1"));
	other = sample_open("prog.core", NULL);
	obj = types_object(other.types, 0);
	assert_int_equal(obj->state, OBJECT_MISMATCH);
	assert_non_null(strstr(obj->why, "build-ids differ"));
	assert_null(obj->file);
	assert_false(types_symbol_named(other.types, NULL, "shown", &sym));
	assert_true(types_symbol_named(other.types, NULL, "malloc", &sym));
	obj = types_object_named(other.types, "libtest");
	assert_int_equal(obj->state, OBJECT_MISSING);
	assert_non_null(strstr(obj->why, "No such file"));
	err = types_open(other.target, &opt, &types);
	assert_true(err_is(err, ERR_BADDATA));
	assert_non_null(strstr(err->msg, "prog"));
	err_free(err);
	opt.exe = "prog.c";
	err = types_open(other.target, &opt, &types);
	assert_true(err_is(err, ERR_BADDATA));
	err_free(err);
	opt.exe = "nosuch";
	err = types_open(other.target, &opt, &types);
	assert_true(err_is(err, ERR_IO));
	err_free(err);
	assert_null(types);
	sample_close(&other);
	/* the right one, by another name */
	opt.exe = "prog.kept";
	other = sample_open("prog.core", &opt);
	assert_true(types_symbol_named(other.types, NULL, "shown", &sym));
	assert_string_equal(types_object(other.types, 0)->file, "prog.kept");
	sample_close(&other);
	mem_free(sample_shell("mv prog.kept prog && mv lib.kept libtest.so.1"));
}

static void files_are_found_below_a_sysroot(void **state)
{
	_free_ char *root = sample_shell("printf %s/root \"$(pwd)\"");
	struct types_options opt = {.sysroot = root};
	struct sample other;
	struct symbol sym;

	(void)state;
	mem_free(sample_shell(
		"mkdir -p \"root/$(pwd)\" && cp prog \"root/$(pwd)/\""));
	other = sample_open("prog.core", &opt);
	assert_int_equal(types_object(other.types, 0)->state, OBJECT_OK);
	assert_int_equal(types_object_named(other.types, "libc")->state,
			 OBJECT_MISSING);
	assert_true(types_symbol_named(other.types, NULL, "shown", &sym));
	sample_close(&other);
}

static void debug_files_are_found_by_link_and_build_id(void **state)
{
	struct sample other;
	const struct type *type;
	struct symbol sym;
	size_t i;

	(void)state;
	mem_free(sample_shell(
		"gcc -O2 -g -o linked prog.c ./libtest.so.1 -lpthread 2>&1 && "
		"objcopy --only-keep-debug linked linked.debug && "
		"strip linked && "
		"objcopy --add-gnu-debuglink=linked.debug linked"));
	sample_core("linked");
	for (i = 0; i < 2; i++) {
		other = sample_open("linked.core", NULL);
		assert_true(types_symbol_named(other.types, NULL, "hidden_data",
					       &sym));
		assert_null(types_of_symbol(other.types, &sym, &type));
		sample_close(&other);
		mem_free(sample_shell("mkdir -p .debug && "
				      "if [ -f linked.debug ]; then "
				      "mv linked.debug .debug/; fi"));
	}
	/* one that belongs to another program */
	mem_free(sample_shell("objcopy --only-keep-debug libtest.so.1 "
			      ".debug/linked.debug"));
	other = sample_open("linked.core", NULL);
	assert_false(
		types_symbol_named(other.types, NULL, "hidden_data", &sym));
	assert_false(types_object_has_dwarf(other.types,
					    types_object(other.types, 0)));
	sample_close(&other);
	/* libc's, by build-id: libc6-dbg is a package we depend on */
	assert_true(types_object_has_dwarf(s.types, named("libc")));
}

static void a_core_that_names_no_files_uses_the_link_map(void **state)
{
	struct types_options opt = {.exe = "prog"};
	struct sample other;
	struct symbol sym;
	char *name;

	(void)state;
	/* the type of the note that lists files becomes one nobody knows */
	mem_free(sample_shell(
		"perl -pe 's/\\x45\\x4c\\x49\\x46CORE/\\x00\\x4c\\x49\\x46"
		"CORE/' prog.core > nofile.core; "
		"cmp -s prog.core nofile.core && exit 1; exit 0"));
	other = sample_open("nofile.core", &opt);
	assert_int_equal(types_object(other.types, 0)->state, OBJECT_OK);
	assert_true(types_symbol_named(other.types, NULL, "shown", &sym));
	assert_true(types_symbol_named(other.types, NULL, "lib_call", &sym));
	name = types_addr_name(other.types, sym.value);
	assert_string_equal(name, "libtest.so.1`lib_call");
	mem_free(name);
	sample_close(&other);
	opt.exe = "/bin/true";
	{
		struct target *t;
		struct types *types = NULL;
		struct err *err = target_open_core("nofile.core", &t);

		assert_null(err);
		err = types_open(t, &opt, &types);
		assert_true(err_is(err, ERR_BADDATA));
		err_free(err);
		target_close(t);
	}
}

static void pages_left_out_are_read_from_the_verified_file(void **state)
{
	const struct object *obj = types_object(s.types, 0);
	unsigned char got[64];
	_free_ char *want = NULL;
	struct symbol sym;
	struct strbuf hex = {0};
	size_t i;

	(void)state;
	assert_true(types_symbol_named(s.types, obj, "text", &sym));
	assert_int_equal(target_map_at(s.target, sym.value)->presence,
			 MAP_FROM_FILE);
	assert_null(target_read(s.target, sym.value, got, 4));
	assert_string_equal((char *)got, "abc");
	/* and code: as objdump has it */
	assert_true(types_symbol_named(s.types, obj, "main", &sym));
	assert_null(target_read(s.target, sym.value, got, 32));
	want = mem_printf("objdump -s --start-address=0x%" PRIx64
			  " --stop-address=0x%" PRIx64
			  " -j .text.startup -j .text prog | grep '^ ' | "
			  "cut -c1-42 | awk '{for (i = 2; i <= NF; i++) "
			  "printf \"%%s\", $i}'",
			  sym.value - obj->bias, sym.value - obj->bias + 32);
	for (i = 0; i < 32; i++)
		strbuf_printf(&hex, "%02x", got[i]);
	{
		_free_ char *out = sample_shell(want);

		assert_string_equal(out, strbuf_str(&hex));
	}
	strbuf_free(&hex);
}

/* ---- symbols ------------------------------------------------------------- */

static taddr_t address(const char *object, const char *name)
{
	struct symbol sym;

	if (!types_symbol_named(s.types, object ? named(object) : NULL, name,
				&sym))
		fail_msg("no symbol %s", name);
	return sym.value;
}

static void assert_name(taddr_t addr, const char *want)
{
	_free_ char *name = types_addr_name(s.types, addr);

	assert_string_equal(name, want);
}

static void addresses_are_named_as_mdb_writes_them(void **state)
{
	taddr_t at = address(NULL, "main");

	(void)state;
	assert_name(at, "main");
	assert_name(at + 9, "main+9");
	assert_name(at + 10, "main+0xa");
	assert_name(address("libtest", "lib_call") + 1,
		    "libtest.so.1`lib_call+1");
	assert_name(address(NULL, "zeros") + 4095, "zeros+0xfff");
	assert_name(address(NULL, "hidden_data"), "hidden_data");
	/* of two names for one place the one without underscores */
	assert_name(address(NULL, "__lib_alias"), "libtest.so.1`lib_weak");
	assert_name(0, "0");
	assert_name(9, "9");
	assert_name(0x1000, "0x1000");
	assert_name(UINT64_MAX, "0xffffffffffffffff");
}

static void a_name_is_looked_for_in_the_program_first(void **state)
{
	struct symbol sym;

	(void)state;
	assert_true(types_symbol_named(s.types, NULL, "lib_data", &sym));
	assert_ptr_equal(sym.object, named("libtest"));
	assert_int_equal(sym.size, 40);
	assert_int_equal(sym.type, 1);
	assert_true(types_symbol_named(s.types, NULL, "__libc_start_main",
				       &sym)); /* has a version behind an @ */
	assert_ptr_equal(sym.object, named("libc"));
	assert_false(types_symbol_named(s.types, NULL, "no_such", &sym));
	assert_false(types_symbol_named(s.types, NULL, "", &sym));
	assert_false(
		types_symbol_named(s.types, named("libtest"), "main", &sym));
}

struct count {
	size_t n;
	bool has_main, has_undefined;
};

static struct err *count_symbol(void *arg, const struct symbol *sym)
{
	struct count *count = arg;

	count->n++;
	if (strcmp(sym->name, "main") == 0)
		count->has_main = true;
	if (sym->shndx == 0)
		count->has_undefined = true;
	return count->n == 1000000 ? err_new(ERR_STOP, "enough") : NULL;
}

static void every_symbol_is_listed_as_nm_does(void **state)
{
	_free_ char *all =
		sample_shell("eu-readelf -s --symbols=.symtab prog | "
			     "grep -c '^ *[1-9][0-9]*: '");
	_free_ char *dyn =
		sample_shell("eu-readelf -s --symbols=.dynsym prog | "
			     "grep -c '^ *[1-9][0-9]*: '");
	struct count count = {0};

	(void)state;
	assert_null(types_symbols(s.types, types_object(s.types, 0), false,
				  count_symbol, &count));
	assert_int_equal(count.n, atol(all));
	assert_true(count.has_main);
	assert_true(count.has_undefined);
	count = (struct count){0};
	assert_null(types_symbols(s.types, types_object(s.types, 0), true,
				  count_symbol, &count));
	assert_int_equal(count.n, atol(dyn));
}

/* whether gdb's "name + off in section ..." can be said of our symbol */
static bool agrees(const char *line, const struct symbol *sym)
{
	char want[256];
	struct symbol other;
	size_t n;

	if (sscanf(line, "%255[^ @]", want) != 1)
		return false;
	n = strlen(want);
	/* gdb leaves the number of a static in a function off */
	if (strncmp(sym->name, want, n) == 0 &&
	    (sym->name[n] == '\0' || sym->name[n] == '.'))
		return true;
	/* another name of the same place is right, too */
	return types_symbol_named(s.types, sym->object, want, &other) &&
	       other.value == sym->value;
}

static void gdb_finds_the_same_symbols(void **state)
{
	const struct object *objects[] = {types_object(s.types, 0),
					  named("libtest"), named("libc")};
	struct strbuf script = {0};
	_free_ char *out = NULL;
	size_t nsame = 0, n = 0;
	taddr_t at[300];
	const char *line;
	size_t i, k;

	(void)state;
	for (i = 0; i < 3; i++)
		for (k = 0; k < 100; k++) {
			uint64_t bytes = objects[i]->end - objects[i]->start;

			at[n] = objects[i]->start + bytes / 100 * k + k;
			strbuf_printf(&script,
				      "echo @@\\n\ninfo symbol 0x%" PRIx64 "\n",
				      at[n++]);
		}
	sample_write("symbols.gdb", strbuf_str(&script));
	strbuf_free(&script);
	out = sample_gdb("prog", "-x symbols.gdb");
	for (line = out, i = 0; (line = strstr(line, "@@\n")) && i < n;) {
		struct symbol sym;

		line += 3;
		if (!types_symbol_at(s.types, at[i++], &sym))
			nsame++; /* gdb guesses, with symbols of no size */
		else if (agrees(line, &sym))
			nsame++;
		else
			print_message("%.60s | %s\n", line, sym.name);
	}
	assert_int_equal(i, n);
	assert_true(nsame >= n - 2);
}

/* ---- stacks -------------------------------------------------------------- */

struct stack {
	struct strbuf text; /* a function a line */
	size_t n;
	size_t stop_at;
	taddr_t pc[64], sp[64];
};

static struct err *on_frame(void *arg, const struct frame *f)
{
	struct stack *stack = arg;
	struct symbol sym;
	taddr_t pc = f->is_activation ? f->pc : f->pc - 1;

	if (stack->n < 64) {
		stack->pc[stack->n] = f->pc;
		stack->sp[stack->n] = f->sp;
	}
	stack->n++;
	strbuf_printf(&stack->text, "%s\n",
		      types_symbol_at(s.types, pc, &sym) ? sym.name : "?");
	if (f->cfa != 0)
		assert_true(f->cfa > f->sp);
	if (stack->stop_at == stack->n)
		return err_new(ERR_STOP, "enough");
	return NULL;
}

/* "tid pc" of each frame that has a return address, as gdb unwinds */
static const char gdb_frames[] =
	"import gdb\n"
	"gdb.execute('set backtrace past-main on')\n"
	"gdb.execute('set backtrace past-entry on')\n"
	"for t in gdb.selected_inferior().threads():\n"
	"    t.switch()\n"
	"    f = gdb.newest_frame()\n"
	"    while f:\n"
	"        if f.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):\n"
	"            print('frame %d %#x' % (t.ptid[1], f.pc()))\n"
	"        f = f.older()\n";

static void stacks_are_those_of_gdb(void **state)
{
	_free_ char *out = NULL;
	size_t i;

	(void)state;
	sample_write("frames.py", gdb_frames);
	out = sample_gdb("prog", "-x frames.py");
	assert_int_equal(target_nthreads(s.target), 2);
	for (i = 0; i < 2; i++) {
		const struct target_thread *thread = target_thread(s.target, i);
		struct stack stack = {0};
		const char *line = out;
		size_t k = 0;

		assert_null(types_unwind(s.types, thread, on_frame, &stack));
		while ((line = strstr(line, "frame ")) != NULL) {
			unsigned tid;
			uint64_t pc;

			assert_int_equal(
				sscanf(line, "frame %u %" SCNx64, &tid, &pc),
				2);
			line += 6;
			if (tid != thread->tid)
				continue;
			assert_true(k < stack.n);
			assert_int_equal(stack.pc[k], pc);
			k++;
		}
		assert_true(k > 3);
		assert_int_equal(k, stack.n);
		strbuf_free(&stack.text);
	}
}

static void a_stack_goes_through_a_signal_on_a_stack_of_its_own(void **state)
{
	struct stack stack = {0};

	(void)state;
	assert_null(types_unwind(s.types, target_thread(s.target, 0), on_frame,
				 &stack));
	assert_non_null(strstr(stack.text.s, "abort\nhandler\n"));
	assert_non_null(
		strstr(stack.text.s,
		       "leaf\nlib_call\ndeep\ndeep\ndeep\ndeep\nmain\n"));
	assert_non_null(strstr(stack.text.s, "_start\n"));
	strbuf_free(&stack.text);
}

static void a_walk_ends_when_told(void **state)
{
	struct stack stack = {.stop_at = 3};

	(void)state;
	assert_null(types_unwind(s.types, target_thread(s.target, 0), on_frame,
				 &stack));
	assert_int_equal(stack.n, 3);
	strbuf_free(&stack.text);
}

static void damaged_registers_give_a_short_stack(void **state)
{
	struct target_thread thread = *target_thread(s.target, 0);
	struct target_thread bad;
	struct stack stack = {0};

	(void)state;
	bad = thread;
	bad.has_regs = false;
	assert_null(types_unwind(s.types, &bad, on_frame, &stack));
	assert_int_equal(stack.n, 0);
	bad = thread;
	bad.regs.rsp = 8;
	assert_null(types_unwind(s.types, &bad, on_frame, &stack));
	assert_int_equal(stack.n, 1);
	strbuf_reset(&stack.text);
	stack.n = 0;
	bad = thread;
	bad.regs.rip = 0xdeadbeef;
	bad.regs.rsp = UINT64_MAX - 3;
	bad.regs.rbp = UINT64_MAX;
	assert_null(types_unwind(s.types, &bad, on_frame, &stack));
	assert_int_equal(stack.n, 1);
	strbuf_free(&stack.text);
}

/* as if the function that lib_call called had been at a wild address: the
 * return address on top of the stack, the program counter where no code is */
static void a_call_of_nothing_shows_who_called(void **state)
{
	struct target_thread thread = *target_thread(s.target, 0);
	struct stack all = {0}, stack = {0};
	const char *at;
	size_t i = 0;

	(void)state;
	assert_null(types_unwind(s.types, &thread, on_frame, &all));
	at = strstr(all.text.s, "lib_call\n");
	assert_non_null(at);
	while (at > all.text.s)
		if (*--at == '\n')
			i++;
	/* the CFA of the frame before is 8 above that return address */
	thread.regs.rsp = all.sp[i] - 8;
	thread.regs.rip = 0x10;
	assert_null(types_unwind(s.types, &thread, on_frame, &stack));
	assert_int_equal(strncmp(stack.text.s,
				 "?\nlib_call\ndeep\ndeep\ndeep\ndeep\nmain\n",
				 36),
			 0);
	assert_int_equal(stack.n, all.n - i + 1);
	strbuf_free(&stack.text);
	strbuf_free(&all.text);
}

static void lines_and_inlined_functions_are_told(void **state)
{
	struct stack stack = {0};
	struct inline_frame inlines[8];
	const char *file;
	int line;
	size_t i, n;
	bool found = false;

	(void)state;
	assert_null(types_unwind(s.types, target_thread(s.target, 0), on_frame,
				 &stack));
	for (i = 0; i < stack.n; i++) {
		struct symbol sym;
		taddr_t pc = stack.pc[i] - 1;
		char *name;

		if (!types_symbol_at(s.types, pc, &sym) ||
		    strcmp(sym.name, "leaf") != 0)
			continue;
		found = true;
		assert_true(types_source_line(s.types, pc, &file, &line));
		assert_non_null(strstr(file, "prog.c"));
		assert_int_equal(line, 12);
		n = types_inlines(s.types, pc, inlines, 8);
		assert_int_equal(n, 3);
		assert_string_equal(inlines[0].name, "innermost");
		assert_int_equal(inlines[0].line, 12);
		assert_string_equal(inlines[1].name, "middle");
		assert_int_equal(inlines[1].line, 14);
		assert_string_equal(inlines[2].name, "leaf");
		assert_int_equal(inlines[2].line, 18);
		assert_int_equal(types_inlines(s.types, pc, inlines, 2), 2);
		name = types_function_name(s.types, pc);
		assert_string_equal(name, "innermost");
		mem_free(name);
	}
	assert_true(found);
	assert_false(types_source_line(s.types, 0x10, &file, &line));
	assert_int_equal(types_inlines(s.types, 0x10, inlines, 8), 0);
	assert_null(types_function_name(s.types, 0x10));
	strbuf_free(&stack.text);
}

/* ---- other cores --------------------------------------------------------- */

static void a_target_of_bytes_has_no_objects_and_no_answers(void **state)
{
	struct target *t = target_mem_create();
	struct types *types = NULL;
	const struct type *type = NULL;
	struct target_thread thread = {.has_regs = true};
	struct stack stack = {0};
	struct symbol sym;
	struct err *err;
	char *name;

	(void)state;
	target_mem_add(t, 0x1000, "12345678", 8, 4);
	assert_null(types_open(t, NULL, &types));
	assert_int_equal(types_nobjects(types), 0);
	assert_false(types_symbol_at(types, 0x1000, &sym));
	assert_false(types_symbol_named(types, NULL, "main", &sym));
	assert_null(types_lookup(types, NULL, "unsigned char [4]", &type));
	assert_int_equal(type_info(type).size_bytes, 4);
	err = types_lookup(types, NULL, "struct foo", &type);
	assert_true(err_is(err, ERR_NOTFOUND));
	err_free(err);
	name = types_addr_name(types, 0x1000);
	assert_string_equal(name, "0x1000");
	mem_free(name);
	thread.regs.rip = 0x1000;
	assert_null(types_unwind(types, &thread, on_frame, &stack));
	assert_int_equal(stack.n, 1);
	strbuf_free(&stack.text);
	types_close(types);
	target_close(t);
}

static void a_truncated_core_gives_what_it_has(void **state)
{
	struct stat st;
	off_t n;
	int i;

	(void)state;
	assert_int_equal(stat("prog.core", &st), 0);
	mem_free(sample_shell("cp prog.core cut.core"));
	/* from the end in steps, finer where the headers and notes are */
	for (i = 0, n = st.st_size - 1; n >= 64; i++) {
		struct stack stack = {0};
		struct sample cut;
		size_t k;

		assert_int_equal(truncate("cut.core", n), 0);
		cut = sample_open("cut.core", NULL);
		assert_non_null(target_info(cut.target)->incomplete);
		for (k = 0; k < target_nthreads(cut.target); k++)
			assert_null(types_unwind(cut.types,
						 target_thread(cut.target, k),
						 on_frame, &stack));
		strbuf_free(&stack.text);
		sample_close(&cut);
		n -= n > 1 << 20 ? st.st_size / 40 : n > 1 << 14 ? 40009 : 499;
	}
	assert_true(i > 60);
}

static void a_core_of_the_kernel_says_the_same(void **state)
{
	_free_ char *pattern =
		sample_shell("cat /proc/sys/kernel/core_pattern");
	struct sample kernel;
	struct stack stack = {0};
	char *out;

	(void)state;
	if (strcmp(pattern, "core\n") != 0)
		skip(); /* goes through a pipe, or elsewhere */
	out = sample_shell("mkdir -p k && cp prog libtest.so.1 k && cd k && "
			   "(ulimit -c unlimited; ./prog; true) 2>/dev/null; "
			   "ls core* 2>/dev/null; true");
	if (out[0] == '\0') {
		mem_free(out);
		skip();
	}
	out[strcspn(out, "\n")] = '\0';
	{
		_free_ char *path = mem_printf("k/%s", out);

		kernel = sample_open(path, NULL);
	}
	mem_free(out);
	assert_int_equal(target_info(kernel.target)->signo, 6);
	assert_null(target_info(kernel.target)->incomplete);
	assert_int_equal(target_nthreads(kernel.target), 2);
	assert_int_equal(types_object(kernel.types, 0)->state, OBJECT_OK);
	{
		struct sample kept = s;

		s = kernel; /* on_frame() names with it */
		assert_null(types_unwind(s.types, target_thread(s.target, 0),
					 on_frame, &stack));
		s = kept;
	}
	assert_non_null(
		strstr(stack.text.s,
		       "leaf\nlib_call\ndeep\ndeep\ndeep\ndeep\nmain\n"));
	strbuf_free(&stack.text);
	sample_close(&kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_come_in_load_order_with_their_files),
		cmocka_unit_test(an_object_answers_to_each_of_its_names),
		cmocka_unit_test(the_build_id_is_that_of_the_file),
		cmocka_unit_test(a_file_of_another_build_is_not_used),
		cmocka_unit_test(files_are_found_below_a_sysroot),
		cmocka_unit_test(debug_files_are_found_by_link_and_build_id),
		cmocka_unit_test(a_core_that_names_no_files_uses_the_link_map),
		cmocka_unit_test(
			pages_left_out_are_read_from_the_verified_file),
		cmocka_unit_test(addresses_are_named_as_mdb_writes_them),
		cmocka_unit_test(a_name_is_looked_for_in_the_program_first),
		cmocka_unit_test(every_symbol_is_listed_as_nm_does),
		cmocka_unit_test(gdb_finds_the_same_symbols),
		cmocka_unit_test(stacks_are_those_of_gdb),
		cmocka_unit_test(
			a_stack_goes_through_a_signal_on_a_stack_of_its_own),
		cmocka_unit_test(a_walk_ends_when_told),
		cmocka_unit_test(damaged_registers_give_a_short_stack),
		cmocka_unit_test(a_call_of_nothing_shows_who_called),
		cmocka_unit_test(lines_and_inlined_functions_are_told),
		cmocka_unit_test(
			a_target_of_bytes_has_no_objects_and_no_answers),
		cmocka_unit_test(a_truncated_core_gives_what_it_has),
		cmocka_unit_test(a_core_of_the_kernel_says_the_same),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

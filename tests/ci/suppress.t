#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Suppressions and baselines: files of LeakSanitizer and valgrind as they are,
judged beside these two tools; our own qualifiers; what is unused, bad, new."""
import json, os, re, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cilib import *

SOURCE = """#include <stdlib.h>
#include <string.h>
struct node { struct node *next; char *text; };
void *volatile sink;
#define LOSE __attribute__((noinline)) void
LOSE lose_strdup(void) { sink = strdup("some words that are lost"); sink = 0; }
LOSE lose_chain(void)
{
	struct node *p = (struct node *)malloc(sizeof(*p));
	p->next = 0; p->text = strdup("text of a node");
	sink = p; sink = 0; p = 0;
}
namespace app { struct cache { LOSE_METHOD fill(int n) { sink = new char[n]; sink = 0; } }; }
LOSE through(int n) { app::cache c; c.fill(n); __asm__(""); }
int main(int argc, char **argv)
{
	lose_strdup(); lose_chain(); through(77);
	if (argc > 1) { through(78); lose_strdup(); }
	sink = 0;
	return 0;
}
""".replace("LOSE_METHOD", "__attribute__((noinline)) void")
write("leaky.cc", SOURCE)
exe = compile_c("leaky", "-O1", "leaky.cc", cc="g++")
lsan = compile_c("lsan", "-O1", "-fsanitize=leak", "leaky.cc", cc="g++")
core = dump([exe], "leaky")
PRINTS = {}
plan(58)


def functions(g):
    return " ".join(f["function"] or "" for f in g["stack"])


def left(text, *args, path=core):
    """suppressions -> bytes of each place that still fails, and the status"""
    supp = write("supp", text)
    rc, v = verdict("--suppressions", supp, *args, path)
    return {k: sum(g["bytes"] for g in v["leaks"] if g["state"] == "fails" and
                   k in functions(g)) for k in ("lose_strdup", "lose_chain", "fill")}, rc


ALL, rc = left("# nothing\n\n")
ok(ALL == {"lose_strdup": 25, "lose_chain": 31, "fill": 77} and rc == 1,
   "an empty file suppresses nothing", ALL)

# LeakSanitizer is asked the same: the same bytes are left
for pattern in ("^lose", "lose_*dup$", "app::cache::fill", "leaky.cc", "^chain",
                "lose?strdup", "^lose_chain()$", "app::*(int)$", "ose_str"):
    text = "leak:%s\n" % pattern
    mine, rc = left(text)
    p = run(lsan, env=dict(os.environ, LSAN_OPTIONS="suppressions=%s:fast_unwind_on_malloc=0"
                           % write("lsan.supp", text)))
    m = re.search(r"SUMMARY: LeakSanitizer: (\d+) byte", p.stderr)
    theirs = int(m.group(1)) if m else 0
    ok(sum(mine.values()) == theirs and (rc == 0) == (p.returncode == 0),
       "leak:%s as LeakSanitizer has it: %d bytes are left" % (pattern, theirs),
       "%s\n%s" % (mine, p.stderr[-1500:]))

# valgrind's blocks, which it wrote itself
VG = ["valgrind", "--leak-check=full", "--show-leak-kinds=definite,indirect",
      "--errors-for-leak-kinds=definite,indirect", "--error-exitcode=99", "-q"]
p = run(*VG, "--gen-suppressions=all", exe)
blocks = re.findall(r"(?ms)^\{\n.*?^\}\n", p.stderr)
ok(len(blocks) >= 3 and p.returncode == 99, "valgrind writes blocks", p.stderr)
mine, rc = left("".join(blocks))
ok(rc == 0, "all of them: nothing is left", mine)
for b in blocks:
    mine, rc = left(b)
    name = re.findall(r"fun:\S*?(lose_strdup|lose_chain|fill)", b, re.M)[0]
    ok(mine[name] < ALL[name] and all(mine[k] == ALL[k] for k in mine if k != name),
       "valgrind's block of %s" % name, b + str(mine))
BLOCK = "{\n  name\n  %s\n%s}\n"
for name, kind, body, gone in (
        ("fun with *", "Memcheck:Leak", "  fun:malloc\n  fun:str*\n  fun:lose_strdup\n", []),
        ("fun with ?", "Memcheck:Leak", "  fun:malloc\n  fun:*strdup\n  fun:*lose_str?up?\n", ["lose_strdup"]),
        ("...", "Memcheck:Leak", "  ...\n  fun:_Z11lose_strdupv\n  fun:main\n", ["lose_strdup"]),
        ("a mangled name", "Memcheck:Leak", "  ...\n  fun:_ZN3app5cache4fillEi\n", ["fill"]),
        ("obj", "Memcheck:Leak", "  ...\n  obj:*/leaky\n  obj:*/leaky\n  fun:main\n", ["fill"]),
        ("src", "Memcheck:Leak", "  ...\n  src:leaky.cc:6\n", ["lose_strdup"]),
        ("another kind", "Memcheck:Cond", "  fun:*\n", []),
        ("another tool", "Helgrind:Race", "  fun:*\n", []),
        ("of reachable ones", "Memcheck:Leak", "  match-leak-kinds: reachable,possible\n  ...\n", []),
        ("of definite ones", "Memcheck:Leak", "  match-leak-kinds: definite\n  ...\n  fun:_Z11lose_strdupv\n",
         ["lose_strdup"]),
        ("too many frames", "Memcheck:Leak", "  ...\n  fun:main\n  fun:_Z11lose_strdupv\n", [])):
    mine, rc = left(BLOCK % (kind, body))
    ok(mine == {k: 0 if k in gone else n for k, n in ALL.items()},
       "a block: " + name, mine)

# ours
rc, v = verdict(core)
fill = [g for g in v["leaks"] if "fill" in functions(g)][0]
for text, gone in (("cache:%s leak:lose_*" % fill["cache"], []),
                   ("cache:%s leak:fill" % fill["cache"], ["fill"]),
                   ("cache:kmem_alloc_9?\n", ["fill"] if fill["cache"] == "kmem_alloc_96" else []),
                   ("stack:%s\n" % fill["fingerprint"], ["fill"]),
                   ("until:2199-12-31 leak:fill", ["fill"]),
                   ("until:2020-01-31 leak:fill", [])):
    mine, rc = left(text)
    ok(mine == {k: 0 if k in gone else n for k, n in ALL.items()}, text.strip(), mine)
mine, rc = left("leak:through\nleak:lose_strdup\n{\n x\n Memcheck:Leak\n match-leak-kinds: definite\n ...\n fun:_Z10lose_chainv\n}\n")
ok(rc == 0 and sum(mine.values()) == 0, "what a suppressed leak keeps goes with it", mine)

# what is unused is said
supp = write("unused", "leak:fill\nleak:nobody\nuntil:2020-01-31 leak:fill\n")
rc, out, err = check("--suppressions", supp, core)
ok(err == "pmdb: %s:2: unused suppression: leak:nobody\n"
   "pmdb: %s:3: expired suppression: until:2020-01-31 leak:fill\n" % (supp, supp) and rc == 1,
   "unused and expired ones are said", err)
ok(re.search(r"Suppressions used:\n  count      bytes template\n +1 +77 fill\n", out) and
   out.splitlines()[-1].endswith("; 1 suppressed leak, 77 bytes in 1 buffer"),
   "used ones are listed, and counted in the last line", out)
supp = write("all", "leak:main\nleak:nobody\n")
ok(check("--suppressions", supp, core)[0] == 0, "unused ones do not fail")
rc, out, err = check("--suppressions", supp, "--fail-on-unused-suppressions", core)
ok(rc == 1, "but with --fail-on-unused-suppressions", (rc, err))

# what is generated
gen = os.path.join(WORK, "gen")
rc, out, err = check("--gen-suppressions=" + gen, core)
with open(gen) as f:
    text = f.read()
ok(rc == 1 and all(b.count("fun:") <= 2 for b in text.split("}")), "few frames", text)
rc, out, err = check("--suppressions", gen, "--fail-on-unused-suppressions", core)
ok(rc == 0 and not err, "nothing is left, and none is unused", (rc, err, out[-300:], text))
q = run(*VG, "--suppressions=" + gen, exe)
ok(q.returncode == 0, "valgrind takes them, too", q.stderr + text)
rc, out, err = check("--gen-suppressions", core)
ok(text in out and out.splitlines()[-1].startswith("pmdb: "), "on standard output",
   out[-500:])

# leaks in main(), and without names: others of the program are not meant
write("bare.c", """#include <stdlib.h>
#include <string.h>
void *volatile sink;
__attribute__((noinline)) void other(int n) { sink = malloc(n); sink = 0; }
int main(int argc, char **argv)
{
	if (argc > 2) other(50); else sink = malloc(60);
	if (argc > 1) sink = strdup("some words");
	sink = 0;
	return 0;
}
""")
for flag in ("-g", "-s"):
    bare = compile_c("bare" + flag, "-O1", flag, "-fno-builtin", "bare.c")
    known, later = dump([bare, "x"], "known" + flag), dump([bare, "x", "y"], "later" + flag)
    check("--gen-suppressions=" + gen, known)
    rc, out, err = check("--suppressions", gen, "--fail-on-unused-suppressions", known)
    ok(rc == 0 and not err, "%s: nothing is left" % flag, (rc, err, out))
    rc, w = verdict("--suppressions", gen, later)
    ok(rc == 1 and w["failing"]["bytes"] == 50, "%s: a new one fails" % flag, w["failing"])

# baselines
base = os.path.join(WORK, "base")
rc, out, err = check("--write-baseline", base, core)
ok(rc == 0 and "known leaks" in out, "a baseline accepts what there is", (rc, out[-200:]))
with open(base) as f:
    text = f.read()
ok(text.startswith("pmdb-baseline 1\n") and len(text.splitlines()) == 1 + len(v["leaks"]) and
   re.search(r"^%s 77 bytes leaked in 1 buffer .*leaky\.cc:" % fill["fingerprint"], text, re.M),
   "a line a finding", text)
again = dump([exe], "again")
ok(check("--baseline", base, again)[0] == 0, "another run has nothing new")
more = dump([exe, "more"], "more")
rc, w = verdict("--baseline", base, more)
ok(rc == 1 and w["known"]["groups"] == len(v["leaks"]) and w["failing"]["groups"] == 2 and
   w["failing"]["bytes"] == 78 + 25, "two new places fail", w["failing"])
rc, out, err = check("--baseline", base, "--format", "sarif", more)
states = [r.get("baselineState") for r in json.loads(out)["runs"][0]["results"]]
ok(states.count("unchanged") == len(v["leaks"]), "SARIF knows them", states)

# bad files: a line, status 2, nothing printed
bad = (("leak:", "no pattern"), ("race:x", "no kind of suppression"), ("{\n a\n Memcheck:Leak\n", "ends in a"),
       ("{\n a\n Memcheck:Leak\n bad:x\n}\n", "no frame"), ("until:2027-13-01 leak:x", "no date"),
       ("stack:12 leak:x", "no fingerprint"), ("until:2099-01-01", "nothing to suppress"),
       ("leak:x until:2099-01-01", "before leak:"))
got = [check("--suppressions", write("bad", t), core) for t, _ in bad]
ok(all(g[0] == 2 and not g[1] and w in g[2] and re.match(r"pmdb: \S+/bad:\d+: ", g[2]) and
       g[2].count("\n") == 1 for g, (t, w) in zip(got, bad)), "bad suppressions", got)
ok(check("--suppressions", "/no/such", core)[::2] ==
   (2, "pmdb: /no/such: No such file or directory\n"), "no such file")
ok(check("--suppressions", WORK, core)[::2] == (2, "pmdb: %s: Is a directory\n" % WORK),
   "a directory")
for text, what in (("", "empty"), ("leak:x\n", "a suppression"), ("pmdb-baseline 1\nxyz\n", "no number")):
    rc, out, err = check("--baseline", write("badbase", text), core)
    ok(rc == 2 and "no baseline" in err and not out, "a bad baseline: " + what, err)
cut = os.path.join(WORK, "cut.core")
with open(core, "rb") as f, open(cut, "wb") as g:
    g.write(f.read()[:100000])
rc, out, err = check("--write-baseline", WORK + "/none", cut)
ok(rc == 3 and not os.path.exists(WORK + "/none"), "no verdict, no baseline", err)

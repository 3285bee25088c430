#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison with the truth, and the examples of the documents, can fail: a
debugger that lies about one buffer is caught, at the check that is for it."""
import contextlib, io, os, re, shutil, stat, subprocess, sys
top = os.environ["TOP"]
sys.path.insert(0, os.path.join(top, "tests/truth"))
sys.dont_write_bytecode = True
import truthlib as T

LIAR = r"""#!/usr/bin/python3
import json, os, subprocess, sys
p = subprocess.run([%r] + sys.argv[1:], capture_output=True, text=True)
lie, words, out, rc = os.environ["LIE"], " ".join(sys.argv), p.stdout, p.returncode
lines = out.splitlines(True)
what, _, cmd = lie.partition(" ")
if what in ("miss", "invent", "twice") and cmd in words and lines:
    last = int(lines[-1], 16)
    if what == "miss":
        # free buffers: which ones a fixture made is not known here
        lines = lines[:-1] if "free" not in cmd else lines[:len(lines) // 2]
    else:
        lines.append("0x%%x\n" %% (last + (64 if what == "invent" else 0)))
    out = "".join(lines)
elif what == "status" and "check" in words:
    rc = int(cmd)
elif what == "count" and "check" in words:
    v = json.loads(out)
    for g in v["leaks"]:
        g[cmd] += 1
    out = json.dumps(v)
sys.stdout.write(out)
sys.stderr.write(p.stderr)
sys.exit(rc)
"""
CASES = (
    ("a leak that is missed", "miss ::walk leakbuf", "leaked are exactly"),
    ("a leak that is invented", "invent ::walk leakbuf", "leaked are exactly"),
    ("a leak told twice", "twice ::walk leakbuf", "no address is walked twice"),
    ("an allocated buffer that is missed", "miss ::walk kmem", "allocated are"),
    ("an allocated buffer told twice", "twice ::walk kmem", "no address is"),
    ("freed buffers that are missed", "miss ::walk freemem", "free are these"),
    ("check says clean", "status 0", "check ends with 1"),
    ("check miscounts buffers", "count buffers", "check counts"),
    ("check miscounts bytes", "count bytes", "check counts"),
)


def report(good, name, why=""):
    global n
    n += 1
    print("%sok %d - %s" % ("" if good else "not ", n, name))
    if not good:
        for line in str(why).splitlines()[:20]:
            print("# " + line)


n = 0
print("1..%d" % (len(CASES) + 5))
liar = os.path.join(T.WORK, "liar")
with open(liar, "w") as f:
    f.write(LIAR % T.PMDB)
os.chmod(liar, 0o755)


def compare(fixture_run, lie):
    os.environ["LIE"] = lie
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        T.compare(fixture_run, "it")
    return [line for line in text.getvalue().splitlines()
            if line.startswith("not ok")]


run = T.run("magazines")
leak = T.run("leak_one")
T.PMDB = liar
for name, lie, check in CASES:
    r = run if "free" in lie else leak
    bad = compare(r, lie)
    report(any(check in line for line in bad), name, "\n".join(bad))
report(not compare(leak, "none") and not compare(run, "none"),
       "an honest debugger passes", compare(leak, "none") + compare(run, "none"))

# a truth file without its last line is not believed
text = open(leak.truth_path).read()
with open(leak.truth_path, "w") as f:
    f.write(re.sub(r"(?m)^other.*\n", "", text))
try:
    leak.truth()
    report(False, "a truth file cut short")
except ValueError:
    report(True, "a truth file cut short")

# the documents
pages = os.path.join(top, "tests/golden/pages")
copy = os.path.join(T.WORK, "findleaks.md")


def page(change):
    shutil.copy(os.path.join(top, "doc/dcmds/findleaks.md"), copy)
    text = open(copy).read()
    new = change(text)
    with open(copy, "w") as f:
        f.write(new)
    p = subprocess.run([pages, copy], capture_output=True, text=True)
    return new != text and p.returncode == 1, p.stdout + p.stderr


report(*page(lambda t: t.replace("286 buffers", "287 buffers"))[:1],
       name="an example with a wrong number")
report(*page(lambda t: re.sub(r"\b4711$", "4712", t, flags=re.M))[:1],
       name="an example with the id of another process")
report(*page(lambda t: t.replace("look again,", "look once more,"))[:1],
       name="a usage that ::help does not print")

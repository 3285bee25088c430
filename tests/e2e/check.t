#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmdb check: statuses, the last line, JSON, and several dumps at once."""
import json, os, re, subprocess, sys
B, WORK = os.environ["B"], os.environ["WORK"]
PMDB = B + "/pmdb"
count = 0
print("1..36", flush=True)


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        for line in str(why).splitlines()[:20]:
            print("#   " + line)


def dump(name):
    path = os.path.join(WORK, name + ".core")
    subprocess.run([PMDB, "run", "-o", path, "--", B + "/fixtures/" + name],
                   env=dict(os.environ, TRUTH=WORK + "/truth"),
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return path


def check(*args, out=subprocess.PIPE):
    p = subprocess.run([PMDB, "check"] + list(args), stdout=out,
                       stderr=subprocess.PIPE, text=True)
    return p.returncode, p.stdout or "", p.stderr


clean, leaky, broken = dump("clean"), dump("leak_groups"), dump("overrun_live")
panic = dump("double_free")
cut = os.path.join(WORK, "cut.core")
with open(leaky, "rb") as f, open(cut, "wb") as g:
    whole = f.read()
    g.write(whole[:len(whole) // 2])

# one dump
rc, out, err = check(clean)
ok(rc == 0 and not err, "clean: status 0", (rc, err))
ok(re.fullmatch(r"pmdb: %s: clean, \d+ buffers? live\n" % clean, out),
   "clean: one line", out)
rc, out, err = check(leaky)
ok(rc == 1 and not err, "leaks: status 1", (rc, err))
m = re.fullmatch(r"pmdb: %s: (\d+) leaks, 7664 bytes in 51 buffers" % leaky,
                 out.splitlines()[-1])
ok(m, "leaks: the last line counts them", out.splitlines()[-1])
groups = re.findall(r"^(?:Direct|Indirect) leak of (\d+) bytes? in (\d+) "
                    r"buffers? ", out, re.M)
ok(m and len(groups) == int(m.group(1)), "leaks: a paragraph for each", groups)
ok(sum(int(g[0]) for g in groups) == 7664, "leaks: bytes add up", groups)
ok(sum(int(g[1]) for g in groups) == 51, "leaks: buffers add up", groups)
sizes = [int(g[0]) for g in groups]
ok(sizes == sorted(sizes, reverse=True), "leaks: largest first", sizes)
ok(re.search(r"#0 +0x[0-9a-f]+ in malloc .*\n(?:.*\n)?.* in second .*"
             r"leak_groups\.c:\d+\n", out), "leaks: stacks with lines", out)
rc, out, err = check(broken)
ok(rc == 1 and not err, "corruption: status 1", (rc, err))
ok(out.count("Heap corruption in ") == 2, "corruption: each buffer", out)
ok(re.search(r"last allocated by thread \d+ at:\n    #0 ", out),
   "corruption: who allocated it", out)
rc, out, err = check(panic)
ok(rc == 1 and "duplicate free" in out, "panic: the allocator's words", out)
ok(re.search(r"freed by free\n    +#0 .* in free ", out), "panic: frames by name",
   out)
rc, out, err = check(cut)
ok(rc == 3, "truncated: status 3", (rc, out, err))
ok(re.fullmatch(r"pmdb: %s: no verdict: .+\n" % cut, err),
   "truncated: one line on stderr says why", err)
rc, out, err = check("/etc/passwd")
ok(rc == 3 and "no verdict: " in err and not out, "no core: status 3", (rc, out, err))

# several: no verdict before findings before clean, and all are looked at
ok(check(clean, clean)[0] == 0, "clean and clean is clean")
ok(check(clean, leaky, clean)[0] == 1, "one with findings is findings")
rc, out, err = check(cut, leaky, clean)
ok(rc == 3, "one without a verdict is none", rc)
ok(len(re.findall(r"^pmdb: ", out, re.M)) == 2 and
   len(re.findall(r"^pmdb: ", err, re.M)) == 1, "each has its line", out + err)

# JSON
for path, status in ((clean, "clean"), (leaky, "findings"),
                     (broken, "findings"), (cut, "no-verdict")):
    rc, out, err = check("--format", "json", path)
    v = json.loads(out)
    ok(v["schema"] == "pmdb.check/1" and v["status"] == status and
       v["dump"] == path, "JSON of %s" % os.path.basename(path), out[:300])
    if status == "no-verdict":
        ok(v["reason"], "JSON: the reason", out[:300])
    elif path == leaky:
        ok(v["program"] == "leak_groups" and v["pid"] > 1 and
           v["live"] == {"buffers": 51, "bytes": 7664}, "JSON: facts",
           out[:300])
        g = v["leaks"][0]
        ok(g["kind"] == "direct" and g["buffers"] == 11 and
           g["bytes"] == 2816 and g["cache"] == "kmem_alloc_256",
           "JSON: a group", g)
        f = [x for x in g["stack"] if x["function"] == "second"]
        ok(f and f[0]["file"].endswith("leak_groups.c") and f[0]["line"] > 0 and
           re.fullmatch("0x[0-9a-f]+", f[0]["pc"]) and f[0]["object"],
           "JSON: a frame", g["stack"])
    elif path == broken:
        ok(len(v["corruption"]) == 2 and not v["leaks"] and
           v["corruption"][0]["kind"] == "buffer", "JSON: corruption",
           v["corruption"])
rc, out, err = check("--format=json", clean, leaky)
ok([json.loads(x)["status"] for x in out.splitlines()] ==
   ["clean", "findings"], "JSON of two dumps is two lines", out[:300])

# usage, and a verdict that cannot be said
ok(check()[0] == 2, "no dump is usage")
ok(check("--format", "xml", clean)[0] == 2, "an unknown format is usage")
ok(check("--frobnicate", clean)[0] == 2, "an unknown option is usage")
with open("/dev/full", "w") as full:
    ok(check(clean, out=full)[0] == 3, "a full disk is no verdict")
ok(check("--help")[0] == 0, "--help")

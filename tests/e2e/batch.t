#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody is at the prompt: scripts the kernel starts, --fail-fast, --quiet, and
many dumps in one call, each in a process of its own."""
import json, os, re, resource, signal, subprocess, sys, time
import pexpect

B, TOP, WORK = (os.environ[k] for k in ("B", "TOP", "WORK"))
PMDB = B + "/pmdb"
os.environ["PATH"] = B + ":" + os.environ["PATH"]
os.environ.pop("PMDB_JOBS", None)
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    for line in ("" if good else str(why)).splitlines()[:20]:
        print("#   " + line)
    sys.stdout.flush()


def run(*argv, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=100, **kw)


def said(name, p, rc, out=None, err=None):
    got = (p.returncode, p.stdout if out is not None else None,
           p.stderr if err is not None else None)
    ok(got == (rc, out, err), name, "want %r\ngot  %r %s" % (
        (rc, out, err), got, p.stderr))


def write(name, text, mode=0o755):
    with open(name, "w") as f:
        f.write(text)
    os.chmod(name, mode)
    return name


print("1..61", flush=True)
write("prog.c", "#include <stdlib.h>\nint main(void)\n"
      "{ for (int i = 0; i < 9; i++) *(char *)malloc(20) = 1; return 0; }\n")
subprocess.run(["gcc", "-g", "-o", "prog", "prog.c"], check=True)
for name in "abc":
    run(PMDB, "run", "-o", name + ".core", "--", "./prog")
DUMPS = ["a.core", "b.core", "c.core"]

# ---- scripts ---------------------------------------------------------------
for name, first in (("env -S", "#!/usr/bin/env -S pmdb -x"),
                    ("env -S with options", "#!/usr/bin/env -S pmdb -q -S -x"),
                    ("env -S, long", "#!/usr/bin/env -S pmdb --script"),
                    ("env -S, as awk does", "#!/usr/bin/env -S pmdb -f"),
                    ("without env", "#!%s -x" % PMDB)):
    write("script", first + "\n// a comment\n1=D\n::status ! sed -n 1p\n")
    said("a script: " + name, run("./script", "a.core"), 0,
         "                1               \n"
         "debugging core file of prog (64-bit)\n", "")
write("script", "#!/usr/bin/env -S pmdb --json -x\n1=X\n")
said("a script: its options hold", run("./script", "a.core"), 0,
     '{"text":"                1               "}\n', "")
said("a script without a dump", run("./script"), 0,
     '{"text":"                1               "}\n', "")
said("-f alone opens a script as bytes", run(PMDB, "-f", "-e", "0,2/c", "script"),
     0, "0:              #!\n", "")
said("a script's end is the end", run("./script", "a.core", input="2=X\n",
                                      stdin=None), 0,
     '{"text":"                1               "}\n', "")
write("read", "! read x && echo got $x\n")
said("a script leaves standard input to its commands",
     run(PMDB, "-x", "read", "a.core", input="you\n", stdin=None), 0,
     "got you\n", "")
said("-e and scripts in their order", run(PMDB, "-e", "::echo 1", "-x", "script",
                                          "-e", "::echo 2"), 0,
     "1 \n                1               \n2 \n", "")
with open("script") as f:
    said("#! in standard input, too", run(PMDB, "a.core", stdin=f), 0,
         "                1               \n", "")
write("bad", "::echo a\n::nosuch\n1 )\n::echo b\n")
said("what fails is said with its place", run(PMDB, "-x", "bad", "a.core"), 1,
     "a \nb \n", "pmdb: bad:2: invalid command '::nosuch': unknown dcmd name\n"
     "pmdb: bad:3: syntax error near \")\"\n")
for name, path, why in (("not there", "nosuch", "No such file or directory"),
                        ("a directory", ".", "Is a directory")):
    said("a script that is " + name, run(PMDB, "-x", path, "a.core"), 2, "",
         "pmdb: %s: %s\n" % (path, why))
# a dump is never a script, whatever is in it
write("trap", "#!/usr/bin/env -S pmdb -x\n! touch pwned\n")
for args in (("trap",), ("-e", "1=X", "trap"), ("-f", "-e", "1=X", "trap"),
             ("-c", "trap"), ("-e", "1=X", "a.core", "trap")):
    run(PMDB, *args)
ok(not os.path.exists("pwned"), "nothing that is opened is run")

# ---- --fail-fast -----------------------------------------------------------
UNKNOWN = "invalid command '::nosuch': unknown dcmd name\n"
for name, args in (("-e", ("-e", "::echo a", "-e", "::nosuch",
                           "-e", "::echo b")),
                   ("one -e", ("-e", "::echo a; ::nosuch; ::echo b")),
                   ("::eval", ("-e", "::eval '::echo a; ::nosuch; ::echo b'",
                               "-e", "::echo c"))):
    said("--fail-fast: " + name, run(PMDB, "--fail-fast", *args, "a.core"), 1,
         "a \n", "pmdb: " + UNKNOWN)
said("--fail-fast: a script", run(PMDB, "--fail-fast", "-x", "bad", "a.core"), 1,
     "a \n", "pmdb: bad:2: " + UNKNOWN)
said("--fail-fast: standard input",
     run(PMDB, "--fail-fast", "a.core", input="::echo a\n::nosuch\n::echo b\n",
         stdin=None), 1, "a \n", "pmdb: " + UNKNOWN)
said("--fail-fast: one of a pipeline's calls",
     run(PMDB, "--fail-fast", "-e", "0 | ::map '.' | ::print int; ::echo b",
         "-e", "::echo c", "a.core"), 1, "")
p = run(PMDB, "--fail-fast", "-e", "::walk kmem_cache | ::eval '::nosuch'",
        "a.core")
said("--fail-fast: the first of many calls", p, 1, "", "pmdb: " + UNKNOWN)
p = run(PMDB, "-e", "::walk kmem_cache | ::eval '::nosuch'", "a.core")
ok(p.returncode == 1 and p.stderr.count("unknown") > 5,
   "without it all are made", p.stderr)
write("home/.pmdbrc", "::nosuch\n") if not os.makedirs("home") else None
said("--fail-fast: a start-up file is not meant",
     run(PMDB, "--fail-fast", "-e", "::echo a", "a.core",
         env=dict(os.environ, HOME=WORK + "/home")), 0, "a \n",
     "pmdb: " + UNKNOWN)

# ---- many dumps ------------------------------------------------------------
ECHO = ("-e", "::echo x")
HEADS = "\n".join("==> %s <==\nx \n" % d for d in DUMPS)
said("several dumps, one after the other", run(PMDB, *ECHO, *DUMPS), 0, HEADS, "")
said("two at a time", run(PMDB, "--jobs", "2", *ECHO, *DUMPS), 0, HEADS, "")
said("with their executable", run(PMDB, *ECHO, "a.core", "prog", "b.core",
                                  "c.core"), 0, HEADS, "")
said("-c is one of them", run(PMDB, *ECHO, "-c", *DUMPS), 0, HEADS, "")
said("--quiet: no headings", run(PMDB, "-q", *ECHO, *DUMPS), 0, "x \n" * 3, "")
said("--jobs with one dump", run(PMDB, "--jobs=9", *ECHO, "a.core"), 0,
     "==> a.core <==\nx \n", "")
write("script", "#!/usr/bin/env -S pmdb --jobs 2 -x\n::echo x\n")
said("a script for several", run("./script", *DUMPS), 0, HEADS, "")
p = run(PMDB, "--jobs", "2", "--json", "-e", "::findleaks", *DUMPS)
rows = [json.loads(line) for line in p.stdout.splitlines()]
ok([r["dump"] for r in rows] == DUMPS and all(list(r)[0] == "dump" for r in rows)
   and [r["leaked"] for r in rows] == [9] * 3, "JSON: each row says its dump",
   p.stdout)
one = [json.loads(line) for line in
       run(PMDB, "--json", "-e", "::findleaks", "a.core").stdout.splitlines()]
ok("dump" not in one[0] and dict(one[0], dump="a.core") == rows[0],
   "JSON: and is otherwise that of one dump", one)
p = run(PMDB, "--json", "-e", "::findleaks ! cat", "-e", "1=X", *DUMPS)
rows = [json.loads(line) for line in p.stdout.splitlines()]
ok([r.get("dump") for r in rows] == [d for d in DUMPS for _ in "12"],
   "JSON: through a shell command, and text", p.stdout)
with open("a.core", "rb") as f:
    whole = f.read()
with open("cut.core", "wb") as f:
    f.write(whole[:5000])
p = run(PMDB, "--jobs", "2", "-q", *ECHO, "nosuch", "a.core", "cut.core", "b.core")
ok(p.returncode == 3 and p.stdout.count("x \n") >= 2 and
   p.stderr.startswith("pmdb: nosuch: No such file or directory\n") and
   "pmdb: cut.core: " in p.stderr, "one that cannot be opened: status 3, said",
   p.stdout + p.stderr)
p = run(PMDB, "-q", *ECHO, "prog", "/bin/true", "a.core")
ok(p.returncode == 3 and p.stdout == "x \n" and
   re.match("pmdb: /bin/true: an executable, not a core[^\n]*\n$", p.stderr),
   "a second executable is no dump", p)
p = run(PMDB, "-e", "::nosuch", "a.core", "b.core")
said("errors say which dump", p, 1, "==> a.core <==\n\n==> b.core <==\n",
     "pmdb: a.core: %spmdb: b.core: %s" % (UNKNOWN, UNKNOWN))
p = run(PMDB, "--fail-fast", "--jobs", "3", *ECHO, "a.core", "nosuch", "b.core")
said("--fail-fast: none after the one that failed", p, 3,
     "==> a.core <==\nx \n\n==> nosuch <==\n",
     "pmdb: nosuch: No such file or directory\n")

# a dump that ends the process which examines it
write("crash.sh", "[ -e crashed ] || { touch crashed; kill -SEGV $1; sleep 1; }")
CRASH = ("-e", "::echo x", "-e", "! sh crash.sh $PPID", "-e", "::echo y")
said("one that crashes takes no other with it", run(PMDB, *CRASH, *DUMPS), 3,
     "==> a.core <==\nx \n\n==> b.core <==\nx \ny \n\n==> c.core <==\nx \ny \n",
     "pmdb: a.core: the process that examined it was ended by signal 11 "
     "(SIGSEGV)\n")

# how many at a time, and on how many processors
write("count.sh", """mkdir r.$1
i=0 # the first wait until there are so many, however slow the machine is
until [ -e met.$2 ] || [ "$(ls -d r.* | wc -l)" -ge $2 ] || [ $i -gt 300 ]; do
	sleep .1
	i=$((i + 1))
done
touch met.$2
sleep .3
ls -d r.* | wc -l
rmdir r.$1
""")
for jobs in (1, 2):
    p = run(PMDB, "-q", "--jobs", str(jobs), "-e",
            "! sh count.sh $PPID %d" % jobs, *DUMPS, "a.core")
    most = max(int(x) for x in p.stdout.split())
    ok(most == jobs, "--jobs %d: so many at a time" % jobs, p.stdout)
cpus = len(os.sched_getaffinity(0))
p = run(PMDB, "-q", "--jobs", "2", "-e", "! echo $PMDB_JOBS", "a.core")
said("they share the processors", p, 0, "%d\n" % max(1, cpus // 2), "")
p = run(PMDB, "-q", "-e", "! echo $PMDB_JOBS", *DUMPS,
        env=dict(os.environ, PMDB_JOBS="7"))
said("unless told how many", p, 0, "7\n" * 3, "")
p = run(PMDB, "-q", "-e", "! cat", *DUMPS, input="mine\n", stdin=None)
said("standard input is nobody's", p, 0, "", "")


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


p = run(PMDB, "-q", "--jobs", "2", *ECHO, *(["a.core"] * 40),
        preexec_fn=few_files)
said("their number costs no files", p, 0, "x \n" * 40, "")

# ---- the end comes from outside --------------------------------------------
SLEEP = ("-e", "! echo $$ $PPID >> pids && exec sleep 97")


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ended(signo):
    """Are all gone when only the first process got the signal?"""
    if os.path.exists("pids"):
        os.unlink("pids")
    p = subprocess.Popen([PMDB, "--jobs", "3", *SLEEP, *DUMPS],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for _ in range(600):
        if os.path.exists("pids") and open("pids").read().count("\n") == 3:
            break
        time.sleep(.05)
    p.send_signal(signo)
    p.wait(20)
    pids = [[int(x) for x in line.split()] for line in open("pids")]
    for _ in range(100):
        left = [a for pair in pids for a in
                (pair if signo != signal.SIGKILL else pair[1:]) if alive(a)]
        if not left:
            break
        time.sleep(.05)
    for pair in pids:
        if alive(pair[0]):
            os.kill(pair[0], signal.SIGKILL)
    return len(pids) == 3 and not left and p.returncode == -signo


for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
    ok(ended(signo), "%s ends all" % signal.Signals(signo).name)

# ---- output ----------------------------------------------------------------
with open("/dev/full", "w") as full:
    p = subprocess.run([PMDB, *ECHO, *DUMPS], stdout=full, text=True,
                       stderr=subprocess.PIPE, timeout=60)
ok((p.returncode, p.stderr) == (3, "pmdb: cannot write the output: No space left "
                                "on device\n"), "a full disk is said", p)
p = run("bash", "-c", "%s -e '::nm' a.core b.core c.core | head -1; "
        "echo ${PIPESTATUS[0]}" % PMDB)
said("a reader that goes away is no failure", p, 0, "==> a.core <==\n0\n", "")
p = run(PMDB, *ECHO, *DUMPS, env=dict(os.environ, TMPDIR="/nosuch"))
ok(p.returncode == 3 and re.match("pmdb: /nosuch/pmdb[^\n]*: cannot make a file: "
                                  "No such file", p.stderr),
   "no place for files", p.stderr)

# ---- a terminal ------------------------------------------------------------
seen = []
for args in (["-q"], []):
    c = pexpect.spawn(PMDB, args + ["-e", "0,ffffff::eval 0 | ::grep 0", "a.core"],
                      env=dict(os.environ, TERM="xterm"))
    seen.append(c.expect(["working", pexpect.TIMEOUT], timeout=2 if args else 20))
    c.terminate(force=True)
ok(seen == [1, 0], "--quiet: no line that says it works", seen)

# ---- usage -----------------------------------------------------------------
for args, why in ((("--jobs", "0", *ECHO, "a.core"), "--jobs wants a number"),
                  (("--jobs", "two", *ECHO, "a.core"), "--jobs wants a number"),
                  (("--jobs", "-1", *ECHO, "a.core"), "--jobs wants a number"),
                  (("--jobs", "2", "a.core"), "--jobs wants dumps, and -e"),
                  (("--jobs", "2", *ECHO), "--jobs wants dumps"),
                  (("--jobs", "2", *ECHO, "prog"), "--jobs wants dumps"),
                  (("a.core", "b.core"), "two core files: with -e"),
                  (("-x", "/dev/stdin", "a.core", "b.core"),
                   "a script for several dumps has to be a file")):
    p = run(PMDB, *args)
    ok(p.returncode == 2 and p.stdout == "" and p.stderr.count("\n") == 1 and
       p.stderr.startswith("pmdb: " + why), "usage: " + why, p.stderr)

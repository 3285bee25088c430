# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a real program plainly and in each mode of libkmem, and compares
everything it does; then asks for a verdict on every dump.

The modes are "pmdb run" and LD_PRELOAD, each with debugging and without."""
import hashlib, os, pwd, shutil, subprocess, sys, time

B = os.environ["B"]
WORK = os.environ["WORK"]
PMDB = os.path.join(B, "pmdb")
PRELOAD = os.path.join(B, "libkmem_preload.so")
CHECK_SECONDS = 60  # a verdict takes no longer
MAX_VERDICTS = 60  # of one program in one mode

DEBUG = {"KMEM_DEBUG": "default", "KMEM_LOGGING": "transaction"}
NO_DEBUG = {"KMEM_DEBUG": "", "KMEM_LOGGING": ""}
# name, is it "pmdb run", environment
MODES = (
    ("pmdb run", True, {}),
    ("pmdb run without debugging", True, NO_DEBUG),
    ("the library preloaded", False, {"LD_PRELOAD": PRELOAD}),
    ("the library preloaded, debugging", False,
     dict(DEBUG, LD_PRELOAD=PRELOAD)),
)
CHECKS = 1 + sum(3 if is_run else 1 for _, is_run, _ in MODES)

_count = 0


def plan(n):
    print("1..%d" % n, flush=True)


def ok(good, name, why=""):
    global _count
    _count += 1
    print("%sok %d - %s" % ("" if good else "not ", _count, name))
    if not good:
        for line in str(why).splitlines()[:60]:
            print("#   " + line)
    sys.stdout.flush()
    return good


def need(*paths):
    """Skips the case when a program is not installed."""
    for path in paths:
        if not os.path.exists(path):
            print("%s is not installed" % path)
            sys.exit(77)


def write(box, name, text):
    with open(os.path.join(box, name), "w") as f:
        f.write(text)


def tree(top, ignore):
    """path -> what is in it, of every file below top; not kept whole, for a
    child's peak begins with ours"""
    files = {}
    for dir_, dirs, names in os.walk(top):
        dirs[:] = [d for d in dirs if d not in ignore]
        for n in names:
            path = os.path.join(dir_, n)
            if n in ignore or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                files[os.path.relpath(path, top)] = hashlib.file_digest(
                    f, "sha256").digest()
    return files


class Result:
    """What a program did, and what it cost."""

    def __init__(self, rc, out, err, files, cpu_s, rss_kib):
        self.rc, self.out, self.err, self.files = rc, out, err, files
        self.cpu_s, self.rss_kib = cpu_s, rss_kib

    def difference(self, other):
        text = ""
        if self.rc != other.rc:
            text += "status %d, should be %d\n" % (other.rc, self.rc)
        for what in ("out", "err"):
            a, b = getattr(self, what), getattr(other, what)
            if a != b:
                text += "std%s differs: %r\nshould be %r\n" % (
                    what, b[-1500:], a[-1500:])
        for f in sorted(set(self.files) | set(other.files)):
            if self.files.get(f) != other.files.get(f):
                text += "file %s differs\n" % f
        return text

    def cost(self, other):
        return "cpu %.2f rss %.2f" % (
            other.cpu_s / max(self.cpu_s, 0.001), other.rss_kib / self.rss_kib)


def wait(p, timeout):
    """-> status, resources of it and its children"""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        pid, status, usage = os.wait4(p.pid, os.WNOHANG)
        if pid:
            p.returncode = os.waitstatus_to_exitcode(status)
            return p.returncode, usage
        time.sleep(0.005)
    p.kill()
    p.wait()
    raise subprocess.TimeoutExpired(p.args, timeout)


class Program:
    """A program, and how its runs are made the same.

    setup(box): makes its files; clean(bytes): drops from its output what no
    two runs have in common; ignore: files likewise; user: who runs it"""

    def __init__(self, argv, env=None, setup=None, ignore=(), timeout=200,
                 clean=None, user=None):
        self.argv, self.env, self.setup = argv, env or {}, setup
        self.ignore, self.timeout, self.clean = ignore, timeout, clean
        self.user = user

    def run(self, prefix, env):
        """Runs in a fresh directory of one and the same name."""
        box = os.path.join(WORK, "box")
        shutil.rmtree(box, ignore_errors=True)
        os.makedirs(box)
        if self.setup:
            self.setup(box)
        if self.user:
            entry = pwd.getpwnam(self.user)
            prefix = ["/usr/bin/setpriv", "--reuid=%d" % entry.pw_uid,
                      "--regid=%d" % entry.pw_gid, "--clear-groups"] + prefix
            subprocess.run(["chown", "-R", self.user, box], check=True)
        out, err = (os.path.join(WORK, n) for n in ("out", "err"))
        env = {**os.environ, **self.env, **env}
        env.pop("LONG", None)
        with open(out, "wb") as o, open(err, "wb") as e:
            p = subprocess.Popen(prefix + self.argv, cwd=box, env=env,
                                 stdin=subprocess.DEVNULL, stdout=o, stderr=e)
            rc, usage = wait(p, self.timeout)
        text = []
        for name in (out, err):
            with open(name, "rb") as f:
                text.append(f.read())
            if self.clean:
                text[-1] = self.clean(text[-1])
        return Result(rc, text[0], text[1], tree(box, self.ignore),
                      usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def complete(dumps):
    """The dumps, when those that children end with are written, too"""
    for _ in range(100):
        names = os.listdir(dumps)
        if all(n.endswith(".core") for n in names):
            break
        time.sleep(0.1)
    return names


def verdicts(dumps):
    """Checks the dumps, or of many some -> what is wrong"""
    text, slowest, count = "", 0, {0: 0, 1: 0}
    names = sorted(os.listdir(dumps))
    for name in names[::1 + len(names) // MAX_VERDICTS]:
        path = os.path.join(dumps, name)
        start = time.monotonic()
        try:
            p = subprocess.run([PMDB, "check", path], timeout=CHECK_SECONDS,
                               stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, errors="replace")
            rc, out = p.returncode, p.stderr + p.stdout
        except subprocess.TimeoutExpired:
            rc, out = -1, "no end after %d s" % CHECK_SECONDS
        slowest = max(slowest, time.monotonic() - start)
        if rc in count:
            count[rc] += 1
        else:
            text += "%s: status %d: %s\n" % (name, rc, out[-400:])
        if "corrupt" in out:
            text += "%s: corruption: %s\n" % (name, out[-400:])
    print("# %d dumps clean, %d with leaks; slowest verdict %.1f s" % (
        count[0], count[1], slowest))
    return text


def remove(where):
    """of a process that outlives the program a dump may come meanwhile"""
    for _ in range(100):
        try:
            return shutil.rmtree(where)
        except OSError:
            time.sleep(0.1)
    return shutil.rmtree(where)


def same(name, argv, dumps=1, rc=0, **how):
    """CHECKS checks of one program.

    dumps: at least so many processes leave one; how: see Program"""
    program = Program(argv, **how)
    plain = program.run([], {})
    ok(plain.rc == rc, name + ": works at all", "status %d: %s" % (
        plain.rc, (plain.out[-800:] + plain.err[-800:]).decode()))
    where = os.path.join(WORK, "dumps")
    for mode, is_run, env in MODES:
        if is_run:
            os.makedirs(where)
            os.chmod(where, 0o777)
        prefix = [PMDB, "run", "-o", where + "/%c.%p.core", "--"]
        did = program.run(prefix if is_run else [], env)
        why = plain.difference(did)
        ok(not why, "%s: the same under %s" % (name, mode), why)
        print("# cost: %s: %s: %s" % (name, mode, plain.cost(did)))
        if not is_run:
            continue
        left = complete(where)
        ok(len(left) >= dumps and all(n.endswith(".core") for n in left),
           "%s: %s: at least %d dumps, nothing else" % (name, mode, dumps),
           "%d: %s" % (len(left), " ".join(sorted(left))[:800]))
        why = verdicts(where)
        ok(left and not why, "%s: %s: a verdict on every dump" % (name, mode),
           why or "no dump")
        remove(where)

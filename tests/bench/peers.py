# SPDX-License-Identifier: GPL-3.0-or-later
"""libkmem without debugging beside Debian's other allocators, each under
LD_PRELOAD, on programs after the well-known benchmarks and on real ones."""
import glob, os, shutil, statistics, subprocess, time

import common
from common import clean, compile_, geometric_mean, preload, run, top, work

LIBDIR = "/usr/lib/x86_64-linux-gnu/"
PEERS = (("jemalloc", "libjemalloc.so.2"), ("mimalloc", "libmimalloc.so.2*"),
         ("tcmalloc", "libtcmalloc_minimal.so.4"))

# name -> program of tests/bench/prog, arguments
PROGRAMS = {
    "cfrac": ("cfrac",),
    "espresso": ("espresso",),
    "barnes": ("barnes",),
    "alloc-test1": ("alloc-test", "1"),
    "alloc-testN": ("alloc-test", "2"),
    "larsonN": ("larson", "2"),
    "larsonN-sized": ("larson", "2"),
    "xmalloc-testN": ("xmalloc-test", "1"),
    "cache-scratch1": ("cache-scratch", "scratch", "1"),
    "cache-scratchN": ("cache-scratch", "scratch", "2"),
    "cache-thrashN": ("cache-scratch", "thrash", "2"),
    "malloc-large": ("malloc-large",),
    "mstressN": ("mstress", "2"),
    "mleak10": ("mleak", "10"),
    "mleak40": ("mleak", "40", "200"),
    "rptestN": ("rptest", "2"),
    "glibc-simple": ("glibc-simple",),
    "glibc-thread": ("glibc-thread", "2"),
}
REAL = ("lua", "python", "cc1", "gs", "redis")
# those that allocate much: what auditing is measured on
HEAVY = ("cfrac", "espresso", "alloc-test1", "larsonN", "xmalloc-testN",
         "glibc-thread", "rptestN", "lua", "python", "cc1")


def allocators():
    """-> {name: what to preload}, the first one what comes with libc"""
    found = {"glibc": None, "libkmem": preload}
    for name, pattern in PEERS:
        paths = sorted(glob.glob(LIBDIR + pattern))
        if paths:
            found[name] = paths[0]
        else:
            print("%s: not installed" % name)
    return found


def source(name):
    return os.path.join(top, "tests/bench/prog", name)


def cc1_command():
    """cc1 on a large file of ours, preprocessed beforehand"""
    c1 = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True,
                        text=True).stdout.strip()
    if not os.path.exists(c1):
        return None
    text = os.path.join(work, "large.i")
    if not os.path.exists(text):
        subprocess.run(["gcc", "-std=gnu11", "-E", "-Isrc", "-Isrc/kmem", "-o",
                        text, "src/kmem/vmem.c"], cwd=top, check=True)
    return [c1, "-quiet", "-std=gnu11", "-O2", "-g", text, "-o", "/dev/null"]


def run_redis(env):
    """-> the Result of a server that redis-benchmark kept busy"""
    socket = os.path.join(work, "redis")
    # it is linked with jemalloc: libc's own malloc has to be asked for
    env = dict({"LD_PRELOAD": "libc.so.6"}, **env)
    server = common.start(["redis-server", "--port", "0", "--unixsocket", socket,
                           "--save", "", "--dir", work], env)
    while not os.path.exists(socket) and server.poll() is None:
        time.sleep(0.01)
    for args in (["-n", "40000", "-d", "100", "-t", "set,get,lpush,lpop,mset"],
                 ["-n", "40000", "-d", "2000", "-t", "set,sadd,hset"]):
        subprocess.run(["redis-benchmark", "-s", socket, "-q", "-r", "20000",
                        "-P", "4"] + args, env=clean, cwd=work,
                       stdout=subprocess.DEVNULL, timeout=60, check=True)
    subprocess.run(["redis-cli", "-s", socket, "shutdown", "nosave"], env=clean,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return common.end(server)


def real_programs():
    """-> {name: function of env} of those that are installed"""
    commands = {
        "lua": shutil.which("lua5.4") and ["lua5.4", source("work.lua")],
        "python": ["/usr/bin/python3", source("work.py")],
        "cc1": cc1_command(),
        "gs": shutil.which("gs") and [
            "gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=ppmraw", "-r60",
            "-sOutputFile=/dev/null", source("work.ps")],
    }
    found = {}
    for name, argv in commands.items():
        if argv:
            found[name] = lambda env, argv=argv: run(
                argv, dict({"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"},
                           **env))
    if shutil.which("redis-server") and shutil.which("redis-benchmark"):
        found["redis"] = run_redis
    return found


def benches(names=None):
    """-> {name: function of env that gives a Result}"""
    real = real_programs()
    found = {}
    for name in names or list(PROGRAMS) + list(REAL):
        if name in PROGRAMS:
            program, *args = PROGRAMS[name]
            flags = ["-DSIZED"] if name.endswith("-sized") else []
            exe = compile_("prog/" + program, *flags)
            if exe:
                found[name] = lambda env, argv=[exe] + args: run(argv, env)
        elif name in real:
            found[name] = real[name]
        if name not in found:
            print("%s: not to be had here" % name)
    return found


def measure(todo, envs, rounds):
    """Runs each bench with each environment by turns.
    -> {bench: [[(cpu ratio, peak ratio, cpu) a round] an environment]}; ratios
    to the first environment in the same round"""
    table = {}
    for name, bench in todo.items():
        rows = [[] for _ in envs]
        for _ in range(rounds):
            base = None
            for k, env in enumerate(envs):
                r = bench(env)
                base = base or r
                rows[k].append((r.cpu / base.cpu, r.peak / base.peak, r.cpu))
        table[name] = rows
        print(".", end="", flush=True)
    print("\n")
    return table


def print_table(table, names, what, title):
    print("%-16s %10s" % (title, names[0] + (" s" if what == 0 else "")) +
          "".join("%10s" % n for n in names[1:]))
    columns = [[] for _ in names]
    for bench, rows in table.items():
        line = "%-16s " % bench
        line += "%10.2f" % (statistics.median(r[2] for r in rows[0])
                            if what == 0 else 1)
        for k in range(1, len(names)):
            ratio = statistics.median(r[what] for r in rows[k])
            columns[k].append(ratio)
            line += "%10.2f" % ratio
        print(line)
    print("%-16s %10s" % ("geometric mean", "1.00") +
          "".join("%10.2f" % geometric_mean(c) for c in columns[1:]) + "\n",
          flush=True)


def env_of(library):
    return {"LD_PRELOAD": library} if library else {}


def peers(opt):
    libs = {n: p for n, p in allocators().items()
            if n == "glibc" or not opt.allocs or n in opt.allocs}
    todo = benches(opt.benches)
    rounds = opt.rounds or (1 if common.is_quick else 5)
    print("allocators without debugging; ratios to glibc, medians of %d paired "
          "runs" % rounds)
    table = measure(todo, [env_of(p) for p in libs.values()], rounds)
    print_table(table, list(libs), 0, "CPU")
    print_table(table, list(libs), 1, "peak RSS")


def pair(opt):
    """The hot pair of 64 bytes, and an empty program."""
    exe = compile_("prog/pair")
    empty = os.path.join(work, "empty")
    subprocess.run(["gcc", "-O2", "-x", "c", "-o", empty, "-"], check=True,
                   input="int main(void) { return 0; }", text=True)
    print("%-12s %22s %22s" % ("", "malloc and free of 64", "an empty program"))
    libs = allocators()
    best = {n: [] for n in libs}
    wall = {n: [] for n in libs}
    for _ in range(3 if common.is_quick else 9):
        for name, path in libs.items():
            best[name].append(float(run([exe], env_of(path)).text))
            env = dict(clean, **env_of(path))
            for _ in range(20):
                start = time.monotonic()
                pid = os.posix_spawn(empty, [empty], env)
                os.waitpid(pid, 0)
                wall[name].append((time.monotonic() - start) * 1000)
    for name in libs:
        print("%-12s %18.2f ns  %18.2f ms" % (
            name, statistics.median(best[name]), statistics.median(wall[name])))
    print(flush=True)


# name -> program, arguments with one CPU, arguments with two, how much more
# work those are.  A program whose threads need each other does the same work
# on one CPU as on two; of the others one thread does half of it.
SCALE = {
    "xmalloc-test": ("xmalloc-test", ("1",), ("1",), 1),
    "larson": ("larson", ("1", "12500000"), ("2", "25000000"), 2),
    "rptest": ("rptest", ("1", "20000"), ("2", "40000"), 2),
    "glibc-thread": ("glibc-thread", ("1", "2000000"), ("2", "4000000"), 2),
    "mleak": ("mleak", ("10",), ("10",), 1),
    "  threads alone": ("mleak", ("10", "800", "0"), ("10", "800", "0"), 1),
}


def ahead():
    """-> what runs a command before all others of the machine, if that may be:
    how two threads share two CPUs is not to be seen beside other work"""
    argv = ["chrt", "-r", "1"]
    may = shutil.which("chrt") and subprocess.run(
        argv + ["true"], stderr=subprocess.DEVNULL).returncode == 0
    return argv if may else []


def scale(opt):
    """Is a second core of use?  Work a second, held to one CPU, and on two."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        print("scaling: one CPU only\n")
        return
    one = ahead() + ["taskset", "-c", str(cpus[0])]
    two = ahead() + ["taskset", "-c", "%d,%d" % tuple(cpus[:2])]
    libs = allocators()
    print("how much more work a second two CPUs do than one, medians "
          "(and seconds with two)")
    print("%-16s" % "" + "".join("%15s" % n for n in libs))
    for name, (program, args1, args2, factor) in SCALE.items():
        exe = compile_("prog/" + program)
        line = "%-16s" % name
        for path in libs.values():
            gain, wall = [], []
            for _ in range(3 if common.is_quick else 7):
                alone = run(one + [exe] + list(args1), env_of(path)).wall
                wall.append(run(two + [exe] + list(args2), env_of(path)).wall)
                gain.append(factor * alone / wall[-1])
            line += "%8.2fx %5.2f" % (statistics.median(gain),
                                      statistics.median(wall))
        print(line, flush=True)
    print()

# SPDX-License-Identifier: GPL-3.0-or-later
"""What watching every allocation costs: libkmem with KMEM_DEBUG=default and a
transaction log, beside heaptrack, LeakSanitizer and valgrind, all against plain
glibc."""
import glob, os, shutil, statistics, subprocess, time

import common, peers
from common import AUDIT, compile_, pmdb, run, under, work


def lsan_library():
    found = glob.glob("/usr/lib/*/liblsan.so.0")
    return found[0] if found else None


def heaptrack(raw):
    """-> what to put before a command, or None"""
    if not shutil.which("heaptrack"):
        return None
    return ["heaptrack"] + (["--raw"] if raw else []) + \
        ["-o", os.path.join(work, "heaptrack")]


def audit(opt):
    """The allocation-heavy programs to their ends."""
    rounds = opt.rounds or (1 if common.is_quick else 3)
    envs = {"glibc": {}, "libkmem": under(AUDIT),
            "no log": under({"KMEM_DEBUG": "default"}),
            "audit": under({"KMEM_DEBUG": "audit"})}
    if lsan_library():
        # its stacks end at the first frame without a frame pointer
        envs["LSan"] = {"LD_PRELOAD": lsan_library(),
                        "LSAN_OPTIONS": "exitcode=0"}
    else:
        print("LeakSanitizer: not installed")
    todo = peers.benches(opt.benches or peers.HEAVY)
    print("auditing: KMEM_DEBUG=default with a transaction log, without, and "
          "KMEM_DEBUG=audit;\nratios to glibc, medians of %d paired runs" %
          rounds)
    table = peers.measure(todo, list(envs.values()), rounds)
    peers.print_table(table, list(envs), 0, "CPU")
    peers.print_table(table, list(envs), 1, "peak RSS")


def leaks_found(r, who):
    """-> how many leaked buffers a tool reported"""
    err = open(os.path.join(work, "err"), errors="replace").read()
    words = {"pmdb run --check": ("pmdb: ", " in ", " buffers"),
             "LeakSanitizer": ("SUMMARY", " in ", " allocation"),
             "memcheck": ("definitely lost: ", " in ", " blocks")}.get(who)
    for line in (err + r.text).splitlines():
        if words and words[0] in line and words[2] in line:
            return line.split(words[1])[-1].split()[0]
    return "-"


def auditrun(opt):
    """A run with a million live buffers, to the leak verdict."""
    count = "100000" if common.is_quick else "1000000"
    rounds = opt.rounds or (1 if common.is_quick else 5)
    exe = compile_("audit")
    ways = [("glibc", [exe, count], {}, rounds),
            ("libkmem, no debugging", [exe, count], under(), rounds),
            ("libkmem, audited, no verdict", [exe, count], under(AUDIT), rounds),
            ("pmdb run --check",
             [pmdb, "run", "-o", os.path.join(work, "dump"), "--check", "--",
              exe, count], {}, rounds)]
    lsan = compile_("audit", "-fsanitize=leak")
    if lsan:
        ways.append(("LeakSanitizer", [lsan, count], {}, rounds))
    else:
        print("LeakSanitizer: not available")
    for raw in (True, False):
        if heaptrack(raw):
            ways.append(("heaptrack" + (" --raw" if raw else ""),
                         heaptrack(raw) + [exe, count], {}, 1))
    if shutil.which("valgrind"):
        ways.append(("memcheck", ["valgrind", "--leak-check=full", exe, count],
                     {}, 1))
    print("a run of %s live buffers, twice as many churned, %d leaked, to the "
          "verdict;\nratios to glibc in the same round, medians of %d" %
          (count, int(count) // 100, rounds))
    rows = {way[0]: [] for way in ways}
    found = {}
    for k in range(rounds):
        base = None
        for name, argv, env, times in ways:
            if k >= times:
                continue
            r = run(argv, env, check=False)
            base = base or r
            rows[name].append((r.cpu / base.cpu, r.peak / base.peak, r.cpu,
                               r.peak))
            found[name] = leaks_found(r, name)
            for rest in glob.glob(os.path.join(work, "dump*")) + \
                    glob.glob(os.path.join(work, "heaptrack*")):
                os.unlink(rest)
    print("%-30s %8s %10s %8s %10s %8s" % ("", "CPU", "CPU s", "RSS", "MiB",
                                           "leaks"))
    for name, values in rows.items():
        cpu, peak, seconds, size = (statistics.median(v) for v in zip(*values))
        print("%-30s %8.2f %10.2f %8.2f %10.0f %8s" % (
            name, cpu, seconds, peak, size / 2**20, found[name]), flush=True)
    print()


def stack(opt):
    """A captured stack, and an empty program."""
    exe = os.path.join(work, "unwind")
    objects = [o for floor in ("kmem", "snap") for o in
               glob.glob(os.path.join(common.build, "src", floor, "*.o"))
               if not os.path.basename(o).startswith(("malloc", "preload"))]
    source = os.path.join(common.top, "src")
    subprocess.run(["gcc", "-std=gnu11", "-O2", "-g", "-fomit-frame-pointer",
                    "-I" + source, "-I" + os.path.join(source, "kmem"), "-o",
                    exe, os.path.join(common.top, "tests/bench/unwind.c")] +
                   objects + ["-lpthread"], check=True)
    print("a stack without frame pointers, nanoseconds a call")
    print(run([exe]).text)
    empty = os.path.join(work, "empty")
    subprocess.run(["gcc", "-O2", "-x", "c", "-o", empty, "-"], check=True,
                   input="int main(void) { return 0; }", text=True)
    envs = {"glibc": {}, "libkmem": under(), "libkmem, audited": under(AUDIT)}
    wall = {name: [] for name in envs}
    for _ in range(50 if common.is_quick else 200):
        for name, env in envs.items():
            start = time.monotonic()
            pid = os.posix_spawn(empty, [empty], dict(common.clean, **env))
            os.waitpid(pid, 0)
            wall[name].append((time.monotonic() - start) * 1000)
    print("an empty program, milliseconds")
    for name in envs:
        print("%-22s %8.2f" % (name, statistics.median(wall[name])))
    print(flush=True)

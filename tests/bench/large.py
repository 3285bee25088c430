# SPDX-License-Identifier: GPL-3.0-or-later
"""How the time from opening a dump to the verdict of ::findleaks grows with the
heap, beside LeakSanitizer's check at exit of the same program and beside reading
the dump once; and what is asked after it."""
import os, re, statistics, subprocess, sys
import common
from common import clean, compile_, pmdb, run, under

# VMware chap 2025, load of the same heap of 10^7 buffers under glibc, 2 cores
CHAP_SECONDS = 43


def read_once(path):
    return run(["dd", "if=" + path, "of=/dev/null", "bs=1M"]).wall


def median(fn, rounds):
    results = [fn() for _ in range(rounds)]
    return sorted(results, key=lambda r: r.wall)[len(results) // 2]


def anonymous_peak(dump, nbufs):
    """-> bytes a buffer that pmdb has of its own at most, the mapped dump and
    what it needs to open any dump left out"""
    def peak(commands):
        text = run([pmdb] + commands + [
            "-e", "!cat /proc/$PPID/status", dump], check=False).text
        found = re.search(r"RssAnon:\s*(\d+) kB", text)
        return int(found.group(1)) * 1024 if found else 0
    return (peak(["-e", "::findleaks"]) - peak([])) / nbufs


def later(dump, before, command, rounds):
    """-> seconds of CPU a command takes after others"""
    def spent(*commands):
        args = [a for c in commands for a in ("-e", c)]
        return statistics.median(
            run([pmdb] + args + [dump], check=False).cpu
            for _ in range(rounds))
    return max(0, spent(before, command) - spent(before))


def lsan_check(count, rounds):
    exe = compile_("large", "-fsanitize=leak")
    if not exe:
        return None
    t = [statistics.median(
        run([exe, str(count)], {"LSAN_OPTIONS": "detect_leaks=%d" % on},
            check=False).wall for _ in range(rounds)) for on in (0, 1)]
    return max(0, t[1] - t[0])


def dump_itself(exe, count, dump):
    """A heap of libkmem, dumped by the process -> what leaked"""
    return run([exe, str(count), dump], under()).text.split()


def dump_from_outside(exe, count, dump):
    """A heap of glibc's malloc, with nothing prepared -> what leaked"""
    p = subprocess.Popen([exe, str(count), "-"], env=clean, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    truth = p.stdout.readline().split()
    run([pmdb, "snap", "-p", str(p.pid), "-o", dump])
    p.stdin.close()
    p.wait()
    return truth


def row(name, exe, count, dump, make, lsan, rounds):
    """-> the median run of ::findleaks"""
    truth = make(exe, count, dump)
    read_once(dump)
    once = statistics.median(read_once(dump) for _ in range(rounds))
    r = median(lambda: run([pmdb, "-e", "::findleaks", dump], check=False),
               rounds)
    one = median(lambda: run([pmdb, "-e", "::findleaks", dump],
                             {"PMDB_JOBS": "1"}, check=False), rounds)
    found = re.search(r"Total\s+(\d+) buffer", r.text)
    if not found or found.group(1) != truth[0]:
        sys.exit("bench: %s leaks, pmdb says:\n%s" % (truth[0], r.text))
    print("%-8s %10d %8.0f %10.2f %10.2f %10.2f %10.2f %10s %8.1f" % (
        name, count, os.path.getsize(dump) / 2**20, r.wall, r.cpu, one.wall,
        once, "-" if lsan is None else "%.2f" % lsan,
        anonymous_peak(dump, count)), flush=True)
    return r


def large(opt):
    exe = compile_("large")
    rounds = 1 if common.is_quick else 3
    counts = (10**5, 10**6) if common.is_quick else (10**5, 10**6, 10**7)
    print("a heap of lists, a tree, hash chains and strings: seconds from "
          "opening to the verdict\n")
    print("%-8s %10s %8s %10s %10s %10s %10s %10s %8s" % (
        "heap", "buffers", "MiB", "verdict s", "CPU s", "one thread",
        "read once", "LSan check", "B/buffer"))
    dump = os.path.join(common.work, "dump")
    for count in counts:
        lsan = lsan_check(count, rounds)
        g = row("glibc", exe, count, dump, dump_from_outside, lsan, rounds)
        os.unlink(dump)
        r = row("libkmem", exe, count, dump, dump_itself, lsan, rounds)
    print("\nglibc's of %d: %.0f times as fast as chap loads 10^7 (%d s)" %
          (count, CHAP_SECONDS / g.wall * count / 10**7, CHAP_SECONDS))
    size = os.path.getsize(dump)
    some = re.search(r"^[0-9a-f]{16} +\d+ ([0-9a-f]{16})", r.text, re.M).group(1)
    for name, before, command in (
            ("::whatis, after ::findleaks", "::findleaks ! wc -l",
             some + "::whatis"),
            ("::kgrep of all memory", "::status ! wc -l", "dead4eadbeef::kgrep")):
        took = later(dump, before, command, rounds)
        print("%-34s %8.0f ms   %s" % (
            name, took * 1000, "%.1f GB/s" % (size / took / 1e9)
            if "kgrep" in command and took else ""), flush=True)
    os.unlink(dump)
    print()

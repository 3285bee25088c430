# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of tests/bench/run share: building, running, measuring."""
import os, statistics, subprocess, tempfile

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.path.abspath(os.environ.get("B", os.path.join(top, "build", "gcc")))
work = tempfile.mkdtemp(prefix="pmdb-bench-")
preload = os.path.join(build, "libkmem_preload.so")
pmdb = os.path.join(build, "pmdb")
AUDIT = {"KMEM_DEBUG": "default", "KMEM_LOGGING": "transaction"}
clean = {k: v for k, v in os.environ.items()
         if not k.startswith(("KMEM_", "UMEM_", "LD_"))}
is_quick = False


class Result:
    """What a process cost: CPU and wall in seconds, peak in bytes."""

    def __init__(self, text, measured):
        rc, cpu, wall, peak = measured.split()
        self.text, self.rc = text, int(rc)
        self.cpu, self.wall, self.peak = float(cpu), float(wall), int(peak) * 1024


def compile_(name, *flags, cc="gcc"):
    """-> the path of the program; None: it cannot be built with these flags"""
    out = os.path.join(work, os.path.basename(name) +
                       "".join(f.replace("=", "-") for f in flags))
    if os.path.exists(out):
        return out
    p = subprocess.run([cc, "-std=gnu11", "-O2", "-g", "-fno-builtin-malloc",
                        *flags, "-o", out,
                        os.path.join(top, "tests/bench", name + ".c"),
                        "-lpthread", "-lm"] +
                       (["-lstdc++"] if "-DSIZED" in flags else []),
                       stderr=subprocess.PIPE, text=True)
    if p.returncode:
        if not flags:
            raise SystemExit("bench: cannot build %s: %s" % (name, p.stderr))
        return None
    return out


def start(argv, env=None, timeout=120):
    """Begins a command; end() waits for it"""
    with open(os.path.join(work, "out"), "w") as out, \
            open(os.path.join(work, "err"), "w") as err:
        return subprocess.Popen(
            [compile_("prog/measure"), os.path.join(work, "cost"), str(timeout)] +
            ["%s=%s" % pair for pair in (env or {}).items()] + argv, env=clean,
            cwd=work, stdout=out, stderr=err, stdin=subprocess.DEVNULL)


def end(p, check=True):
    """-> the Result of what start() began; its stderr is in work/err"""
    p.wait()
    text, bad, cost = (open(os.path.join(work, name), errors="replace").read()
                       for name in ("out", "err", "cost"))
    result = Result(text, cost)
    if check and result.rc != 0:
        raise SystemExit("bench: status %d: %s\n%s" %
                         (result.rc, " ".join(p.args), bad))
    return result


def run(argv, env=None, timeout=120, check=True):
    return end(start(argv, env, timeout), check)


def under(env=None):
    return dict({"LD_PRELOAD": preload}, **(env or {}))


def geometric_mean(values):
    return statistics.geometric_mean(values) if values else float("nan")

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What doc/ci says, with the real tools: the files and commands of its page
about test runners, the action of GitHub and the template of GitLab."""
import json, os, re, shutil, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cilib import *
import yaml

LEAKY = """#include <stdlib.h>
void *volatile sink;
int main(void) { sink = malloc(123); sink = NULL; return 0; }
"""
os.mkdir(WORK + "/bin")
os.symlink(PMDB, WORK + "/bin/pmdb")
ENV = dict(os.environ, PATH=WORK + "/bin:" + os.environ["PATH"], LC_ALL="C.UTF-8",
           PYTHONDONTWRITEBYTECODE="1")
for k in [k for k in ENV if k.startswith(("MAKE", "GITHUB", "CI_"))]:
    del ENV[k]
with open(TOP + "/doc/ci/runners.md") as f:
    PAGE = f.read()
plan(25)


def sources(where):
    write(where + "/leaky.c", LEAKY)
    write(where + "/tidy.c", LEAKY.replace("sink = NULL", "free(sink)"))
    return os.path.join(WORK, where)


def section(title):
    """Puts the files of a part of the page where it is tried -> its commands."""
    text = re.search(r"(?ms)^## %s\n(.*?)(?=^## |\Z)" % re.escape(title), PAGE).group(1)
    where, commands = sources(title.split(",")[0]), ""
    for kind, body in re.findall(r"(?ms)^```(\w+)\n(.*?)^```\n", text):
        m = re.match(r"# (\S+\.\w+|Makefile)\n", body)
        if m:
            write(os.path.join(where, m.group(1)), body)
        else:
            commands += body
    return where, commands


def tried(title, passed, failed):
    where, commands = section(title)
    p = run("bash", "-ec", commands, cwd=where, env=ENV)
    out = p.stdout + p.stderr
    ok(p.returncode != 0 and re.search(failed, out), title + ": the leak fails", out[-2500:])
    ok(re.search(passed, out), title + ": what does not leak passes", out[-2500:])
    dumps = [f for d, _, fs in os.walk(where) for f in fs if f.endswith(".core")]
    # pytest's own directory is elsewhere
    ok(title == "pytest" or (len(dumps) == 1 and "leaky" in dumps[0]),
       title + ": the dump of what leaks is kept", dumps)
    ok("1 leak, 123 bytes in 1 buffer" in out, title + ": the verdict is shown",
       out[-2500:])


tried("CMake, ctest", r"Test +#\d: tidy \.+ +Passed", r"Test +#\d: leaky \.+\*\*\*Failed")
tried("Meson", r"tidy +OK", r"leaky +FAIL")
ENV["PATH"] = WORK + "/pybin:" + ENV["PATH"]
write("pybin/pytest", "#!/bin/sh\nexec /usr/bin/python3 -m pytest -p no:cacheprovider \"$@\"\n")
os.chmod(WORK + "/pybin/pytest", 0o755)
tried("pytest", r"1 failed, 1 passed", r"FAILED test_app.py::test_leaky")
tried("make", r"tidy\.\d+\.core: clean", r"make: \*\*\* \[Makefile:\d+: check\] Error 1")

# the action, as a runner of GitHub does it
with open(TOP + "/.github/actions/pmdb-check/action.yml") as f:
    action = yaml.safe_load(f)
step = action["runs"]["steps"][0]
given = re.findall(r"\$\{\{ (.*?) \}\}", json.dumps(action["outputs"]) + json.dumps(step["env"]))
ok(action["runs"]["using"] == "composite" and step["shell"] == "bash" and
   "${{" not in step["run"] and
   {g.split(".", 1)[1] for g in given if g.startswith("inputs.")} == set(action["inputs"]),
   "action: inputs reach the script by its environment only", given)
where = sources("action")
for name in ("tidy", "leaky"):
    run("gcc", "-g", "-o", name, name + ".c", cwd=where)


def act(**inputs):
    """Runs the step -> (status, log, outputs, summary)"""
    env = dict(ENV, GITHUB_OUTPUT=where + "/output", GITHUB_STEP_SUMMARY=where + "/summary",
               GITHUB_WORKSPACE=where, GITHUB_ACTIONS="true")
    for k, v in step["env"].items():
        name = re.fullmatch(r"\$\{\{ inputs\.(.*) \}\}", v).group(1)
        env[k] = inputs.get(name.replace("-", "_"), action["inputs"][name]["default"])
    for f in ("output", "summary"):
        write("action/" + f, "")
    script = write("action/step.sh", step["run"])
    p = run("bash", "--noprofile", "--norc", "-eo", "pipefail", script, cwd=where, env=env)
    with open(where + "/output") as f, open(where + "/summary") as g:
        return (p.returncode, p.stdout + p.stderr,
                dict(l.split("=", 1) for l in f.read().splitlines()), g.read())


rc, log, out, summary = act(command="./tidy && ./leaky")
ok(rc == 1 and out == {"status": "1", "leaks": "1", "sarif": "pmdb-report/pmdb.sarif"} and
   re.search(r"^::error file=leaky\.c,line=3,title=pmdb%3A leak::", log, re.M) and
   summary.startswith("### pmdb check: findings"), "action: a command that leaks",
   (rc, out, log[-1500:], summary[:200]))
ok(all(os.path.getsize(where + "/pmdb-report/" + f) for f in
       ("pmdb.sarif", "pmdb-junit.xml", "pmdb.json", "pmdb.txt")) and
   len(os.listdir(where + "/pmdb-report/dumps")) == 1, "action: its report", os.listdir(where))
rc, log, out, summary = act(command="./tidy")
ok(rc == 0 and out["leaks"] == "0" and "::error" not in log, "action: one that does not",
   (rc, out, log))
rc, log, out, summary = act(dumps="pmdb-report/dumps/*.core", options="--min-bytes\n1K")
ok(rc == 0 and out["status"] == "0", "action: dumps, and more options", (rc, out, log))
rc, log, out, summary = act(dumps="none/*.core")
ok(rc == 3 and out["status"] == "3", "action: no dump is no verdict", (rc, out, log))
p = run("shellcheck", "-s", "bash", where + "/step.sh")
ok(p.returncode == 0, "action: its script", p.stdout)

# the template, as GitLab's runner does it
with open(TOP + "/doc/ci/gitlab-ci.yml") as f:
    job = yaml.safe_load(f)[".pmdb-check"]
where = sources("gitlab")
for name in ("tidy", "leaky"):
    run("gcc", "-g", "-o", name, name + ".c", cwd=where)
p = run("bash", "-eo", "pipefail", "-c", "\n".join(job["script"]), cwd=where,
        env=dict(ENV, **dict(job["variables"], PMDB_COMMAND="./tidy; ./leaky"),
                 CI_PROJECT_DIR=where))
with open(where + "/pmdb-report/gl-code-quality.json") as f:
    quality = json.load(f)
ok(p.returncode == 1 and [e["location"] for e in quality] ==
   [{"path": "leaky.c", "lines": {"begin": 3}}], "template: code quality", (p.stderr, quality))
ok(set(job["artifacts"]["reports"].values()) ==
   {"$PMDB_REPORT/pmdb-junit.xml", "$PMDB_REPORT/gl-code-quality.json"} and
   os.path.getsize(where + "/pmdb-report/pmdb-junit.xml"), "template: its reports are there",
   os.listdir(where + "/pmdb-report"))

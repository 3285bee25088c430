#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every format of pmdb check, by readers we did not write: SARIF by its schema,
JUnit by Jenkins' schema and Python's XML, GitLab's report by what its manual
asks for, the summary by GitHub's Markdown.  They say what the JSON says."""
import json, os, re, sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cilib import *
import jsonschema

DATA = os.path.join(TOP, "tests/ci/data")
FORMATS = ("sarif", "junit", "github", "gitlab", "markdown")
# a name that each format must escape, and more leaks than are annotated
SOURCE = """#include <stdlib.h>
void *volatile sink;
struct node { struct node *next; void *data; };
template <class T> struct box { T *get(int n) { return (T *)malloc(n * sizeof(T)); } };
extern "C" __attribute__((noinline)) void lose(int n) { sink = malloc(n); sink = 0; }
__attribute__((noinline)) void chain(void)
{
	struct node *p = new node;
	p->next = (struct node *)calloc(1, 100);
	sink = p; sink = 0; p = 0;
}
__attribute__((noinline)) void boxed(void) { sink = box<char>().get(33); sink = 0; }
%s
int main(void)
{
	chain(); boxed();
	%s
	return 0;
}
"""
NMANY = 12
many = "".join("__attribute__((noinline)) void many%d(void) { lose(%d); __asm__(\"\"); }\n" % (i, 50 + i)
               for i in range(NMANY))
write("src dir/leaky.cc", SOURCE % (many, " ".join("many%d();" % i for i in range(NMANY))))
compile_c("leaky", "-O1", "src dir/leaky.cc", cc="g++")
plan(45)


def sarif_errors(doc):
    with open(DATA + "/sarif-2.1.0-rtm.5.json") as f:
        schema = json.load(f)
    return ["%s %s" % (list(e.path), e.message[:200])
            for e in jsonschema.Draft4Validator(schema).iter_errors(doc)]


def github_errors(doc):
    """what GitHub asks for beyond the schema"""
    bad, uris = [], set()
    for run_ in doc["runs"]:
        for r in run_["tool"]["driver"]["rules"]:
            bad += [k for k in ("shortDescription", "fullDescription", "help")
                    if not r.get(k, {}).get("text")]
        for r in run_["results"]:
            p = r["locations"][0]["physicalLocation"]
            if not p["artifactLocation"]["uri"] or p["region"]["startLine"] < 1:
                bad.append("locations")
            if not r["partialFingerprints"]["primaryLocationLineHash"]:
                bad.append("primaryLocationLineHash")
            if run_["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] != r["ruleId"]:
                bad.append("ruleIndex")
        uris |= set(re.findall(r'"uri": "([^"]*)"', json.dumps(run_["results"])))
    return bad + [u for u in uris if u.startswith("/") or ":" in u or " " in u]


def of(*dumps, args=()):
    """each format, written at once -> texts"""
    outs = [x for f in FORMATS for x in ("--format", "%s=out.%s" % (f, f))]
    p = run(PMDB, "check", *outs, "--format", "json", *args, *dumps, cwd=WORK)
    texts = {}
    for f in FORMATS:
        with open(os.path.join(WORK, "out." + f)) as out:
            texts[f] = out.read()
    return p.returncode, [json.loads(l) for l in p.stdout.splitlines()], texts


def escape_of(command):
    """::error k=v,...::text -> properties, text, as actions/runner reads it"""
    m = re.fullmatch(r"::error ([^:]*)::(.*)", command)
    un = lambda s: s.replace("%0D", "\r").replace("%0A", "\n").replace(
        "%3A", ":").replace("%2C", ",").replace("%25", "%")
    return dict((k, un(v)) for k, v in (p.split("=", 1) for p in
                                        m.group(1).split(","))), un(m.group(2))


class Cells(HTMLParser):
    """the table and the preformatted text of a page"""

    def __init__(self, html):
        super().__init__()
        self.rows, self.pre, self.tags, self.is_cell = [], "", [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.is_cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.is_cell = False

    def handle_data(self, data):
        if "pre" in self.tags and "table" in self.tags:
            self.pre += data
        if self.is_cell:
            self.rows[-1][-1] += data


leaky = dump([os.path.join(WORK, "leaky")], "leaky")
clean, broken, panic = fixture("clean"), fixture("overrun_live"), fixture("double_free")
misuse = fixture("misuse", ["new_free"])
cut = os.path.join(WORK, "cut.core")
with open(leaky, "rb") as f, open(cut, "wb") as g:
    g.write(f.read()[:150000])

for name, dumps, want in (("leaks", [leaky], 1), ("clean", [clean], 0),
                          ("corruption", [broken], 1), ("panic", [panic], 1),
                          ("mismatch", [misuse], 1), ("no verdict", [cut], 3),
                          ("all", [leaky, clean, broken, cut], 3)):
    rc, verdicts, text = of(*dumps)
    items = [i for v in verdicts for k in ("leaks", "corruption", "mismatches")
             for i in v[k]]
    prints = sorted(i["fingerprint"] for i in items)
    sarif = json.loads(text["sarif"])
    ok(rc == want and not sarif_errors(sarif) and not github_errors(sarif),
       name + ": SARIF is valid", sarif_errors(sarif) + github_errors(sarif))
    got = sorted(r["partialFingerprints"]["pmdbStackHash/v1"]
                 for r in sarif["runs"][0]["results"])
    ok(got == prints and sarif["runs"][0]["invocations"][0]
       ["executionSuccessful"] == (want < 3), name + ": SARIF has each finding",
       (got, prints))
    p = run("xmllint", "--noout", "--schema", DATA + "/jenkins-junit.xsd",
            WORK + "/out.junit")
    root = ET.fromstring(text["junit"])
    cases = root.findall(".//testcase")
    ok(p.returncode == 0 and len(root.findall("testsuite")) == len(dumps) and
       int(root.get("tests")) == len(cases) and
       int(root.get("failures")) == len(root.findall(".//failure")) and
       int(root.get("errors")) == len(root.findall(".//error")) ==
       sum(v["status"] == "no-verdict" for v in verdicts),
       name + ": JUnit is valid, and counts", p.stderr + text["junit"][:500])
    names = [c.get("name") for c in cases if c.find("failure") is not None]
    got = sorted(re.search(r"\[(\w{16})\]$", n).group(1) for n in names)
    ok(got == prints and [c for c in cases if c.find("failure") is None],
       name + ": JUnit has each finding, and what passed", names)
    with open(DATA + "/gitlab-codequality.json") as f:
        bad = [e.message for e in jsonschema.Draft7Validator(
            json.load(f)).iter_errors(json.loads(text["gitlab"]))]
    got = sorted(e["fingerprint"] for e in json.loads(text["gitlab"]))
    ok(not bad and got == prints, name + ": GitLab's report", bad)

# the one with many leaks, in detail
rc, (v,), text = of(leaky)
results = json.loads(text["sarif"])["runs"][0]["results"]
r = [r for r in results if r["properties"]["bytes"] == 33][0]
ok(r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] ==
   "src%20dir/leaky.cc" and "box<char>::get" in json.dumps(r["stacks"]) and
   r["codeFlows"][0]["threadFlows"][0]["locations"][-1]["location"]["message"]
   ["text"].startswith("box<char>::get"), "SARIF: place, stack and flow",
   json.dumps(r, indent=1)[:1500])
lines = text["github"].splitlines()
ok(len(lines) == 10 and all(l.startswith("::error ") for l in lines) and
   "%d more findings" % (len(v["leaks"]) - 9) in lines[-1],
   "GitHub: ten annotations, the last says how many more there are", lines)
props, words = escape_of(lines[0])
ok(props["file"] == "src dir/leaky.cc" and int(props["line"]) > 0 and
   props["title"] == "pmdb: leak" and "\n#0 " in words and
   v["leaks"][0]["fingerprint"] in words, "GitHub: an annotation", (props, words))
p = run("cmark-gfm", "-e", "table", "--unsafe", WORK + "/out.markdown")
page = Cells(p.stdout)
ok(p.returncode == 0 and len(page.rows) == 1 + len(v["leaks"]) and
   all(len(r) == 5 for r in page.rows) and
   [int(r[0]) for r in page.rows[1:]] == [g["bytes"] for g in v["leaks"]] and
   [r[4] for r in page.rows[1:]] == [g["fingerprint"] for g in v["leaks"]],
   "Markdown: a table as GitHub reads it", page.rows[:4])
ok([r for r in page.rows if r[3].startswith("box<char>::get(int) src dir/leaky.cc:")]
   and "box<char>::get(int)" in page.pre and "box" not in page.tags,
   "Markdown: names are text", (page.rows[:5], page.pre[:300]))
with open(WORK + "/summary", "w") as f:
    f.write("begun\n")
check("--format", "markdown=" + WORK + "/summary", leaky,
      env=dict(os.environ, GITHUB_STEP_SUMMARY=WORK + "/summary"))
with open(WORK + "/summary") as f:
    s = f.read()
ok(s.startswith("begun\n### pmdb check: findings"), "GitHub's summary is continued",
   s[:200])
# roots: found by the service, or named
rc, out, err = check("--format", "gitlab", leaky, cwd="/",
                     env=dict(os.environ, CI_PROJECT_DIR=WORK + "/src dir"))
ok({e["location"]["path"] for e in json.loads(out)} == {"leaky.cc"},
   "the root of GitLab's job", out[:300])
rc, out, err = check("--source-root", WORK, "--fail-on", "leaks", leaky, cwd="/")
ok(re.search(r" in chain\(\) src dir/leaky\.cc:\d+\n", out),
   "--source-root is for text, too", out[:600])
# the schema can say no
bad = json.loads(text["sarif"])
bad["runs"][0]["results"][0]["level"] = "terrible"
ok(sarif_errors(bad), "a level there is not is refused")
with open(WORK + "/bad.junit", "w") as f:
    f.write(text["junit"].replace("<testcase ", "<testcase file=\"x\" ", 1))
ok(run("xmllint", "--noout", "--schema", DATA + "/jenkins-junit.xsd",
       WORK + "/bad.junit").returncode != 0, "an attribute there is not is refused")

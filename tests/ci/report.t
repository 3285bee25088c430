#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmdb report: what the page says, in the browser that people look at it with,
against what the program knows of itself; and dumps that want to do harm."""
import os, re, shutil, subprocess, sys
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.environ["TOP"], "tests", "truth")]
import html5lib
import truthlib as T
from browser import Browser
from cilib import B, PMDB, WORK, run, write

ok = T.ok


def report(dump, name):
    path = os.path.join(WORK, name + ".html")
    p = run(PMDB, "report", "-o", path, dump)
    ok(p.returncode == 0 and not p.stdout and not p.stderr,
       name + ": written without a word", p)
    try:
        with open(path, "rb") as f:
            html5lib.HTMLParser(strict=True).parse(f)
        bad = ""
    except html5lib.html5parser.ParseError as e:
        bad = repr(e)
    ok(not bad, name + ": valid HTML", bad)
    return path


def build(name, text, *args):
    exe = os.path.join(WORK, name)
    src = write("prog.c", text)
    subprocess.run(["gcc", "-o", exe, src, *args], check=True)
    return exe


# a function, a program, its arguments and a cache that are script
EVIL = "<script>window.hacked=1</script>"
HOSTILE = r"""
#include <stdlib.h>
#include <string.h>
void *evil(int n) __asm__("\"%s\"");
__attribute__((noinline)) void *evil(int n)
{
	void *p = malloc(n);
	memset(p, 1, n);
	return p;
}
int main(void)
{
	for (int i = 0; i < 5; i++)
		if (!evil(200 + i))
			return 1;
	return 0;
}
""" % EVIL

# of the bits of a number, a stack
LONG = r"""
#include <stdlib.h>
#define NAME(x) __asm__("%s" x)
static void *a(int n, int d) NAME("_a");
static void *b(int n, int d) NAME("_b");
#define F(f, g)                                                       \
	__attribute__((noinline)) static void *f(int n, int d)        \
	{                                                             \
		void *p = !d ? malloc(64) : n & 1 ? f(n / 2, d - 1)   \
						  : g(n / 2, d - 1);  \
		__asm__ volatile("" ::: "memory");                    \
		return p;                                             \
	}
F(a, b)
F(b, a)
int main(void)
{
	for (int n = 0; n < 1024; n++)
		if (!a(n, 10))
			return 1;
	return 0;
}
""" % ("long_" * 300)

# the contrast of every text with what is behind it, the least first
CONTRAST = r"""
(function () {
	function parse(c) {
		const m = c.match(/[\d.]+/g).map(Number);
		return m.length < 4 ? m.concat(1) : m;
	}
	function light(c) {
		const v = c.slice(0, 3).map(function (x) {
			x /= 255;
			return x <= 0.03928 ? x / 12.92 :
				Math.pow((x + 0.055) / 1.055, 2.4);
		});
		return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2];
	}
	function behind(e) {
		for (; e; e = e.parentElement) {
			const r = e.tagName === "svg" ?
				e.querySelector(":scope > rect") : null;
			const c = parse(r ? getComputedStyle(r).fill :
				getComputedStyle(e).backgroundColor);
			if (c[3] > 0)
				return c;
		}
		return [255, 255, 255, 1];
	}
	document.querySelectorAll("details").forEach(d => d.open = true);
	const out = [];
	document.querySelectorAll("body *").forEach(function (e) {
		const own = Array.from(e.childNodes).some(n =>
			n.nodeType === 3 && n.data.trim());
		if (!own || e.tagName === "SCRIPT" || e.tagName === "title" ||
		    !e.getClientRects().length)
			return;
		const s = getComputedStyle(e);
		const a = light(parse(e.tagName === "text" ? s.fill : s.color));
		const b = light(behind(e));
		out.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05),
			  e.tagName + "." + e.getAttribute("class") + " " +
			  e.textContent.slice(0, 40)]);
	});
	return out.sort((x, y) => x[0] - y[0]);
})()
"""

T.plan(45)
browser = Browser(WORK)
try:
    # ---- what it says
    r = T.run("leak_groups")
    t = r.truth()
    page = report(r.dump, "leaks")
    browser.open(page)
    ok(not browser.troubles(), "no errors, and nothing is asked for",
       "\n".join(browser.troubles()))
    items = browser.eval("""Array.from(document.querySelectorAll(
        "#leak-list .item")).map(e => [+e.querySelector("dd").textContent
        .replaceAll(",", ""), Array.from(e.querySelectorAll(".stack code"))
        .map(c => c.textContent)])""")
    want, got = {}, {}
    for addr, (size, group) in t.leak.items():
        want[t.stack[addr]] = want.get(t.stack[addr], 0) + size
    for size, names in items:
        for name in set(names) & set(want):
            got[name] = got.get(name, 0) + size
    ok(got == want, "leaks: the bytes of each function", (got, want))
    sizes = [size for size, names in items]
    ok(len(sizes) > 1 and sizes == sorted(sizes)[::-1],
       "leaks: most bytes first", sizes)
    got = browser.eval("""Array.from(document.querySelectorAll("#sites tbody tr"
        )).reduce((n, r) => n + +r.cells[2].dataset.v, 0)""")
    live = run(PMDB, "-q", "-e", "::walk kmem", r.dump).stdout.split()
    total = run(PMDB, "export", "-f", "csv", r.dump).stdout.splitlines()
    nbufs = browser.eval("""Array.from(document.querySelectorAll(
        "#sites tbody tr")).reduce((n, r) => n + +r.cells[1].dataset.v, 0)""")
    ok(nbufs == len(live) and got >= sum(want.values()) and len(total) > 1,
       "call sites: every live buffer", (nbufs, len(live), got))
    got = browser.eval("""["sizes", "lifetimes"].map(id => Array.from(
        document.querySelectorAll("#" + id + " tbody tr")).reduce((n, r) => n +
        +r.cells[id === "sizes" ? 1 : 3].dataset.v, 0))""")
    ok(got == [len(live)] * 2, "every live buffer has a size and an age", got)
    got = browser.eval("""Array.from(document.querySelectorAll(
        "#times tbody tr")).map(r => +r.cells[2].dataset.v)""")
    ok(got[-1] == len(live) and got == sorted(got) and got[0] < got[-1],
       "time: from few buffers to those that live", got)
    ok(browser.eval("document.querySelector('.verdict').className") ==
       "verdict bad", "the verdict is on top")

    # ---- what it does
    heads = "document.querySelectorAll('#caches thead button')"
    column = """Array.from(document.querySelector('#caches').tBodies[0].rows)
        .map(r => r.cells[%d].dataset.v === undefined ?
             r.cells[%d].textContent : +r.cells[%d].dataset.v)"""
    for i, down in ((8, True), (8, False), (0, False)):
        browser.eval(heads + "[%d].click()" % i)
        got = browser.eval(column % (i, i, i))
        sort = browser.eval(heads + "[%d].parentNode.ariaSort" % i)
        ok(len(got) > 3 and got == sorted(got, reverse=down) and
           sort == ("descending" if down else "ascending"),
           "caches: column %d sorts %s" % (i, sort), got)
    browser.eval("document.querySelector('#caches-section input').focus()")
    for c in "alloc_2":
        browser.key(c, c)
    got = browser.eval("""Array.from(document.querySelectorAll(
        '#caches tbody tr')).map(r => [!r.hidden, r.textContent])""")
    told = browser.eval("document.querySelector('#caches-section .told')"
                        ".textContent")
    n = sum("alloc_2" in x for v, x in got)
    ok(n and n < len(got) and all(v == ("alloc_2" in x) for v, x in got) and
       told == "%d of %d" % (n, len(got)), "caches: search", (told, got))
    browser.eval("document.querySelector('#leak-list summary').focus()")
    browser.key("Enter", "\r")
    ok(browser.eval("document.querySelector('#leak-list details').open && "
                    "document.querySelector('#leak-list .stack')"
                    ".offsetHeight > 0"), "leaks: a key opens a stack")

    node = """Array.from(document.querySelectorAll('#flame > svg')).find(
        e => e.querySelector('text').textContent === '%s')"""
    name = sorted(want)[0]
    before = browser.eval((node % name) + ".getAttribute('width')")
    at = browser.eval("""(function (e) {
        e.scrollIntoView({block: 'center'});
        const b = e.getBoundingClientRect();
        return [b.x + 3, b.y + 5]; })(%s)""" % (node % name))
    browser.mouse("mousePressed", *at)
    browser.mouse("mouseReleased", *at)
    ok(before != "100%" and
       browser.eval((node % name) + ".getAttribute('width')") == "100%",
       "flame graph: a click zooms", before)
    browser.eval((node % name) + ".focus()")
    browser.key("Escape")
    ok(browser.eval("parseFloat(%s.getAttribute('width'))" % (node % name)) ==
       float(before[:-1]), "flame graph: Escape shows all again")
    browser.eval("document.querySelector('#flame > svg').focus()")
    browser.key("ArrowDown")
    ok(browser.eval("document.activeElement.ariaLabel").startswith("_start: "),
       "flame graph: arrow keys go down the callers",
       browser.eval("document.activeElement.ariaLabel"))
    at = browser.eval("""(function (e) {
        e.scrollIntoView({block: 'center'});
        const p = e.querySelector('.l8, .l7, .l6, .l5, .l4, .l3, .l2, .l1');
        const all = Array.from(e.querySelectorAll('path')).filter(
            x => x.getAttribute('d'));
        const m = all[all.length - 1].getAttribute('d')
            .match(/^M(\\d+) (\\d+)/);
        const q = new DOMPoint(+m[1] + 3, +m[2] + 3).matrixTransform(
            e.getScreenCTM());
        return [q.x, q.y]; })(document.getElementById('map'))""")
    browser.mouse("mouseMoved", *at)
    got = browser.eval("document.getElementById('map-readout').textContent")
    ok(re.fullmatch(r"[0-9a-f]+: [1-9]\d* % allocated", got),
       "map: a cell says where it is", got)

    # ---- for everybody
    for scheme in "light", "dark":
        browser.scheme(scheme)
        got = browser.eval(CONTRAST)
        ok(len(got) > 100 and got[0][0] >= 4.5, scheme + ": contrast",
           got[:5])
    for width in 400, 1200, 2000:
        browser.width(width)
        got = browser.eval("document.scrollingElement.scrollWidth")
        ok(got <= width, "%d pixels: nothing sticks out" % width, got)
    bad = [n["role"]["value"] for n in
           browser.call("Accessibility.getFullAXTree")["nodes"]
           if not n["ignored"] and n["role"]["value"] in
           ("button", "searchbox", "textbox", "table", "region", "image",
            "DisclosureTriangle", "columnheader", "link")
           and not n.get("name", {}).get("value")]
    ok(not bad, "whatever has a role has a name", bad)
    ok(browser.eval("""Array.from(document.querySelectorAll('th')).every(
        e => e.scope) && Array.from(document.querySelectorAll('table')).every(
        e => e.caption)"""), "tables: scopes and captions")

    # ---- without a script
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    got = browser.eval("""[document.querySelectorAll('button, input').length,
        document.querySelector('#caches tbody').innerText.length,
        document.querySelectorAll('#leak-list details').length,
        document.querySelector('#flame').getBBox().height]""")
    ok(got[0] == 0 and got[1] > 100 and got[2] == len(items) and got[3] > 50,
       "without a script: tables, leaks and flames", got)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)

    # ---- damage
    r = T.run("overrun_live")
    page = report(r.dump, "damage")
    story = run(PMDB, "-q", "-e", "::kmem_verify -v", r.dump).stdout
    heads = [x for x in story.splitlines() if x and x[0] not in " \t"]
    browser.open(page)
    got = browser.eval("""Array.from(document.querySelectorAll(
        '#damage details')).map(d => [d.querySelector('summary').textContent,
        d.querySelector('pre').textContent])""")
    told = [h.removeprefix("damage ") + "\n" + p for h, p in got]
    ok(heads and "".join(told) == story, "damage: its whole story", told[:1])

    # ---- a dump that wants to do harm
    exe = build("'\"><i id=evil>&", HOSTILE)
    dump = os.path.join(WORK, "<b id=evil>.core")
    run(PMDB, "run", "-o", dump, "--", exe, EVIL, "\x1b[31m\u202e]]>")
    with open(dump, "rb") as f:
        data = f.read()
    changed = data.replace(b"kmem_alloc_224\0", b"<p id=evil>'\"&\0")
    with open(dump, "wb") as f:
        f.write(changed)
    page = report(dump, "hostile")
    browser.open(page)
    got = browser.eval("""[window.hacked, document.querySelectorAll(
        '#evil').length, document.scripts.length]""")
    text = browser.eval("document.body.textContent")
    ok(got == [None, 0, 1] or got == [0, 0, 1], "hostile: text stays text", got)
    ok(changed != data and EVIL in text and "<p id=evil>'\"&" in text and
       "<b id=evil>" in text and "\u202e" not in text and "\x1b" not in text,
       "hostile: and is shown")
    ok(not browser.troubles(), "hostile: no errors", browser.troubles())
    # and if something slipped through, it would not run
    with open(page) as f:
        html = f.read()
    write("slipped.html", html.replace("<main>", "<main>" + EVIL +
                                       "<img src=x onerror='hacked=1'>"))
    browser.open(os.path.join(WORK, "slipped.html"))
    ok(not browser.eval("window.hacked") and
       any("Content Security Policy" in x for x in browser.troubles()),
       "hostile: the policy forbids other scripts")

    # ---- names of any length, in a thousand stacks
    dump = os.path.join(WORK, "long.core")
    run(PMDB, "run", "-o", dump, "--", build("long", LONG))
    page = report(dump, "long")
    browser.open(page)
    got = browser.eval("Array.from(document.querySelectorAll('.note')).map("
                       "e => e.textContent)")
    ok(os.path.getsize(page) < 5000000 and not browser.troubles() and
       sum("more group" in x or "more call sites" in x for x in got) == 2,
       "long: less than 5 MB, and what is left out is said",
       (os.path.getsize(page), got))

    # ---- a heap of another allocator
    exe = build("plain", HOSTILE.replace("return 0;",
                                         "return system(\"echo; cat\");"))
    p = subprocess.Popen([exe], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdout.readline()
    dump = os.path.join(WORK, "plain.core")
    run(PMDB, "snap", "-p", str(p.pid), "-o", dump)
    p.stdin.close()
    p.wait()
    page = os.path.join(WORK, "plain.html")
    q = run(PMDB, "report", "-o", page, dump)
    browser.open(page)
    ok(q.returncode == 0 and not browser.troubles() and
       "No stacks were recorded" in browser.eval("document.body.textContent"),
       "glibc: a report without stacks, which says so", q)
    got = browser.eval(column % (8, 8, 8))
    ok(got and set(got) == {-1}, "glibc: what it does not count is not 0", got)
finally:
    browser.close()

# ---- what cannot be
out = os.path.join(WORK, "none.html")
for args, status, words in (
        ((r.dump,), 2, "-o FILE is missing"),
        (("-o", out, r.dump, r.dump), 2, "one dump"),
        (("-o", out, WORK + "/absent"), 3, "No such file"),
        (("-o", "/dev/full", r.dump), 3, "No space left"),
        (("-o", WORK + "/absent/x.html", r.dump), 3, "No such file")):
    p = run(PMDB, "report", *args)
    ok(p.returncode == status and words in p.stderr and not p.stdout and
       p.stderr.count("\n") == 1 and not os.path.exists(out),
       "status %d: %s" % (status, words), p)

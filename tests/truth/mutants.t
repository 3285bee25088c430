#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every list, hash and table of the allocator, cut, tied into a ring, crossed
with another of its kind, and pointing nowhere: each mutant of a dump is told to
be damaged, what does not hang on the damage is shown, and it all ends.

Of every other place one mutation is made, in turn, and commands are asked of
each fourth; --all (mutants.long) makes and asks all.  TRUTH_MUTANTS=WORD
chooses.  What cannot be told is left out (not_): the head of a list of maps or
waiters that is cut is an empty list."""
import json, os, re, subprocess, sys
sys.path.insert(0, os.path.join(os.environ["TOP"], "tests/truth"))
from damage import PMDB, Dump, commands, run
from truthlib import fixture, ok, plan
WORK = os.environ["WORK"]
ALL = sys.argv[1:] == ["--all"]
ONLY = os.environ.get("TRUTH_MUTANTS", "")

MEMBERS = """kmem_cache_t.cache_next kmem_cache_t.cache_prev
kmem_cache_t.cache_complete_slabs kmem_cache_t.cache_partial_slabs
kmem_cache_t.cache_hash_table kmem_cache_t.cache_hash_mask
kmem_cache_t.cache_magtype kmem_cache_t.cache_arena
kmem_cache_t.cache_full.ml_list kmem_cache_t.cache_empty.ml_list
kmem_cache_t.cache_cpu[0] kmem_cache_t.cache_cpu[1]
kmem_cpu_cache_t.cc_loaded kmem_cpu_cache_t.cc_ploaded
kmem_cpu_cache_t.cc_rounds kmem_cpu_cache_t.cc_prounds
kmem_magazine_t.mag_next kmem_magazine_t.mag_round[0]
kmem_slab_t.slab_next kmem_slab_t.slab_prev kmem_slab_t.slab_head
kmem_slab_t.slab_cache kmem_slab_t.slab_base
kmem_bufctl_audit_t.bc_next kmem_bufctl_audit_t.bc_addr
kmem_bufctl_audit_t.bc_slab kmem_bufctl_audit_t.bc_cache
kmem_bufctl_audit_t.bc_lastlog
kmem_thread_t.th_next kmem_thread_t.th_bin[0] kmem_thread_t.th_bin[1]
kmem_thread_t.th_round[0] kmem_thread_bin_t.tb_rounds
kmem_thread_bin_t.tb_cache kmem_thread_bin_t.tb_first
vmem_t.vm_next vmem_t.vm_source vmem_t.vm_segfree vmem_t.vm_hash_table
vmem_t.vm_hash_mask vmem_t.vm_seg0 vmem_t.vm_waiters vmem_t.vm_freelist[0]
vmem_t.vm_freelist[1]
vmem_seg_t.vs_anext vmem_seg_t.vs_aprev vmem_seg_t.vs_knext
vmem_seg_t.vs_kprev vmem_seg_t.vs_type vmem_seg_t.vs_start vmem_seg_t.vs_end
kmem_log_header_t.lh_base kmem_log_header_t.lh_free
kmem_log_header_t.lh_cpu[0] kmem_cpu_log_header_t.clh_current
kmem_stackdepot_t.sd_chunk[0] kmem_stackdepot_t.sd_hash
kmem_stack_t.st_next kmem_stack_t.st_depth
kmem_waiter_t.kw_next kmem_waiter_t.kw_cache
map.m_next map.m_nused map.m_map[0] map.m_map[1]
mapent.m_addr mapent.m_size
kmem_mismatch_log_t.mml_pair[0] kmem_mismatch_log_t.mml_pair[1]
kmem_mismatch_t.mm_alloc kmem_mismatch_t.mm_count
kmem_bufctl_audit_t.bc_stack
kmem_mismatch_t.mm_free""".split()
LOGS = ["kmem_%s_log" % w for w in
        ("transaction", "content", "failure", "slab", "zerosized")]
SYMBOLS = LOGS + """kmem_null_cache kmem_threads kmem_stackdepot kmem_waiters
kmem_rmaps kmem_mismatch_log vmem_list vmem_heap kmem_default_arena
kmem_oversize_arena main""".split()
COMMANDS = """::kmastat
::kmem_cache
::walk kmem_cache | ::kmem_slabs -v
::walk bufctl | ::bufctl -v
::walk freectl | ::bufctl -h
::walk freemem_constructed
::walk kmem_cache | ::walk kmem_hash
::walk kmem_cache | ::walk kmem_slab_partial
::walk kmem_cache | ::walk kmem_cpu_cache
::kmem_log
::kmalog
::kmalog fail
::kmalog slab
::kmalog zerosized
::kmalog mismatch
::vmem
::walk vmem_postfix
::walk vmem | ::walk vmem_seg | ::vmem_seg -v
::findleaks -dv
::kmem_states
::walk kmem | ::head -3 | ::path
::walk kmem | ::head -3 | ::refs
::walk kmem | ::head -3 | ::whatis -a
::walk kmem | ::head -3 | ::history
::retained
::kmem_verify
::kmem_verify -v
::kmausers -ef
::kmem_waiters -v
::rmap
::rmap | ::rmap
::findlocks
::heapmap
::typegraph
::typestat
::findfalse
::kmem_malloc_dist
::kmem_status
::churn
::lifetimes
::replay -n 5
::kmastat
::kmem_states
::status""".splitlines()


class Site:
    """A place: name, where, its element's own address, another of its kind."""

    def __init__(self, name, at, own, other=None, hurts=(), size=8, not_=()):
        self.name, self.at, self.own, self.other = name, at, own, other
        self.hurts, self.size, self.not_ = set(hurts), size, not_

    def mutations(self, d):
        old = int.from_bytes(
            d.image[d.where(self.at):d.where(self.at) + self.size], "little")
        made = [("cut", 0), ("ring", self.own), ("crossed", self.other),
                ("unmapped", 0x10), ("misaligned", old + 4),
                ("text", d.symbols["main"] & -8)]
        return [(self.name + " " + kind, self, value) for kind, value in made
                if value is not None and value != old and
                kind not in self.not_]


def caches(d):
    rows = commands(d.path, ["::walk kmem_cache | ::print -d kmem_cache_t "
                             "cache_name ! sed -n 's/.*\"\\(.*\\)\".*/\\1/p'"])
    names = rows[1].split()
    return dict(zip(names, d.walk("::walk kmem_cache")))


def sites(d, is_audited):
    """Every place of one dump."""
    o, s = d.offsets, d.symbols
    found = []
    cp = caches(d)
    small, large = cp["fix_small"], cp["fix_large"]
    class40 = cp["kmem_alloc_48" if not is_audited else "kmem_alloc_40"
                 if "kmem_alloc_40" in cp else "kmem_alloc_48"]

    def add(name, elem, member, other=None, hurts=(), size=8, not_=()):
        found.append(Site(name, elem + o[member], elem, other, hurts, size,
                          not_))

    def sym(name, other=None, hurts=(), not_=()):
        at = s[name]
        found.append(Site(name, at, at, other, hurts, 8, not_))

    # caches, slabs
    add("cache_next", small, "kmem_cache_t.cache_next", class40, ["*"])
    add("cache_prev", small, "kmem_cache_t.cache_prev", class40)
    found.append(Site("kmem_null_cache", s["kmem_null_cache"] +
                      o["kmem_cache_t.cache_next"], s["kmem_null_cache"],
                      small, ["*"]))
    add("cache_complete_slabs", small, "kmem_cache_t.cache_complete_slabs",
        d.get(large, "kmem_cache_t.cache_complete_slabs"), ["fix_small"])
    add("cache_partial_slabs", large, "kmem_cache_t.cache_partial_slabs",
        d.get(small, "kmem_cache_t.cache_complete_slabs"), ["fix_large"])
    add("cache_arena", small, "kmem_cache_t.cache_arena", s["main"] & 0,
        ["fix_small"])
    slab = d.get(small, "kmem_cache_t.cache_complete_slabs")
    other_slab = d.get(large, "kmem_cache_t.cache_complete_slabs")
    add("slab_next", slab, "kmem_slab_t.slab_next", other_slab, ["fix_small"])
    add("slab_prev", d.get(slab, "kmem_slab_t.slab_next"),
        "kmem_slab_t.slab_prev", other_slab)
    add("slab_cache", slab, "kmem_slab_t.slab_cache", large, ["fix_small"])
    add("slab_base", slab, "kmem_slab_t.slab_base",
        d.get(other_slab, "kmem_slab_t.slab_base"), ["fix_small", "fix_large"])
    partial = d.get(large, "kmem_cache_t.cache_partial_slabs")
    add("slab_head", partial, "kmem_slab_t.slab_head",
        d.get(d.get(partial, "kmem_slab_t.slab_next"),
              "kmem_slab_t.slab_head") if
        d.get(partial, "kmem_slab_t.slab_next") else None, ["fix_large"])
    head = d.get(partial, "kmem_slab_t.slab_head")
    # bufctls: of the hash table, and free; of raw slabs the word in a buffer
    table = d.get(large, "kmem_cache_t.cache_hash_table")
    mask = d.get(large, "kmem_cache_t.cache_hash_mask")
    slots = [table + 8 * i for i in range(mask + 1) if d.word(table + 8 * i)]
    add("cache_hash_table", large, "kmem_cache_t.cache_hash_table", slab,
        ["fix_large"])
    found.append(Site("hash slot", slots[0], slots[0], d.word(slots[1]),
                      ["fix_large"]))
    ctl = d.word(slots[0])
    for m in ("next", "addr", "slab") + (("cache", "lastlog") if is_audited
                                         else ()):
        add("bc_" + m, ctl, "kmem_bufctl_audit_t.bc_" + m,
            d.get(d.word(slots[1]), "kmem_bufctl_audit_t.bc_" + m),
            ["fix_large"],
            # a log is written over: any record may be named, or none
            not_=("cut", "crossed") if m == "lastlog" else
            ("cut",) if m == "next" and not d.get(
                ctl, "kmem_bufctl_audit_t.bc_next") else ())
    if head:
        add("free bc_next", head, "kmem_bufctl_audit_t.bc_next", ctl,
            ["fix_large"])
        add("free bc_addr", head, "kmem_bufctl_audit_t.bc_addr",
            d.get(ctl, "kmem_bufctl_audit_t.bc_addr"), ["fix_large"])
    # magazines, depot, bins
    for n in (0, 1):
        cpu = small + o["kmem_cache_t.cache_cpu[%d]" % n]
        for word in ("", "p"):
            mag = d.get(cpu, "kmem_cpu_cache_t.cc_%sloaded" % word)
            rounds = d.get(cpu, "kmem_cpu_cache_t.cc_%srounds" % word)
            if mag and 0 < rounds & 0xffffffff < 1000:
                add("cc_%sloaded" % word, cpu,
                    "kmem_cpu_cache_t.cc_%sloaded" % word,
                    d.get(small, "kmem_cache_t.cache_full.ml_list"),
                    ["fix_small"])
                add("mag_round", mag, "kmem_magazine_t.mag_round[0]",
                    d.get(ctl, "kmem_bufctl_audit_t.bc_addr"), ["fix_small"])
    full = d.get(small, "kmem_cache_t.cache_full.ml_list")
    add("depot", small, "kmem_cache_t.cache_full.ml_list", slab,
        ["fix_small"])
    if full:
        add("mag_next", full, "kmem_magazine_t.mag_next", slab, ["fix_small"])
    empty = d.get(small, "kmem_cache_t.cache_empty.ml_list")
    if empty:
        add("empty depot", small, "kmem_cache_t.cache_empty.ml_list", slab)
        add("empty mag_next", empty, "kmem_magazine_t.mag_next", full)
    add("cache_magtype", small, "kmem_cache_t.cache_magtype", slab,
        ["fix_small"])
    if d.word(s["kmem_threads"]):
        thread = d.word(s["kmem_threads"])
        sym("kmem_threads", small, ["*"])
        add("th_next", thread, "kmem_thread_t.th_next", small, ["*"])
        step = o["kmem_thread_t.th_bin[1]"] - o["kmem_thread_t.th_bin[0]"]
        while thread:
            for i in range(40):
                b = thread + o["kmem_thread_t.th_bin[0]"] + i * step
                if not d.word(b) & 0xffff or \
                        not d.get(b, "kmem_thread_bin_t.tb_cache"):
                    continue
                first = d.get(b, "kmem_thread_bin_t.tb_first") & 0xffffffff
                add("tb_cache", b, "kmem_thread_bin_t.tb_cache", small,
                    ["kmem_alloc"])
                found.append(Site(
                    "th_round", thread + o["kmem_thread_t.th_round[0]"] +
                    8 * first, thread,
                    d.get(ctl, "kmem_bufctl_audit_t.bc_addr"),
                    ["kmem_alloc"]))
                thread = 0
                break
            thread = thread and d.get(thread, "kmem_thread_t.th_next")
    # arenas and their tags
    sym("vmem_list", s["kmem_null_cache"], ["*"])
    arenas = d.walk("::walk vmem")
    named = {}
    for a in arenas:
        text = d.image[d.where(a):d.where(a) + 30]
        named[text.split(b"\0")[0].decode()] = a
    src, num, full_ = (named[n] for n in
                       ("fix_source", "fix_numbers", "fix_full"))
    add("vm_next", src, "vmem_t.vm_next", arenas[0])
    add("vm_source", named["kmem_default"], "vmem_t.vm_source", None, ["*"])
    seg0 = "vmem_t.vm_seg0"
    first = d.get(src + o[seg0], "vmem_seg_t.vs_anext")
    while d.get(first, "vmem_seg_t.vs_type") & 0xff != 16: # VMEM_SPAN
        first = d.get(first, "vmem_seg_t.vs_anext")
    tag = d.get(first, "vmem_seg_t.vs_anext")  # behind the span
    other = d.get(d.get(num + o[seg0], "vmem_seg_t.vs_anext"),
                  "vmem_seg_t.vs_anext")
    for m in ("anext", "aprev", "knext", "kprev"):
        if m != "kprev": # which a hash chain has no use for
            add("allocated vs_" + m, tag, "vmem_seg_t.vs_" + m,
                other if m[0] == "a" else d.get(other, "vmem_seg_t.vs_anext"),
                not_=("cut",) if m == "knext" else ())
        add("span vs_" + m, first, "vmem_seg_t.vs_" + m, other)
    free = tag
    while d.get(free, "vmem_seg_t.vs_type") & 0xff != 2: # VMEM_FREE
        free = d.get(free, "vmem_seg_t.vs_anext")
    for m in ("knext", "kprev"):
        add("free vs_" + m, free, "vmem_seg_t.vs_" + m, other)
    add("vm_hash_table", src, "vmem_t.vm_hash_table",
        d.get(num, "vmem_t.vm_hash_table"))
    vt = d.get(src, "vmem_t.vm_hash_table")
    slot = [vt + 8 * i for i in range(d.get(src, "vmem_t.vm_hash_mask") + 1)
            if d.word(vt + 8 * i)][0]
    found.append(Site("vmem hash slot", slot, slot, other))
    add("vm_segfree", src, "vmem_t.vm_segfree", other, not_=("cut",))
    step = o["vmem_t.vm_freelist[1]"] - o["vmem_t.vm_freelist[0]"]
    for i in range(64):
        fl = src + o["vmem_t.vm_freelist[0]"] + i * step
        if d.get(fl, "vmem_seg_t.vs_knext") != fl + step:
            add("vm_freelist", fl, "vmem_seg_t.vs_knext", other)
            break
    # waiters, maps
    add("vm_waiters", full_, "vmem_t.vm_waiters", slab, not_=("cut",))
    w = d.get(full_, "vmem_t.vm_waiters")
    add("kw_next", w, "kmem_waiter_t.kw_next", slab, not_=("cut",))
    sym("kmem_waiters", slab, not_=("cut",))
    m = d.word(s["kmem_rmaps"])
    sym("kmem_rmaps", slab, not_=("cut",))
    add("m_next", m, "map.m_next", slab, not_=("cut",))
    add("m_nused", m, "map.m_nused", slab, not_=("cut",))
    add("m_addr", m + o["map.m_map[0]"], "mapent.m_addr",
        d.get(m + o["map.m_map[1]"], "mapent.m_addr"),
        not_=("cut", "unmapped", "misaligned"))
    # logs, stacks, mismatches
    if is_audited:
        for i, log in enumerate(LOGS):
            sym(log, LOGS and d.word(s[LOGS[i - 1]]))
        t = d.word(s[LOGS[0]])
        f = d.word(s["kmem_failure_log"])
        add("lh_base", t, "kmem_log_header_t.lh_base",
            d.get(f, "kmem_log_header_t.lh_base"))
        add("lh_free", t, "kmem_log_header_t.lh_free",
            d.get(f, "kmem_log_header_t.lh_base"))
        record = d.get(ctl, "kmem_bufctl_audit_t.bc_lastlog")
        add("record lastlog", record, "kmem_bufctl_audit_t.bc_lastlog", slab,
            not_=("cut", "ring"))
        depot = s["kmem_stackdepot"]
        add("sd_chunk", depot, "kmem_stackdepot_t.sd_chunk[0]", slab)
        add("sd_hash", depot, "kmem_stackdepot_t.sd_hash", slab)
        sd = d.get(depot, "kmem_stackdepot_t.sd_chunk[0]")
        ident = [d.get(c, "kmem_bufctl_audit_t.bc_stack") & 0xffffffff
                 for c in (ctl, d.get(t, "kmem_log_header_t.lh_base"))]
        found.append(Site("st_next", sd + 8 * ident[0] +
                          o["kmem_stack_t.st_next"], *ident, size=4,
                          not_=("cut",)))
        pair = s["kmem_mismatch_log"] + o["kmem_mismatch_log_t.mml_pair[0]"]
        while not d.get(pair, "kmem_mismatch_t.mm_count"):
            pair += o["kmem_mismatch_log_t.mml_pair[1]"] - \
                o["kmem_mismatch_log_t.mml_pair[0]"]
        for which in ("alloc", "free"):
            rec = pair + o["kmem_mismatch_t.mm_" + which]
            add("mm_%s.bc_addr" % which, rec, "kmem_bufctl_audit_t.bc_addr",
                d.get(ctl, "kmem_bufctl_audit_t.bc_addr"))
    return cp, found


def owners(d, cp):
    """address of each buffer -> its cache"""
    by, name = {}, None
    lines = []
    for c, addr in cp.items():
        if c.startswith(("fix_", "kmem_alloc_")):
            lines += ["::echo ==%s" % c, "%#x::walk kmem" % addr]
    for line in commands(d.path, lines)[1].split():
        if line.startswith("=="):
            name = line[2:]
        elif line.startswith("0x"):
            by[int(line, 16)] = name
    return by


def told(d, copy):
    """Does "pmdb check" say that the dump is damaged?  And status, text."""
    rc, out, err = run(["check", "--format", "json", copy])
    is_told = rc == 3
    if rc in (0, 1) and out.strip():
        is_told = bool(json.loads(out)["corruption"])
    return rc, is_told, out, err


class Tester:
    def __init__(self, tag, is_audited):
        self.tag = tag
        core = os.path.join(WORK, tag + ".core")
        logs = ("transaction=64k,contents=64k,fail=64k,slab=64k,zerosized=64k"
                if is_audited else "")
        subprocess.run([PMDB, "run", "-o", core, "--", fixture("lists")],
                       env=dict(os.environ, TRUTH=core + ".truth",
                                KMEM_DEBUG="default" if is_audited else "",
                                KMEM_LOGGING=logs),
                       stdin=subprocess.DEVNULL, capture_output=True)
        self.d = Dump(core)
        self.d.learn(MEMBERS, SYMBOLS)
        self.cp, self.sites = sites(self.d, is_audited)
        self.by = owners(self.d, self.cp)
        self.base = told(self.d, core)
        self.base_verify = self.verdict(commands(core, COMMANDS)[1])
        self.bad, self.silent, self.lost, self.quiet = [], [], [], []
        self.n = 0

    def mutants(self):
        for i, site in enumerate(self.sites):
            if not (ALL or ONLY) and (i + (self.tag == "plain")) % 2:
                continue
            made = site.mutations(self.d)
            if ONLY:
                made = [m for m in made if ONLY in m[0]]
            elif not ALL and made:
                made = [made[i % len(made)]]
            yield from made

    def test(self, name, site, value):
        d = self.d
        self.n += 1
        d.put(site.at, value, site.size)
        try:
            rc, is_told, out, err = told(d, d.path)
            if rc not in (0, 1, 3):
                self.bad.append("%s: check: %s %s" % (name, rc, err[-200:]))
            if not is_told:
                self.silent.append("%s: check: status %s" % (name, rc))
            if ALL or ONLY or self.n % 4 == 0:
                self.ask(name, site)
        finally:
            d.restore()

    @staticmethod
    def verdict(out):
        """What ::kmem_verify -v prints of structures."""
        return [line for line in out.splitlines()
                if re.match("  (cache|arena) .*(found|not|wrong)", line)]

    def ask(self, name, site):
        rc, out, err = commands(self.d.path, ["::walk kmem", "::echo =====",
                                              *COMMANDS])
        if rc not in (0, 1, 2, 3):
            self.bad.append("%s: %s %s" % (name, rc, err[-300:]))
            return
        if "damaged" not in err and self.verdict(out) == self.base_verify:
            self.quiet.append(name)
        seen = {int(w, 16) for w in out.split("=====")[0].split()
                if w.startswith("0x")}
        if "*" in site.hurts:
            return
        gone = [a for a, c in self.by.items() if a not in seen and
                not any(c.startswith(h) for h in site.hurts)]
        if gone:
            self.lost.append("%s: %d of %d buffers, first of %s" % (
                name, len(gone), len(self.by), self.by[gone[0]]))


def main():
    plan(10)
    for tag, is_audited in (("audited", True), ("plain", False)):
        t = Tester(tag, is_audited)
        ok(t.base[0] in (0, 1) and not t.base[1] and len(t.by) > 300,
           tag + ": the dump is whole to begin with", t.base)
        for name, site, value in t.mutants():
            t.test(name, site, value)
        ok(not t.bad, "%s: %d mutants end well" % (tag, t.n),
           "\n".join(t.bad))
        ok(not t.silent, tag + ": check tells each", "\n".join(t.silent))
        ok(not t.quiet, tag + ": so does a command", "\n".join(t.quiet))
        ok(not t.lost, tag + ": what does not hang on it is shown",
           "\n".join(t.lost))


main()

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""::kmem_verify -v tells of damaged buffers what their program knows: which
bytes, whose, and who points at them; ::status says where the allocator met it."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

T.plan(22)
r = T.run("story")
t = r.truth()
rc, out, err = T.pmdb(r.dump, "::kmem_verify -v", json_out=True)
rows = {int(x["addr"], 16): x for x in T.parse_json(out)}
T.ok(rc == 0 and set(rows) == set(t.corrupt), "the damaged buffers, each once",
     (rows, t.corrupt, err))
names = {}
for addr, kind in t.corrupt.items():
    offset, wrong = kind.split()
    names[offset] = row = rows.get(addr, {})
    T.ok(row.get("found") == wrong, "at %s: the wrong bytes" % offset, row)
    T.ok(int(row.get("wrong_at", "0"), 16) == addr + int(offset),
         "at %s: where" % offset, row)
    T.ok(len(row["expected"]) == len(wrong) and row["wrong_bytes"] ==
         len(wrong) // 2, "at %s: what should be there" % offset, row)


def functions(stack):
    return [f["function"] for f in stack]


row = names["20"]
T.ok(row["state"] == "allocated" and row["asked_bytes"] == 20 and
     "overrun_owner" in functions(row["last_stack"]), "who has it", row)
T.ok(row["expected"].startswith("bb"), "the mark is expected first", row)
T.ok(row["pointers"] == 2, "two pointers: a variable and a buffer", row)
row = names["48"]
T.ok(row["state"] == "free" and row["last_what"] == "free" and
     "stale_freer" in functions(row["last_stack"]), "who freed it", row)
T.ok(row["before_what"] == "alloc" and
     "stale_owner" in functions(row["before_stack"]), "who had it before", row)
T.ok(row["expected"] == "efbeadde", "free memory is deadbeef", row)
T.ok(row["pointers"] == 1, "one stale pointer", row)

rc, text, err = T.pmdb(r.dump, "::kmem_verify -v")
T.ok("4f 4f 50 53 21" in text and "OOPS!" in text, "the text shows the bytes",
     text)
T.ok("5 past the end of the 20 asked for" in text, "how far", text)
T.ok("2 live pointers" in text and " front\n" in text and
     " kmem_alloc_16, to offset 4\n" in text, "who points at it", text)
tids = {"thread 0x%x at" % x["last_thread"] for x in rows.values()}
T.ok(len(tids) == 1 and all(x in text for x in tids),
     "a thread in hexadecimal says that it is", text)
T.ok(" stale\n" in text.split("stale_owner")[1], "also at what is free", text)

r = T.run("double_free")
addr = next(iter(r.truth().corrupt))
row = T.parse_json(T.pmdb(r.dump, "::status", json_out=True)[1])[0]
T.ok(int(row["heap_panic_buffer"], 16) == addr and row["next"] ==
     "::kmem_verify -v" and "truth_run" in
     functions(row["heap_panic_stack"]), "::status: buffer, stack, what next",
     row)
text = T.pmdb(r.dump, row["next"])[1]
T.ok("%x was reported by the allocator: duplicate free" % addr in text,
     "and that tells of the buffer, though it looks whole", text)
pid = T.parse_json(T.pmdb(r.dump, "::status", json_out=True)[1])[0]["pid"]
T.ok("panic thread: 0x%x, which called" % pid in T.pmdb(r.dump, "::status")[1],
     "::status names the thread as one types it", pid)

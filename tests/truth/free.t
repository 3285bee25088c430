#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free wherever they are: magazines, the depot, slabs; oversize; what malloc's
relations and C++ make; with and without guards."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truthlib as T

NAMES = ("magazines", "stale_free", "oversize", "relations", "cxx")
ENVS = (("default", {}),
        ("audit", {"KMEM_DEBUG": "audit"}),
        ("plain", {"KMEM_DEBUG": "", "KMEM_LOGGING": ""}),
        ("firewall", {"KMEM_DEBUG": "default,firewall=1"}))
T.plan(len(NAMES) * len(ENVS) * (T.COMPARE + 1))
for name in NAMES:
    for tag, env in ENVS:
        r = T.run(name, env=env, tag=tag)
        title = "%s (%s)" % (name, tag)
        T.ok(r.rc == 0 and r.out == "" and r.err == "",
             title + ": runs as without the library",
             "status %d %r %r" % (r.rc, r.out, r.err))
        stays = True
        if (name, tag) == ("stale_free", "plain"):
            # of 600 buffers of 512 a bin keeps 16 KiB or half of that, the
            # depot 32; the others go to their slabs
            stays = (32 + 8) * 1024 // 512
        T.compare(r, title, free_stays=stays, exact=tag == "default")

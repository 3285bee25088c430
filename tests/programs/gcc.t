#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's gcc and g++ compile and link a file each; what they make runs."""
import os, sys
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proglib

SCRIPT = r'''
set -e
gcc -O2 -g -Wall -c -o c.o work.c
gcc -o c c.o
./c
g++ -O1 -std=c++17 -c -frandom-seed=1 -o cc.o work.cc
g++ -o cc cc.o
./cc
gcc -c bad.c || echo "status $?"
'''


def setup(box):
    with open(os.path.join(box, "work.sh"), "w") as f:
        f.write(SCRIPT)
    with open(os.path.join(box, "work.c"), "w") as f:
        f.write("#include <stdio.h>\n#include <stdlib.h>\n"
                "#include <string.h>\n")
        for i in range(300):
            f.write("int f%d(int a, int b) { int s = %d; for (int i = a; "
                    "i < b; i++) s = s * 31 + (i ^ %d); return s; }\n"
                    % (i, i, i * 7))
        f.write("int main(void) { int s = 0;\n")
        for i in range(300):
            f.write("s += f%d(%d, %d);\n" % (i, i, i + 20))
        f.write('printf("%d\\n", s); return 0; }\n')
    with open(os.path.join(box, "work.cc"), "w") as f:
        f.write("#include <map>\n#include <string>\n#include <vector>\n"
                "#include <cstdio>\nint main() { std::map<std::string, "
                "std::vector<int>> m; for (int i = 0; i < 1000; i++) "
                "m[std::to_string(i % 37)].push_back(i);\n"
                'std::printf("%zu %zu\\n", m.size(), m["5"].size()); }\n')
    with open(os.path.join(box, "bad.c"), "w") as f:
        f.write("int f(void) { return nothing; }\n")


proglib.plan(proglib.CHECKS)
proglib.same("gcc", ["/bin/sh", "work.sh"], setup=setup, dumps=12)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside gdb: what gdb sees of a value, member by member, against the rows
of ::print.  The places must be the same and in the same order, and so must the
values.

  gdb -batch -ex 'py places = [("expression", "type"), ...]' -x oracle.py PROG CORE
"""
import gdb, json, os, re, subprocess

AGGREGATE = (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)
rows = []


def number(v, t):
    """An integer as ::print -x has it, without its sign."""
    n = int(v.cast(gdb.lookup_type("long"))) if t.code in (
        gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_ENUM, gdb.TYPE_CODE_BOOL) else int(v)
    return n & ((1 << 8 * t.sizeof) - 1)


def scalar(v, bits=0):
    t = v.type.strip_typedefs()
    if t.code == gdb.TYPE_CODE_FLT:
        return "float", float(v)
    if t.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        return "int", int(v.referenced_value().address)
    if t.code in (gdb.TYPE_CODE_METHODPTR, gdb.TYPE_CODE_MEMBERPTR) or \
            t.code == gdb.TYPE_CODE_VOID or \
            t.code == gdb.TYPE_CODE_INT and t.sizeof > 8:
        return "skip", None
    n = number(v, t)
    return "int", n & ((1 << bits) - 1) if bits else n


def array(v):
    t = v.type.strip_typedefs()
    low, high = t.range()
    if t.target().strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
        return [x for i in range(low, high + 1) for x in array(v[i])]
    return [scalar(v[i])[1] for i in range(low, high + 1)]


def innermost(t):
    t = t.strip_typedefs()
    while t.code == gdb.TYPE_CODE_ARRAY:
        t = t.target().strip_typedefs()
    return t


def walk(v, path, bits=0):
    t = v.type.strip_typedefs()
    if t.code in AGGREGATE:
        for f in t.fields():
            if hasattr(f, "bitpos") and f.type:
                walk(v[f], path + "." + (f.name or "<anon>"), f.bitsize)
        return
    is_ref = t.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF)
    at = None if bits or is_ref else int(v.address)
    if t.code == gdb.TYPE_CODE_ARRAY:
        low, high = t.range()
        if innermost(t).code in AGGREGATE:
            for i in range(low, high + 1):
                walk(v[i], path + "[%d]" % i)
        elif high >= low and t.sizeof > 0:
            rows.append((path, at, "array", array(v)))
        else:
            rows.append((path, at, "array", []))
        return
    rows.append((path, at) + scalar(v, bits))


def numbers(text):
    """The numbers of "[ 0x1, [ 2, 'a' ], "x" ]"; None: a string is in it."""
    if '"' in text:
        return None
    out = []
    for w in re.findall(r"'(?:\\.[0-7]*|[^'])'|[^\s\[\],]+", text):
        if w[0] in "+-":
            out.append(float(w))
        elif not w.startswith("'"):
            out.append(int(w, 16))
        elif w[1] != "\\":
            out.append(ord(w[1]))
        elif w[2] in "01234567":
            out.append(int(w[2:-1], 8))
        else:
            out.append(ord({"a": "\a", "b": "\b", "f": "\f", "n": "\n",
                            "r": "\r", "t": "\t", "v": "\v"}.get(w[2], w[2])))
    return out


def same(kind, want, text):
    if kind == "skip" or text is None:
        return True
    if kind == "array":
        got = numbers(text)
        if got is None:
            s = text[text.index('"') + 1:text.rindex('"')]
            return bytes(x & 255 for x in want).split(b"\0")[0] == s.encode()
        return [x & 0xffffffffffffffff if isinstance(x, int) else x
                for x in want] == got
    word = text.split()[0]
    if kind == "float":
        return float(word) == want or abs(float(word) - want) < \
            1e-6 * abs(want) or want != want
    if word.startswith("'"):
        return numbers(word if len(text) < 4 else text) == [want]
    return int(word, 16) == want or want >= 1 << 63 and \
        int(word, 16) == want & 0xffffffffffffffff


bad = n = 0
for expression, type_name in places:
    rows = []
    v = gdb.parse_and_eval(expression)
    walk(v, "")
    p = subprocess.run(
        [os.environ["B"] + "/pmdb", "--json", "-e", "%x::print -xnrLC '%s'" %
         (int(v.address), type_name), os.environ["CORE"]],
        stdout=subprocess.PIPE, text=True)
    got = [json.loads(line) for line in p.stdout.splitlines()]
    if len(got) != len(rows):
        print("%s: gdb sees %d places, ::print %d" %
              (expression, len(rows), len(got)))
        bad += 1
    for (path, at, kind, want), row in zip(rows, got):
        n += 1
        if at is not None and at != int(row["addr"], 16) or \
                not same(kind, want, row["value"]):
            print("%s%s: gdb: %s %s %s, ::print: %s" %
                  (expression, path, at and hex(at), kind, want, row))
            bad += 1
print("%d places, %d differ" % (n, bad))
gdb.execute("quit %d" % (1 if bad or n < 10 else 0))

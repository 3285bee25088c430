#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every row of mdb's format table, on a file of known bytes: what each prints,
in which field, how far it moves dot.  The expected text is worked out here,
from the table, by other code than pmdb's."""
import os, struct, subprocess, time
pmdb = os.environ["B"] + "/pmdb"
PAGE = 80
bad = n = 0
os.environ["TZ"] = "UTC"

data = bytearray(4096)
data[0:8] = bytes.fromhex("1122334455667788")
data[8:16] = bytes.fromhex("ffffffffffffffff")
data[16:24] = struct.pack("<d", 1.5)
data[24:28] = struct.pack("<f", -0.25)
data[32:40] = struct.pack("<Q", 8)
data[40:48] = b"Hi\t\"\\\n\x01\x00"
data[48:56] = struct.pack("<q", 1700000000)
data[56:64] = struct.pack("<Q", 0x29)
for i in range(6):
    data[256 + i * 8:264 + i * 8] = struct.pack("<q", 1700000000 + i)
data[512:640] = b"x" * 128
data[64:72] = b"\xe9abc\x00xyz"
open("bytes", "wb").write(data)


def pm(cmd, *args):
    p = subprocess.run([pmdb, "-S", "-f", *args, "-e", cmd, "bytes"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=20,
                       encoding="latin-1")
    return p.stdout, p.stderr, p.returncode


def check(name, want, got):
    global bad, n
    n += 1
    ok = want == got
    bad += not ok
    print("%sok %d - %s" % ("" if ok else "not ", n, name))
    if not ok:
        print("# want %r\n# got  %r" % (want, got))


def label(addr):
    s = ("0x%x:" % addr if addr > 9 else "%x:" % addr)
    return s.ljust(16)


def u(at, size):
    return int.from_bytes(data[at:at + size], "little")


def s(at, size):
    return int.from_bytes(data[at:at + size], "little", signed=True)


def soct(v, prefix):
    return ("-" if v < 0 else "") + (prefix if v else "") + "%o" % abs(v)


def date(v):
    t = time.gmtime(v)
    return "%04d %s %2d %02d:%02d:%02d" % (
        t.tm_year, time.strftime("%b", t), t.tm_mday, t.tm_hour, t.tm_min,
        t.tm_sec)


# letter -> bytes, width, text of the value at an address
NUM = {
    "B": (1, 8, lambda a: "%x" % u(a, 1)),
    "D": (4, 16, lambda a: "%d" % s(a, 4)),
    "E": (8, 21, lambda a: "%d" % u(a, 8)),
    "G": (8, 23, lambda a: "%o" % u(a, 8)),
    "H": (4, 16, lambda a: "%x" % int.from_bytes(data[a:a + 4], "big")),
    "J": (8, 16, lambda a: "%x" % u(a, 8)),
    "K": (8, 16, lambda a: "%x" % u(a, 8)),
    "O": (4, 16, lambda a: soct(u(a, 4), "0")),
    "P": (8, 19, lambda a: ("0x%x" if u(a, 8) > 9 else "%x") % u(a, 8)),
    "p": (8, 19, lambda a: ("0x%x" if u(a, 8) > 9 else "%x") % u(a, 8)),
    "Q": (4, 16, lambda a: soct(s(a, 4), "0")),
    "R": (8, 64, lambda a: "{:b}".format(u(a, 8))),
    "U": (4, 16, lambda a: "%d" % u(a, 4)),
    "V": (1, 8, lambda a: "%d" % u(a, 1)),
    "X": (4, 16, lambda a: "%x" % u(a, 4)),
    "b": (1, 8, lambda a: soct(u(a, 1), "0")),
    "d": (2, 8, lambda a: "%d" % s(a, 2)),
    "e": (8, 21, lambda a: "%d" % s(a, 8)),
    "g": (8, 24, lambda a: soct(s(a, 8), "")),
    "h": (2, 8, lambda a: "%x" % int.from_bytes(data[a:a + 2], "big")),
    "o": (2, 8, lambda a: soct(u(a, 2), "0")),
    "q": (2, 8, lambda a: soct(s(a, 2), "0")),
    "u": (2, 8, lambda a: "%d" % u(a, 2)),
    "x": (2, 8, lambda a: "%x" % u(a, 2)),
    "Y": (4, 24, lambda a: date(s(a, 4))),
    "y": (8, 24, lambda a: date(s(a, 8))),
}


def field(text, width):
    # a value as wide as its field is followed by a blank
    return text.ljust(width) if len(text) < width else text + " "


for c, (size, width, text) in sorted(NUM.items()):
    at = 256 if c in "Yy" else 0
    check("%s: text and field" % c, (label(at) + field(text(at), width) + "\n",
                                     "", 0), pm("%x/%s" % (at, c)))
    if c not in "PpRYy":
        check("%s: all bits set" % c,
              (label(8) + field(text(8), width) + "\n", "", 0),
              pm("8/%s" % c))
    # + is where the format ended
    check("%s: moves dot by %d" % (c, size), "%d" % (at + size),
          pm("%x/%s;+=E" % (at, c))[0].split("\n")[1].strip())
    # a page is 80 columns wide; the next line begins below the first value
    line, want = label(at), ""
    for i in range(6):
        f = field(text(at + i * size), width)
        if i and len(line) + len(f) > PAGE:
            want, line = want + line + "\n", " " * 16
        line += f
    check("%s: wrapped at %d columns" % (c, PAGE), want + line + "\n",
          pm("%x/6%s" % (at, c))[0])

# ---- default radix, with and without another radix
for c in "wW":
    size, width = {"w": (2, 8), "W": (4, 16)}[c]
    v = 0x1234
    check("=%s in hex" % c, " " * 16 + ("%x" % v).ljust(width) + "\n",
          pm("1234=%s" % c)[0])
    check("=%s in octal" % c, "radix = 8 base ten\n" + " " * 16 +
          ("%o" % v).ljust(width) + "\n", pm("8$d;0x1234=%s" % c)[0])
check("=Z", " " * 16 + "1234".ljust(16) + "\n", pm("1234=Z")[0])
check("=v", " " * 16 + "-1".ljust(8) + "\n", pm("ff=v")[0])

# ---- characters, strings, reals
check("c: as it is", label(40) + "H\n", pm("28/c")[0])
check("c: eight of them, NUL is nothing", label(64) + "\xe9abcxyz\n",
      pm("40/8c")[0])
check("C: in C's notation", label(40) + 'Hi\\t\\"\\\\\\n\\001\\0\n',
      pm("28/8C")[0])
check("s: as it is", label(40) + 'Hi\t"\\\n\x01' + "\n", pm("28/s")[0])
check("S: in C's notation", label(40) + 'Hi\\t\\"\\\\\\n\\001\n', pm("28/S")[0])
check("S: not ASCII", label(64) + "\\351abc\n", pm("40/S")[0])
check("s: dot moves past the NUL", "48",
      pm("28/s ! cat >/dev/null; +=E")[0].strip())
check("F", label(16) + "1.5\n", pm("10/F")[0])
check("f", label(24) + "-2.500000e-01\n", pm("18/f")[0])
check("F: %g", "%16s%g\n" % ("", 1e100), pm("54b249ad2594c37d=F")[0])

# ---- j: bars and masks; 0x29 = 101001
jazz = """101001
| |  |
| |  +-- bit 0 mask 0x01
| +----- bit 3 mask 0x08
+------- bit 5 mask 0x20
"""
check("j", label(56) + jazz.replace("\n", "\n" + " " * 16).rstrip() + "\n",
      pm("38/j")[0])
check("j: zero", " " * 16 + "0\n", pm("0=j")[0])
check("j: bit numbers are padded", " " * 16 +
      "10000000001\n" + " " * 16 + "|         |\n" + " " * 16 +
      "|         +-- bit 0  mask 0x001\n" + " " * 16 +
      "+------------ bit 10 mask 0x400\n", pm("401=j")[0])
v = 1 << 63
check("j: 64 bits", " " * 16 + "1" + "0" * 63 + "\n" + " " * 16 + "|" +
      " " * 63 + "\n" + " " * 16 + "+" + "-" * 65 +
      " bit 63 mask 0x8000000000000000\n", pm("8000000000000000=j")[0])

# ---- what only moves
check("+ and -", label(0) + "11".ljust(8) + "44".ljust(8) + "33".ljust(8) +
      "\n", pm("0/B2+B2-B")[0])
check("^ goes back by increment times count", label(0) + "11".ljust(8) +
      "22".ljust(8) + "11".ljust(8) + "\n", pm("0/BB2^B")[0])
check("n and N", label(0) + "11".ljust(8) + "\n" + " " * 16 + "22".ljust(8) +
      "\n\n" + " " * 16 + "33".ljust(8) + "\n", pm("0/BnB2NB")[0])
check("r", label(40) + "H  i\n", pm("28/c2rc")[0])
check("t: to the next stop of 8", label(40) + "H       i\n", pm("28/ctc")[0])
check("T: the count is the stop", label(40) + "H   i\n", pm("28/c4Tc")[0])
check("a", label(40) + label(40) + "H\n", pm("28/ac")[0])
check("a after a value", label(40) + "H\n" + label(41) + "i\n",
      pm("28/cnac")[0])

# ---- lists
check("quoted text", label(0) + "<" + "11".ljust(8) + ">\n",
      pm('0/"<"B">"')[0])
check("blanks between", pm("0/BxX")[0], pm("0/ B x  X")[0])
check("a count from an expression", pm("0/3B")[0], pm("0/$[1+2]B")[0])
check("counts are decimal", pm("0/10B")[0], pm("0/$[0t10]B")[0])
check("a count of none", label(0) + "\n", pm("0/0B")[0])
check("a repeat count runs the list again", label(0) + "11".ljust(8) + "\n" +
      " " * 16 + "22".ljust(8) + "\n", pm("0,2/Bn")[0])
check("? is the file", pm("0/X")[0], pm("0?X")[0])
check("autowrap breaks a line at any character", 80,
      len(pm("200/100c", "-o", "autowrap")[0].split("\n")[0]))
check("a page of another width", label(0) + "11".ljust(8) + "22".ljust(8) +
      "\n" + " " * 16 + "33".ljust(8) + "\n",
      pm("0t32$w;0/3B")[0].split("\n", 1)[1])

# ---- variables that follow
check("0 is the last value", "17", pm("0/B;<0=E")[0].split("\n")[1].strip())
check("values, two of them", "0x44332211\n0x88776655\n",
      pm("0/XX | ::map .")[0])
check("a in a pipe is the address", "0x28\n", pm("28/a | ::map .")[0])

# ---- search
check("/l", "0x28\n", pm("0/l 6948")[0])
check("/L", "0x28\n", pm("0/L 22096948")[0])
check("/M", "8\n", pm("0/M ffffffffffffffff")[0])
check("a mask", "0x28\n", pm("20/l 48 ff")[0])
check("dot is where it was found", "40", pm("0/l 6948;.=E")[0].split()[1])
check("only every second address is looked at", "", pm("1/L 22096948")[0])
check("no match: silent, dot at the end",
      ("4096", "", 0), (lambda r: (r[0].strip(), r[1], r[2]))(
          pm("0/M 123456789;.=E")))
for c in "lLM":
    check("/%s wants a value" % c,
          ("", "pmdb: expected value following %s\n" % c, 1), pm("0/%s" % c))
    check("/%s wants no more than two" % c,
          ("", "pmdb: only value and mask may follow %s\n" % c, 1),
          pm("0/%s 1 2 3" % c))

# ---- writes
for c, v in (("v", "5"), ("w", "5"), ("W", "5"), ("Z", "5")):
    check("/%s is refused" % c,
          ("", "pmdb: failed to write 0x5 at address 0x10: target is not open "
           "for writing\n", 1), pm("10/%s %s" % (c, v)))
    check("/%s wants a value" % c,
          ("", "pmdb: expected value to write following %s\n" % c, 1),
          pm("10/%s" % c))
check("/z wants a typed symbol",
      ("", "pmdb: no type data found at this address\n", 1), pm("10/z 5"))

# ---- refusals
check("\\ has nothing to read", 1, pm("0\\X")[2])
check("@ has nothing to read", 1, pm("0@X")[2])
check("no mapping", ("pmdb: failed to read data from target: no mapping for "
                     "address 0x1000\n", 1), pm("1000/X")[1:])
check("::formats has a row for each", "+-^BCDEFGHIJKLMNOPQRSTUVWXYZ"
      "abcdefghijlnopqrstuvwxyz".replace("k", "").replace("A", ""),
      "".join(line[0] for line in pm("::formats")[0].splitlines()))
check("::formats: write and match are said", 8,
      sum(" - write " in x or " - match " in x
          for x in pm("::formats")[0].splitlines()))
print("1..%d" % n)
raise SystemExit(bool(bad))

# SPDX-License-Identifier: GPL-3.0-or-later
"""Just enough C for the gates of tests/lint: top-level items of a file.

items(path) gives for each function prototype or definition at file level an
Item(name, line, end, is_def, is_static, doc), doc being the comment that
stands above it.  A comment that begins with "/**" also covers the prototypes
that follow the first one without an empty line between.

code(path) is the text with comments, strings and character constants blanked
out, line for line.
"""
import collections, os, re, sys

Item = collections.namedtuple("Item", "name line end is_def is_static doc")

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'
                   r"'(?:\\.|[^'\\\n])*'", re.S)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def code(path, keep_slashes=False):
    def sub(m):
        s = m.group(0)
        if s.startswith("//") and keep_slashes:
            return s
        return blank(s)
    return TOKEN.sub(sub, open(path, errors="replace").read())


def comments(path):
    """-> [(first line, last line, text)]"""
    text = open(path, errors="replace").read()
    found = []
    for m in TOKEN.finditer(text):
        if m.group(0).startswith("/*"):
            first = text.count("\n", 0, m.start()) + 1
            found.append((first, first + m.group(0).count("\n"), m.group(0)))
    return found


def no_attributes(head):
    head = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", " ", head)
    return head


def items(path):
    src = code(path)
    # preprocessor lines, with their continuations, are not declarations
    src = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: blank(m.group(0)),
                 src, flags=re.M)
    src = re.sub(r'extern\s+ *\{', lambda m: blank(m.group(0)), src)
    raw = open(path, errors="replace").read().split("\n")
    # a comment behind code on its line is about that line only
    by_end = {last: (first, text) for first, last, text in comments(path)
              if raw[first - 1].lstrip().startswith("/*")}
    found = []
    depth = paren = 0
    start = None
    start_line = 0
    body = 0
    line = 1
    head = ""
    prev_doc, prev_end = None, -2
    for i, ch in enumerate(src):
        if ch == "\n":
            line += 1
        if depth == 0 and start is None and not ch.isspace() and ch not in ";}":
            start, start_line = i, line
        if ch == "(":
            paren += 1
        elif ch == ")":
            paren -= 1
        elif ch == "{" and paren == 0:
            if depth == 0:
                head = src[start:i] if start is not None else ""
            depth += 1
        elif ch == "}" and paren == 0:
            depth = max(0, depth - 1)
            if depth == 0:
                it = judge(head, start_line, line, True)
                if it:
                    found.append(it)
                    start = None
                elif not re.match(r"\s*(?:\w+\s+)*(struct|union|enum)\b|"
                                  r"typedef|.*=\s*$", head, re.S):
                    start = None
        elif ch == ";" and depth == 0 and paren == 0:
            if start is not None:
                it = judge(src[start:i], start_line, line, False)
                if it:
                    found.append(it)
            start = None
    out = []
    for name, first, last, is_def, is_static in found:
        doc = None
        if first - 1 in by_end:
            doc = by_end[first - 1][1]
        elif first == prev_end + 1:
            doc = prev_doc
        prev_doc, prev_end = doc, last
        out.append(Item(name, first, last, is_def, is_static, doc))
    return out


NOT_NAMES = {"if", "for", "while", "switch", "return", "sizeof", "defined",
             "__attribute__", "_Static_assert", "_Alignas", "__asm__", "asm",
             "__typeof__", "typeof"}


def judge(head, first, last, is_def):
    text = no_attributes(head)
    if "{" in text or re.match(r"\s*typedef\b", text):
        return None
    if re.search(r"=", text.split("(")[0]):
        return None
    m = re.search(r"\b([A-Za-z_]\w*)\s*\(", text)
    if not m or m.group(1) in NOT_NAMES:
        return None
    before = text[:m.start()]
    # an upper-case row of an X-macro is no prototype, nor is a call
    if not before.strip():
        return None
    if re.search(r"\(\s*\*", text[m.start():m.end() + 2]) and not is_def:
        return None
    static = bool(re.search(r"\bstatic\b", before))
    return m.group(1), first, last, is_def, static


def sources(top, dirs=("src", "dcmds"), suffixes=(".c", ".h")):
    for d in dirs:
        for root, subdirs, files in os.walk(os.path.join(top, d)):
            subdirs.sort()
            for f in sorted(files):
                if f.endswith(suffixes):
                    yield os.path.join(root, f)


if __name__ == "__main__":
    for p in sys.argv[1:]:
        for it in items(p):
            print(p, it.line, it.end, it.name, "def" if it.is_def else "proto",
                  "static" if it.is_static else "", bool(it.doc))

# SPDX-License-Identifier: GPL-3.0-or-later
"""What a script does: objects, dictionaries, strings, JSON, regular
expressions.  Measured with PYTHONMALLOC=malloc, so that malloc sees it all."""
import json, re, sys

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5


class Node:
    def __init__(self, name, parent):
        self.name, self.parent, self.children = name, parent, []
        if parent:
            parent.children.append(self)


def words():
    text = " ".join("w%d-%s" % (i * 7919 % 10007, "x" * (i % 13))
                    for i in range(20000))
    count = {}
    for word in re.findall(r"[a-z]\d+", text):
        count[word] = count.get(word, 0) + 1
    return sorted(count.items(), key=lambda item: (-item[1], item[0]))


def tree():
    root = Node("root", None)
    level = [root]
    for depth in range(7):
        level = [Node("%s.%d" % (node.name, i), node)
                 for node in level for i in range(4)]
    return root


def document():
    rows = [{"id": i, "name": "row %d" % i, "tags": ["a%d" % (i % 7), "b"],
             "at": {"x": i * 0.5, "y": -i}} for i in range(4000)]
    return len(json.dumps(json.loads(json.dumps(rows))))


total = 0
for n in range(rounds):
    total += len(words()) + len(tree().children) + document()
print("python: %d" % total)

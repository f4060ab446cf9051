"""Digests of what files compute: comments, layout and strings that stand alone left out.

Called as `python3 -I code.py REQUEST REPLY`: `{"files"}` in, a list of digests out, null
for a file that is not there or does not parse.
"""

import ast
import hashlib
import json
import sys


def digest(name):
    try:
        with open(name, "rb") as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [statement for statement in body if not is_remark(statement)]
        return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


# Literals of a syntax tree: those before Python 3.8 had a node each.
LITERALS = {"Constant", "Str", "Bytes", "Num", "NameConstant", "Ellipsis"}


def is_remark(statement):
    return isinstance(statement, ast.Expr) and type(statement.value).__name__ in LITERALS


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        names = json.load(file)["files"]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump([digest(name) for name in names], file)


if __name__ == "__main__":
    main()

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


def is_remark(statement):
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Expr) and isinstance(value, ast.Constant)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        names = json.load(file)["files"]
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump([digest(name) for name in names], file)


if __name__ == "__main__":
    main()

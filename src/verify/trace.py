"""Finds out which functions of a repository some tests run.

Called in the repository's root as `python3 -I trace.py REQUEST REPLY`. The
request is `{"text", "tests"}`: a test file's source and the names of functions
in it. The reply is `{"reached": [{"path", "symbol"}]}`: functions and methods
under the root that were entered while the tests ran, in the order of their
first call; a function within a function counts as the one around it. What a
test itself says does not matter here, and one that takes too long is stopped.
"""

import ast
import json
import os
import signal
import sys

SECONDS_PER_TEST_MAX = 5
DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)


class TooLong(BaseException):
    """No `except Exception` of the code under test takes this."""


def stop(signum, frame):
    raise TooLong


def nameable(path):
    """`(first line, last line, dotted name)` of what a caller can name in a file."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    spans = []

    def visit(body, prefix):
        for node in body:
            if isinstance(node, DEFS):
                lines = [node.lineno] + [d.lineno for d in node.decorator_list]
                spans.append((min(lines), node.end_lineno, prefix + node.name))
            elif isinstance(node, ast.ClassDef):
                visit(node.body, prefix + node.name + ".")
            else:
                for block in ("body", "orelse", "finalbody"):
                    visit(getattr(node, block, []), prefix)

    visit(tree.body, "")
    return spans


def entered(test):
    """`(file, first line)` of the code objects that a test enters, in order."""
    seen = {}

    def on_event(frame, event, _):
        if event == "call":
            code = frame.f_code
            seen.setdefault((code.co_filename, code.co_firstlineno))

    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_TEST_MAX)
    sys.setprofile(on_event)
    try:
        test()
    except BaseException:
        pass
    finally:
        sys.setprofile(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return list(seen)


def reached(text, tests):
    root = os.path.realpath(os.getcwd())
    sys.path[:0] = [root, os.path.join(root, "src")]
    suite = {"__name__": "suite"}
    exec(compile(text, "suite.py", "exec"), suite)
    found, spans = [], {}
    for name in tests:
        for file, line in entered(suite[name]):
            path = os.path.realpath(file)
            if not path.startswith(root + os.sep) or not os.path.isfile(path):
                continue
            if path not in spans:
                try:
                    spans[path] = nameable(path)
                except (OSError, SyntaxError, ValueError):
                    spans[path] = []
            for first, last, symbol in spans[path]:
                one = {"path": os.path.relpath(path, root), "symbol": symbol}
                if first <= line <= last and one not in found:
                    found.append(one)
    return found


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    signal.signal(signal.SIGALRM, stop)
    # What the tests print is nobody's.
    sys.stdout = open(os.devnull, "w")
    reply = {"reached": reached(request["text"], request["tests"])}
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(reply, file)
    # Threads that the tests left behind do not keep this alive.
    os._exit(0)


if __name__ == "__main__":
    main()

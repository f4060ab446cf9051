"""Finds out which functions of a repository some tests run.

Called in the repository's root as `python3 -I trace.py REQUEST REPLY`. The
request is `{"text", "tests"}`: a test file's source and the names of functions
in it. The reply is `{"reached": [{"path", "symbol"}], "complete"}`: functions
and methods under the root that were entered while the tests ran, in the order
of their first call; a function within a function counts as the one around it.
What a test itself says does not matter here. One that takes too long is
stopped, and the reply then not complete.
"""

import ast
import json
import os
import signal
import sys
import threading

SECONDS_PER_TEST_MAX = 5
DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)


class TooLong(BaseException):
    """No `except Exception` of the code under test takes this."""


def stop(signum, frame):
    raise TooLong


def last_line(node):
    """The line where the last part of a node begins. Python 3.8 was the first to say where a
    node ends; code objects begin with a part."""
    return max(getattr(part, "lineno", 0) for part in ast.walk(node))


def nameable(path):
    """`(first line, last line, dotted name)` of what a caller can name in a file."""
    # As bytes: a file may declare its encoding.
    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    spans = []

    def visit(body, prefix):
        for node in body:
            if isinstance(node, DEFS):
                lines = [node.lineno] + [d.lineno for d in node.decorator_list]
                spans.append((min(lines), last_line(node), prefix + node.name))
            elif isinstance(node, ast.ClassDef):
                visit(node.body, prefix + node.name + ".")
            else:
                for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                    visit(getattr(node, block, []), prefix)

    visit(tree.body, "")
    return spans


def entered(test):
    """`(file, first line)` of the code objects that a test enters, in order,
    and whether it came to its end."""
    seen = {}

    def on_event(frame, event, _):
        if event == "call":
            code = frame.f_code
            seen.setdefault((code.co_filename, code.co_firstlineno))

    complete = True
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_TEST_MAX)
    threading.setprofile(on_event)
    sys.setprofile(on_event)
    try:
        test()
    except TooLong:
        complete = False
    except BaseException:
        pass
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return list(seen), complete


def reached(text, tests):
    root = os.path.realpath(os.getcwd())
    own = os.path.dirname(os.path.realpath(__file__)) + os.sep
    sys.path[:0] = [root, os.path.join(root, "src")]
    suite = {"__name__": "suite"}
    exec(compile(text, "<suite>", "exec"), suite)
    found, spans, complete = [], {}, True
    for name in tests:
        places, ended = entered(suite[name])
        complete = complete and ended
        for file, line in places:
            path = os.path.realpath(file)
            is_ours = path.startswith(root + os.sep) and not path.startswith(own)
            if not is_ours or not os.path.isfile(path):
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
    return {"reached": found, "complete": complete}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    signal.signal(signal.SIGALRM, stop)
    # What the tests print is nobody's.
    sys.stdout = open(os.devnull, "w")
    reply = reached(request["text"], request["tests"])
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(reply, file)
    # Threads that the tests left behind do not keep this alive.
    os._exit(0)


if __name__ == "__main__":
    main()

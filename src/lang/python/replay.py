"""Runs the session that an issue shows, and says what each step came to.

Called in the repository's root as `python3 -I replay.py REQUEST REPLY`, by the interpreter
under test. The request is `{"steps": [source]}`, a statement or an expression each, the reply
`{"outcomes": [outcome]}`, fewer where a step took too long. `replay` stands in the test that is
made of a session, too: it speaks Python 3.6 and needs nothing beside it.
"""

import json
import os
import signal
import sys

STEP_SECONDS = 15.0


def replay(steps):
    """The outcome of each step, run one after another as by a person at a prompt:
    `{"error": [type, message]}`, or those of `{"value", "text", "printed"}` that there are."""
    import contextlib
    import io
    import re
    import sys

    def plain(text):
        return re.sub(r"0x[0-9a-fA-F]+", "0x", text.strip())[:5000]

    scope = {"__name__": "__main__"}
    outcomes = []
    arguments = sys.argv
    for source in steps:
        # A program that the session is gets no arguments of this one.
        sys.argv = ["issue.py"]
        printed = io.StringIO()
        outcome = {}
        try:
            with contextlib.redirect_stdout(printed):
                try:
                    code = compile(source, "<issue>", "eval")
                except SyntaxError:
                    exec(compile(source, "<issue>", "exec"), scope)
                else:
                    value = eval(code, scope)
                    if value is not None:
                        scope["_"] = value
                        outcome = {"value": plain(repr(value)), "text": plain(str(value))}
            if printed.getvalue().strip():
                outcome["printed"] = plain(printed.getvalue())
        except (Exception, SystemExit) as error:
            outcome = {"error": [type(error).__name__, plain(str(error))]}
        finally:
            sys.argv = arguments
        outcomes.append(outcome)
    return outcomes


class TooLong(BaseException):
    pass


def ring(signum, frame):
    raise TooLong


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        steps = json.load(file)["steps"]
    # Where the tests import from.
    root = os.getcwd()
    sys.path.insert(0, root)
    src = os.path.join(root, "src")
    if os.path.isdir(src) and not os.path.exists(os.path.join(src, "__init__.py")):
        sys.path.insert(1, src)
    signal.signal(signal.SIGALRM, ring)
    outcomes = []
    while True:
        signal.setitimer(signal.ITIMER_REAL, STEP_SECONDS)
        try:
            outcomes = replay(steps)
            break
        except TooLong:
            # Once more without the end of the session.
            steps = steps[: len(steps) // 2]
            if not steps:
                break
    signal.setitimer(signal.ITIMER_REAL, 0)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"outcomes": outcomes}, file)
    sys.stdout.flush()
    # Threads of the session do not keep this alive.
    os._exit(0)


if __name__ == "__main__":
    main()

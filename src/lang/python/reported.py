"""Makes a test of what an issue reports and the base does.

Called in the repository's root as `egss-python -I reported.py REQUEST REPLY`, twice. At
first the request is `{"issue"}`, and the reply `{"steps": [step]}`: the statements of all code
that the issue shows, as one session, which the interpreter under test replays. Then the
request is `{"issue", "steps", "runs": [[outcome], [outcome]]}`, what two replays came to, and
the reply `{"text"}`: a test, or null where the base does nothing that the issue reports.

An outcome is a fault where the issue shows it and the base has it. Some shown outcomes are
right and stand beside the fault, so that the test asks for one of them to change, and not for
all; an error that is shown comes before any value.
"""

import ast
import inspect
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import replay as replayer  # noqa: E402
from examples import (  # noqa: E402
    DEFS,
    Index,
    bound_in,
    code_blocks,
    import_for,
    issue_imports,
    names_of,
    parses,
    prompts,
)

STEPS_MAX = 200
# A call in a sentence, with calls of one more level in it.
CALL = re.compile(r"(?<![\w.])[A-Za-z_][\w.]*\((?:[^()\n]|\([^()\n]*\))+\)")
# A comment that says what an expression gives.
GIVES = re.compile(r"^#\s*(.+?)\s*(?:=>|->|→)\s*(.+)$")
# Characters of an error's message by which it is known: versions add to its end.
MESSAGE_CHARS = 24
# Errors that tell of this machine, or of a name that the issue does not explain.
NO_FAULTS = {"ImportError", "ModuleNotFoundError", "NameError", "SyntaxError", "IndentationError"}
# Outcomes of fewer characters stand in a text by chance: such a one has to stand where the
# step is.
TELLING_CHARS = 6
# Said of what should be.
WISH = re.compile(
    r"\b(expect(?:ed|s)?|should|must|desired|correct(?:ly)?|ought|want(?:ed)?|works)\b", re.I
)
# Said of what is: after a wish it turns the sentence.
FAULT = re.compile(
    r"\b(but|instead|actual(?:ly)?|wrong|incorrect|bug|get|got|gives|returns|not)\b", re.I
)

# An error's name.
ERROR = re.compile(r"\b\w*(?:Error|Exception|Warning)\b|\brais|\bcrash|\bfails?\b", re.I)


# --- the session that an issue shows ---------------------------------------------------


def session(issue):
    """Steps `{"source", "want", "near"}` in order: `want` is what the issue shows as printed
    there, `near` the comment and the line of text before it."""
    steps = []
    for block, prose in code_blocks(issue):
        steps.extend(block_steps(block, prose))
    known = {step["source"] for step in steps}
    for line in issue.splitlines():
        # A line of code stands in a block, and an assertion is a wish.
        if parses(line.strip().lstrip(">. ")) or "assert " in line:
            continue
        for text in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", line) + CALL.findall(line):
            call = expression(text)
            if isinstance(call, ast.Call) and ast.unparse(call) not in known:
                known.add(ast.unparse(call))
                near = line.replace(text, "")
                # Without a word of blame it is an example of anything.
                if FAULT.search(near) or ERROR.search(near):
                    steps.append({"source": ast.unparse(call), "want": "", "near": near})
    return steps[:STEPS_MAX]


def block_steps(block, prose):
    if ">>>" in block:
        found = list(prompts(block))
    elif re.search(r"^\s*In \[\d+\]:", block, re.M):
        found = list(notebook(block))
    else:
        return script_steps(block, prose)
    steps = []
    for source, want in found:
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError):
            continue
        for node in body:
            last = node is body[-1]
            steps.append({"source": ast.unparse(node), "want": want if last else "", "near": prose})
    return steps


def script_steps(block, prose):
    try:
        body = ast.parse(block).body
    except (SyntaxError, ValueError):
        return []
    lines = block.splitlines()
    steps = []
    for node in body:
        first = node.lineno - 1
        near = [lines[node.end_lineno - 1].partition("#")[2]]
        while first and lines[first - 1].lstrip().startswith("#"):
            first -= 1
            near.append(lines[first])
        steps.append(
            {"source": ast.unparse(node), "want": "", "near": "\n".join([prose] + near[::-1])}
        )
    return steps + list(told_by_comments(lines))


def told_by_comments(lines):
    """Comments such as `# page.slug => 'a-b'`, with the comment before each."""
    before = ""
    for line in map(str.strip, lines):
        told = GIVES.match(line)
        node = expression(told.group(1)) if told else None
        if node is not None:
            yield {"source": ast.unparse(node), "want": told.group(2), "near": before}
        elif line.startswith("#"):
            before = line
        elif line:
            before = ""


def notebook(block):
    """`(source, what it prints)` of each `In [n]:`."""
    cells = re.split(r"^\s*In \[\d+\]:", block, flags=re.M)[1:]
    for cell in cells:
        source, *want = re.split(r"^\s*Out\[\d+\]:", cell, maxsplit=1, flags=re.M)
        lines = [re.sub(r"^\s*\.\.\.+: ?", "", line) for line in source.splitlines()]
        indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
        least = min(indents, default=0)
        text = "\n".join([lines[0].strip()] + [line[least:] for line in lines[1:]])
        if want:
            yield text, want[0].strip()
            continue
        # Its output follows it.
        lines = text.splitlines()
        for end in range(len(lines), 0, -1):
            if parses("\n".join(lines[:end])):
                yield "\n".join(lines[:end]), "\n".join(lines[end:]).strip()
                break


def expression(text):
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def with_imports(steps, issue):
    """The session with imports before it for names that it does not explain, and without the
    repository's own definitions, which an issue may quote."""
    index = Index.of(os.getcwd())
    written = issue_imports(issue)
    kept, nodes = [], []
    for step in steps:
        body = ast.parse(step["source"]).body
        if any(isinstance(node, DEFS) and index.defining(node.name, issue) for node in body):
            continue
        kept.append(step)
        nodes.extend(body)
    builtin = set(dir(__builtins__)) if not isinstance(__builtins__, dict) else set(__builtins__)
    free = names_of(nodes, ast.Load) - bound_in(nodes) - builtin
    lines = [import_for(name, nodes, index, written, issue) for name in sorted(free)]
    lines = [{"source": line, "want": "", "near": ""} for line in lines if line]
    return lines + kept


# --- what it reports, and the base does -------------------------------------------------


def facts(issue, steps, runs):
    """The outcomes that are shown and that the base has, by the step's number: errors, or else
    values."""
    errors, values = {}, {}
    sources = " ".join(flat(step["source"]) for step in steps)
    for at, (step, first, second) in enumerate(zip(steps, *runs)):
        # An address, a time, a random number: another one each time.
        if first != second or not first:
            continue
        if "error" in first:
            if is_error_shown(first["error"], step, issue):
                errors[at] = first
        elif is_value_shown(first, step, flat(issue), sources):
            values[at] = first
    return errors or values


def is_error_shown(error, step, issue):
    name, message = error
    line = flat(message.splitlines()[0]) if message else ""
    if name in NO_FAULTS:
        return False
    last = flat(step["want"].splitlines()[-1]) if step["want"] else ""
    if step["want"].startswith("Traceback ") and last.split(":")[0].split(".")[-1] == name:
        return True
    text = flat(issue)
    has_name = re.search(rf"\b{re.escape(name)}\b", text) is not None
    return has_name and len(line) >= TELLING_CHARS and line[:MESSAGE_CHARS] in text


def is_value_shown(outcome, step, issue, sources):
    forms = {flat(form) for form in outcome.values()}
    if step["want"]:
        return flat(step["want"]) in forms and not is_wish(step["near"])
    for form in forms:
        # One that looks like code of the session need not be an output.
        if len(form) >= TELLING_CHARS and form not in sources and form in issue:
            before = issue[: issue.index(form)]
            return not is_wish(before[-60:])
        if has_word(flat(step["near"]), form) and form != "None":
            return not is_wish(step["near"])
    return False


def is_wish(text):
    """Whether a text says of an outcome that it is as it should be."""
    said = WISH.search(text)
    return said is not None and FAULT.search(text[said.end() :]) is None


def flat(text):
    text = re.sub(r"0x[0-9a-fA-F]+", "0x", text)
    return re.sub(r"\s+", " ", text).strip()


def has_word(text, word):
    return bool(word) and re.search(rf"(?<![\w.]){re.escape(word)}(?![\w]|\.\w)", text) is not None


# --- the test ----------------------------------------------------------------------------


TEST = '''
def test_issue_reported():
    """The issue reports what these come to: one of them has to change."""
    steps = {steps}
    reported = {reported}
    outcomes = replay(steps)
    for at, (step, outcome) in enumerate(zip(steps, outcomes)):
        is_broken = outcome.get("error", [""])[0] in {broken}
        assert not is_broken or "error" in reported.get(at, {{}}), (step, outcome)
    same = [(steps[at], was) for at, was in reported.items() if outcomes[at] == was]
    assert len(same) < len(reported), "as the issue reports: %r" % (same,)
'''


def test_of(steps, runs, found):
    """Steps that cannot be run here are left out, and those after the last fact. A name that is
    no longer there is no fix."""
    kept, reported = [], {}
    for at, (step, outcome) in enumerate(zip(steps[: max(found) + 1], runs[0])):
        if at in found:
            reported[len(kept)] = outcome
        elif "error" in outcome:
            continue
        kept.append(step["source"])
    return (
        inspect.getsource(replayer.replay)
        + "\n"
        + TEST.format(steps=kept, reported=reported, broken=sorted(NO_FAULTS | {"AttributeError"}))
    )


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    issue = request["issue"]
    if "runs" not in request:
        reply = {"steps": with_imports(session(issue), issue)}
    else:
        steps, runs = request["steps"], request["runs"]
        found = facts(issue, steps, runs)
        reply = {"text": test_of(steps, runs, found) if found else None}
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(reply, file)


if __name__ == "__main__":
    main()

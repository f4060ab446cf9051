"""The text of an issue, out of one failure."""

import ast
import re
from dataclasses import dataclass

from sdists.failure import Failure
from sdists.snippet import Snippet

# A value of more characters is shown in lines of its own, as pytest explains it.
VALUE_CHARS_MAX = 120
# An expression of more characters is called the result.
EXPRESSION_CHARS_MAX = 70
FRAMES_MAX = 3
# A call to be compared is wrapped in these.
WRAPPERS = {
    "list", "tuple", "set", "dict", "sorted", "str", "repr", "len", "next", "bool", "int", "type",
    "isinstance", "all", "any", "raises", "getvalue",
}  # fmt: skip
WRAPPERS |= {name for known in (str, bytes, list, dict) for name in dir(known)}


@dataclass(frozen=True)
class Observed:
    title: str
    text: str


def issue(failure: Failure, script: Snippet, files: "dict[str, str]") -> "str | None":
    """None where pytest's account says nothing that a report could."""
    observed = (
        of_statement(failure, script)
        if failure.is_raised_in_test()
        else of_exception(failure, script, files)
    )
    if observed is None:
        return None
    return f"""# {observed.title}

```python
{script.text}
```

{observed.text}
"""


def of_exception(failure: Failure, script: Snippet, files: "dict[str, str]") -> "Observed | None":
    """An exception from the package: its last frames there, as a traceback has them."""
    inside = [(path, line) for path, line in failure.frames if path in files]
    inside = [frame for frame in inside if frame[0] != failure.path][-FRAMES_MAX:]
    if not inside or not failure.error:
        return None
    shown = ["Traceback (most recent call last):", "  ..."]
    for path, line in inside:
        shown.append(f'  File "{path}", line {line}, in {function_at(files[path], line)}')
        shown.append(f"    {files[path].splitlines()[line - 1].strip()}")
    kind = failure.error.split(":")[0].rpartition(".")[2]
    called = callee(script.failing, script.body)
    title = f"`{kind}` from `{called}`" if called else f"An unexpected `{kind}`"
    block = "\n".join([*shown, failure.error])
    asked = re.findall(r"\braises\((\w+)", script.text)
    expected = (
        f"I expected `{asked[-1]}`, and got another error" if asked else "I expected no error here"
    )
    return Observed(title, f"{expected}:\n\n```\n{block}\n```")


def of_statement(failure: Failure, script: Snippet) -> "Observed | None":
    called = callee(script.failing, script.body)
    of_it = f" of `{called}`" if called else ""
    missing = re.search(r"DID NOT RAISE <class '([\w.]+)'>", failure.error)
    if missing:
        kind = missing.group(1).rpartition(".")[2]
        title = f"`{called}` raises no `{kind}`" if called else f"There is no `{kind}`"
        return Observed(title, f"I expected a `{kind}` here, and nothing is raised.")
    if not isinstance(script.failing, ast.Assert):
        if not failure.error:
            return None
        block = "\n".join(failure.explanation)
        return Observed(f"An unexpected end{of_it}", f"This ends with:\n\n```\n{block}\n```")
    title = f"A wrong result{of_it}"
    values = values_of(failure)
    test = script.failing.test
    is_equation = isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Eq, ast.Is))
    if values and is_equation and len(test.ops) == 1:
        sides = [test.left, test.comparators[0]]
        got, wanted = (1, 0) if has_call(sides[1]) and not has_call(sides[0]) else (0, 1)
        text = ast.unparse(sides[got])
        shown = f"`{text}`" if len(text) <= EXPRESSION_CHARS_MAX else "The result"
        gives = "gives" if has_call(sides[got]) or shown == "The result" else "is"
        return Observed(title, f"{shown} {gives} `{values[got]}`. I expected `{values[wanted]}`.")
    if not failure.explanation:
        return None
    block = "\n".join(failure.explanation)
    return Observed(title, f"The assertion should hold, and does not:\n\n```\n{block}\n```")


def values_of(failure: Failure) -> "list[str] | None":
    """Both sides of an equality that does not hold, if they are short."""
    for line in failure.explanation:
        text = line.split("AssertionError: ", 1)[-1]
        equation = text[len("assert ") :] if text.startswith("assert ") else ""
        if not equation and " != " in text:
            # As unittest says it.
            equation = text
        try:
            node = ast.parse(equation, mode="eval").body if equation else None
        except (SyntaxError, ValueError):
            return None
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            if not isinstance(node.ops[0], (ast.Eq, ast.NotEq, ast.Is)):
                return None
            sides = [
                ast.get_source_segment(equation, one) for one in (node.left, node.comparators[0])
            ]
            is_short = all(len(side) <= VALUE_CHARS_MAX and "`" not in side for side in sides)
            return sides if is_short and "..." not in equation else None
    return None


def has_call(node: ast.AST) -> bool:
    return any(isinstance(one, (ast.Call, ast.Attribute, ast.Subscript)) for one in ast.walk(node))


def callee(failing: ast.stmt, before: "list[ast.stmt]") -> str:
    """The function that the statement is about; empty if none stands out."""
    node = failing.test if isinstance(failing, ast.Assert) else failing
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            name = getattr(one.func, "id", getattr(one.func, "attr", ""))
            if name and name not in WRAPPERS:
                return name
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    for statement in reversed(before):
        if isinstance(statement, ast.Assign):
            targets = {one.id for one in ast.walk(statement) if isinstance(one, ast.Name)}
            if targets & names and (name := callee(ast.Expr(statement.value), [])):
                return name
    return ""


def function_at(text: str, line: int) -> str:
    """The innermost function around a line."""
    found = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.lineno <= line <= node.end_lineno
    ]
    return max(found, key=lambda node: node.lineno).name if found else "<module>"

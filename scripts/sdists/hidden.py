"""Test files without some of their tests."""

import ast

from tasks.checks import lines_of


def function_of(test: str) -> "tuple[str, tuple[str, ...]]":
    """The file of a test's id, and the classes and the function in it, without parameters."""
    path, *names = test.split("[", 1)[0].split("::")
    return path, tuple(names)


def without(text: str, functions: "set[tuple[str, ...]]") -> "str | None":
    """A test file without these functions, whole; None if one of them is not written there.

    A class that nothing is left of goes too, unless the file speaks of it elsewhere.
    """
    tree, lines = ast.parse(text), lines_of(text)
    gone, emptied, found = set(), [], set()

    def visit(block: "list[ast.stmt]", above: "tuple[str, ...]") -> "list[ast.stmt]":
        """The statements of a block that stay."""
        kept = []
        for node in block:
            name = (*above, getattr(node, "name", ""))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and name in functions:
                found.add(name)
                gone.update(span(node, lines))
                continue
            if isinstance(node, ast.ClassDef):
                left = visit(node.body, name)
                if len(left) < len(node.body) and not any(map(is_code, left)):
                    if text.count(node.name) == 1:
                        gone.update(span(node, lines))
                        continue
                    emptied.append(node)
            kept.append(node)
        return kept

    visit(tree.body, ())
    if found != functions:
        return None
    out = []
    bodies = {node.body[0].lineno: node.body[0].col_offset for node in emptied}
    for number, line in enumerate(lines, 1):
        if number in bodies:
            out.append(" " * bodies[number] + "pass\n")
        if number not in gone:
            out.append(line)
    left = "".join(out)
    try:
        ast.parse(left)
    except SyntaxError:
        return None
    return left


def is_code(node: ast.stmt) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return not is_text and not isinstance(node, ast.Pass)


def span(node: "ast.FunctionDef | ast.ClassDef", lines: "list[str]") -> range:
    """Its lines with decorators, the comment that stands on it, and empty lines before it."""
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    indent = lines[first - 1][: node.col_offset]
    while first > 1 and lines[first - 2].startswith(f"{indent}#"):
        first -= 1
    while first > 1 and not lines[first - 2].strip():
        first -= 1
    return range(first, node.end_lineno + 1)

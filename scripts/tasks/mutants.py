"""Mutants of a Python source: small defects of the kinds that people make, one at a time.

A mutant is the source with one span of it written anew, so that its layout and its
comments stay and the patch that undoes it is as small as the defect.
"""

import ast
from collections.abc import Iterator

from tasks.source import SIGNS, Source, statements

INVERSES = {
    "<": ">=",
    "<=": ">",
    ">": "<=",
    ">=": "<",
    "==": "!=",
    "!=": "==",
    "in": "not in",
    "not in": "in",
    "is": "is not",
    "is not": "is",
}
# What a comparison is mistaken for.
COMPARISONS = {
    "<": ["<=", ">"],
    "<=": ["<", ">="],
    ">": [">=", "<"],
    ">=": [">", "<="],
    "==": ["!="],
    "!=": ["=="],
    "in": ["not in"],
    "not in": ["in"],
}
ARITHMETIC = {
    "+": ["-", "*"],
    "-": ["+"],
    "*": ["+", "**"],
    "/": ["//", "*"],
    "//": ["/", "%"],
    "%": ["//"],
    "**": ["*"],
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
METHODS = {
    "upper": "lower",
    "lower": "upper",
    "isupper": "islower",
    "islower": "isupper",
    "isalpha": "isalnum",
    "isdigit": "isalnum",
    "extend": "append",
}
# Calls that are easily forgotten.
FORGOTTEN_FUNCTIONS = {"abs", "reversed", "set", "sorted", "round", "int"}
FORGOTTEN_METHODS = {"lower", "upper", "strip", "swapcase"}
ATOMS = (ast.Name, ast.Call, ast.Subscript, ast.Attribute, ast.List, ast.ListComp, ast.Constant)

Edit = tuple[int, int, str]
"""Start and end in the text, in characters, and what stands there instead."""


def mutants(text: str) -> dict[str, list[str]]:
    """Each mutant's whole text, by kind, in order of place.

    Only the bodies of functions are changed. Every mutant parses and differs from the
    source and from every other as a tree; whether it behaves otherwise is not known.
    """
    source = Source(text)
    seen = {ast.dump(source.tree)}
    found = {}
    for kind, edits in KINDS.items():
        for start, end, new in sorted(edits(source)):
            mutant = text[:start] + new + text[end:]
            try:
                tree = ast.dump(ast.parse(mutant))
            except SyntaxError:
                continue
            if tree not in seen:
                seen.add(tree)
                found.setdefault(kind, []).append(mutant)
    return found


def comparison(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.Compare):
        for left, operator, right in zip(
            [node.left, *node.comparators], node.ops, node.comparators
        ):
            start, end, sign = source.sign(left, operator, right)
            for other in COMPARISONS.get(sign, []):
                yield start, end, other


def negated_condition(source: Source) -> Iterator[Edit]:
    tests = [node.test for node in source.of(ast.If, ast.While, ast.IfExp)]
    tests += [test for node in source.of(ast.comprehension) for test in node.ifs]
    for test in tests:
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            start, end, sign = source.sign(test.left, test.ops[0], test.comparators[0])
            yield start, end, INVERSES[sign]
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            yield *source.span(test), source.of_node(test.operand)
        elif isinstance(test, ATOMS):
            start, _ = source.span(test)
            yield start, start, "not "


def boolean(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.BoolOp):
        for left, right in zip(node.values, node.values[1:]):
            start, end, sign = source.sign(left, node.op, right)
            yield start, end, "or" if sign == "and" else "and"


def arithmetic(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.BinOp, ast.AugAssign):
        sides = (
            (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
        )
        if type(node.op).__name__ in SIGNS:
            start, end, sign = source.sign(sides[0], node.op, sides[1])
            for other in ARITHMETIC[sign]:
                yield start, end, other


def off_by_one(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.Constant):
        if type(node.value) is int and not is_initial(source, node):
            yield from ((*source.span(node), str(node.value + step)) for step in (1, -1))
    bounds = [
        node.args[min(len(node.args), 2) - 1]
        for node in source.of(ast.Call)
        if getattr(node.func, "id", "") == "range"
    ]
    bounds += [
        bound for node in source.of(ast.Slice) for bound in (node.lower, node.upper) if bound
    ]
    bounds += [node.slice for node in source.of(ast.Subscript)]
    for bound in bounds:
        if isinstance(bound, (ast.Name, ast.Call)):
            _, end = source.span(bound)
            yield from ((end, end, step) for step in (" + 1", " - 1"))


def is_initial(source: Source, constant: ast.Constant) -> bool:
    """Whether a variable is set to the constant as such."""
    above = source.parents[constant]
    if isinstance(above, ast.UnaryOp):
        above = source.parents[above]
    if isinstance(above, ast.Tuple):
        above = source.parents[above]
    return isinstance(above, ast.Assign)


def initial_value(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.Constant):
        if not is_initial(source, node):
            continue
        if isinstance(node.value, bool):
            yield *source.span(node), str(not node.value)
        elif isinstance(node.value, int):
            yield from ((*source.span(node), str(node.value + step)) for step in (1, -1))
        elif node.value == "":
            yield *source.span(node), "' '"


def returned_value(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.Return):
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool):
            yield *source.span(node.value), str(not node.value.value)


def wrong_variable(source: Source) -> Iterator[Edit]:
    def is_base(node: ast.Name) -> bool:
        return getattr(source.parents[node], "value", None) is node and isinstance(
            source.parents[node], (ast.Attribute, ast.Subscript)
        )

    bases = {node.id for node in source.of(ast.Name) if is_base(node)}
    for node in source.of(ast.Name):
        if isinstance(node.ctx, ast.Load):
            known = source.variables(node)
            # Nobody takes an index for a list: what has parts is mistaken for what has some too.
            others = known & bases if is_base(node) else known
            if node.id in known:
                yield from ((*source.span(node), other) for other in others - {node.id})


def wrong_function(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.Call):
        _, end = source.span(node.func)
        if isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            yield *source.span(node.func), FUNCTIONS[node.func.id]
        elif isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            yield end - len(node.func.attr), end, METHODS[node.func.attr]


def swapped_arguments(source: Source) -> Iterator[Edit]:
    pairs = [node.args for node in source.of(ast.Call) if len(node.args) == 2]
    pairs += [
        node.elts
        for node in source.of(ast.Tuple)
        if len(node.elts) == 2 and isinstance(node.ctx, ast.Load)
    ]
    for first, second in pairs:
        start, end = source.span(first)[0], source.span(second)[1]
        between = source.text[source.span(first)[1] : source.span(second)[0]]
        yield start, end, source.of_node(second) + between + source.of_node(first)


def missing_statement(source: Source) -> Iterator[Edit]:
    for parent in source.of(ast.stmt):
        for block in map(statements, (getattr(parent, "body", []), getattr(parent, "orelse", []))):
            for node in block if len(block) > 1 else []:
                if may_be_forgotten(source, node):
                    start, end = (
                        source.offset(node.lineno, 0),
                        source.offset(
                            node.end_lineno, len(source.lines[node.end_lineno - 1].encode())
                        ),
                    )
                    # A statement that shares its line with another stays.
                    if source.text[start:end].strip() == source.of_node(node):
                        yield start, end, ""


def may_be_forgotten(source: Source, node: ast.stmt) -> bool:
    """Whether the code without `node` looks whole: no name goes missing."""
    if isinstance(node, ast.Assign):
        names = {
            name.id
            for target in node.targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        }
        return names <= source.variables(node)
    if isinstance(node, ast.If):
        # One of two statements is half of a function, which is to be written, not found.
        return not node.orelse and len(statements(source.parents[node].body)) > 2
    return isinstance(node, (ast.AugAssign, ast.Expr, ast.Break, ast.Continue))


def missing_term(source: Source) -> Iterator[Edit]:
    """One side of a sum, a product, a condition."""
    for node in source.of(ast.BinOp, ast.BoolOp):
        sides = (node.left, node.right) if isinstance(node, ast.BinOp) else node.values
        start, end = source.span(node)
        for left, right in zip(sides, sides[1:]):
            if type(node.op).__name__ in SIGNS:
                sign_start, sign_end, _ = source.sign(left, node.op, right)
                # From the sign on to the end, so that parentheses stay with their side.
                if right is sides[-1]:
                    yield start, end, source.text[start:sign_start].rstrip()
                if left is sides[0]:
                    yield start, end, source.text[sign_end:end].lstrip()


def missing_call(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.Call):
        if node.keywords:
            continue
        if (
            isinstance(node.func, ast.Name)
            and node.func.id in FORGOTTEN_FUNCTIONS
            and len(node.args) == 1
        ):
            inner = source.of_node(node.args[0])
            yield *source.span(node), inner if isinstance(node.args[0], ATOMS) else f"({inner})"
        elif (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in FORGOTTEN_METHODS
            and not node.args
        ):
            yield *source.span(node), source.of_node(node.func.value)


KINDS = {
    "comparison": comparison,
    "negated-condition": negated_condition,
    "boolean": boolean,
    "arithmetic": arithmetic,
    "off-by-one": off_by_one,
    "initial-value": initial_value,
    "returned-value": returned_value,
    "wrong-variable": wrong_variable,
    "wrong-function": wrong_function,
    "swapped-arguments": swapped_arguments,
    "missing-statement": missing_statement,
    "missing-term": missing_term,
    "missing-call": missing_call,
}

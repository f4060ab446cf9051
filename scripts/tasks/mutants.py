"""Mutants of a Python source: small defects of the kinds that people make, one at a time.

A mutant is the source with one span of it written anew, so that its layout and its
comments stay and the patch that undoes it is as small as the defect.
"""
import ast
from collections.abc import Iterator

INVERSES = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==", "in": "not in", "not in": "in", "is": "is not", "is not": "is"}
# Beside its inverse, what a comparison is mistaken for.
COMPARISONS = {"<": ["<=", ">"], "<=": ["<", ">="], ">": [">=", "<"], ">=": [">", "<="], "==": ["!="], "!=": ["=="], "in": ["not in"], "not in": ["in"]}
ARITHMETIC = {"+": ["-", "*"], "-": ["+"], "*": ["+", "**"], "/": ["//", "*"], "//": ["/", "%"], "%": ["//"], "**": ["*"]}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
METHODS = {"upper": "lower", "lower": "upper", "isupper": "islower", "islower": "isupper", "isalpha": "isalnum", "isdigit": "isalnum", "extend": "append"}
# Calls that are easily forgotten.
FORGOTTEN_FUNCTIONS = {"abs", "reversed", "set", "sorted", "round", "int"}
FORGOTTEN_METHODS = {"lower", "upper", "strip", "swapcase"}
# Operators by the name of their node.
SIGNS = {
    "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "Eq": "==", "NotEq": "!=", "In": "in", "NotIn": "not in",
    "Is": "is", "IsNot": "is not", "Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "FloorDiv": "//", "Mod": "%",
    "Pow": "**", "And": "and", "Or": "or",
}  # fmt: skip
ATOMS = (ast.Name, ast.Call, ast.Subscript, ast.Attribute, ast.List, ast.ListComp, ast.Constant)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (ast.FunctionDef, ast.Lambda, *COMPREHENSIONS)

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


class Source:
    """A text and its tree, and where in the text a node stands."""

    def __init__(self, text: str):
        self.text = text
        self.tree = ast.parse(text)
        self.lines = text.splitlines(keepends=True)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.nodes = [node for part in self.tree.body if isinstance(part, ast.FunctionDef) for node in code(part)]

    def of(self, *types: type) -> Iterator:
        return (node for node in self.nodes if isinstance(node, types))

    def offset(self, line: int, column_bytes: int) -> int:
        before = self.lines[line - 1].encode()[:column_bytes].decode()
        return sum(map(len, self.lines[: line - 1])) + len(before)

    def span(self, node: ast.AST) -> tuple[int, int]:
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def of_node(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def sign(self, left: ast.AST, operator: ast.AST, right: ast.AST) -> tuple[int, int, str]:
        """Where the operator between two nodes stands, and what it is."""
        sign = SIGNS[type(operator).__name__]
        start = self.text.index(sign, self.span(left)[1], self.span(right)[0])
        return start, start + len(sign), sign

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def variables(self, at: ast.AST) -> set[str]:
        """Names that are bound where `at` stands, in its function and those around it."""
        names = set()
        path = [at, *self.above(at)]
        for scope in path:
            if isinstance(scope, (ast.FunctionDef, ast.Lambda)):
                names |= {one.arg for one in scope.args.args}
            # The first sequence of a comprehension is taken outside of it.
            outside = isinstance(scope, COMPREHENSIONS) and scope.generators[0].iter in path
            if isinstance(scope, SCOPES) and not outside:
                names |= {name.id for name in ast.walk(scope) if self.binds(scope, name, at)}
        return names

    def binds(self, scope: ast.AST, name: ast.AST, at: ast.AST) -> bool:
        """Whether `name` is set in `scope` itself, before `at`."""
        if not isinstance(name, ast.Name) or not isinstance(name.ctx, ast.Store):
            return False
        above = list(self.above(name))
        if next(node for node in above if isinstance(node, SCOPES)) is not scope:
            return False
        if not isinstance(scope, ast.FunctionDef):
            return True
        setter = next(node for node in above if isinstance(node, ast.stmt))
        path = [at, *self.above(at)]
        if isinstance(setter, ast.For) and setter in path:
            return setter is not at and setter.iter not in path
        return setter.end_lineno < at.lineno


def code(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body in order: no docstrings, signatures, f-strings."""
    yield node
    if isinstance(node, ast.JoinedStr):
        return
    parts = node.body if isinstance(node, ast.FunctionDef) else [node.body] if isinstance(node, ast.Lambda) else ast.iter_child_nodes(node)
    for part in parts:
        if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)):
            yield from code(part)


def comparison(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.Compare):
        for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators):
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
        sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
        if type(node.op).__name__ in SIGNS:
            start, end, sign = source.sign(sides[0], node.op, sides[1])
            for other in ARITHMETIC[sign]:
                yield start, end, other


def off_by_one(source: Source) -> Iterator[Edit]:
    for node in source.of(ast.Constant):
        if type(node.value) is int and not is_initial(source, node):
            yield from ((*source.span(node), str(node.value + step)) for step in (1, -1))
    bounds = [node.args[min(len(node.args), 2) - 1] for node in source.of(ast.Call) if getattr(node.func, "id", "") == "range"]
    bounds += [bound for node in source.of(ast.Slice) for bound in (node.lower, node.upper) if bound]
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
        return getattr(source.parents[node], "value", None) is node and isinstance(source.parents[node], (ast.Attribute, ast.Subscript))

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
    pairs += [node.elts for node in source.of(ast.Tuple) if len(node.elts) == 2 and isinstance(node.ctx, ast.Load)]
    for first, second in pairs:
        start, end = source.span(first)[0], source.span(second)[1]
        between = source.text[source.span(first)[1] : source.span(second)[0]]
        yield start, end, source.of_node(second) + between + source.of_node(first)


def missing_statement(source: Source) -> Iterator[Edit]:
    for parent in source.of(ast.stmt):
        for block in (getattr(parent, "body", []), getattr(parent, "orelse", [])):
            for node in block if len(block) > 1 else []:
                if may_be_forgotten(source, node):
                    start, end = source.offset(node.lineno, 0), source.offset(node.end_lineno, len(source.lines[node.end_lineno - 1].encode()))
                    # A statement that shares its line with another stays.
                    if source.text[start:end].strip() == source.of_node(node):
                        yield start, end, ""


def may_be_forgotten(source: Source, node: ast.stmt) -> bool:
    """Whether the code without `node` looks whole: no name goes missing."""
    if isinstance(node, ast.Assign):
        names = {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        return names <= source.variables(node)
    if isinstance(node, ast.If):
        return not node.orelse
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return isinstance(node, (ast.AugAssign, ast.Expr, ast.Break, ast.Continue)) and not is_docstring


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
        if isinstance(node.func, ast.Name) and node.func.id in FORGOTTEN_FUNCTIONS and len(node.args) == 1:
            inner = source.of_node(node.args[0])
            yield *source.span(node), inner if isinstance(node.args[0], ATOMS) else f"({inner})"
        elif isinstance(node.func, ast.Attribute) and node.func.attr in FORGOTTEN_METHODS and not node.args:
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

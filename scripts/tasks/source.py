"""A Python source with the places of its nodes and the variables known there."""

import ast
import copy
from collections.abc import Iterable, Iterator
from itertools import accumulate

from tasks.checks import lines_of

# Operators by the name of their node.
SIGNS = {
    "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">=", "Eq": "==", "NotEq": "!=",
    "In": "in", "NotIn": "not in", "Is": "is", "IsNot": "is not", "And": "and", "Or": "or",
    "Add": "+", "Sub": "-", "Mult": "*", "Div": "/", "FloorDiv": "//", "Mod": "%", "Pow": "**",
}  # fmt: skip
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (ast.FunctionDef, ast.Lambda, *COMPREHENSIONS)


class Source:
    """A text and its tree, and where in the text a node stands."""

    def __init__(self, text: str):
        self.text = text
        self.tree = ast.parse(text)
        self.lines = lines_of(text)
        self.starts = [0, *accumulate(map(len, self.lines))]
        self.parents = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }
        self.nodes = [
            node
            for part in self.tree.body
            if isinstance(part, ast.FunctionDef)
            for node in code(part)
        ]

    def within(self, function: ast.FunctionDef) -> "Source":
        """The same source, of which only this function's nodes count."""
        part = copy.copy(self)
        part.nodes = list(code(function))
        return part

    def of(self, *types: type) -> Iterator:
        return (node for node in self.nodes if isinstance(node, types))

    def offset(self, line: int, column_bytes: int) -> int:
        before = self.lines[line - 1].encode()[:column_bytes].decode()
        return self.starts[line - 1] + len(before)

    def span(self, node: ast.AST) -> tuple[int, int]:
        start = self.offset(node.lineno, node.col_offset)
        return start, self.offset(node.end_lineno, node.end_col_offset)

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
    parts = (
        node.body
        if isinstance(node, ast.FunctionDef)
        else [node.body]
        if isinstance(node, ast.Lambda)
        else ast.iter_child_nodes(node)
    )
    for part in statements(parts):
        yield from code(part)


def statements(block: Iterable[ast.AST]) -> list[ast.AST]:
    """The block without its docstring."""
    return [
        node
        for node in block
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]

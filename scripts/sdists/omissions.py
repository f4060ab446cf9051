"""Kinds of defects that code of real size offers beside those of `tasks.mutants`."""

import ast
from collections.abc import Iterator

from tasks.mutants import KINDS, Edit
from tasks.source import Source


def missing_keyword(source: Source) -> Iterator[Edit]:
    """A keyword argument that is not passed on."""
    for node in source.of(ast.Call):
        parts = [*node.args, *node.keywords]
        for at, keyword in enumerate(parts):
            if isinstance(keyword, ast.keyword) and keyword.arg and at > 0:
                yield source.span(parts[at - 1])[1], source.span(keyword)[1], ""


def missing_member(source: Source) -> Iterator[Edit]:
    """One of the values that a variable is looked for in."""
    for node in source.of(ast.Compare):
        for operator, container in zip(node.ops, node.comparators):
            is_list = isinstance(container, (ast.Tuple, ast.List, ast.Set))
            if not isinstance(operator, (ast.In, ast.NotIn)) or not is_list:
                continue
            # Two are left, so that a tuple stays one.
            for before, member in zip(container.elts, container.elts[1:]):
                if len(container.elts) > 2:
                    yield source.span(before)[1], source.span(member)[1], ""


def missing_branch(source: Source) -> Iterator[Edit]:
    """An `elif` that nobody thought of."""
    for node in source.of(ast.If):
        above = source.parents[node]
        is_elif = isinstance(above, ast.If) and above.orelse == [node]
        text = source.lines[node.lineno - 1]
        if is_elif and text.lstrip().startswith("elif"):
            start = source.offset(node.lineno, 0)
            end = source.offset(node.body[-1].end_lineno, 0)
            yield start, end + len(source.lines[node.body[-1].end_lineno - 1]), ""


ALL_KINDS = {
    **KINDS,
    "missing-keyword": missing_keyword,
    "missing-member": missing_member,
    "missing-branch": missing_branch,
}

"""Places of a package where a defect can be made, and the defects."""

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from sdists.omissions import ALL_KINDS
from sdists.reach import Reach
from sdists.tree import is_source
from tasks.source import Source

# A function of fewer statements has little to be found in, docstring not counted.
STATEMENTS_MIN = 4
# So that some tests can still pass in a function that has a defect.
TESTS_MIN = 3
# So that no function takes all of the time.
MUTANTS_PER_FUNCTION_MAX = 12


@dataclass(frozen=True)
class Site:
    """A function, or a method."""

    path: str
    name: str
    source: Source
    lines: range


@dataclass(frozen=True)
class Mutant:
    kind: str
    site: Site
    text: str
    """The whole file with the defect."""
    lines: range
    """The statement that was changed."""


def sites(files: "dict[str, str]", reach: Reach, rng: random.Random) -> "list[Site]":
    """All sites in an order drawn at random in which files take turns."""
    columns = []
    for path in filter(is_source, files):
        # Encodings and line ends other than these are left alone.
        if reach.of(path) and "\r" not in files[path] and "\f" not in files[path]:
            found = sites_of(path, files[path], reach)
            columns.append(rng.sample(found, len(found)))
    rng.shuffle(columns)
    return [site for turn in zip_longest(*columns) for site in turn if site]


def sites_of(path: str, text: str, reach: Reach) -> "list[Site]":
    try:
        source = Source(text)
    except SyntaxError:
        return []
    found = []
    for function, name in functions(source.tree):
        lines = range(function.body[0].lineno, function.end_lineno + 1)
        n_statements = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
        n_statements -= ast.get_docstring(function) is not None
        if (
            n_statements >= STATEMENTS_MIN
            and len(reach.of(path, lines)) >= TESTS_MIN
            and reach.is_inside(path, lines)
        ):
            found.append(Site(path, name, source.within(function), lines))
    return found


def functions(tree: ast.AST, prefix: str = "") -> "Iterator[tuple[ast.FunctionDef, str]]":
    """Functions of a module and methods of its classes, with their dotted names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield node, prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, (ast.If, ast.Try)):
            yield from functions(node, prefix)


def mutants(site: Site, reach: Reach, rng: random.Random) -> "Iterator[Mutant]":
    """Some mutants of the site that a test reaches, kinds in turn."""
    source = site.source
    columns = []
    for kind, edits in ALL_KINDS.items():
        found = sorted(edits(source))
        columns.append([(kind, edit) for edit in rng.sample(found, len(found))])
    rng.shuffle(columns)
    same, n_made = ast.dump(source.tree), 0
    for kind, (start, end, new) in (one for turn in zip_longest(*columns) for one in turn if one):
        lines = statement_lines(source, start)
        if n_made == MUTANTS_PER_FUNCTION_MAX:
            return
        # A cast is for readers: its arguments are in nobody's way.
        if not reach.of(site.path, lines) or source.text[:start].endswith("cast("):
            continue
        text = source.text[:start] + new + source.text[end:]
        try:
            is_same = ast.dump(ast.parse(text)) == same
        except SyntaxError:
            continue
        if not is_same:
            n_made += 1
            yield Mutant(kind, site, text, lines)


def statement_lines(source: Source, offset: int) -> range:
    """Lines of the innermost statement around a place; of a block its head."""
    line = source.text.count("\n", 0, offset) + 1
    around = [node for node in source.of(ast.stmt) if node.lineno <= line <= node.end_lineno]
    inner = max(around, key=lambda node: node.lineno)
    body = getattr(inner, "body", None)
    last = max(inner.lineno, body[0].lineno - 1) if body else inner.end_lineno
    return range(inner.lineno, last + 1)

"""The part of a test that leads to its failure, as a script that stands alone."""

import ast
import builtins
import copy
import textwrap
from dataclasses import dataclass

from sdists.plain import method, plain
from tasks.checks import lines_of

# A script of more lines is no report any more.
LINES_MAX = 30
# Of a helper that a test module has for its tests.
HELPER_LINES_MAX = 12


@dataclass(frozen=True)
class Snippet:
    text: str
    failing: ast.stmt
    """The statement that failed, without `self`; of a block the one inside."""
    body: "list[ast.stmt]"
    """The statements before it that it needs."""


class Module:
    """A test file: what its names are bound to at its top."""

    def __init__(self, text: str):
        self.lines = lines_of(text)
        self.tree = ast.parse(text)
        self.bound, self.fixtures = {}, {}
        for node in self.tree.body:
            self.bind(node)

    def bind(self, node: ast.stmt) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                one = copy.copy(node)
                one.names = [alias]
                self.bound[(alias.asname or alias.name).split(".")[0]] = one
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            is_fixture = any("fixture" in ast.unparse(one) for one in node.decorator_list)
            (self.fixtures if is_fixture else self.bound)[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for name in stored(node):
                self.bound[name] = node
        elif isinstance(node, ast.Try):
            for inner in node.body:
                self.bind(inner)

    def function(self, names: "tuple[str, ...]") -> "ast.FunctionDef | None":
        """A test function by its classes and its name."""
        block = self.tree.body
        for name in names:
            found = [node for node in block if getattr(node, "name", None) == name]
            if not found:
                return None
            block = found[-1].body
        return found[-1] if isinstance(found[-1], ast.FunctionDef) else None

    def text(self, node: ast.stmt) -> str:
        if any(method(inner) for inner in ast.walk(node)):
            return plain(copy.deepcopy(node))
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        # A docstring's or a text's own lines would lose their indentation otherwise.
        has_text = any(
            isinstance(inner, ast.Constant)
            and isinstance(inner.value, str)
            and inner.end_lineno > inner.lineno
            for inner in ast.walk(node)
        )
        if has_text and node.col_offset:
            return ast.unparse(node)
        return textwrap.dedent("".join(self.lines[first - 1 : node.end_lineno])).rstrip("\n")


def snippet(
    module: Module,
    names: "tuple[str, ...]",
    line: int,
    arguments: "dict[str, str]",
    helpers: "list[Module]",
) -> "Snippet | None":
    """None where the test cannot be told apart from what is around it.

    `line` is that of the failure; `arguments` are the test's own, by name, as their texts;
    `helpers` are modules with further fixtures (conftest.py), nearest first.
    """
    function = module.function(names)
    if function is None or not function.lineno <= line <= function.end_lineno:
        return None
    top = next((node for node in function.body if node.lineno <= line <= node.end_lineno), None)
    if top is None:
        return None
    before = function.body[: function.body.index(top)]
    kept, needed = needed_of(before, top)
    head = Head(module, helpers, arguments)
    if not head.take(needed - bound_by([*kept, top])):
        return None
    parts = [module.text(node) for node in [*kept, top]]
    text = "\n\n".join(filter(None, (head.text(), "\n".join(parts))))
    if text.count("\n") >= LINES_MAX or "self" in mentioned(text):
        return None
    inner = [node for node in ast.walk(top) if isinstance(node, ast.stmt)]
    inner = [node for node in inner if node.lineno <= line <= node.end_lineno]
    failing = max(inner, key=lambda node: (node.lineno, -node.end_lineno))
    (failing,) = ast.parse(plain(copy.deepcopy(failing))).body[:1] or [failing]
    return Snippet(text, failing, kept)


def needed_of(before: "list[ast.stmt]", top: ast.stmt) -> "tuple[list[ast.stmt], set[str]]":
    """The statements that the last one hangs on, and the names that all of them read."""
    local = bound_by(before)
    kept, needed = [], loaded(top)
    for node in reversed(before):
        if is_check(node):
            continue
        touches = stored(node) & needed
        if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)):
            # It may change what it reads.
            touches |= loaded(node) & needed & local
        if touches:
            kept.insert(0, node)
            if isinstance(node, ast.Assign):
                # Whatever it was bound to before does not matter.
                needed -= stored(node)
            needed |= loaded(node)
    return kept, needed | loaded_by(kept)


def is_check(node: ast.stmt) -> bool:
    if isinstance(node, ast.With):
        return "raises" in ast.unparse(node.items[0]).lower()
    call = getattr(node, "value", None)
    return isinstance(node, ast.Assert) or (
        isinstance(node, ast.Expr) and method(call).startswith("assert")
    )


class Head:
    """The imports, values and helpers that a script begins with."""

    def __init__(self, module: Module, helpers: "list[Module]", arguments: "dict[str, str]"):
        self.module, self.helpers, self.arguments = module, helpers, arguments
        self.imports, self.parts, self.done = [], [], set()

    def take(self, names: "set[str]", module: "Module | None" = None) -> bool:
        """Whether all these names could be bound."""
        return all(self.take_one(name, module or self.module) for name in sorted(names))

    def take_one(self, name: str, module: Module) -> bool:
        if name in self.done:
            return True
        self.done.add(name)
        if name in self.arguments:
            return self.take_argument(name)
        for one in [module, *self.helpers]:
            if name in one.fixtures:
                return self.take_fixture(name, one)
        node = module.bound.get(name)
        if node is None and name == "pytest":
            node = ast.Import([ast.alias(name)])
        if node is None:
            return name == "self" or hasattr(builtins, name)
        if isinstance(node, ast.ImportFrom) and node.level:
            return False
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self.imports.append(node)
            return True
        if node.end_lineno - node.lineno >= HELPER_LINES_MAX:
            return False
        is_taken = self.take(loaded(node) - stored(node) - bound_inside(node), module)
        self.parts.append(module.text(node))
        return is_taken

    def take_argument(self, name: str) -> bool:
        try:
            tree = ast.parse(self.arguments[name], mode="eval")
            ast.literal_eval(tree)
        except (ValueError, SyntaxError):
            return False
        self.parts.append(f"{name} = {self.arguments[name]}")
        return True

    def take_fixture(self, name: str, module: Module) -> bool:
        """Only a fixture that does nothing but return a value can be said in a line."""
        function = module.fixtures[name]
        body = [node for node in function.body if not is_docstring(node)]
        if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
            return False
        is_taken = self.take(loaded(body[0]), module)
        self.parts.append(f"{name} = {ast.unparse(body[0].value)}")
        return is_taken

    def text(self) -> str:
        modules = {}
        for node in self.imports:
            if isinstance(node, ast.ImportFrom):
                modules.setdefault(node.module, set()).add(ast.unparse(node.names[0]))
        lines = sorted({ast.unparse(node) for node in self.imports if isinstance(node, ast.Import)})
        lines += [
            f"from {name} import {', '.join(sorted(names))}"
            for name, names in sorted(modules.items())
        ]
        return "\n\n".join(filter(None, ("\n".join(lines), "\n".join(self.parts))))


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def loaded(node: ast.AST) -> "set[str]":
    return {
        one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
    } | ({"pytest"} if method_raises(node) else set())


def loaded_by(block: "list[ast.stmt]") -> "set[str]":
    return {name for node in block for name in loaded(node)}


def method_raises(node: ast.AST) -> bool:
    """Whether it becomes `pytest.raises`."""
    return any(method(one) == "assertRaises" for one in ast.walk(node))


def stored(node: ast.AST) -> "set[str]":
    """Names that it binds, those of arguments included."""
    found = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load):
            found.add(one.id)
        elif isinstance(one, (ast.FunctionDef, ast.ClassDef)):
            found.add(one.name)
        elif isinstance(one, ast.alias):
            found.add((one.asname or one.name).split(".")[0])
        elif isinstance(one, ast.ExceptHandler) and one.name:
            found.add(one.name)
    return found


def bound_inside(node: ast.AST) -> "set[str]":
    """Names of arguments, which mean nothing outside."""
    return {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}


def bound_by(block: "list[ast.stmt]") -> "set[str]":
    return {name for node in block for name in stored(node) | bound_inside(node)}


def mentioned(text: str) -> "set[str]":
    try:
        return loaded(ast.parse(text))
    except SyntaxError:
        return {"self"}

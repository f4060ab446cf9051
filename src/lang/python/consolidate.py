"""Consolidates test and debug sources into one test module, by parsing only.

Called as `egss-python -I consolidate.py REQUEST REPLY`. The request is
`{"sources": [{"origin", "text", "prefix"}], "strict", "python"}`, the reply
`{"text", "tests": [[name, origin]], "dropped": [{"origin", "why"}]}`.
`python` is the program that will run the module, null if it is this one.
Nothing of a source is imported or run here.
"""

import ast
import builtins
import copy
import io
import json
import re
import subprocess
import sys
import tokenize

DEFS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORTS = (ast.Import, ast.ImportFrom)

# `print(f(2))  # expected: 4` states what it expects after one of these.
EXPECTATION = re.compile(
    r"#\s*(?:(?:expect(?:ed|s)?|should|outputs?|returns?|prints?|results?)\b"
    r"(?:\s+(?:output|result|value|be|print|return|give|is))*\s*[:=\-]*>?|[-=]>|==?|→)?\s*(.+?)\s*$",
    re.IGNORECASE,
)

# Bare assertions of a source that a model wrote become functions of this name.
WRITTEN_PREFIX = "test_assert"
# The names of the issue's examples begin so: what they say decides.
ISSUE_PREFIX = "test_issue_"


class Part:
    """One module cut up: imports (one alias each), helpers, and tests."""

    def __init__(self):
        self.imports = []
        self.helpers = []
        self.tests = []  # (node, origin)

    def bound(self):
        names = set()
        for node in self.imports + self.helpers + [test for test, _ in self.tests]:
            names |= bound_names(node)
        return names


# --- names -----------------------------------------------------------------


def bound_names(node):
    """Names that a statement binds in the scope that it stands in."""
    names = set()
    todo = [node]
    while todo:
        item = todo.pop()
        if isinstance(item, DEFS):
            names.add(item.name)
            continue
        if isinstance(item, ast.Lambda):
            continue
        if isinstance(item, IMPORTS):
            names |= {a.asname or a.name.split(".")[0] for a in item.names}
        elif isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            names.add(item.id)
        elif isinstance(item, ast.ExceptHandler) and item.name:
            names.add(item.name)
        todo.extend(ast.iter_child_nodes(item))
    return names


def loaded_names(node):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def mentioned_names(node):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def argument_names(function):
    spec = function.args
    args = spec.posonlyargs + spec.args + spec.kwonlyargs + [spec.vararg, spec.kwarg]
    return {a.arg for a in args if a is not None}


class Renamer(ast.NodeTransformer):
    """Renames module-level names where no local of the same name hides them."""

    def __init__(self, names, fixtures):
        self.names = names
        self.fixtures = fixtures
        self.hidden = [set()]

    def new(self, name):
        if any(name in scope for scope in self.hidden):
            return name
        return self.names.get(name, name)

    def visit_Name(self, node):
        node.id = self.new(node.id)
        return node

    def visit_Global(self, node):
        node.names = [self.names.get(name, name) for name in node.names]
        return node

    def visit_ClassDef(self, node):
        node.name = self.new(node.name)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node):
        node.name = self.new(node.name)
        return self.function(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        return self.function(node)

    def function(self, node):
        body = node.body if isinstance(node.body, list) else [node.body]
        shared = set()
        for inner in ast.walk(node):
            if isinstance(inner, ast.Global):
                shared |= set(inner.names)
        # A fixture is asked for by a parameter's name: both change together.
        for arg in node.args.posonlyargs + node.args.args + node.args.kwonlyargs:
            arg.arg = self.fixtures.get(arg.arg, arg.arg)
        local = argument_names(node)
        for statement in body:
            local |= bound_names(statement)
        outer = [n for n in ast.iter_child_nodes(node) if n not in body]
        for child in outer:
            self.visit(child)
        self.hidden.append((local - shared) - set(self.fixtures))
        for child in body:
            self.visit(child)
        self.hidden.pop()
        return node


def is_fixture(node):
    return isinstance(node, FUNCTIONS) and any(
        "fixture" in ast.unparse(d) for d in node.decorator_list
    )


def fresh(name, taken):
    n = 2
    while f"{name}_{n}" in taken:
        n += 1
    return f"{name}_{n}"


# --- cutting a source up ----------------------------------------------------


def is_main_guard(node):
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and "__name__" in mentioned_names(node.test)
    )


def is_test(node):
    if isinstance(node, FUNCTIONS):
        return node.name.startswith("test")
    if isinstance(node, ast.ClassDef):
        bases = " ".join(ast.unparse(base) for base in node.bases)
        return node.name.startswith("Test") or "TestCase" in bases
    return False


def contains(node, kinds):
    """Whether the statement, nested functions and classes left out, holds one of `kinds`."""
    if isinstance(node, DEFS):
        return False
    return isinstance(node, kinds) or any(
        contains(child, kinds) for child in ast.iter_child_nodes(node)
    )


def is_literal(node):
    try:
        ast.literal_eval(node)
        return True
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False


def single_imports(node):
    """One statement an alias; a relative import becomes absolute (tests run at the root)."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield ast.Import(names=[alias])
        elif node.module:
            yield ast.ImportFrom(module=node.module, names=[alias], level=0)
        elif alias.name != "*":
            yield ast.Import(names=[alias])


def comments_by_line(text):
    comments = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                comments[token.start[0]] = token.string
    except (tokenize.TokenError, IndentationError, SyntaxError):
        pass
    return comments


def is_print(node):
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "print"
    )


def printed_expectation(node, comments):
    """`print(E)  # expected: L` as `assert E == L`, if L is a literal."""
    if not is_print(node) or len(node.value.args) != 1 or node.value.keywords:
        return None
    found = EXPECTATION.match(comments.get(node.end_lineno, ""))
    expression = node.value.args[0]
    if not found or not any(isinstance(n, ast.Call) for n in ast.walk(expression)):
        return None
    for literal in (found.group(1), found.group(1).rstrip(".;")):
        try:
            want = ast.parse(literal, mode="eval").body
        except (SyntaxError, ValueError):
            continue
        if is_literal(want):
            return ast.Assert(test=ast.Compare(left=expression, ops=[ast.Eq()], comparators=[want]))
    return None


def setup_for(script, at):
    """The statements before `script[at]` that it depends on, in order."""
    variables = set()
    for statement in script[:at]:
        variables |= bound_names(statement)
    needed = loaded_names(script[at])
    kept = []
    for statement in reversed(script[:at]):
        if contains(statement, ast.Assert) or is_print(statement):
            continue
        changes = bound_names(statement) | mentioned_names(statement) & variables
        if changes & needed:
            kept.append(statement)
            needed |= loaded_names(statement)
    return kept[::-1]


def calls_something(node, own):
    """Whether a statement calls more than built-ins and what the source itself tests."""
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        name = ast.unparse(call.func)
        root = name.split(".")[0]
        if root in ("unittest", "pytest", "sys", "os", "logging") or root in own:
            continue
        if "." in name or not hasattr(builtins, name):
            return True
    return False


def wrapped(name, body):
    return ast.FunctionDef(
        name=name,
        args=ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]),
        body=[copy.deepcopy(statement) for statement in body],
        decorator_list=[],
        returns=None,
        type_comment=None,
        type_params=[],
    )


def guarded(node):
    """A statement whose failure fails the tests that need it, not all of them."""
    handler = ast.ExceptHandler(
        type=ast.Name(id="Exception", ctx=ast.Load()), name=None, body=[ast.Pass()]
    )
    return ast.Try(body=[node], handlers=[handler], orelse=[], finalbody=[])


def disown(tree):
    """Only what the issue says has the names of its examples."""
    for node in ast.walk(tree):
        name = getattr(node, "name" if isinstance(node, DEFS) else "id", None)
        if isinstance(name, str) and name.startswith(ISSUE_PREFIX):
            setattr(node, "name" if isinstance(node, DEFS) else "id", f"test_own_{name[5:]}")


def cut(source):
    """The parts of one source. Module-level code becomes test functions."""
    origin, prefix = source["origin"], source.get("prefix") or WRITTEN_PREFIX
    tree = ast.parse(source["text"])
    comments = comments_by_line(source["text"])
    part, script = Part(), []
    body = []
    for node in tree.body:
        body.extend(node.body if is_main_guard(node) else [node])
    if prefix == WRITTEN_PREFIX:
        disown(tree)
    for node in body:
        if isinstance(node, IMPORTS):
            part.imports.extend(single_imports(node))
        elif isinstance(node, DEFS):
            if is_test(node):
                part.tests.append((node, origin))
            else:
                part.helpers.append(node)
        elif isinstance(node, (ast.Try, ast.If)) and contains(node, IMPORTS):
            part.helpers.append(node)
        elif not (isinstance(node, ast.Expr) and is_literal(node.value)):
            script.append(printed_expectation(node, comments) or node)

    definitions = part.helpers + [test for test, _ in part.tests]
    part.helpers = shared_setup(script, definitions) + part.helpers
    part.tests.extend((test, origin) for test in script_tests(script, prefix, definitions))
    return part


def shared_setup(script, definitions):
    """Module-level assignments that functions and classes of the source read."""
    needed = set()
    for node in definitions:
        needed |= loaded_names(node)
    kept = []
    for node in reversed(script):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and bound_names(node) & needed:
            needed |= loaded_names(node)
            plain = node.value is None or is_literal(node.value)
            kept.append(copy.deepcopy(node) if plain else guarded(copy.deepcopy(node)))
    return kept[::-1]


def script_tests(script, prefix, definitions):
    """Each module-level assertion as a function, and the rest as one that must not raise."""
    n = 0
    used = set()
    for at, node in enumerate(script):
        if contains(node, ast.Assert):
            n += 1
            setup = setup_for(script, at)
            used |= {id(statement) for statement in setup} | {id(node)}
            yield wrapped(f"{prefix}_{n}", setup + [node])
    own = {node.name for node in definitions if is_test(node)}
    left = [
        (at, node)
        for at, node in enumerate(script)
        if id(node) not in used
        and isinstance(node, (ast.Expr, ast.Assign))
        and calls_something(node, own)
    ]
    if left:
        keep = {id(node) for _, node in left}
        for at, _ in left:
            keep |= {id(statement) for statement in setup_for(script, at)}
        yield wrapped("test_script_runs", [node for node in script if id(node) in keep])


# --- merging two at a time ----------------------------------------------------


def fingerprint(node, anonymous=False):
    """The normalised syntax: no positions, no docstring, on demand no name."""
    node = copy.deepcopy(node)
    if isinstance(node, DEFS):
        if anonymous:
            node.name = "_"
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(node)


def collisions(part, into):
    """New names for what `part` binds otherwise than `into` does."""
    taken = into.bound()
    same = {fingerprint(node) for node in into.imports + into.helpers}
    own = part.bound()
    names = {}
    changed = True
    while changed:
        changed = False
        for node in part.imports + part.helpers:
            twin = fingerprint(node) in same and not (loaded_names(node) & set(names))
            if twin:
                continue
            for name in bound_names(node) & taken - set(names):
                names[name] = fresh(name, taken | own | set(names.values()))
                changed = True
    return names


def rename_import(node, names):
    (alias,) = node.names
    bound = alias.asname or alias.name.split(".")[0]
    if bound in names:
        alias.asname = names[bound]
    return node


def merge(into, part):
    """Both parts as one. Neither argument is changed."""
    out, part = copy.deepcopy(into), copy.deepcopy(part)
    names = collisions(part, into)
    fixtures = {n.name: names[n.name] for n in part.helpers if is_fixture(n) and n.name in names}
    renamer = Renamer(names, fixtures)
    same = {fingerprint(node) for node in out.imports + out.helpers}
    for node in part.imports:
        node = rename_import(node, names)
        if fingerprint(node) not in same:
            same.add(fingerprint(node))
            out.imports.append(node)
    for node in part.helpers:
        node = renamer.visit(node)
        if fingerprint(node) not in same:
            out.helpers.append(node)
    known = {fingerprint(test, anonymous=True) for test, _ in out.tests}
    taken = out.bound()
    for test, origin in part.tests:
        test = renamer.visit(test)
        mark = fingerprint(test, anonymous=True)
        if mark in known:
            continue
        known.add(mark)
        if test.name in taken:
            test.name = fresh_test(test.name, taken)
        taken.add(test.name)
        out.tests.append((test, origin))
    return out


def fresh_test(name, taken):
    """`test_x` becomes `test_x_2`; `test_assert_3` becomes the next free number."""
    numbered = re.fullmatch(r"(test_(?:\w+_)?assert|test_issue_\w+)_(\d+)", name)
    if not numbered:
        return fresh(name, taken)
    n = int(numbered.group(2))
    while f"{numbered.group(1)}_{n}" in taken:
        n += 1
    return f"{numbered.group(1)}_{n}"


# --- writing it down --------------------------------------------------------


def module_of(node):
    module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
    return module.split(".")[0]


def surely_there(python):
    """Modules whose import cannot fail. Python before 3.10 does not list its library, nor is
    the library of another `python` known."""
    listed = getattr(sys, "stdlib_module_names", ())
    return {"pytest"} if python else {"pytest", *listed}


# Compiles what it reads. A process of its own, as the grammar is another interpreter's.
COMPILE = "import sys; compile(sys.stdin.buffer.read(), 'test_current_issue.py', 'exec')"


def check_compiles(text, python):
    """Raises SyntaxError where `python`, or without it this interpreter, does not compile."""
    if python is None:
        compile(text, "test_current_issue.py", "exec")
        return
    command = [python, "-I", "-c", COMPILE]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise SyntaxError(f"{said[-1]} (by the interpreter under test)")


def text_of(node):
    return ast.unparse(ast.fix_missing_locations(node))


def render(part, sure, strict=False):
    """The module's text. Imports of other than the modules `sure` are guarded,
    unless `strict`: a name that is missing fails the tests that use it only."""
    future = [n for n in part.imports if getattr(n, "module", "") == "__future__"]
    plain = [n for n in part.imports if n not in future and module_of(n) in sure]
    other = [n for n in part.imports if n not in future and n not in plain]
    chunks = ['"""Tests of the current issue, consolidated."""']
    chunks.append("\n".join(text_of(n) for n in future + plain))
    chunks.extend(text_of(n if strict else guarded(n)) for n in other)
    chunks.extend(text_of(n) for n in part.helpers)
    for test, origin in part.tests:
        comment = " ".join(origin.split())
        chunks.append(f"# From {comment}.\n{text_of(test)}")
    return "\n\n".join(chunk for chunk in chunks if chunk) + "\n"


def consolidate(sources, strict, python):
    merged, dropped = Part(), []
    sure = surely_there(python)

    def drop(source, why):
        dropped.append({"origin": source["origin"], "why": why})

    for source in sources:
        try:
            part = cut(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            drop(source, f"does not parse: {error}")
            continue
        if not part.tests:
            drop(source, "holds no test and no assertion")
            continue
        try:
            candidate = merge(merged, part)
            check_compiles(render(candidate, sure), python)
        except (SyntaxError, ValueError, RecursionError) as error:
            drop(source, f"does not compile once merged: {error}")
            continue
        merged = candidate
    text = render(merged, sure, strict) if merged.tests else ""
    tests = [[test.name, origin] for test, origin in merged.tests]
    return {"text": text, "tests": tests, "dropped": dropped}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    reply = consolidate(request["sources"], request["strict"], request["python"])
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(reply, file)


if __name__ == "__main__":
    main()

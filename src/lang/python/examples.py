"""Takes executable examples out of an issue's text, by parsing only.

Called in the repository's root as `egss-python -I examples.py REQUEST REPLY`. The
request is `{"issue"}`, the reply `{"examples": [{"kind", "text"}],
"dropped": [[snippet, why]]}`; an example is `stated` (an assertion) or `shown`
(a session, which may show what should hold or today's fault). Asserts and `>>>`
examples become source text with the imports that they need, found by looking
up the repository's top-level definitions. Nothing of the repository is
imported or run here.
"""

import ast
import builtins
import collections
import json
import os
import pkgutil
import re
import sys
import textwrap

DEFS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
FILES_MAX = 5_000
FILE_BYTES_MAX = 1_000_000
EXAMPLE_LINES_MAX = 40
# Modules of the standard library of 3.6 that a later one has no more: the code under test may
# run on an older Python than this does.
REMOVED_MODULES = set(
    """aifc asynchat asyncore audioop binhex cgi cgitb chunk crypt distutils dummy_threading
    formatter imghdr imp lib2to3 macpath mailcap msilib nis nntplib ossaudiodev parser pipes
    smtpd sndhdr spwd sunau symbol telnetlib uu xdrlib""".split()
)
SKIPPED_DIRS = {"node_modules", "site-packages"}

# A list's mark before an assert.
BULLET = re.compile(r"^\s*(?:[-*+]\s+|\d+[.)]\s+)?(?=assert )")

# A `>>>` example after such words shows what should happen.
SHOWS_WISH = re.compile(
    r"\b(expect(ed|s)?|should|desired|correct(ly)?|ought|examples?|for instance|e\.g\.)",
    re.IGNORECASE,
)


# --- what the repository defines ------------------------------------------------


class Index:
    """Top-level names of the repository's modules, tests left out."""

    def __init__(self):
        self.modules = {}  # module -> names that it defines at its top level
        self.imported = {}  # package -> `(module, name)` that it imports, a name `*` for all
        self.given = {}  # package -> its public names, once they were asked for
        # name -> how often a statement of the repository imports it
        self.usual = collections.defaultdict(collections.Counter)

    @classmethod
    def of(cls, root):
        index = cls()
        for path in python_files(root):
            try:
                # As bytes: a file may declare its encoding.
                with open(os.path.join(root, path), "rb") as file:
                    tree = ast.parse(file.read())
            except (OSError, SyntaxError, ValueError, RecursionError):
                continue
            module = module_name(root, path)
            index.modules[module] = top_level_names(tree)
            for name, statement in imports_of(tree):
                index.usual[name][statement] += 1
            if os.path.basename(path) == "__init__.py":
                index.imported[module] = list(imports_from(tree, module))
        return index

    def public(self, package, seen=()):
        """Names that `from PACKAGE import *` may give."""
        names = set(self.modules.get(package, ()))
        for module, name in self.imported.get(package, ()):
            if name != "*":
                names.add(name)
            elif module not in seen:
                names |= self.public(module, (*seen, module))
        return names

    def defining(self, name, issue):
        """The module to import `name` from: one that the issue names, then a package at the top
        that gives it to its users, then the shortest."""
        found = [module for module, names in self.modules.items() if name in names]
        if not found:
            return None
        found += [
            top for top in {module.split(".")[0] for module in found} if self.gives(top, name)
        ]

        def rank(module):
            path = module.replace(".", "/") + ".py"
            named = path in issue or re.search(rf"\b{re.escape(module)}\b", issue)
            return (not named, module.count("."), len(module), module)

        return min(found, key=rank)

    def gives(self, package, name):
        if package not in self.given:
            self.given[package] = self.public(package)
        return name in self.given[package]


def python_files(root):
    found = []
    for folder, dirs, files in os.walk(root):
        dirs[:] = sorted(
            d for d in dirs if not d.startswith(".") and d not in SKIPPED_DIRS | {"tests"}
        )
        for name in sorted(files):
            path = os.path.relpath(os.path.join(folder, name), root)
            stem = name[:-3]
            if not name.endswith(".py") or not all(
                piece.isidentifier() for piece in path[:-3].split(os.sep)
            ):
                continue
            if stem.startswith("test_") or stem.endswith("_test") or stem == "conftest":
                continue
            full = os.path.join(root, path)
            if os.path.islink(full) or os.path.getsize(full) > FILE_BYTES_MAX:
                continue
            found.append(path)
            if len(found) == FILES_MAX:
                return found
    return found


def module_name(root, path):
    pieces = path[:-3].split(os.sep)
    if pieces[0] == "src" and not os.path.exists(os.path.join(root, "src", "__init__.py")):
        pieces = pieces[1:]
    if pieces[-1] == "__init__" and len(pieces) > 1:
        pieces = pieces[:-1]
    return ".".join(pieces)


def imports_from(tree, package):
    """`(module, name)` of each `from` import at the top level of a package."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: 1 - node.level or None] if node.level else []
            module = ".".join(parts + ([node.module] if node.module else []))
            for alias in node.names:
                yield module, alias.asname or alias.name


def imports_of(tree):
    """Each name that a module's top level imports from outside of its own package, with the
    statement that does."""
    for node in tree.body:
        if not isinstance(node, IMPORTS) or getattr(node, "level", 0):
            continue
        for alias in node.names:
            if alias.name == "*" or ("." in alias.name and not alias.asname):
                continue
            is_from = isinstance(node, ast.ImportFrom)
            one = ast.ImportFrom(node.module, [alias], 0) if is_from else ast.Import([alias])
            yield alias.asname or alias.name, ast.unparse(one)


def top_level_names(tree):
    names = set()
    for node in tree.body:
        if isinstance(node, DEFS):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


# --- where the issue shows code ---------------------------------------------


def code_blocks(issue):
    """`(text, the prose line before it)` of fenced and of indented blocks, and
    of what is left, line by line."""
    lines = issue.expandtabs(4).splitlines()
    prose, at = "", 0
    while at < len(lines):
        line = lines[at]
        fence = re.match(r"\s*(```+|~~~+)", line)
        if fence:
            end = at + 1
            while end < len(lines) and not lines[end].strip().startswith(fence.group(1)):
                end += 1
            yield textwrap.dedent("\n".join(lines[at + 1 : end])), prose
            prose, at = "", end + 1
        elif line.startswith("    ") or starts_example(lines, at, at):
            end = at
            while end < len(lines) and (
                lines[end].startswith("    ") or starts_example(lines, at, end)
            ):
                end += 1
            yield textwrap.dedent("\n".join(lines[at:end])), prose
            prose, at = "", end
        else:
            if line.strip():
                prose = line
            for inline in re.findall(r"`(assert [^`]+)`", line):
                yield inline, prose
            at += 1


def starts_example(lines, start, at):
    """Whether a line without indentation begins an example at `start`, or goes on with it."""
    line = lines[at]
    if line.lstrip().startswith(">>>") or BULLET.match(line):
        return True
    if start == at:
        return False
    # What a `>>>` example prints follows it up to a blank line.
    in_doctest = any(before.lstrip().startswith(">>>") for before in lines[start:at])
    return bool(line.strip()) and in_doctest


def snippets(issue):
    """`(kind, statements, snippet)` or `(None, why, snippet)`."""
    for block, prose in code_blocks(issue):
        if ">>>" in block:
            yield from doctest_snippets(block, prose)
            continue
        try:
            tree = ast.parse(block)
        except (SyntaxError, ValueError):
            tree = None
        if tree is not None:
            if any(isinstance(node, ast.Assert) for node in tree.body):
                yield "stated", tree.body, block
            continue
        for statement in loose_asserts(block):
            yield "stated", [statement], ast.unparse(statement)


def loose_asserts(block):
    """Asserts among lines that are not Python as a whole."""
    lines = block.splitlines()
    at = 0
    while at < len(lines):
        text = BULLET.sub("", lines[at])
        at += 1
        if not text.startswith("assert "):
            continue
        for end in range(at, min(at + EXAMPLE_LINES_MAX, len(lines)) + 1):
            try:
                yield ast.parse("\n".join([text] + lines[at:end])).body[0]
                at = end
                break
            except (SyntaxError, ValueError):
                continue


def doctest_snippets(block, prose):
    statements = []
    for source, want in prompts(block):
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError):
            yield None, "does not parse", source
            continue
        if want.startswith("Traceback "):
            yield None, "shows a traceback, most likely the fault itself", source
        elif want and len(body) == 1 and isinstance(body[0], ast.Expr):
            wanted = equals(body[0].value, want, by_text=SHOWS_WISH.search(prose))
            statements.append(wanted or body[0])
        else:
            statements.extend(body)
    # Whether an example shows what happens now is not for the line before it to say: the base
    # is asked. One that passes there does, whatever its title.
    if any(isinstance(statement, ast.Assert) for statement in statements):
        yield "shown", statements, block


def prompts(block):
    """`(source, what it prints)` of each `>>>`. People leave out the `...` of
    continued lines, so a source goes on until it parses."""
    lines = [line.strip(" ") if ">>>" in line else line for line in block.splitlines()]
    at = 0
    while at < len(lines):
        if not lines[at].startswith(">>>"):
            at += 1
            continue
        source = [lines[at][3:].removeprefix(" ")]
        at += 1
        while at < len(lines) and lines[at].lstrip().startswith("..."):
            source.append(lines[at].lstrip()[3:].removeprefix(" "))
            at += 1
        for end in range(at, min(at + EXAMPLE_LINES_MAX, len(lines) + 1)):
            if parses("\n".join(source + lines[at:end])):
                source, at = source + lines[at:end], end
                break
        want = []
        while at < len(lines) and lines[at].strip() and not lines[at].startswith(">>>"):
            want.append(lines[at].strip())
            at += 1
        yield "\n".join(source), "\n".join(want)


def parses(text):
    try:
        ast.parse(text)
        return True
    except (SyntaxError, ValueError):
        return False


def equals(expression, want, by_text):
    """`assert expression == want`, by value where `want` is a literal. Else by text: people
    write an object down from memory, and versions show it in other ways, so that the issue
    has to say that it is a wish; without that, `None`."""
    try:
        right = ast.parse(want, mode="eval").body
        ast.literal_eval(right)
    except (ValueError, SyntaxError, TypeError):
        if not by_text:
            return None
        right = None
    if isinstance(expression, ast.Call) and getattr(expression.func, "id", "") == "print":
        if len(expression.args) == 1 and not expression.keywords:
            left = ast.Call(ast.Name("str", ast.Load()), expression.args, [])
            return ast.Assert(compare(left, ast.Constant(want)))
    if right is None:
        expression = ast.Call(ast.Name("repr", ast.Load()), [expression], [])
        right = ast.Constant(want)
    return ast.Assert(compare(expression, right))


def compare(left, right):
    return ast.Compare(left=left, ops=[ast.Eq()], comparators=[right])


# --- names ------------------------------------------------------------------


def names_of(nodes, context):
    return {
        n.id
        for node in nodes
        for n in ast.walk(node)
        if isinstance(n, ast.Name) and isinstance(n.ctx, context)
    }


def bound_in(nodes):
    bound = names_of(nodes, ast.Store)
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, DEFS):
                bound.add(inner.name)
            elif isinstance(inner, ast.arg):
                bound.add(inner.arg)
            elif isinstance(inner, ast.ExceptHandler) and inner.name:
                bound.add(inner.name)
            elif isinstance(inner, IMPORTS):
                bound |= {a.asname or a.name.split(".")[0] for a in inner.names}
    return bound


def issue_imports(issue):
    """Imports that the issue itself writes down, by the name they bind."""
    found = {}
    for line in issue.splitlines():
        text = re.sub(r"^\s*(?:>>>\s*)?", "", line).strip("` ")
        if not text.startswith(("import ", "from ")):
            continue
        try:
            (node,) = ast.parse(text).body
        except (SyntaxError, ValueError):
            continue
        for alias in node.names:
            one = (
                ast.Import([alias])
                if isinstance(node, ast.Import)
                else ast.ImportFrom(node.module, [alias], node.level)
            )
            found[alias.asname or alias.name.split(".")[0]] = ast.unparse(one)
    return found


def dotted_uses(nodes, name):
    """Longest dotted paths that begin with `name`: `pkg.mod.f`."""
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute):
                text = ast.unparse(inner)
                if re.fullmatch(rf"{name}(\.\w+)+", text):
                    yield text


def standard_modules():
    """The standard library's modules; before 3.10 Python did not list them."""
    listed = getattr(sys, "stdlib_module_names", None)
    if listed is None:
        library = os.path.dirname(os.__file__)
        places = [library, os.path.join(library, "lib-dynload")]
        found = {module.name for module in pkgutil.iter_modules(places)}
        listed = found.union(sys.builtin_module_names) - {"test"}
    return listed | REMOVED_MODULES


def import_for(name, nodes, index, written, issue):
    """The statement that makes `name` known, or None."""
    if name in written:
        return written[name]
    module = index.defining(name, issue)
    if module is not None:
        return f"from {module} import {name}"
    packages = {m.split(".")[0] for m in index.modules}
    if name in packages:
        modules = {
            module
            for use in dotted_uses(nodes, name)
            for module in index.modules
            if use.startswith(module + ".")
        }
        return f"import {max(modules, key=len)}" if modules else f"import {name}"
    for module in sorted(index.modules):
        if module.split(".")[-1] == name:
            return f"from {module.rpartition('.')[0]} import {name}"
    if name in standard_modules() or name == "pytest":
        return f"import {name}"
    # As the repository itself imports it most often: `from decimal import Decimal`.
    usual = index.usual.get(name)
    return min(usual, key=lambda text: (-usual[text], text)) if usual else None


def resolve(statements, index, written, issue):
    """The snippet's text with its imports. Raises LookupError for an unknown name."""
    # The issue may quote the code under test: the repository's own is meant.
    statements = [
        node
        for node in statements
        if not (isinstance(node, DEFS) and index.defining(node.name, issue))
    ]
    free = names_of(statements, ast.Load) - bound_in(statements) - set(dir(builtins))
    lines = []
    for name in sorted(free):
        line = import_for(name, statements, index, written, issue)
        if line is None:
            raise LookupError(f"nothing in the repository defines `{name}`")
        lines.append(line)
    lines.extend(ast.unparse(ast.fix_missing_locations(node)) for node in statements)
    return "\n".join(lines) + "\n"


def one_by_one(statements):
    """Each assertion with the statements before it that assert nothing."""
    setup = []
    for statement in statements:
        if isinstance(statement, ast.Assert):
            yield setup + [statement]
        else:
            setup.append(statement)


def extract(issue):
    index = Index.of(os.getcwd())
    written = issue_imports(issue)
    examples, dropped = [], []

    def take(kind, statements):
        text = resolve(statements, index, written, issue)
        if not any(text == example["text"] for example in examples):
            examples.append({"kind": kind, "text": text})

    for kind, found, snippet in snippets(issue):
        if kind is None:
            dropped.append([snippet, found])
            continue
        try:
            take(kind, found)
            continue
        except LookupError:
            pass
        for statements in one_by_one(found):
            try:
                take(kind, statements)
            except LookupError as error:
                dropped.append([ast.unparse(statements[-1]), str(error)])
    return {"examples": examples, "dropped": dropped}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        issue = json.load(file)["issue"]
    reply = extract(issue)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(reply, file)


if __name__ == "__main__":
    main()

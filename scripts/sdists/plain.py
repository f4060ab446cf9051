"""Methods of `unittest` as the statements that they stand for."""

import ast

COMPARISONS = {
    "assertEqual": ast.Eq, "assertEquals": ast.Eq, "assertNotEqual": ast.NotEq,
    "assertListEqual": ast.Eq, "assertTupleEqual": ast.Eq, "assertDictEqual": ast.Eq,
    "assertSequenceEqual": None, "assertIs": ast.Is, "assertIsNot": ast.IsNot,
    "assertIn": ast.In, "assertNotIn": ast.NotIn, "assertLess": ast.Lt,
    "assertLessEqual": ast.LtE, "assertGreater": ast.Gt, "assertGreaterEqual": ast.GtE,
}  # fmt: skip
RAISES = ast.Attribute(ast.Name("pytest", ast.Load()), "raises", ast.Load())


class Plain(ast.NodeTransformer):
    """Turns `self.assertEqual(a, b)` into `assert a == b`, and so on."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        name = method(node.value)
        call = node.value
        if COMPARISONS.get(name) and len(call.args) >= 2:
            first, second = call.args[:2]
            return ast.Assert(ast.Compare(first, [COMPARISONS[name]()], [second]))
        if name == "assertTrue":
            return ast.Assert(call.args[0])
        if name == "assertFalse":
            return ast.Assert(ast.UnaryOp(ast.Not(), call.args[0]))
        if name in ("assertIsNone", "assertIsNotNone"):
            sign = ast.Is() if name == "assertIsNone" else ast.IsNot()
            return ast.Assert(ast.Compare(call.args[0], [sign], [ast.Constant(None)]))
        if name == "assertIsInstance":
            known = ast.Name("isinstance", ast.Load())
            return ast.Assert(ast.Call(known, call.args[:2], []))
        if name == "assertRaises" and len(call.args) >= 2:
            kind, function, *rest = call.args
            made = ast.Call(function, rest, call.keywords)
            if isinstance(function, ast.Lambda) and not rest:
                made = function.body
            return ast.With([ast.withitem(ast.Call(RAISES, [kind], []))], [ast.Expr(made)])
        return node

    def visit_With(self, node: ast.With) -> "ast.stmt | list[ast.stmt]":
        self.generic_visit(node)
        name = method(node.items[0].context_expr)
        if name == "subTest":
            return node.body
        if name == "assertRaises" and node.items[0].optional_vars is None:
            kinds = node.items[0].context_expr.args[:1]
            return ast.With([ast.withitem(ast.Call(RAISES, kinds, []))], node.body)
        return node


def method(node: ast.AST) -> str:
    """The name of the method of `self` that is called; empty where none is."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    return node.func.attr if getattr(node.func.value, "id", "") == "self" else ""


def plain(node: ast.stmt) -> str:
    """The statement's text without `self`, as far as that can be."""
    found = Plain().visit(node)
    parts = found if isinstance(found, list) else [found]
    return "\n".join(ast.unparse(ast.fix_missing_locations(part)) for part in parts)

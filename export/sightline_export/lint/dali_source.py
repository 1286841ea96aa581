"""What a `dali.py` says, read from its syntax tree: nothing in it is ever executed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property


class DaliSource:
    """One pipeline file."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """Functions of the file itself, by name."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}

    @cached_property
    def serialised(self) -> list[ast.FunctionDef]:
        """The functions under `@autoserialize`."""
        return [f for f in self.functions.values() if "autoserialize" in map(last_name, f.decorator_list)]

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """What is assigned to plain names at the top of the file."""
        assigned = [node for node in self.tree.body if isinstance(node, ast.Assign)]
        return {target.id: node.value for node in assigned for target in node.targets if isinstance(target, ast.Name)}

    def resolve(self, node: ast.expr | None) -> ast.expr | None:
        """The expression behind a name of the file, or the expression itself."""
        return self.constants.get(node.id, node) if isinstance(node, ast.Name) else node

    def literal(self, node: ast.expr | None) -> object:
        """The value of a constant, a name for one, or a tuple or list of those; None where it is anything else."""
        found = self.resolve(node)
        if isinstance(found, ast.Constant):
            value: object = found.value
            return value
        if isinstance(found, (ast.Tuple, ast.List)):
            return tuple(self.literal(item) for item in found.elts)
        return None

    def pipeline_options(self, function: ast.FunctionDef) -> dict[str, ast.expr | None] | None:
        """Keywords of `@pipeline_def`, with those of `**NAME` where NAME is a literal dictionary; None without it.

        A `**` that cannot be followed stands as the key `**`.
        """
        for decorator in function.decorator_list:
            if last_name(decorator) == "pipeline_def":
                return dict(self._keywords(decorator)) if isinstance(decorator, ast.Call) else {}
        return None

    def _keywords(self, call: ast.Call) -> Iterator[tuple[str, ast.expr | None]]:
        for keyword in call.keywords:
            inner = self.resolve(keyword.value)
            if keyword.arg is not None:
                yield keyword.arg, keyword.value
            elif isinstance(inner, ast.Dict):
                for key, value in zip(inner.keys, inner.values, strict=True):
                    yield str(self.literal(key) or "**"), value
            else:
                yield "**", None

    def calls(self, function: ast.FunctionDef) -> list[ast.Call]:
        """Calls in a function and in the functions of this file that it calls, however deep."""
        found: list[ast.Call] = []
        waiting, seen = [function], {function.name}
        while waiting:
            here = [node for node in ast.walk(waiting.pop()) if isinstance(node, ast.Call)]
            found += here
            names = {call.func.id for call in here if isinstance(call.func, ast.Name)} - seen
            waiting += [self.functions[name] for name in sorted(names) if name in self.functions]
            seen |= names
        return found


def last_name(node: ast.expr) -> str:
    """`image` of `fn.decoders.image(…)`; empty where the expression has no name."""
    target = node.func if isinstance(node, ast.Call) else node
    if isinstance(target, ast.Attribute):
        return target.attr
    return target.id if isinstance(target, ast.Name) else ""


def dotted_name(node: ast.expr) -> str:
    """`fn.decoders.image` of `fn.decoders.image(…)`."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node)


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value given for a keyword, or None."""
    return next((entry.value for entry in call.keywords if entry.arg == name), None)

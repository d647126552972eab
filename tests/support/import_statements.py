"""The import statements of a source file."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

Imports = ast.Import | ast.ImportFrom


@cache
def import_statements(path: Path) -> tuple[Imports, ...]:
    """Return all import statements of a file, also those in functions."""
    tree = ast.parse(path.read_text("utf-8"))
    return tuple(node for node in _statements(tree) if isinstance(node, Imports))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements below a node, but nothing below an expression, which holds none."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield child
            yield from _statements(child)

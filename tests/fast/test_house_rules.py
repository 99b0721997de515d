"""The rules of the house which no linter knows: a module fits in one head, a function on one screen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import hyperoru_provider
from tests.places import ROOT

PACKAGE = ROOT / "hyperoru_provider"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES_OF_A_MODULE = 350
LINES_OF_A_FUNCTION = 50


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function, without its docstring."""
    end = function.end_lineno or function.lineno
    length = end - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    return length


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_fits_in_one_head_and_each_function_on_a_screen(module: Path) -> None:
    text = module.read_text()
    assert len(text.splitlines()) <= LINES_OF_A_MODULE
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    too_long = {function.name: lines_of(function) for function in functions if lines_of(function) > LINES_OF_A_FUNCTION}
    assert too_long == {}


def test_a_docstring_is_not_counted_and_all_else_is() -> None:
    source = 'def f(\n    a: int,\n) -> int:\n    """One.\n\n    Two.\n    """\n    # three\n    return a\n'
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    assert lines_of(function) == 5


def test_the_package_itself_holds_the_version_and_nothing_else() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    assert hyperoru_provider.__all__ == ["__version__"]
    assert [type(node) for node in tree.body] == [ast.Expr, ast.ImportFrom, ast.Assign]

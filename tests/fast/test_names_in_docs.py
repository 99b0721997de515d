"""What the documentation names is there: modules, classes, files, tests, links and make's targets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "hyperoru_provider"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
#: links of the README, which is also shown by package indexes, where relative ones are dead
ABSOLUTE = "https://github.com/hyperoru/airflow-provider-hyperoru/blob/main/"
TEXTS = [*PAGES, *sorted(ROOT.glob("example_dags/*.py"))]
SOURCES = [
    path
    for folder in ("hyperoru_provider", "tests", "example_dags", "scripts", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]
EXAMPLES_OF_NAMES = {"fit.py", "airflow/dags/trades_by_trader.py"}  # files that a reader makes


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def of_each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=name_of)


def found(pattern: str, path: Path) -> set[str]:
    return set(re.findall(pattern, path.read_text()))


def defined_in(module: Path) -> Iterator[str]:
    """Yield the names that a module defines or imports, anywhere in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def is_there(dotted: str) -> bool:
    """Return whether a dotted name is a package, a module, or what one of them defines."""
    names = dotted.split(".")
    for count in range(len(names), 0, -1):
        place = ROOT.joinpath(*names[:count])
        module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.is_file():
            return set(names[count:]) <= set(defined_in(module))
    return False


def classes_of(kind: str) -> Iterator[str]:
    for path in (PACKAGE / kind).glob("*.py"):
        yield from re.findall(r"^class (Hyperoru\w+)", path.read_text(), re.MULTILINE)


def without_code(page: Path) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as its readers make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@of_each(TEXTS)
def test_modules_and_classes(path: Path) -> None:
    dotted = found(r"\bhyperoru_provider(?:\.\w+)+", path)
    imports = re.findall(r"from (hyperoru_provider[\w.]*) import (\([^)]*\)|[^\n]*)", path.read_text())
    dotted |= {f"{module}.{name}" for module, names in imports for name in re.findall(r"\w+", names)}
    assert {name for name in dotted if not is_there(name)} == set()


@of_each(TEXTS)
def test_files_and_directories(path: Path) -> None:
    folders = r"\b(?:tests|hyperoru_provider|example_dags|scripts|benchmarks)/[\w./-]*\w/?(?![\w<])"
    assert {name for name in found(folders, path) if not (ROOT / name).exists()} == set()
    sources = [f"/{name_of(source)}" for source in SOURCES]
    files = found(r"`([\w/]+\.py)\b", path) - EXAMPLES_OF_NAMES
    assert {name for name in files if not any(source.endswith(f"/{name}") for source in sources)} == set()


@of_each(TEXTS)
def test_tests(path: Path) -> None:
    text = "\n".join(source.read_text() for source in (ROOT / "tests").rglob("*.py"))
    tests = found(r"(?:`|::)(test_\w+|Test\w+)`", path)
    assert {name for name in tests if not re.search(rf"^ *(?:async )?(?:def|class) {name}\b", text, re.M)} == set()
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)", path.read_text()):
        assert name in set(defined_in(ROOT / file))


@of_each(PAGES)
def test_links(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(path)):
        target, _, anchor = link.partition("#")
        if "://" in target and not target.startswith(ABSOLUTE):
            continue
        page = ROOT / target.removeprefix(ABSOLUTE) if "://" in target else path.parent / target if target else path
        assert page.exists(), link
        assert not anchor or anchor in anchors_of(page), link


def test_the_readme_can_be_read_elsewhere() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(ROOT / "README.md"))
    assert {link for link in links if "://" not in link and not link.startswith("#")} == set()


def test_the_reference_has_each_class_that_dags_name() -> None:
    reference = "".join(page.read_text() for page in (ROOT / "docs/reference").glob("*.md"))
    names = {name for kind in ("operators", "sensors", "triggers") for name in classes_of(kind)}
    names -= {name for name in names if name.endswith("Link")}  # which operators bring along
    assert len(names) > 10
    assert names <= set(re.findall(r"autoclass:: hyperoru_provider\.[\w.]+\.(\w+)$", reference, re.MULTILINE))


@of_each(PAGES)
def test_targets_of_make(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert found(r"(?:`|^)make ([a-z][a-z-]*)", path) <= targets


@pytest.mark.parametrize("name", sorted({name_of(path) for path in PACKAGE.rglob("*.py")}))
def test_the_architecture_names_each_module(name: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    module = Path(name)
    if module.name != "__init__.py":
        assert re.search(rf"[`/ ]{re.escape(module.name)}\b", page)


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert is_there("hyperoru_provider.client.HyperoruClient")
    assert is_there("hyperoru_provider.hooks.hyperoru.HyperoruHook")
    assert is_there("hyperoru_provider.client.lists")
    assert not is_there("hyperoru_provider.client.Nobody")
    assert not is_there("hyperoru_provider.hooks.hyperoru.Nobody")
    assert not is_there("hyperoru_provider.nowhere")
    assert not is_there("hyperoru_provider.nowhere.Nobody")

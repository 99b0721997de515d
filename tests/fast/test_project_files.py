"""The files by which the project keeps itself: workflows, issue forms, metadata, and what a release refuses."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from release import notes_of

from hyperoru_provider.get_provider_info import get_provider_info
from hyperoru_provider.version import __version__
from tests.places import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = sorted(set(GITHUB.glob("ISSUE_TEMPLATE/*.yml")) - {GITHUB / "ISSUE_TEMPLATE/config.yml"})
REGISTRY = ROOT / ".airflow-registry.yaml"
KINDS = ("hooks", "operators", "sensors", "triggers")
#: an action of somebody else by its commit, with the version beside it; or a workflow of this repository
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+){2}|\$/\.github/workflows/\w+\.yml")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def name_of(path: Path) -> str:
    return path.name


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def unpinned(workflow: str) -> list[str]:
    uses = re.findall(r"^\s*(?:- )?uses: *(.+?)\s*$", workflow, re.M)
    assert len(uses) == workflow.count("uses:")
    return [each for each in uses if not PINNED.fullmatch(each)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_workflow_pins_its_actions_and_may_do_nothing_by_default(path: Path) -> None:
    workflow = read(path)
    assert unpinned(path.read_text()) == []
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job or job["uses"].startswith("$/")


@pytest.mark.parametrize("uses", ["a/b@v7", f"a/b@{'0' * 40}", f"a/b@{'0' * 39} # v1.2.3", f"a/b@{'0' * 40} # main"])
def test_an_action_that_is_not_pinned_is_noticed(uses: str) -> None:
    assert unpinned(f"steps:\n  - uses: {uses}\n") == [uses]


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_workflows_make_what_there_is_to_make(path: Path) -> None:
    jobs = read(path)["jobs"].values()
    made = {name for words in re.findall(r"run: make ([a-z -]+)$", path.read_text(), re.M) for name in words.split()}
    made |= {each["target"] for job in jobs for each in job.get("strategy", {}).get("matrix", {}).get("include", [])}
    assert made <= TARGETS


@pytest.mark.parametrize("path", FORMS, ids=name_of)
def test_an_issue_form_asks_something(path: Path) -> None:
    form = read(path)
    asked = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert form["name"]
    assert form["description"]
    assert asked
    assert len(asked) == len(set(asked))


def test_the_other_files_of_github_and_of_hooks_can_be_read() -> None:
    chooser = read(GITHUB / "ISSUE_TEMPLATE/config.yml")
    assert chooser["blank_issues_enabled"] is False
    assert chooser["contact_links"][0]["url"].endswith("/SECURITY.md#reporting")
    assert {each["package-ecosystem"] for each in read(GITHUB / "dependabot.yml")["updates"]} == {
        "pip",
        "github-actions",
    }
    assert {hook["language"] for hook in read(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]} == {"system"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_registry_shows_each_class_of_the_provider(kind: str) -> None:
    shown = [each["module"] for each in read(REGISTRY)[kind]]
    named = [module for group in get_provider_info()[kind] for module in group["python-modules"]]
    there = []
    for module in named:
        source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
        classes = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
        there += [f"{module}.{name}" for name in classes if name.startswith("Hyperoru")]
    assert sorted(shown) == sorted(there)


def test_the_extra_all_is_all_extras_that_need_no_compiler() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    extras.pop("mysql")
    assert extras.pop("all") == [f"{project['name']}[{','.join(sorted(extras))}]"]


def test_a_release_has_what_the_changelog_says_of_its_version(tmp_path: Path) -> None:
    (tmp_path / "hyperoru_provider").mkdir()
    (tmp_path / "hyperoru_provider/version.py").write_text('__version__ = "1.2.3"\n')
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(
        "# Changelog\n\n## [Unreleased]\n\nnew\n\n## [1.2.3] - 2026-12-01\n\nold\n\n## [1.2.2]\n\nolder\n"
    )
    assert notes_of("v1.2.3", tmp_path) == "old"
    for tag in ("1.2.3", "v1.2.2", "v1.2.3rc1", "v1.2.30", "v1x2.3", ""):
        with pytest.raises(ValueError, match=r"the version in hyperoru_provider/version\.py is 1\.2\.3"):
            notes_of(tag, tmp_path)
    for lacking in ("# Changelog\n\n## [1.2.30]\n\nother\n", "## [1.2.3]\n\n## [1.2.2]\n\nolder\n"):
        changelog.write_text(lacking)
        with pytest.raises(ValueError, match=r"no section \[1\.2\.3\], or nothing in it"):
            notes_of("v1.2.3", tmp_path)


def test_the_present_version_could_be_released() -> None:
    assert notes_of(f"v{__version__}")

"""The fault matrix is complete, it sees what is wrong, and a cut of it is right; ``make fault-matrix`` runs it all."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from typing import Any

import pytest

from hyperoru_provider.get_provider_info import get_provider_info
from hyperoru_provider.operators.report import HyperoruReportOperator
from hyperoru_provider.sandbox.faults import Faults
from tests.airflow.matrix import page
from tests.airflow.matrix.faults import SWITCHES
from tests.airflow.matrix.hostility import FAULTS
from tests.airflow.matrix.outcomes import EXACT, PART
from tests.airflow.matrix.place import compared, truth
from tests.airflow.matrix.subjects import SUBJECTS
from tests.places import ROOT

#: what reads files that are written already, and so meets no server
ASK_NOTHING = {HyperoruReportOperator}


def test_every_fault_of_the_sandbox_is_in_it() -> None:
    assert {name for fault in SWITCHES for name in fault.switches} == {field.name for field in fields(Faults)}


@pytest.mark.parametrize("fault", SWITCHES, ids=lambda fault: fault.name)
def test_the_sandbox_takes_it_and_it_is_none_of_its_defaults(fault: Any) -> None:
    assert Faults().merged(fault.switches) != Faults()


def test_every_operator_sensor_and_trigger_is_in_it() -> None:
    info = get_provider_info()
    kinds = [each for kind in ("operators", "sensors", "triggers") for each in info[kind]]
    modules = {name for each in kinds for name in each["python-modules"]}
    there = {
        cls
        for module in map(import_module, modules)
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if name.startswith("Hyperoru") and cls.__module__ == module.__name__ and not inspect.isabstract(cls)
    }
    assert {subject.of for subject in SUBJECTS.values()} == there - ASK_NOTHING


def test_names_are_names() -> None:
    assert len(FAULTS) == len({fault.name for fault in FAULTS.values()})
    labels = {label for subject in SUBJECTS.values() for label in subject.is_called}
    named = {what for fault in FAULTS.values() for what in fault.but if isinstance(what, str)}
    assert named <= labels


def test_the_page_says_what_is_expected() -> None:
    """``make fault-matrix`` writes it."""
    assert page.written() == page.rendered()


class TestComparing:
    """What is claimed against what is there."""

    rows = truth(0).trades

    def test_all_and_nothing_else(self) -> None:
        assert compared(reversed(self.rows), self.rows) == EXACT

    def test_a_row_that_is_lost(self) -> None:
        assert compared(self.rows[1:], self.rows) == PART

    def test_a_row_that_is_doubled(self) -> None:
        assert compared([*self.rows, self.rows[3]], self.rows).startswith("lie: 1 rows doubled")

    def test_a_row_that_is_changed(self) -> None:
        changed = ("7", *self.rows[0][1:])
        assert compared([changed, *self.rows[1:]], self.rows).startswith("lie: 0 rows doubled, 1 that")


def test_a_cut_of_it_is_right() -> None:
    """The cells that were wrong once, and some others; before them, that what is wrong is seen at all."""
    command = [sys.executable, "-m", "tests.airflow.matrix", "--sample", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 wrong" in done.stdout

"""Whatever anybody sends or damages: a documented outcome, soon, and in little memory."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import SEEDS, mutate
from tests.fuzz.outcomes import within_bounds
from tests.fuzz.targets import TARGETS

CASES = int(os.environ.get("HYPERORU_CASES", "100"))


@pytest.mark.parametrize("target", TARGETS)
def test_honest_inputs(target: str) -> None:
    for seed in SEEDS[target]:
        within_bounds(TARGETS[target], seed)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.timeout(120 if CASES < 10_000 else 0)
@settings(max_examples=CASES)
@given(data=st.data())
def test_any_input(target: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SEEDS[target]) | st.binary(max_size=100) | st.text(max_size=50).map(str.encode))
    random = Random(data.draw(st.integers(0, 2**32)))
    for _ in range(data.draw(st.integers(0, 4))):
        text = mutate(text, random)
    within_bounds(TARGETS[target], text)

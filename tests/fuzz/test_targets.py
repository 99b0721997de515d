"""Whatever anybody sends or damages: a documented outcome, soon, and in little memory."""

from __future__ import annotations

import json
import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import SEEDS, mutate
from tests.fuzz.outcomes import within_bounds
from tests.fuzz.targets import TARGETS, resumed_parts, saved_state

_STATE = json.loads(saved_state())
#: what was found once: target -> name -> input
FOUND: dict[str, dict[str, bytes]] = {
    "times": {
        "in another year in UTC than there is": b"9999-12-31T23:59:59-23:59",
        "an offset of four days": b"9999-12-31T23:59:59.999999-93:59",
    },
    "contract": {
        "half a character in what is wrong": b'{"backfill_status":{"running":"a\\ud83d","failed":"a\\ud83d"}}',
    },
    "checkpoints": {
        "a part twice": json.dumps({**_STATE, "parts": _STATE["parts"] * 2}).encode(),
        "no part before the last row": json.dumps({**_STATE, "parts": []}).encode(),
        "a part elsewhere": json.dumps({**_STATE, "parts": [{**_STATE["parts"][0], "name": "/dev/null"}]}).encode(),
        "a last row whose key is no key": json.dumps({**_STATE, "last": {**_STATE["last"], "key": [{}]}}).encode(),
    },
    "answers": {
        "a list of jobs, which have a field of few words": b'{"tasks":[{"id":1,"status":"completed"}]}',
        "a count that is a word": b'{"tasks":[{"id":7,"status":"done","rows_written":"many"}]}',
        "a number of 5,000 digits for a total": b'{"data":[],"pagination":{"total":{"x":%b}}}' % (b"9" * 5000),
        "a number of 5,000 digits beside what is looked at": b'[{"id":1,"x":%b}]' % (b"9" * 5000),
    },
}

CASES = int(os.environ.get("HYPERORU_CASES", "100"))


@pytest.mark.parametrize("target", TARGETS)
def test_honest_inputs(target: str) -> None:
    for seed in SEEDS[target]:
        within_bounds(TARGETS[target], seed)


@pytest.mark.parametrize(("target", "name"), [(target, name) for target, found in FOUND.items() for name in found])
def test_what_was_found_once(target: str, name: str) -> None:
    within_bounds(TARGETS[target], FOUND[target][name])


def test_a_state_that_is_as_it_was_written_is_resumed() -> None:
    assert resumed_parts(saved_state()) == 1


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

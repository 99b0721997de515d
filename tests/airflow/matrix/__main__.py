"""Runs the fault matrix: all of it, a cut of it, or pairs of faults. ``make fault-matrix`` and CI run this."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from tests.airflow.matrix import page
from tests.airflow.matrix.broken import unseen
from tests.airflow.matrix.cells import Result, import_all
from tests.airflow.matrix.hostility import FAULTS
from tests.airflow.matrix.pairs import pairs
from tests.airflow.matrix.runs import Cell, make_earlier, problems, run_all, sandbox
from tests.airflow.matrix.subjects import SUBJECTS
from tests.authorities import one_authority

#: cells of which something was wrong once, in the product or nearly so
DANGEROUS = [
    ("trades: jsonl", "hidden_by_default=trading_mode=mainnet"),
    ("trades: table", "error_beside=ok, error_beside_page=further"),
    ("trades: csv", "first_page=0, total=none, has_more=false"),
    ("trades: parquet", "an amount of 1e99999999"),
    ("trades: XCom", "a total of 10^18"),
    ("orders: table", "conflicting_rows=true"),
    ("candles", "cap=10"),
    ("backfill: deferred", "backfill_lose_answer=true"),
    ("backfill: poke", "truncate_rate=0.2"),
    ("price: trigger", "an amount of 1e99999999"),
    ("coverage: trigger", "a bomb"),
    ("health: poke", "an answer that drips"),
    ("one trade more: deferred", "repeat_newest=true"),
    ("events: trigger", "a message of 349,515 events"),
    ("events: sensor", "socket_drop_rate=1.0"),
    ("price: deferred", "503 at first, Retry-After: 1 Jan 99999999999999999999 00:00:00 GMT"),
    ("traders", "503 at first, with a loc that is no list"),
    ("trades there: reschedule", "a token with CR and LF"),
    ("traders", "the password in a refused login"),
    ("coverage: deferred", "the token in a success"),
]


def whole() -> list[Cell]:
    """Return all cells of one fault."""
    return [Cell.of(subject, fault) for fault in FAULTS.values() for subject in SUBJECTS.values()]


def cut(sample: int, seed: int) -> list[Cell]:
    """Return the dangerous cells, and some others."""
    named = [Cell.of(SUBJECTS[subject], FAULTS[fault]) for subject, fault in DANGEROUS]
    return named + random.Random(seed).sample(whole(), sample)


def run(cells: Sequence[Cell], jobs: int) -> list[tuple[Cell, Result]] | None:
    """Run cells, tell which are wrong, and return what came of them if none is."""
    results, wrong = [], 0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["SSL_CERT_FILE"] = str(one_authority(directory))
        import_all()
        earlier = make_earlier(directory / "earlier")
        urls = [stack.enter_context(sandbox(seed=7)) for _ in range(jobs)]
        if not_seen := unseen(urls[0]):
            raise AssertionError(f"Nobody saw that these are wrong: {not_seen}")
        for cell, result in run_all(cells, urls, earlier):
            results.append((cell, result))
            if found := problems(cell, result):
                wrong += 1
                print(f"{cell}: {'; '.join(found)}\n    {result.detail}", flush=True)
            if len(results) % 500 == 0:
                print(f"{len(results)} of {len(cells)} cells", flush=True)
    print(f"{len(results)} cells, {wrong} wrong")
    return None if wrong else results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments say, and return whether a cell was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="run the dangerous cells and so many others; default: all")
    parser.add_argument("--pairs", type=int, default=0, help="run so many pairs of faults, too")
    parser.add_argument("--seed", type=int, default=1, help="of the sample and the pairs")
    parser.add_argument("--jobs", type=int, default=2, help="how many cells to run at once")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore", DeprecationWarning)
    cells = whole() if options.sample is None else cut(options.sample, options.seed)
    results = run([*cells, *islice(pairs(options.seed), options.pairs)], options.jobs)
    if results is not None and options.sample is None:
        page.write(results)
        print(page.measured(results))
    return int(results is None)


if __name__ == "__main__":
    sys.exit(main())

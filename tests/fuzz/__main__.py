"""Runs targets by atheris, one after the other: ``python -m tests.fuzz --seconds 600 answers frames``.

Each one runs in a process of its own for all of its time. The first input of each kind of find is a file ``find-...``
beside the corpus; one that takes too long, or too much memory, ends the run, and is a file ``timeout-...`` or
``oom-...``.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from random import Random
from traceback import extract_tb, print_exception

import atheris

with atheris.instrument_imports(include=["hyperoru_provider"]):
    from tests.fuzz.inputs import SEEDS, mutate
    from tests.fuzz.outcomes import within_bounds
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what strangers send or damage.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=600, help="how long each target runs")
    parser.add_argument("--corpus", type=Path, help="where inputs and finds are kept; a temporary directory by default")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    corpus = given.corpus or Path(tempfile.mkdtemp(prefix="hyperoru-fuzz-"))
    if given.here:
        fuzz(given.targets[0], given.seconds, corpus)
    found = [target for target in given.targets or TARGETS if run(target, given.seconds, corpus)]
    sys.exit(f"Finds: {', '.join(found)}" if found else 0)


def run(target: str, seconds: int, corpus: Path) -> bool:
    """Run a target in a process of its own, and return whether something was found."""
    print(f"{target}: {seconds} s; corpus and finds are in {corpus / target}", flush=True)
    command = [sys.executable, "-m", "tests.fuzz", "--here", "--seconds", str(seconds), "--corpus", str(corpus), target]
    failed = subprocess.run(command, check=False).returncode != 0
    finds = sorted((corpus / target).glob("find-*"))
    print(f"{target}: {len(finds)} finds {' '.join(map(str, finds))}", flush=True)
    return failed or bool(finds)


def fuzz(target: str, seconds: int, corpus: Path) -> None:
    """Run a target in this process, until the time is over or something is found."""
    logging.disable(logging.CRITICAL)
    where = corpus / target
    where.mkdir(parents=True, exist_ok=True)
    for seed in SEEDS[target]:
        (where / sha256(seed).hexdigest()).write_bytes(seed)

    def changed(data: bytes, limit: int, seed: int) -> bytes:
        return atheris.Mutate(data, limit) if seed % 2 else mutate(data, Random(seed))[:limit]

    def once(data: bytes) -> None:
        try:
            within_bounds(TARGETS[target], data)
        except Exception as error:
            kind = sha256("".join(map(str, extract_tb(error.__traceback__))).encode()).hexdigest()[:16]
            if not (find := where / f"find-{kind}").exists():
                find.write_bytes(data)
                print_exception(error)

    options = [
        f"-max_total_time={seconds}",
        "-max_len=16384",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup(
        [target, *options, f"-artifact_prefix={where}/", str(where)],
        once,
        custom_mutator=changed,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Measures, prints the tables, and writes them where asked."""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks import imports, picture, report
from benchmarks.contenders import BARE, CONTENDERS, XCOM, Contender
from benchmarks.measure import Failed, Group, run, serving
from benchmarks.results import SIZE, Results


def main() -> int:
    """Measure; the exit code is 1 if a contender broke or lost rows, whatever the targets say."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a kill, too, ends and removes everything
    options = arguments()
    names = options.only or [name for name in CONTENDERS if not (options.quick and name == XCOM)]
    names += [BARE] if BARE not in names else []
    circumstances = report.circumstances(options.rounds, os.getloadavg()[0])
    results, failures = Results(), list[str]()
    with tempfile.TemporaryDirectory(prefix="hyperoru-bench-") as directory:
        if options.profile:
            with serving(Group(options.latency[0], options.rows[0])) as server:
                print(run(CONTENDERS[options.profile], server, Path(directory), "--profile").profile)
            return 0
        groups = [Group(latency, rows) for latency in options.latency for rows in sorted(options.rows)]
        groups += [Group(0.0, SIZE, quota) for quota in options.quota]
        for group in groups:
            entrants = [CONTENDERS[name] for name in names if fits(CONTENDERS[name], group, results, options.patience)]
            failures += measure(entrants, group, options.rounds, results, Path(directory))
        costs = imports.measure(options.rounds, Path(directory) / "imports")
    print(f"\n{report.tables(results, names)}\n\n{report.imports(costs)}\n\n{report.targets(results)}")
    print(f"\n{circumstances}")
    if options.svg:
        options.svg.write_text(picture.svg(results))
    if options.markdown:
        link = options.svg and os.path.relpath(options.svg, options.markdown.parent)
        options.markdown.write_text(report.page(results, names, costs, circumstances, link))
    print(*failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


def fits(contender: Contender, group: Group, results: Results, patience: float) -> bool:
    """Tell whether a contender takes part; one that would take too long, going by fewer rows, does not."""
    alike = [other for other in results.samples if (other.latency, other.quota) == (group.latency, group.quota)]
    known = [cell for other in alike if (cell := results.cell(other, contender.name))]
    in_time = not known or group.rows / known[-1].rate <= patience
    return contender.installed and contender.fits(*group) and in_time


def measure(entrants: list[Contender], group: Group, rounds: int, results: Results, directory: Path) -> list[str]:
    """Let all do the job in turns, each round beginning with another one; gives the failures. Who fails is out."""
    failures = []
    with serving(group) as server:
        for number in range(rounds):
            first = number * len(entrants) // rounds
            for contender in entrants[first:] + entrants[:first]:
                here = f"{group}, round {number + 1}/{rounds}: {contender.name:10}"
                try:
                    sample = run(contender, server, directory)
                    results.add(group, contender.name, sample)
                    print(f"{here} {sample.seconds:8.2f} s {sample.peak / 1e6:6.0f} MB", file=sys.stderr, flush=True)
                except Failed as error:
                    entrants = [each for each in entrants if each != contender]
                    results.drop(group, contender.name)
                    failures.append(f"{here} {error}")
                    print(f"{here} FAILED", file=sys.stderr, flush=True)
    return failures


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = ", ".join(CONTENDERS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000, 2_000_000])
    parser.add_argument(
        "--latency", type=float, nargs="+", default=[0.0, 50.0, 200.0], help="milliseconds before each answer"
    )
    parser.add_argument(
        "--quota", type=int, nargs="*", default=[20], help="requests a second that a server allows, for 200,000 rows"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="NAME", help=f"of: {names}")
    parser.add_argument("--patience", type=float, default=180, help="leave out what would take more seconds a round")
    parser.add_argument("--quick", action="store_true", help=f"one round of 20,000 rows, no latency, no {XCOM}")
    parser.add_argument("--profile", choices=CONTENDERS, metavar="NAME", help="run only this one, once, under cProfile")
    parser.add_argument("--markdown", type=Path, metavar="PATH", help="write the page")
    parser.add_argument("--svg", type=Path, metavar="PATH", help="write the picture")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.latency, options.quota, options.rounds = [20_000], [0.0], [], 1
    return options


if __name__ == "__main__":
    sys.exit(main())

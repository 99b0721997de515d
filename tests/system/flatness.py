"""Tells whether what was sampled over a long time stays where it is: ``python -m tests.system.flatness SAMPLES``.

The first third of a run warms up. What is flat has the level (the median) of the second third in the last one, too, or
less. A level may be higher by 1 %, or by the spread of the middle half of the values around the line through both.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression, median, quantiles
from typing import NamedTuple


class Level(NamedTuple):
    """How a series went on.

    :param before: the level of the second third.
    :param after: the level of the last third.
    :param noise: by how much that may be higher.
    :param per_hour: the slope of both.
    """

    before: float
    after: float
    noise: float
    per_hour: float

    @property
    def flat(self) -> bool:
        return self.after <= self.before + self.noise


def level(points: Sequence[tuple[float, float]]) -> Level:
    """Compare the last third of a series with the second one.

    :param points: times, in seconds, and values.
    """
    begin, end = points[0][0], points[-1][0]
    third = (end - begin) / 3
    second = [value for at, value in points if begin + third <= at < begin + 2 * third]
    last = [value for at, value in points if at >= begin + 2 * third]
    late = [((at - begin) / 3600, value) for at, value in points if at >= begin + third]
    slope, start = linear_regression(*zip(*late, strict=True))
    quarter, _, three_quarters = quantiles([value - start - slope * hours for hours, value in late], n=4)
    return Level(median(second), median(last), max(median(second) / 100, three_quarters - quarter), slope)


def series(samples: Sequence[dict[str, float]]) -> dict[str, list[tuple[float, float]]]:
    """Return the values of each name with their times, for those with enough to tell something of."""
    found: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        for name, value in sample.items():
            if name != "at":
                found.setdefault(name, []).append((sample["at"], value))
    return {name: points for name, points in found.items() if len(points) >= 12}


def report(samples: Sequence[dict[str, float]]) -> tuple[str, list[str]]:
    """Return a table of all series, and the names of those of the provider that are not flat.

    A name of what Airflow alone answers for begins with ``airflow``: its history grows with each run of a DAG.
    """
    lines, growing = [f"{'':44}{'second third':>14}{'last third':>14}{'noise':>12}{'per hour':>12}"], []
    for name, points in sorted(series(samples).items()):
        found = level(points)
        verdict = "" if found.flat else "  grows"
        lines.append(
            f"{name:44}{found.before:14.1f}{found.after:14.1f}{found.noise:12.1f}{found.per_hour:12.1f}{verdict}"
        )
        if not found.flat and not name.startswith("airflow"):
            growing.append(name)
    return "\n".join(lines), growing


def read(path: Path) -> list[dict[str, float]]:
    """Return the samples of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    table, growing = report(read(Path(sys.argv[1])))
    print(table)
    sys.exit(f"Not flat: {', '.join(growing)}" if growing else None)

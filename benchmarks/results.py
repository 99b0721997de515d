"""What was measured, and what it should come to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from benchmarks.contenders import BARE, COPY, JSON_LINES, OURS, SQL, XCOM
from benchmarks.measure import Group, Sample

MB = 1_000_000
SIZE = 200_000


class Cell(NamedTuple):
    """The medians of one contender's runs at one latency and number of rows."""

    seconds: float
    rate: float
    cpu: float
    peak: float


@dataclass
class Results:
    """All samples, by latency and rows, and then by contender, in the order of the rounds."""

    samples: dict[Group, dict[str, list[Sample]]] = field(default_factory=dict)

    def add(self, group: Group, name: str, sample: Sample) -> None:
        """Note one."""
        self.samples.setdefault(group, {}).setdefault(name, []).append(sample)

    def drop(self, group: Group, name: str) -> None:
        """Forget all of a contender that failed."""
        self.samples.get(group, {}).pop(name, None)

    def cell(self, group: Group, name: str) -> Cell | None:
        """Give medians, ``None`` if nothing was measured."""
        samples = self.samples.get(group, {}).get(name)
        if not samples:
            return None
        seconds, cpu, peak = (
            median(values) for values in zip(*((s.seconds, s.cpu, s.peak) for s in samples), strict=True)
        )
        return Cell(seconds, group.rows / seconds, cpu, peak)

    def above_bare(self, group: Group, name: str) -> float | None:
        """Peak memory beyond that of a process that does nothing."""
        cell, bare = self.cell(group, name), self.cell(group, BARE)
        return cell.peak - bare.peak if cell and bare else None

    def ratio(self, group: Group, other: str) -> float | None:
        """Tell how many times as fast our Parquet is as another: the median of their ratios within each round."""
        return self.times(group, other, OURS)

    def times(self, group: Group, name: str, other: str) -> float | None:
        """Tell how many times as long one takes as another: the median of their ratios within each round."""
        both = [self.samples.get(group, {}).get(each, []) for each in (name, other)]
        ratios = [one.seconds / two.seconds for one, two in zip(*both, strict=False)]
        return median(ratios) if ratios else None

    def target_group(self, latency: float) -> Group:
        """The size that the targets are about, or the one next to it that was measured."""
        sizes = [group.rows for group in self.samples if (group.latency, group.quota) == (latency, None)]
        return Group(latency, max([size for size in sizes if size <= SIZE] or sizes or [SIZE]))


class Verdict(NamedTuple):
    """A target, what was measured, and ``PASS`` or ``FAIL``."""

    target: str
    measured: str = "not measured"
    mark: str = "-"


def verdicts(results: Results) -> Iterator[Verdict]:
    """Hold the results against the targets."""
    rivals = {
        "requests": "requests + pyarrow",
        "dlt": "dlt",
        XCOM: "HttpOperator through XCom",
        "floor": "decode floor",
    }
    for latency, name, least in (
        *((0.0, "requests", 3.0), (0.0, "dlt", 10.0), (0.0, XCOM, 15.0), (0.0, "floor", 0.5)),
        *((50.0, "requests", 10.0), (50.0, "dlt", 10.0), (50.0, XCOM, 10.0)),
        *((200.0, "requests", 15.0), (200.0, "dlt", 15.0), (200.0, XCOM, 15.0)),
    ):
        group = results.target_group(latency)
        text = f"{latency:g} ms, {group.rows:,} rows: typed Parquet at least {least:g} x {rivals[name]}"
        yield _verdict(text, results.ratio(group, name), "{:.2f} x", at_least=least)
    group = results.target_group(0.0)
    lines = results.ratio(group, JSON_LINES)
    text = f"0 ms, {group.rows:,} rows: JSON lines at least as fast as typed Parquet"
    yield _verdict(text, lines and 1 / lines, "{:.2f} x", at_least=1.0)
    for group in (group for group in results.samples if group.quota):
        samples = results.samples[group].get(OURS, [])
        share = median(each.answered / each.seconds / (group.quota or 1) for each in samples) if samples else None
        yield _verdict(f"{group}: at least 85 % of them asked", share, "{:.1%}", at_least=0.85)
        refused = max((each.refused for each in samples), default=None)
        yield _verdict(f"{group}: at most five refused", refused, "{:d}", at_most=5)
    group = Group(0.0, max((group.rows for group in results.samples if not group.quota), default=SIZE))
    text = f"0 ms, {group.rows:,} rows: into PostgreSQL in at most 2 x the time of COPY of the same rows, ready"
    yield _verdict(text, results.times(group, SQL, COPY), "{:.2f} x", at_most=2.0)
    above = [results.above_bare(group, OURS) for group in results.samples]
    text = "Peak memory of typed Parquet at most 160 MB above Airflow's SDK alone"
    yield _verdict(text, max((bytes_ / MB for bytes_ in above if bytes_), default=None), "{:.0f} MB", at_most=160)
    growth = [_growth(results, latency) for latency in dict.fromkeys(group.latency for group in results.samples)]
    text = "Peak memory of typed Parquet within 5 % from 50,000 rows to the most"
    yield _verdict(text, max((share for share in growth if share is not None), default=None), "{:.1%}", at_most=0.05)


def _verdict(
    text: str, value: float | None, form: str, *, at_least: float = -math.inf, at_most: float = math.inf
) -> Verdict:
    if value is None:
        return Verdict(text)
    return Verdict(text, form.format(value), "PASS" if at_least <= value <= at_most else "FAIL")


def _growth(results: Results, latency: float) -> float | None:
    """Tell how far peak memory with 50,000 rows (or the next number above) and with the most are apart."""
    groups = [group for group in results.samples if group.latency == latency and group.rows >= 50_000]
    groups = sorted(group for group in groups if group.quota is None)
    peaks = [cell.peak for group in groups if (cell := results.cell(group, OURS))]
    return abs(peaks[-1] / peaks[0] - 1) if len(peaks) > 1 else None

"""Who takes part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.job import Check, Job


@dataclass(frozen=True)
class Contender:
    """One who takes part.

    :param title: what it is, in tables and pictures.
    :param function: module and function of :mod:`benchmarks.runners` that do the job.
    :param arguments: what the function is given beside the job.
    :param needs: the module that must be installed.
    :param most_rows: with more it needs too much memory.
    :param ready: module and function that make ready what the job begins with, before the clock starts.
    :param only: ``fast`` or ``slow`` to take part only where requests don't wait, or only where they do.
    :param keeps_to_quota: whether it takes part where a server allows so many requests a second; the others break.
    """

    name: str
    title: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    needs: str = "airflow.sdk"
    most_rows: int | None = None
    only: str = ""
    ready: str = ""
    keeps_to_quota: bool = False

    def load(self) -> partial[Check]:
        """Import the function that does the job."""
        return partial(_function(self.function), **self.arguments)

    def make_ready(self, job: Job) -> None:
        """Do what is not measured."""
        if self.ready:
            _function(self.ready)(job)

    @property
    def installed(self) -> bool:
        """Whether what it needs is there; nothing is imported but parent packages."""
        try:
            return find_spec(self.needs) is not None
        except ModuleNotFoundError:
            return False

    def fits(self, latency: float, rows: int, quota: int | None) -> bool:
        """Whether it takes part."""
        wanted = quota is None or self.keeps_to_quota
        return wanted and rows <= (self.most_rows or rows) and self.only != ("fast" if latency else "slow")


def _function(name: str) -> Callable[..., Any]:
    module, _, name = name.partition(".")
    function: Callable[..., Any] = getattr(import_module(f"benchmarks.runners.{module}"), name)
    return function


OURS, JSON_LINES, BARE, XCOM = "parquet", "jsonl", "bare", "xcom"
SQL, COPY = "sql", "copy"
_HTTP = "airflow.providers.http"
_PARQUET = {"file_format": "parquet"}
_POSTGRES: dict[str, Any] = {"needs": "airflow.providers.postgres", "only": "fast"}
_ICEBERG: dict[str, Any] = {"needs": "pyiceberg", "only": "fast"}
_PLAIN, _GZIP = {"file_format": "jsonl", "compression": "none"}, {"file_format": "jsonl", "compression": "gzip"}

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender(OURS, "this provider, typed Parquet", "provider.run", _PARQUET, keeps_to_quota=True),
        Contender(JSON_LINES, "this provider, JSON lines", "provider.run", _PLAIN),
        Contender("jsonl-gzip", "this provider, JSON lines, gzip", "provider.run", _GZIP),
        Contender(SQL, "this provider, into PostgreSQL", "postgres.run", ready="postgres.make_ready", **_POSTGRES),
        Contender(
            COPY, "COPY of the same rows, as a file", "postgres.copy", ready="postgres.make_file_ready", **_POSTGRES
        ),
        Contender(
            "copy-rows",
            "COPY of the same rows, as tuples in memory",
            "postgres.copy_rows",
            ready="postgres.make_rows_ready",
            **_POSTGRES,
        ),
        Contender("iceberg", "this provider, into Iceberg", "lakehouse.run", ready="lakehouse.make_ready", **_ICEBERG),
        Contender(
            "append",
            "PyIceberg's append of the same rows in memory",
            "lakehouse.append",
            ready="lakehouse.make_rows_ready",
            **_ICEBERG,
        ),
        Contender("requests", "requests + pyarrow, typed Parquet", "loop.run", needs="requests"),
        Contender("dlt", "dlt rest_api source, Parquet", "dlt_source.run", needs="dlt"),
        Contender("http", "HttpOperator, rows in memory only", "http_operator.run", needs=_HTTP),
        Contender(XCOM, "HttpOperator through XCom, JSON lines", "xcom.run", needs=_HTTP, most_rows=200_000),
        Contender("floor", "decode floor (http.client, orjson)", "plain.floor", needs="orjson"),
        Contender("floor-4", "decode floor, 4 at once", "plain.floor", {"at_once": 4}, needs="orjson", only="slow"),
        Contender("wire", "bytes only (the server's ceiling)", "plain.wire", only="fast"),
        Contender(BARE, "nothing but Airflow's SDK", "plain.nothing", keeps_to_quota=True),
    )
}

"""Let Airflow run the example DAG hyperoru_daily_trades for one day, and show what landed.

The service is a local sandbox, or the one of AIRFLOW_CONN_HYPERORU_DEFAULT if that is set. DAY=2026-01-15 chooses
the day; without it, it is that one from a sandbox and yesterday from a real service.
"""

# ruff: noqa: T201

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import local

DAG = "hyperoru_daily_trades"
LOG = local.MADE / "airflow.log"
SHOWN = ("trade_time", "account_name", "symbol", "side", "quantity", "price", "notional", "commission", "realized_pnl")
TOTALS = ("notional", "commission", "realized_pnl")
EXACT = Context(prec=1000)
#: writes a page about exports as HyperoruReportOperator does, which Airflow runs in a task only
REPORT = """
import sys
from upath import UPath
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.report.run import write_report

with HyperoruHook().get_conn() as client:
    page, *manifests = map(UPath, sys.argv[1:])
    write_report(manifests, page, client.contract.trades)
"""


def main() -> int:
    """Export a day and show it."""
    own = os.environ.get("AIRFLOW_CONN_" + local.CONNECTION.upper())
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    try:
        day = date.fromisoformat(os.environ.get("DAY") or (str(yesterday) if own else "2026-01-15"))
    except ValueError:
        sys.exit("DAY must be a date, such as DAY=2026-01-15.")
    exports = local.MADE / ("exports-own" if own else "exports")
    environment = local.airflow_environment(local.MADE / "airflow", exports)
    landed = exports / DAG.removeprefix("hyperoru_")
    before = digest_of(manifests_of(landed, day))
    with nullcontext() if own else local.sandbox() as sandbox:
        print(f"The service is {'a sandbox at ' + sandbox.url if sandbox else 'the one of your own connection'}.")
        environment["AIRFLOW_CONN_" + local.CONNECTION.upper()] = (
            json.dumps(sandbox.connection) if sandbox else str(own)
        )
        LOG.write_bytes(b"")
        print(f"Preparing Airflow's database in {shown(local.MADE / 'airflow')}")
        airflow("db", "migrate", environment=environment)
        print(f"Airflow runs {DAG} for {day}")
        # A run that is made by hand has the last full interval before its date.
        airflow("dags", "test", DAG, str(day + timedelta(days=1)), environment=environment)
        show(landed, day)
        page = local.MADE / f"report{'-own' if own else ''}-{day}.html"
        report(manifests_of(landed, day), page, environment)
        after = digest_of(manifests_of(landed, day))
        verdict = {"": "", after: "  (written anew: same bytes as the last time)"}
        print(f"SHA-256 of all manifests: {after}{verdict.get(before, '  (other bytes than the last time)')}")
        print(f"A report of the day, for a browser: {shown(page)}")
        if sandbox:
            print(f"Logins at the sandbox: {sandbox.logins()}")
    return 0


def report(manifests: list[Path], page: Path, environment: dict[str, str]) -> None:
    """Write a report of exports."""
    run([sys.executable, "-c", REPORT, str(page), *map(str, manifests)], environment=environment)


def airflow(*arguments: str, environment: dict[str, str]) -> None:
    """Run a command of Airflow; see :func:`run`."""
    run(local.airflow(*arguments), environment=environment)


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command, with its output in the log, and print what the provider says in there."""
    with (
        LOG.open("ab") as output,
        LOG.open(errors="replace") as lines,
        local.running(command, env=environment, stdout=output, stderr=output) as process,
    ):
        lines.seek(0, os.SEEK_END)
        running, task = True, ""
        while running:
            time.sleep(0.2)
            running = process.poll() is None
            for line in lines:
                if started := re.search(r"starting task_id=(\S+)", line):
                    task = started[1]
                if said := re.search(r"\] (\S.*?)\s+\[\S*\bhyperoru_provider\.", line):
                    print(f"    {task or 'report'}: {said[1]}")
                if "up_for_retry" in line.lower():  # the next try would be minutes later
                    fail(f"A task of {DAG} failed.")
    if process.returncode:
        fail(f"{shlex.join(command[:5])} ended with {process.returncode}.")


def fail(reason: str) -> None:
    """End, with the end of the log."""
    print(*LOG.read_text(errors="replace").splitlines()[-40:], sep="\n", file=sys.stderr)
    sys.exit(f"\n{reason} These are the last lines of {shown(LOG)}.")


def manifests_of(exports: Path, day: date) -> list[Path]:
    """Find the manifests of a day, one for each trader."""
    window = f"{day:%Y%m%d}T000000Z_{day + timedelta(days=1):%Y%m%d}T000000Z"
    return sorted(exports.glob(f"trades/{window}*/_manifest.json"))


def digest_of(manifests: list[Path]) -> str:
    """Digest manifests, which name the digest of each file, together with where they are."""
    digest = hashlib.sha256()
    for manifest in manifests:
        digest.update(f"{manifest.parent.name}\n".encode() + manifest.read_bytes())
    return digest.hexdigest() if manifests else ""


def rows_of(manifest: Path) -> Iterator[dict[str, Any]]:
    """Read the rows of a manifest's files, and check that the files are those that it names."""
    for file in json.loads(manifest.read_text())["files"]:
        content = (manifest.parent / file["name"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != file["sha256"]:
            sys.exit(f"{shown(manifest.parent / file['name'])} is not the file that its manifest names.")
        for line in gzip.decompress(content).splitlines():
            yield json.loads(line, parse_float=Decimal)


def show(exports: Path, day: date) -> None:
    """Print what landed: how much for each trader, the first rows, the totals."""
    manifests = manifests_of(exports, day)
    if not manifests:
        sys.exit("Nothing landed: the service has no traders.")
    print(f"\n   rows     bytes  below {shown(exports)}/trades/")
    for path in manifests:
        manifest = json.loads(path.read_text())
        size = sum(file["bytes"] for file in manifest["files"])
        print(f"{manifest['rows']:7,} {size:9,}  {path.parent.name}/")

    print("\nThe first rows:\n")
    count, totals = 0, dict.fromkeys(TOTALS, Decimal(0))
    first: list[tuple[str, ...]] = [SHOWN]
    for row in chain.from_iterable(map(rows_of, manifests)):
        count += 1
        if count <= 3:
            first.append(tuple(str(row.get(name, "")) for name in SHOWN))
        for name in TOTALS:
            totals[name] = EXACT.add(totals[name], Decimal(str(row.get(name) or 0)))
    widths = [max(map(len, column)) for column in zip(*first, strict=True)]
    for values in first:
        print(" ", *(value.rjust(width) for value, width in zip(values, widths, strict=True)))
    print(f"\nTotals: {count:,} rows, " + ", ".join(f"{name} {total:,f}" for name, total in totals.items()))


def shown(path: Path) -> str:
    """Write a path as seen from the project's directory."""
    return str(path.relative_to(local.ROOT) if path.is_relative_to(local.ROOT) else path)


if __name__ == "__main__":
    local.run(main)

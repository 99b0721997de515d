"""What a server of OpenLineage receives of exports in real Airflow, whose provider sends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.conftest import dag_runner
from tests.airflow.dag.dag_runs import RunDag
from tests.airflow.dag.landed import manifest_of, path_of
from tests.canaries import PASSWORD, seen_in
from tests.databases import POSTGRES, Database
from tests.lakes import TABLE, local_lake
from tests.places import ROOT

pytestmark = pytest.mark.slow

WINDOW = {"start": "2026-01-15T00:00:00Z", "end": "2026-01-16T00:00:00Z"}


class Events:
    """Collects the events that a server receives."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def completed(self, task: str) -> dict[str, Any]:
        """The only event that says that a task is complete."""
        (found,) = [
            event
            for event in map(json.loads, self.bodies)
            if event["eventType"] == "COMPLETE" and event["job"]["name"].endswith(f".{task}")
        ]
        return dict(found)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Events]]:
    events = Events()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}", events
        listening.shutdown()


@pytest.fixture(scope="module")
def run_dag(tmp_path_factory: pytest.TempPathFactory, server: tuple[str, Events]) -> Iterator[RunDag]:
    """Run DAGs in a process that tells OpenLineage of them."""
    transport = json.dumps({"type": "http", "url": server[0]})
    with dag_runner(tmp_path_factory, AIRFLOW__OPENLINEAGE__TRANSPORT=transport) as run:
        yield run


@pytest.fixture
def events(server: tuple[str, Events]) -> Events:
    server[1].bodies.clear()
    return server[1]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(password=PASSWORD) as running:
        yield running


def without_producer(facets: dict[str, Any]) -> dict[str, Any]:
    """Facets as they are, but for who made them and by which schema."""
    hidden = ("_producer", "_schemaURL")
    return {name: {key: value for key, value in facet.items() if key not in hidden} for name, facet in facets.items()}


def name_of(database: Database) -> tuple[str, str]:
    """The namespace and the name of the table ``trades``."""
    if database.kind == "sqlite":
        return f"sqlite://{database.connection['host']}", "trades"
    if database.kind == "mariadb":
        where = database.connection
        return f"mysql://{where['host']}:{where['port']}", f"{where['schema']}.trades"
    place = urlsplit(POSTGRES)
    (schema,) = database.query("SELECT current_schema()")[0]
    return f"postgres://{place.hostname}:{place.port or 5432}", f"{place.path.strip('/')}.{schema}.trades"


def told(event: dict[str, Any]) -> dict[str, Any]:
    """What an event says of an export, after a check by the facet's schema."""
    facet: dict[str, Any] = event["run"]["facets"]["hyperoru_export"]
    path, _, name = facet["_schemaURL"].partition("#/$defs/")
    schema = json.loads((ROOT / "docs/openlineage" / Path(path).name).read_text())
    jsonschema.validate(facet, {**schema, "$ref": f"#/$defs/{name}"})
    return {name: facet[name] for name in ("resource", "filters", "result")}


def test_an_export_to_files(run_dag: RunDag, events: Events, sandbox: Sandbox, tmp_path: Path) -> None:
    outcome = run_dag(sandbox, "lineage", destination=str(tmp_path))
    (summary,) = outcome.mapped("export")
    manifest, directory = manifest_of(summary), path_of(summary["manifest"]).parent
    assert summary["rows"] > 0

    event = events.completed("export")
    (read,), (written,) = event["inputs"], event["outputs"]
    assert (read["namespace"], read["name"]) == (f"hyperoru://{urlsplit(sandbox.url).netloc}", "trades")
    proved = without_producer(read["inputFacets"])["dataQualityMetrics"]
    assert proved["rowCount"] == summary["rows"]
    assert proved["columnMetrics"]["trade_id"] | {"quantiles": {}} == {
        "nullCount": 0,
        "distinctCount": summary["rows"],
        "count": summary["rows"],
        "quantiles": {},
    }
    assert (written["namespace"], written["name"]) == ("file", f"{tmp_path}/trades")
    assert without_producer(written["outputFacets"]) == {
        "outputStatistics": {"rowCount": summary["rows"], "size": summary["bytes"], "fileCount": 1},
        "subset": {
            "outputCondition": {"type": "location", "locations": [f"file://{directory}"]},
        },
    }
    fields = [{"name": field["name"], "type": field["type"]} for field in written["facets"]["schema"]["fields"]]
    assert fields == manifest["columns"]
    kept = ("rows", "window", "first_time", "last_time", "manifest")
    assert told(event) == {
        "resource": "trades",
        "filters": {"account_id": "1"},
        "result": {name: summary[name] for name in kept},
    }
    assert told(event)["result"]["window"] == WINDOW

    to_xcom = events.completed("to_xcom")
    assert to_xcom["outputs"] == []
    assert told(to_xcom)["result"] == {"rows": len(outcome.result("to_xcom"))}
    assert told(events.completed("reconcile"))["result"] == {"windows": 1, "same": 1, "changed": [], "gaps": []}
    snapshot = events.completed("snapshot")
    assert [dataset["name"] for dataset in snapshot["inputs"]] == ["orders", "positions"]
    assert [dataset["name"] for dataset in snapshot["outputs"]] == [f"{tmp_path}/orders", f"{tmp_path}/positions"]
    accounts = outcome.result("snapshot")["accounts"].values()
    assert [dataset["outputFacets"]["outputStatistics"]["rowCount"] for dataset in snapshot["outputs"]] == [
        sum(account[part]["rows"] for account in accounts) for part in ("orders", "positions")
    ]
    assert events.completed("broken") and outcome.states("broken") == ["success"]
    assert seen_in(b"".join(events.bodies).decode()) == []


def test_an_export_to_a_table(run_dag: RunDag, events: Events, sandbox: Sandbox, database: Database) -> None:
    outcome = run_dag(sandbox, "lineage_to_sql", environ={"AIRFLOW_CONN_DB": json.dumps(database.connection)})
    summary = outcome.result("load")
    assert summary["rows"] == len(database.trades())

    event = events.completed("load")
    (read,), (written,) = event["inputs"], event["outputs"]
    assert (read["name"], read["inputFacets"]["dataQualityMetrics"]["rowCount"]) == ("trades", summary["rows"])
    assert (written["namespace"], written["name"]) == name_of(database)
    assert without_producer(written["outputFacets"]) == {"outputStatistics": {"rowCount": summary["rows"]}}
    assert {field["name"]: field["type"] for field in written["facets"]["schema"]["fields"]}["price"] == "decimal"
    assert told(event)["result"] == summary
    assert {name: summary[name] for name in ("window", "inserted", "table")} == {
        "window": WINDOW,
        "inserted": summary["rows"],
        "table": "trades",
    }
    compared = events.completed("reconcile")
    assert told(compared)["result"] == outcome.result("reconcile")
    assert [(dataset["namespace"], dataset["name"]) for dataset in compared["outputs"]] == [
        (written["namespace"], written["name"])
    ]
    assert seen_in(b"".join(events.bodies).decode()) == []


def test_an_export_to_a_table_of_iceberg(run_dag: RunDag, events: Events, sandbox: Sandbox, tmp_path: Path) -> None:
    lake = local_lake(tmp_path)
    environ = {"AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps(lake.connection)}
    summary = run_dag(sandbox, "lineage_to_iceberg", environ=environ).result("load")
    assert summary["rows"] == len(lake.prices())

    event = events.completed("load")
    (written,) = event["outputs"]
    assert (written["namespace"], written["name"]) == ("file", summary["location"].removeprefix("file://"))
    assert without_producer(written["facets"])["symlinks"] == {
        "identifiers": [{"namespace": "file", "name": TABLE, "type": "TABLE"}]
    }
    assert {field["name"]: field["type"] for field in written["facets"]["schema"]["fields"]}["price"] == "decimal"
    assert without_producer(written["outputFacets"]) == {"outputStatistics": {"rowCount": summary["rows"]}}
    assert told(event)["result"] == summary
    assert seen_in(b"".join(events.bodies).decode()) == []

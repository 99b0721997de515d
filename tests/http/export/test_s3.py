"""Exports to an S3 server over HTTP, by an Airflow connection."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from airflow.sdk import Context, ObjectStoragePath
from moto.server import ThreadedMotoServer

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruContractError, HyperoruServerError
from hyperoru_provider.export import commit_lock
from hyperoru_provider.export.directory import ExportDirectory
from hyperoru_provider.operators.reconcile import HyperoruReconcileOperator
from hyperoru_provider.operators.report import HyperoruReportOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox

pytestmark = pytest.mark.slow

DIRECTORY = "lake/trades/20260115T000000Z_20260116T000000Z/"


def rows(price: float, count: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "trade_id": number,
            "account_id": 1,
            "symbol": "BTC",
            "side": "BUY",
            "price": price,
            "quantity": 2,
            "trade_time": f"2026-01-15T00:{number // 4:02}:00Z",
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """A bucket as others see it, without any cache of ours."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))
    bucket = boto3.resource("s3", endpoint_url=endpoint, **keys).Bucket(name)
    bucket.create()
    return bucket


@pytest.fixture
def export(connect: Callable[..., None], bucket: Any) -> Callable[..., dict[str, Any]]:
    def run(sandbox: Sandbox, **arguments: Any) -> dict[str, Any]:
        connect(sandbox, token_cache="memory", max_retries=0)
        operator = HyperoruExportTradesOperator(
            task_id="t",
            start="2026-01-15",
            end="2026-01-16",
            destination=f"s3://lake@{bucket.name}/lake",
            **{"rows_per_part": 15, "compression": "none", **arguments},
        )
        summary: dict[str, Any] = operator.execute(Context())
        return summary

    return run


def contents(bucket: Any) -> dict[str, bytes]:
    found = {item.key: item.get()["Body"].read() for item in bucket.objects.all()}
    assert all(name.startswith(DIRECTORY) for name in found)
    return {name.removeprefix(DIRECTORY): data for name, data in found.items()}


def prices(bucket: Any) -> set[float]:
    """Read an export as a consumer does, checking every hash."""
    files = contents(bucket)
    named = json.loads(files["_manifest.json"])["files"]
    for file in named:
        assert hashlib.sha256(files[file["name"]]).hexdigest() == file["sha256"]
    return {json.loads(line)["price"] for file in named for line in files[file["name"]].splitlines()}


Export = Callable[..., dict[str, Any]]


def test_an_export_and_its_replacement(bucket: Any, export: Export) -> None:
    with Sandbox(rows=rows(1.5)) as sandbox:
        summary = export(sandbox)
    names = {"_manifest.json", *(f"part-0000{n}.jsonl" for n in range(3))}
    assert contents(bucket).keys() == names
    assert prices(bucket) == {1.5}
    assert json.loads(ObjectStoragePath(summary["manifest"]).read_text())["rows"] == 40
    assert summary["prefix"] == f"s3://{bucket.name}/{DIRECTORY}part-"
    below = bucket.objects.filter(Prefix=summary["prefix"].removeprefix(f"s3://{bucket.name}/"))
    assert [item.key for item in below] == summary["keys"] == [f"{DIRECTORY}part-0000{n}.jsonl" for n in range(3)]
    assert ObjectStoragePath(summary["files"][2]).read_bytes() == contents(bucket)["part-00002.jsonl"]
    with Sandbox(rows=rows(2.5, 20)) as sandbox:
        export(sandbox)
    assert contents(bucket).keys() == names - {"part-00002.jsonl"}
    assert prices(bucket) == {2.5}


def test_only_what_has_changed_is_written_again(bucket: Any, export: Export, connect: Callable[..., None]) -> None:
    with Sandbox(rows=rows(1.5)) as sandbox:
        export(sandbox)
    bucket.Versioning().enable()

    def reconcile(served: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
        with Sandbox(rows=served) as sandbox:
            connect(sandbox, token_cache="memory", max_retries=0)
            operator = HyperoruReconcileOperator(
                task_id="t",
                resource="trades",
                end="2026-01-16",
                destination=f"s3://lake@{bucket.name}/lake",
                rows_per_part=15,
                compression="none",
            )
            summary = operator.execute(Context())
        assert summary["windows"] == 1
        return [(each["added"], each["removed"], each["changed"]) for each in summary["changed"]]

    def written() -> set[str]:
        """Return what was written or removed since versions are kept, by its name."""
        versions = [each for each in bucket.object_versions.all() if each.id != "null"]
        return {each.object_key.removeprefix(DIRECTORY) for each in versions}

    assert reconcile(rows(1.5)) == []
    assert written() == set()
    assert reconcile([*rows(1.5)[:-2], rows(2.5)[-2]]) == [(0, 1, 1)]
    assert {name for name in written() if not name.startswith("_next-")} == {"_manifest.json", "part-00002.jsonl"}
    assert prices(bucket) == {1.5, 2.5}
    assert contents(bucket).keys() == {"_manifest.json", *(f"part-0000{n}.jsonl" for n in range(3))}
    before = written()
    assert reconcile([*rows(1.5)[:-2], rows(2.5)[-2]]) == []
    assert written() == before


def test_a_failed_run_leaves_the_earlier_export_and_is_resumed(
    bucket: Any, export: Export, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    with Sandbox(rows=rows(1.5)) as sandbox:
        export(sandbox)
    before = contents(bucket)
    real = ExportDirectory.add

    def add(self: ExportDirectory, file: Any, name: str, rows: int) -> Any:
        if name.startswith("part-00002"):
            raise HyperoruServerError("the service went down")
        return real(self, file, name, rows)

    with Sandbox(rows=rows(2.5)) as sandbox:
        monkeypatch.setattr(ExportDirectory, "add", add)
        with pytest.raises(HyperoruServerError):
            export(sandbox)
        assert prices(bucket) == {1.5}
        assert before.items() < contents(bucket).items()
        monkeypatch.setattr(ExportDirectory, "add", real)
        export(sandbox)
    assert "Resuming after 2026-01-15T00:07:00Z: 30 rows in 2 parts are already there" in caplog.text
    assert prices(bucket) == {2.5}
    assert contents(bucket).keys() == before.keys()


def test_no_rows_replace_none(bucket: Any, export: Export, caplog: pytest.LogCaptureFixture) -> None:
    with Sandbox(rows=[]) as empty:
        assert export(empty)["rows"] == 0
        assert "no earlier rows are known" in caplog.text
        with Sandbox(rows=rows(1.5)) as sandbox:
            export(sandbox)
        caplog.clear()
        with pytest.raises(HyperoruContractError, match="earlier export has 40"):
            export(empty)
        assert prices(bucket) == {1.5}
        assert export(empty, on_empty="succeed")["files"] == []
    assert "no earlier rows are known" not in caplog.text


def test_what_others_wrote_meanwhile_is_seen(bucket: Any, export: Export) -> None:
    """Listings that the storage's library remembers are not believed."""
    with Sandbox(rows=rows(1.5)) as sandbox:
        summary = export(sandbox)
        listed = ObjectStoragePath(summary["manifest"]).parent
        assert len(list(listed.iterdir())) == 4  # now it is remembered
        bucket.Object(f"{DIRECTORY}part-00001.jsonl").put(Body=b"cut")
        bucket.Object(f"{DIRECTORY}_next-part-00009.jsonl").put(Body=b"left behind")
        export(sandbox)
        assert prices(bucket) == {1.5}
        assert len(contents(bucket)) == 4
        assert len(list(listed.iterdir())) == 4
        longer = json.dumps(json.loads(contents(bucket)["_manifest.json"]), indent=9).encode()
        bucket.Object(f"{DIRECTORY}_manifest.json").put(Body=longer)
        export(sandbox)
        assert prices(bucket) == {1.5}


@pytest.mark.parametrize("name", ["_manifest.json", "part-00001.jsonl"])
def test_what_is_replaced_while_it_is_read(
    name: str, bucket: Any, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage's library tells so by an error of its own."""
    with Sandbox(rows=rows(1.5)) as sandbox:
        export(sandbox)
        storage = ObjectStoragePath(f"s3://lake@{bucket.name}/lake").fs
        real = storage.open

        def open_and_replace(path: str, *arguments: Any, **more: Any) -> Any:
            file = real(path, *arguments, **more)
            if path.endswith(name) and "rb" in (*arguments, *more.values()):
                bucket.Object(DIRECTORY + name).put(Body=contents(bucket)[name].replace(b"5", b"6"))
            return file

        monkeypatch.setattr(storage, "open", open_and_replace)
        export(sandbox)
    assert prices(bucket) == {1.5}
    assert len(contents(bucket)) == 4


def test_a_failed_run_leaves_another_run_s_commit_whole(
    bucket: Any, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ExportDirectory.add

    def add(self: ExportDirectory, file: Any, name: str, rows_of_it: int) -> Any:
        if name.startswith("part-00002"):
            raise HyperoruServerError("the service went down")
        if name.startswith("part-00000"):
            monkeypatch.setattr(ExportDirectory, "add", real)
            with Sandbox(rows=rows(2.5)) as other:
                export(other)
            monkeypatch.setattr(ExportDirectory, "add", add)
        return real(self, file, name, rows_of_it)

    monkeypatch.setattr(ExportDirectory, "add", add)
    with Sandbox(rows=rows(1.5)) as sandbox, pytest.raises(HyperoruServerError):
        export(sandbox)
    assert prices(bucket) == {2.5}


def test_the_lock_of_a_run_that_was_killed_is_removed_after_a_minute(
    bucket: Any, export: Export, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.Object(f"{DIRECTORY}_next-commit").put(Body=b"another one's")
    pauses: list[float] = []
    monkeypatch.setattr("hyperoru_provider.export.commit_lock.time.sleep", pauses.append)
    with Sandbox(rows=rows(1.5)) as sandbox:
        export(sandbox)
    assert sum(pauses) == pytest.approx(60, rel=0.1)
    assert "Another run was killed while it committed" in caplog.text
    assert prices(bucket) == {1.5}
    assert len(contents(bucket)) == 4


def test_a_run_whose_lock_was_taken_away_commits_nothing(
    bucket: Any, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was held up for long while it committed, and another one believed it dead."""
    with Sandbox(rows=rows(1.5, 20)) as sandbox:
        export(sandbox)
    lock = bucket.Object(f"{DIRECTORY}_next-commit")
    storage = ObjectStoragePath(f"s3://lake@{bucket.name}/lake").fs
    copy = storage.cp_file

    def take_away(*arguments: Any) -> None:
        lock.put(Body=b"another one's")
        copy(*arguments)

    monkeypatch.setattr(storage, "cp_file", take_away)
    with Sandbox(rows=rows(2.5)) as sandbox, pytest.raises(HyperoruConcurrentWriteError, match="taken over"):
        export(sandbox)
    assert prices(bucket) == {1.5}


def test_a_commit_whose_one_copy_takes_long_is_not_taken_for_dead(
    bucket: Any, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy that another run did not wait for would land over its files."""
    looks = iter(range(100))
    waited = threading.Event()
    rivals: list[Future[Any]] = []
    storage = ObjectStoragePath(f"s3://lake@{bucket.name}/lake").fs
    copy = storage.cp_file

    def look(_: float) -> None:
        if next(looks, None) is None:
            waited.set()

    def slow_copy(*arguments: Any) -> None:
        monkeypatch.setattr(storage, "cp_file", copy)
        rivals.append(pool.submit(export, other))
        rivals[0].add_done_callback(lambda _: waited.set())
        waited.wait()
        copy(*arguments)

    monkeypatch.setattr(commit_lock, "PATIENCE", 40)
    monkeypatch.setattr(commit_lock, "RENEWAL", 0)
    monkeypatch.setattr("hyperoru_provider.export.commit_lock.time.sleep", look)
    monkeypatch.setattr(storage, "cp_file", slow_copy)
    with Sandbox(rows=rows(1.5)) as sandbox, Sandbox(rows=rows(2.5)) as other, ThreadPoolExecutor() as pool:
        export(sandbox)
        with pytest.raises(HyperoruConcurrentWriteError, match="Another run"):
            rivals[0].result()
    assert prices(bucket) == {1.5}
    assert len(contents(bucket)) == 4


def test_a_lock_whose_answer_was_lost_is_not_left_behind(
    bucket: Any, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = ObjectStoragePath(f"s3://lake@{bucket.name}/lake").fs
    write = storage.pipe_file

    def pipe_file(path: str, data: bytes, mode: str = "overwrite") -> None:
        write(path, data, mode=mode)
        if mode == "create":
            raise ConnectionResetError("reset by peer")

    with Sandbox(rows=rows(1.5)) as sandbox:
        with monkeypatch.context() as patch:
            patch.setattr(storage, "pipe_file", pipe_file)
            with pytest.raises(ConnectionResetError):
                export(sandbox)
        assert not [name for name in contents(bucket) if name.endswith("_next-commit")]
        export(sandbox)
    assert prices(bucket) == {1.5}


def test_two_who_create_the_lock_in_the_same_moment_where_both_can(
    bucket: Any, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server that ignores If-None-Match; the one who was first must have written nothing yet."""
    main = threading.current_thread()
    other_saw_none, first_goes_on, other_created = threading.Event(), threading.Event(), threading.Event()
    rivals: list[Future[Any]] = []
    storage = ObjectStoragePath(f"s3://lake@{bucket.name}/lake").fs
    copy, write = storage.cp_file, storage.pipe_file

    def pipe_file(path: str, data: bytes, mode: str = "overwrite") -> None:
        first = threading.current_thread() is main
        if mode == "create" and first and not rivals:
            rivals.append(pool.submit(export, other))
            other_saw_none.wait()
        elif mode == "create" and not first:
            other_saw_none.set()
            first_goes_on.wait()
        write(path, data)
        if mode == "create" and not first:
            other_created.set()

    def sleep(_: float) -> None:
        first_goes_on.set()
        other_created.wait()

    def cp_file(old: str, new: str) -> None:
        if threading.current_thread() is main:  # the server has begun, and takes long
            data = storage.cat_file(old)
            first_goes_on.set()
            rivals[0].exception()
            write(new, data)
        else:
            copy(old, new)

    monkeypatch.setattr(storage, "pipe_file", pipe_file)
    monkeypatch.setattr(storage, "cp_file", cp_file)
    monkeypatch.setattr("hyperoru_provider.export.commit_lock.time.sleep", sleep)
    with Sandbox(rows=rows(1.5)) as sandbox, Sandbox(rows=rows(2.5)) as other, ThreadPoolExecutor() as pool:
        with pytest.raises(HyperoruConcurrentWriteError):
            export(sandbox)
        rivals[0].result()
    assert prices(bucket) == {2.5}
    assert len(contents(bucket)) == 4


def test_an_upload_that_breaks_off_shows_nothing(bucket: Any) -> None:
    """The storage's library would show what it has got so far, in place of another run's whole file."""

    class Source(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError("broken off")
            return super().read(3)

        def readinto(self, buffer: Any, /) -> int:
            return super().readinto(buffer)  # the hash is made of all

    directory = ExportDirectory(ObjectStoragePath(f"s3://lake@{bucket.name}/{DIRECTORY}"))
    with pytest.raises(OSError, match="broken off"):
        directory.add(Source(b"whole"), "part-00000.jsonl", 1)
    assert not contents(bucket)


def test_two_runs_of_a_window_at_once(bucket: Any, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ExportDirectory.commit
    listed = ObjectStoragePath(f"s3://lake@{bucket.name}/{DIRECTORY}")

    def commit(self: ExportDirectory, *arguments: Any) -> Any:
        list(listed.iterdir())
        monkeypatch.setattr(ExportDirectory, "commit", real)
        with Sandbox(rows=rows(2.5)) as other:
            export(other)
        return real(self, *arguments)

    monkeypatch.setattr(ExportDirectory, "commit", commit)
    with Sandbox(rows=rows(1.5)) as sandbox, pytest.raises(HyperoruConcurrentWriteError, match="Another run"):
        export(sandbox)
    assert prices(bucket) == {2.5}


def test_a_report_from_the_bucket_and_into_it(bucket: Any, export: Export) -> None:
    with Sandbox(rows=rows(1.5)) as sandbox:
        summary = export(sandbox)
    for source in (summary, f"s3://lake@{bucket.name}/lake"):
        destination = f"s3://lake@{bucket.name}/reports/r.html"
        report = HyperoruReportOperator(task_id="t", source=source, destination=destination).execute(Context())
        assert (report["path"], report["rows"]) == (destination, 40)
        page = bucket.Object("reports/r.html").get()["Body"].read().decode()
        assert '<data value="120">120.00</data>' in page
        bucket.Object("reports/r.html").delete()

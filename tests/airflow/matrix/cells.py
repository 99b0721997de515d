"""Runs a cell in a process of its own, and measures what it costs."""

from __future__ import annotations

import io
import json
import logging
import os
import pkgutil
import resource
import select
import signal
import sys
import time
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

import hyperoru_provider
from hyperoru_provider.client import errors
from hyperoru_provider.client.http import retry
from hyperoru_provider.hooks import hyperoru as hook_module
from hyperoru_provider.hooks.compat import AirflowSensorTimeout, AirflowTaskTimeout
from hyperoru_provider.operators import backfill_job
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sensors import base
from hyperoru_provider.triggers import shared_stream
from tests.airflow.matrix.faults import Fault
from tests.airflow.matrix.loops import HEARTBEAT
from tests.airflow.matrix.outcomes import ERRORS, WAITS
from tests.airflow.matrix.place import PASSWORD, Place, Server, committed
from tests.airflow.matrix.subjects import Subject
from tests.airflow.matrix.tampering import middle
from tests.lakes import local_lake

#: seconds after which a cell hangs
DEADLINE = 30.0
_MORE_EVENTS = {"socket_duplicate_rate", "pace"}
_LATE = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.providers.apache.iceberg.hooks.iceberg",
    "airflow.providers.sqlite.hooks.sqlite",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "sqlalchemy.dialects.sqlite",
    "websockets.asyncio.client",
    "zstandard",
)
_WINDOW = 6  # characters of a secret in a row that nobody should see; the docs promise four


def import_all() -> None:
    """Import what cells need once, before they are forked: a cell measures its own work."""
    for module in pkgutil.walk_packages(hyperoru_provider.__path__, "hyperoru_provider."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for name in _LATE:
        import_module(name)


@dataclass
class Result:
    """How a cell ended.

    :param outcome: one of the words of :mod:`tests.airflow.matrix.outcomes`, or what is wrong.
    :param detail: the text of the error.
    :param wrongs: what else is wrong.
    :param seconds: how long it took.
    :param requests: how many the server got.
    :param megabytes: the peak of memory above the start.
    :param held: the longest time for which a trigger's loop was held, in seconds.
    """

    outcome: str
    detail: str = ""
    wrongs: list[str] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0
    megabytes: float = 0.0
    held: float = 0.0


def run_cell(url: str, subject: Subject, fault: Fault, directory: Path, patience: float) -> Result:
    """Run a subject against a fault in a process of its own, which is killed at the deadline.

    :param url: of a sandbox.
    :param directory: what is written goes here; it may hold what an earlier run of the subject has committed.
    :param patience: seconds that a wait, or a task that waits, has.
    """
    begun = time.monotonic()
    is_direct = fault.tamper is None and not fault.frames
    with nullcontext(url) if is_direct else middle(url, fault.tamper, fault.frames) as address:
        result = _forked(partial(_work, url, address, subject, fault, directory, patience))
    stats = Server(url).stats()
    result.seconds = time.monotonic() - begun
    result.requests = stats["requests"] + stats["sockets"]["opened"] + stats["sockets"]["refused"]
    return result


def _forked(work: Callable[[], Result]) -> Result:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(work, writing)
    os.close(writing)
    chunks, until = [], time.monotonic() + DEADLINE
    with open(reading, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(until - time.monotonic(), 0))[0]:
            chunk = pipe.read(65_536)
            if not chunk:
                break
            chunks.append(chunk)
        else:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return Result("hangs", f"after {DEADLINE:g} s")
    os.waitpid(pid, 0)
    return Result(**json.loads(b"".join(chunks))) if chunks else Result("dies")


def _child(work: Callable[[], Result], writing: int) -> None:
    try:
        try:
            result = work()
        except BaseException:
            result = Result("harness", traceback.format_exc())
        with open(writing, "wb") as pipe:
            pipe.write(json.dumps(asdict(result)).encode())
    finally:
        os._exit(0)


def _work(url: str, address: str, subject: Subject, fault: Fault, directory: Path, patience: float) -> Result:
    """Run the subject, in the process that is made for it.

    :param address: where the subject finds the sandbox.
    """
    server = Server(url)
    server.reset()
    is_crowded = bool(fault.frames or _MORE_EVENTS & set(fault.switches))
    place = Place(server, directory, patience, fault.switches, is_crowded)
    if subject.prepare is not None:
        subject.prepare(place)
    before = committed(directory)
    secrets = [PASSWORD]
    _set_up(address, fault, directory, secrets)
    server.set_faults(fault.switches)
    output, logs = _captured(directory)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error: BaseException | None = None
    try:
        outcome = subject.run(place)
    except BaseException as raised:
        error, outcome = raised, _name(raised)
    wrongs = []
    if error is not None and committed(directory) != before:
        wrongs.append("an error changed what was committed before")
    server.set_faults({})
    texts = [*place.kept, logs.getvalue(), _output(output), *_files(directory)]
    if error is not None:
        texts += [repr(error), "".join(traceback.format_exception(error))]
    wrongs += [f"a secret shows: {shown}" for shown in _shown(secrets, texts)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Result(
        outcome=outcome,
        detail="" if error is None else str(error)[:2_000],
        wrongs=wrongs,
        megabytes=(peak - memory) / 1_000,
        held=HEARTBEAT.held,
    )


def _set_up(url: str, fault: Fault, directory: Path, secrets: list[str]) -> None:
    """Make the server the default connection, and let what takes seconds take moments."""
    extra = {"token_cache": "memory", "max_retries": 8, "contract": {"trades": {"page_size": 25}}, **fault.extra}
    connection = {"conn_type": "hyperoru", "host": url, "login": Sandbox().email, "password": PASSWORD}
    os.environ["AIRFLOW_CONN_HYPERORU_DEFAULT"] = json.dumps(connection | {"extra": extra})
    os.environ["AIRFLOW_CONN_ICEBERG_DEFAULT"] = json.dumps(local_lake(directory).connection)
    os.environ["AIRFLOW_CONN_SQL"] = json.dumps({"conn_type": "sqlite", "host": str(directory / "test.db")})
    policy = partial(retry.RetryPolicy, initial_delay=0.005, max_delay=0.05)
    setattr(retry, "RetryPolicy", policy)  # noqa: B010
    setattr(hook_module, "mask_secret", secrets.append)  # noqa: B010 - nothing else hides a secret then
    backfill_job.SETTLE_SECONDS = 0.3
    base.SHORTEST_QUESTION = 0.5
    shared_stream.HEARTBEAT = 0.2
    shared_stream.ERROR_DELAY = 0.05


def _name(error: BaseException) -> str:
    """Return the word for an error."""
    if isinstance(error, AirflowSensorTimeout | AirflowTaskTimeout):
        return WAITS
    for cls in type(error).__mro__:
        word = cls.__name__.removeprefix("Hyperoru").removesuffix("Error")
        if word in ERRORS and vars(errors).get(cls.__name__) is cls:
            return word
    return f"raw {type(error).__name__}"


def _captured(directory: Path) -> tuple[int, io.StringIO]:
    """Let all output go to a file, and all log records to a text, at the level of debugging."""
    sys.stdout.flush()
    sys.stderr.flush()
    output = os.open(directory.parent / f"{directory.name}.out", os.O_RDWR | os.O_CREAT)
    os.unlink(directory.parent / f"{directory.name}.out")
    os.dup2(output, 1)
    os.dup2(output, 2)
    logs = io.StringIO()
    handler = logging.StreamHandler(logs)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG)
    for name in ("websockets", "httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "hyperoru_provider", "airflow"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.disabled, logger.propagate = False, True
    return output, logs


def _output(output: int) -> str:
    sys.stdout.flush()
    sys.stderr.flush()
    return os.pread(output, 100_000_000, 0).decode("utf-8", "replace")


def _files(directory: Path) -> Iterable[str]:
    for path in directory.rglob("*"):
        yield str(path)
        if path.is_file():
            with suppress(OSError):
                yield path.read_bytes().decode("latin-1")


def _shown(secrets: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Return pieces of secrets that are in texts, in any form."""
    pieces = set()
    for secret in secrets:
        data = secret.encode("utf-8", "replace")
        encoded = (quote(secret, safe=""), b64encode(data).decode().rstrip("="), data.hex())
        for form, length in ((secret, _WINDOW), *((form, 2 * _WINDOW) for form in encoded)):
            pieces |= {form[start : start + length] for start in range(len(form) - length + 1)}
    everything = "\n".join(texts)
    return sorted(piece for piece in pieces if piece in everything)[:3]

"""An S3 server over HTTP that fails on request: before it does what it was asked, or after it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

_BUCKET = "lake"
_ERROR = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>made to fail</Message></Error>"


class _Quiet(MotoRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


class FaultyS3:
    """Passes requests on to moto, but for those that fail.

    :param application: moto.
    :param knows_conditions: whether it creates an object only if there is none, as asked.
    """

    def __init__(self, application: Any, knows_conditions: bool) -> None:
        self._application = application
        self._knows_conditions = knows_conditions
        self._lock = threading.Lock()
        self.calm()

    def fail(self, rate: float, seed: str) -> None:
        """Let requests fail from now on.

        :param rate: the share of them.
        :param seed: of which they are.
        """
        self._rate, self._dice = rate, random.Random(seed)

    def calm(self) -> None:
        """Let no request fail any more."""
        self._rate, self._dice = 0.0, random.Random()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            fault = self._dice.choice(("before", "after", "slow down")) if self._dice.random() < self._rate else None
        if not self._knows_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if fault is None:
            answer: Iterable[bytes] = self._application(environ, start_response)
            return answer
        if fault == "after":
            b"".join(self._application(environ, lambda *_: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, code = ("503 Slow Down", b"SlowDown") if fault == "slow down" else ("500 Internal", b"InternalError")
        start_response(status, [("Content-Type", "application/xml")])
        return [_ERROR % code]


class Lake:
    """A bucket of such a server.

    :param server: the server.
    :param url: its address.
    """

    def __init__(self, server: FaultyS3, url: str) -> None:
        self.fail, self.calm = server.fail, server.calm
        extra = {"endpoint_url": url, "region_name": "us-east-1"}
        self.connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
        resource = boto3.resource("s3", aws_access_key_id="test", aws_secret_access_key="test", **extra)
        self._bucket = resource.Bucket(_BUCKET)
        self._bucket.create()

    def address(self, name: str) -> str:
        """Return a directory's address."""
        return f"s3://lake@{_BUCKET}/{name}"

    def files(self, name: str) -> dict[str, bytes]:
        """Return all files below a directory, and their contents."""
        found = self._bucket.objects.filter(Prefix=f"{name}/")
        return {item.key.removeprefix(f"{name}/"): item.get()["Body"].read() for item in found.all()}

    def put(self, name: str, files: dict[str, bytes]) -> None:
        """Write files into a directory."""
        for file, data in files.items():
            self._bucket.Object(f"{name}/{file}").put(Body=data)


@contextmanager
def lake(*, knows_conditions: bool = True) -> Iterator[Lake]:
    """Run a server with an empty bucket."""
    application = FaultyS3(DomainDispatcherApplication(create_backend_app), knows_conditions)
    server = make_server("127.0.0.1", 0, application, True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Lake(application, f"http://127.0.0.1:{server.port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

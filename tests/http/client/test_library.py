"""Which HTTP library is used: the successor where it is loaded already, else httpx."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx
import httpx2
import pytest

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.http import library
from hyperoru_provider.sandbox import Sandbox

ASK = """
import sys
{load}
from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.http.library import httpcore, httpx
with HyperoruClient({url!r}, email={email!r}, password={password!r}) as client:
    print(httpx.__name__, httpcore.__name__, len(client.list_traders()), "httpx" in sys.modules)
"""


@pytest.mark.parametrize(
    ("load", "used"), [("", "httpx httpcore 5 True"), ("import httpx2", "httpx2 httpcore2 5 False")]
)
def test_the_library_that_is_loaded_is_used(sandbox: Sandbox, load: str, used: str) -> None:
    code = ASK.format(load=load, url=sandbox.url, email=sandbox.email, password=sandbox.password)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == used


@pytest.mark.parametrize("name", ["http_client", "transport"])
def test_a_client_of_the_other_library_is_refused(name: str) -> None:
    """Its errors would be strangers, and no request would be repeated."""
    other: Any = httpx if library.httpx.__name__ == "httpx2" else httpx2
    given = other.Client() if name == "http_client" else other.HTTPTransport()
    with pytest.raises(HyperoruConfigError, match=f"is from {other.__name__}, but"):
        HyperoruClient("http://127.0.0.1:1", session_token="t", **{name: given})
    given.close()

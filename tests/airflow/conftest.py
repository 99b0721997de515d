from __future__ import annotations

from collections.abc import Callable

import pytest

from hyperoru_provider.sandbox import Sandbox


@pytest.fixture
def connection(connect: Callable[..., None], sandbox: Sandbox) -> None:
    """Make a sandbox the default connection, and repeat no request by itself."""
    connect(sandbox, token_cache="memory", max_retries=0)

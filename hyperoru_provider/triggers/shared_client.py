"""One client for each connection, shared by all who use it in an event loop."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from hyperoru_provider.client import AsyncHyperoruClient
from hyperoru_provider.client.errors import HyperoruApiError
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.waiting.conditions import RETRY_FOR

#: seconds after which a connection may have been changed since it was read
REREAD_AFTER = 60.0


class ClientReference:
    """A client, and how many use it.

    :param client: the client.
    """

    def __init__(self, client: AsyncHyperoruClient) -> None:
        self.client = client
        self.users = 0
        #: whether the next user gets a new client, for which the connection is read again
        self.retired = False
        self._made_at = time.monotonic()

    @property
    def stale(self) -> bool:
        """Whether the connection may have been changed since it was read."""
        return time.monotonic() > self._made_at + REREAD_AFTER


class _ClientPool:
    """The clients of an event loop, by connection."""

    def __init__(self) -> None:
        self._references: dict[str, ClientReference] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def acquire(self, hyperoru_conn_id: str) -> ClientReference:
        async with self._locks[hyperoru_conn_id]:
            reference = self._references.get(hyperoru_conn_id)
            if reference is None or reference.retired:
                hook = HyperoruHook(hyperoru_conn_id, RETRY_FOR)
                reference = ClientReference(await asyncio.to_thread(hook.get_async_conn))
                self._references[hyperoru_conn_id] = reference
            reference.users += 1
            return reference

    async def release(self, hyperoru_conn_id: str, reference: ClientReference) -> None:
        reference.users -= 1
        if reference.users:
            return
        if self._references.get(hyperoru_conn_id) is reference:
            del self._references[hyperoru_conn_id]
        await reference.client.aclose()


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _ClientPool] = WeakKeyDictionary()


@asynccontextmanager
async def client_reference(hyperoru_conn_id: str) -> AsyncIterator[ClientReference]:
    """Hold the client of a connection: it is made for its first user, and closed after its last one.

    An error in the block that is not transient retires the client, as the connection may be wrong.

    :param hyperoru_conn_id: the connection.
    :raises HyperoruConfigError: the connection has a wrong value.
    """
    pool = _pools.setdefault(asyncio.get_running_loop(), _ClientPool())
    reference = await pool.acquire(hyperoru_conn_id)
    try:
        yield reference
    except HyperoruApiError as error:
        if not error.transient:
            reference.retired = True
        raise
    finally:
        await pool.release(hyperoru_conn_id, reference)


@asynccontextmanager
async def shared_client(hyperoru_conn_id: str) -> AsyncIterator[AsyncHyperoruClient]:
    """Use the client of a connection; see :func:`client_reference`."""
    async with client_reference(hyperoru_conn_id) as reference:
        yield reference.client

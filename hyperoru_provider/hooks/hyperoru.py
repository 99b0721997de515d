"""The hook: makes clients of an Airflow connection."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from hyperoru_provider.client import AsyncHyperoruClient, HyperoruClient
    from hyperoru_provider.hooks.options import ConnectionOptions

log = logging.getLogger(__name__)

ClientT = TypeVar("ClientT", bound="HyperoruClient | AsyncHyperoruClient")

#: seconds after which a test of the connection gives up
TEST_SECONDS = 12.0
_TEST_TIMEOUT = 4.0


class HyperoruHook(BaseHook):
    """Makes clients of the Hyperoru API that log in once for all workers and triggerers.

    A session token is looked for in the connection's ``session_token``, then in this process, then in an
    Airflow Variable (encrypted by Airflow; skipped if the extra ``token_cache`` is ``memory``), and only then
    does the client log in.

    :param hyperoru_conn_id: the connection: ``host`` (base URL), ``login`` (email or user name), ``password``,
        and in its extra ``session_token``, ``token_cache``, ``timeout``, ``max_answer_seconds``,
        ``max_answer_bytes``, ``max_retries``, ``requests_per_second`` and ``contract``. What the extra leaves out is
        taken from the section ``[hyperoru]`` of Airflow's configuration, where that has such an option.
    :param retry_for: seconds after which a failed request is not retried any more. Default: 600.
    """

    conn_name_attr = "hyperoru_conn_id"
    default_conn_name = "hyperoru_default"
    conn_type = "hyperoru"
    hook_name = "Hyperoru"

    def __init__(self, hyperoru_conn_id: str = default_conn_name, retry_for: float = 600.0) -> None:
        super().__init__()
        self.hyperoru_conn_id = hyperoru_conn_id
        self.retry_for = retry_for
        self._client: HyperoruClient | None = None

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Return the fields of the connection's extra. Later versions than Airflow 3.1 read the provider's info."""
        from hyperoru_provider.hooks.connection_form import form_widgets

        return form_widgets()

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Return how the form shows the fields of each connection; likewise."""
        from hyperoru_provider.hooks.connection_form import field_behaviour

        return field_behaviour()

    def get_conn(self) -> HyperoruClient:
        """Return the hook's client, a context manager. Once it is closed, the next call returns a new one.

        :raises HyperoruConfigError: the connection has a wrong value; the text names its field.
        """
        from hyperoru_provider.client import HyperoruClient

        if self._client is None or self._client.closed:
            self._client = self._make(HyperoruClient)
        return self._client

    def get_async_conn(self) -> AsyncHyperoruClient:
        """Return a new client for asyncio, an async context manager. Call this in a thread: it reads the connection.

        :raises HyperoruConfigError: the connection has a wrong value; the text names its field.
        """
        from hyperoru_provider.client import AsyncHyperoruClient

        return self._make(AsyncHyperoruClient)

    def test_connection(self) -> tuple[bool, str]:
        """Check the service's health and that the login works, in less than 15 seconds.

        Reads only, and keeps no token.

        :return: whether it works, and what was seen.
        """
        from hyperoru_provider.client.http.retry import RetryPolicy

        try:
            options = self.get_client_options()
        except Exception as error:  # noqa: BLE001 - the form shows whatever went wrong
            return False, _describe(error)
        options |= {
            "token_stores": (),
            "retry_policy": RetryPolicy(max_retries=0),
            "timeout": min(options["timeout"], _TEST_TIMEOUT),
            "requests_per_second": None,
        }
        results: list[tuple[bool, str]] = []
        thread = threading.Thread(target=lambda: results.append(_try_out(options)), daemon=True)
        thread.start()
        thread.join(TEST_SECONDS)
        return results[0] if results else (False, f"The server did not answer within {TEST_SECONDS:.0f} seconds.")

    def _make(self, client: type[ClientT]) -> ClientT:
        """Return a client for the connection."""
        from hyperoru_provider.client.errors import HyperoruConfigError

        try:
            return client(**self.get_client_options())
        except HyperoruConfigError as error:  # some tracebacks show variables, and Airflow's connections their password
            raise error.with_traceback(None) from None

    def get_client_options(self) -> dict[str, Any]:
        """Return the arguments of a client for the connection.

        :raises HyperoruConfigError: the connection has a wrong value; the text names its field.
        """
        from hyperoru_provider.client.errors import HyperoruConfigError
        from hyperoru_provider.client.http.retry import RetryPolicy
        from hyperoru_provider.client.http.tokens import MemoryTokenStore, TokenStore
        from hyperoru_provider.hooks.options import ConnectionOptions
        from hyperoru_provider.hooks.token_store import VariableTokenStore

        connection = self.get_connection(self.hyperoru_conn_id)
        for name in ("httpx", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)  # it logs a line for each request
        if connection.conn_type not in (None, "", self.conn_type):
            raise HyperoruConfigError(
                f"The connection {self.hyperoru_conn_id} has the type {connection.conn_type}: change its type to "
                f"{self.conn_type}, with the base URL as its host."
            )
        options = ConnectionOptions(connection)
        stores: list[TokenStore] = [MemoryTokenStore()]
        if options.choice("token_cache", ("variable", "memory")) == "variable":
            stores.append(VariableTokenStore(self.hyperoru_conn_id))
        return {
            "base_url": _base_url(connection),
            "email": connection.login or None,
            "password": connection.password or None,
            "session_token": _session_token(options),
            "headers": _headers(options),
            "verify": options.text("verify"),
            "contract": options.json("contract"),
            "timeout": options.number("timeout", lowest=0.1),
            "max_answer_seconds": options.number("max_answer_seconds", lowest=0.1),
            "max_answer_bytes": int(options.number("max_answer_bytes", lowest=1_000)),
            "retry_policy": RetryPolicy(
                max_retries=int(options.number("max_retries", lowest=0)), deadline=self.retry_for
            ),
            "requests_per_second": options.number("requests_per_second", lowest=0.0) or None,
            "token_stores": stores,
            "on_token": mask_secret,
        }


def _session_token(options: ConnectionOptions) -> str | None:
    """Return the connection's own token, masked in Airflow's logs from here on, or ``None`` if it has none."""
    token = (options.text("session_token") or "").strip() or None
    if token:
        mask_secret(token)
    return token


def _headers(options: ConnectionOptions) -> Mapping[str, Any]:
    """Return the connection's headers, with their values masked in Airflow's logs from here on."""
    headers = options.json("headers") or {}
    for value in headers.values():
        mask_secret(str(value))
    return headers


def _try_out(options: dict[str, Any]) -> tuple[bool, str]:
    """Return whether a client with these arguments can be used, and what was seen."""
    from hyperoru_provider.client import HyperoruClient
    from hyperoru_provider.client.escaping import printable

    try:
        with HyperoruClient(**options) as client:
            health = client.health()
            user = _user(client)
    except Exception as error:  # noqa: BLE001 - the form shows whatever went wrong
        return False, _describe(error)
    return health.healthy, printable(f"The service is {health.status}; logged in{user}.")


def _user(client: HyperoruClient) -> str:
    """Return as whom a client is logged in; a list of traders proves it, too, where the profile can't be read.

    :raises HyperoruApiError: neither can be.
    """
    from hyperoru_provider.client.errors import HyperoruApiError, HyperoruAuthenticationError

    try:
        user = client.profile()
    except HyperoruAuthenticationError:
        raise
    except HyperoruApiError as error:
        try:
            traders = client.list_traders()
        except HyperoruApiError:
            raise error from None
        return (
            f", and {len(traders)} traders are listed. The profile can't be read, which only this test needs: {error}"
        )
    return f" as {user.username or user.email or user.id or '?'}"


def _describe(error: Exception) -> str:
    from hyperoru_provider.client.escaping import printable

    return printable(str(error)) or type(error).__name__


def _base_url(connection: Connection) -> str:
    """Return the base URL: the host, with scheme and port where it has none."""
    from hyperoru_provider.client.base import DEFAULT_BASE_URL

    host = (connection.host or "").strip()
    if not host:
        return DEFAULT_BASE_URL
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    scheme, _, rest = host.partition("://")
    place, slash, path = rest.partition("/")
    if place.count(":") > 1 and not place.startswith("["):  # of [::1] in a URI, Airflow hands on ::1
        place = f"[{place}]"
    if connection.port and ":" not in place.rpartition("]")[2]:
        place = f"{place}:{connection.port}"
    return f"{scheme}://{place}{slash}{path}"

"""The way to the server: the environment's proxy and certificates, by one rule for requests and for the stream.

httpx and websockets each have a rule of their own, so neither is left to it: one would go through the proxy, and the
other would not.
"""

from __future__ import annotations

import os
import ssl
from functools import cached_property
from typing import Any
from urllib.request import getproxies, proxy_bypass

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.http.library import httpx

_PORTS = {"http": 80, "https": 443}


class Network:
    """How a server is reached. Nothing is looked up before it is used.

    :param base_url: scheme, host, port and perhaps a path.
    :param verify: a file of certificate authorities, in PEM; ``None``: those of the environment.
    """

    def __init__(self, base_url: str, verify: str | None = None) -> None:
        self._url = httpx.URL(base_url)
        self._verify = verify

    @cached_property
    def proxy(self) -> str | None:
        """The proxy's address, which may hold a password: ``HTTPS_PROXY`` for https, ``HTTP_PROXY`` for http, else
        ``ALL_PROXY``, unless ``NO_PROXY`` names the host.

        :raises HyperoruConfigError: it can't be used.
        """
        host, scheme = self._url.host, self._url.scheme
        proxies = getproxies()
        found = proxies.get(scheme) or proxies.get("all")
        if not found or proxy_bypass(host) or proxy_bypass(f"{host}:{self._url.port or _PORTS[scheme]}"):
            return None
        address = found if "://" in found else f"http://{found}"
        try:
            httpx.Proxy(address)
        except (httpx.InvalidURL, ValueError):
            raise HyperoruConfigError(
                f"The proxy that the environment names for {scheme} can't be used: an address such as "
                "http://host:3128 is expected. Correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or name the server in "
                "NO_PROXY."
            ) from None
        return address

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """What verifies certificates: the authorities in ``verify``, else those of the environment, else certifi's.

        :raises HyperoruConfigError: they can't be read.
        """
        try:
            return ssl.create_default_context(cafile=self._verify) if self._verify else httpx.create_ssl_context()
        except OSError as error:  # an SSLError is one
            problem = "holds no certificates in PEM" if isinstance(error, ssl.SSLError) else "can't be read"
            named = (
                f"verify names {self._verify!r}"
                if self._verify
                else f"The environment variable SSL_CERT_FILE names {os.environ.get('SSL_CERT_FILE')!r}"
            )
            raise HyperoruConfigError(
                f"{named}, which {problem}: {error.strerror or error}. Correct it, or unset it."
            ) from None

    def options(self) -> dict[str, Any]:
        """Return the arguments for an httpx client that take the place of its own rule.

        :raises HyperoruConfigError: the environment's proxy or certificates can't be used.
        """
        return {"proxy": self.proxy, "verify": self.ssl_context, "trust_env": False}

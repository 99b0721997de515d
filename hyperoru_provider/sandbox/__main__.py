"""``python -m hyperoru_provider.sandbox``: the sandbox as a process of its own."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

from hyperoru_provider.sandbox.server import Sandbox

_VARIABLE, _PASSWORD = "HYPERORU_SANDBOX_PASSWORD", "demo-password"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m hyperoru_provider.sandbox",
        description="A local server that speaks the Hyperoru API. It ends on Ctrl-C.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--allow-remote", action="store_true", help="allow a --host that others can reach")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default)")
    parser.add_argument("--data", metavar="FILE", help="trades to serve, .ndjson or .ndjson.gz")
    parser.add_argument(
        "--dialect", choices=("default", "family"), default="default", help="the API to speak (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the market and the faults (default: %(default)s)")
    parser.add_argument("--email", default="demo@hyperoru.example", help="login (default: %(default)s)")
    parser.add_argument(
        "--password", help=f"login; shows in the list of processes, while {_VARIABLE} does not (default: {_PASSWORD})"
    )
    parser.add_argument("--pace", type=float, metavar="TRADES", help="new trades a second (default: none)")
    faults = parser.add_argument_group("faults")
    faults.add_argument("--latency", type=float, metavar="SECONDS", help="hold each answer back")
    faults.add_argument("--error-rate", type=float, metavar="RATE", help="share of requests that fail (503)")
    faults.add_argument("--rate-limit-rate", type=float, metavar="RATE", help="share of requests refused (429)")
    faults.add_argument("--retry-after", type=float, metavar="SECONDS", help="Retry-After of those answers")
    faults.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="any fault by name, such as cap=200, envelope=bare or ignore_params='[\"page\"]'; repeatable",
    )
    return parser


def _faults(options: argparse.Namespace) -> dict[str, Any]:
    named = {
        name: getattr(options, name) for name in ("pace", "latency", "error_rate", "rate_limit_rate", "retry_after")
    }
    faults: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    for setting in options.fault:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"--fault needs NAME=JSON, not {setting!r}")
        try:
            faults[name] = json.loads(value)
        except ValueError:
            faults[name] = value  # a bare word
    return faults


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox until Ctrl-C or SIGTERM.

    :param arguments: in place of those of the command line
    :returns: the exit code
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.allow_remote and not _is_loopback(options.host):
        parser.error(f"{options.host} can be reached by others; --allow-remote permits that")
    hidden = os.environ.get(_VARIABLE)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Sandbox(
            dialect=options.dialect,
            seed=options.seed,
            data=options.data,
            email=options.email,
            password=options.password or hidden or _PASSWORD,
            host=options.host,
            port=options.port,
            **_faults(options),
        ) as sandbox:
            password = f"of {_VARIABLE}" if sandbox.password == hidden else sandbox.password
            login = sandbox.username if options.dialect == "family" else sandbox.email
            print(f"Hyperoru sandbox: {sandbox.url} (login {login}, password {password})", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except (OSError, OverflowError, ValueError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())

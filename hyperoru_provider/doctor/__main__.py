"""``hyperoru doctor`` and ``python -m hyperoru_provider.doctor``: the doctor on the command line."""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from hyperoru_provider.client.base import DEFAULT_BASE_URL
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruError
from hyperoru_provider.doctor.connection import check_can_be_written, client_options, write_overrides
from hyperoru_provider.doctor.examination import examine
from hyperoru_provider.doctor.openapi import Document
from hyperoru_provider.doctor.report import Report
from hyperoru_provider.doctor.tables import show

_DESCRIPTION = """Ask a Hyperoru server, read-only, what it is like, and print the contract that fits it. Exit status: 0
if nothing is to be changed, 1 if a contract is printed or a question is open, 2 if the server could not be examined, 3
if the contract fits, but something is refused or can't be read."""
_PASSWORD = "HYPERORU_PASSWORD"  # noqa: S105 - the name of a variable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the doctor, and return the exit status.

    :param arguments: in place of those of the command line.
    """
    return _run(_doctor(argparse.ArgumentParser("python -m hyperoru_provider.doctor")).parse_args(arguments))


def hyperoru(arguments: Sequence[str] | None = None) -> int:
    """Run the command ``hyperoru``, and return the exit status.

    :param arguments: in place of those of the command line.
    """
    parser = argparse.ArgumentParser("hyperoru", description="Tools of the Hyperoru provider for Apache Airflow.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _doctor(commands.add_parser("doctor", help="find out how a server differs, and write its contract"))
    return _run(parser.parse_args(arguments))


def _doctor(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.description = _DESCRIPTION
    server = parser.add_mutually_exclusive_group()
    server.add_argument("--conn-id", help="examine the server of an Airflow connection, as its user")
    server.add_argument("--base-url", help=f"examine this server (default: {DEFAULT_BASE_URL})")
    parser.add_argument(
        "--login", help=f"email or user name, with --base-url; the password comes from {_PASSWORD}, or is asked for"
    )
    parser.add_argument("--openapi", metavar="FILE", type=Path, help="what the server's /openapi.json would say")
    parser.add_argument(
        "--set",
        dest="chosen",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="which value of a switch is meant, such as trading_mode=mainnet; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--write", action="store_true", help="put the contract into the connection of --conn-id")
    return parser


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r}: NAME=VALUE is expected")
    return name, value


def _run(options: argparse.Namespace) -> int:
    logger = logging.getLogger("hyperoru_provider")
    level = logger.level
    logger.setLevel(logging.ERROR)  # the report says what is worth it
    try:
        with redirect_stdout(sys.stderr):  # where Airflow's logs belong
            report, problem = _examined_and_written(options)
        _print(report, as_json=options.json)
        if problem is not None:
            raise problem
    except (HyperoruError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        logger.setLevel(level)
    return report.exit_status


def _examined_and_written(options: argparse.Namespace) -> tuple[Report, HyperoruError | None]:
    """Return the report, with its overrides put into the connection if that is wanted, or why they could not be."""
    if options.write and options.conn_id is not None:
        check_can_be_written(options.conn_id)
    report = _examined(options)
    if not (options.write and report.reached and report.overrides):
        return report, None
    if report.questions:
        print("Nothing was written, as a question is open.", file=sys.stderr)
        return report, None
    try:
        write_overrides(options.conn_id, report.overrides)
    except HyperoruError as error:
        return report, error
    return replace(report, written=True), None


def _examined(options: argparse.Namespace) -> Report:
    document = None if options.openapi is None else Document.parse(options.openapi.read_bytes())
    client = _options(options)
    contract = client.pop("contract", None)
    return examine(client, contract, dict(options.chosen), document)


def _options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of a client."""
    if options.conn_id is not None:
        return client_options(options.conn_id)
    if options.write:
        raise HyperoruConfigError("--write needs --conn-id: there is no connection to write to.")
    if not options.login:
        raise HyperoruConfigError("Give --login, or --conn-id for a connection that has one.")
    password = os.environ.get(_PASSWORD) or getpass.getpass(f"Password of {options.login}: ")
    return {"base_url": options.base_url or DEFAULT_BASE_URL, "email": options.login, "password": password}


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        show(report, Console())


if __name__ == "__main__":
    sys.exit(main())

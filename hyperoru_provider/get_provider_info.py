"""What Airflow reads about this package, while its own configuration is half built: nothing is imported here."""

from __future__ import annotations

from typing import Any


def _field(label: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": schema}


def _option(kind: str, default: str, description: str) -> dict[str, Any]:
    return {"description": description, "version_added": None, "type": kind, "example": None, "default": default}


#: defaults of connections in the section [hyperoru] of Airflow's configuration; a connection's extra has the same keys
CONFIG_OPTIONS: dict[str, Any] = {
    "token_cache": _option(
        "string",
        "variable",
        "Where to keep the token of a login: ``variable``, an encrypted Airflow Variable for all tasks, or ``memory``.",
    ),
    "timeout": _option("float", "30", "Read timeout in seconds, 0.1 or more."),
    "max_answer_seconds": _option("float", "300", "Longest time for a whole response, in seconds, 0.1 or more."),
    "max_answer_bytes": _option("integer", "64000000", "Largest response in bytes, compressed or not, 1000 or more."),
    "max_retries": _option("integer", "8", "How often a failed request is retried, 0 or more."),
    "requests_per_second": _option("float", "0", "Limit of requests per second for each task; 0 is no limit."),
}

#: an option that no connection has
TRADER_URL = _option(
    "string",
    "",
    "Address of a trader's page in the Hyperoru app, with ``{account_id}`` for the trader's id: tasks that export one "
    "trader link to it. Empty: no link.",
)

#: the keys of the connection's extra, as the UI shows them; there are no others. None has a default, which the form
#: would save: what is left empty is as the option of Airflow's configuration says
CONNECTION_FIELDS: dict[str, Any] = {
    "session_token": _field(
        "Session token",
        "Use this token instead of logging in; login and password are then ignored.",
        {"type": ["string", "null"], "format": "password"},
    ),
    "token_cache": _field(
        "Token cache",
        "Where to keep the token of a login: in an encrypted Variable for all tasks (the default), or in memory. "
        "Empty: as [hyperoru] token_cache says in Airflow's config.",
        {"type": ["string", "null"], "enum": ["variable", "memory"]},
    ),
    "headers": _field(
        "Headers",
        "JSON object of HTTP headers for every request, for example to a gateway. Masked in logs, but not here.",
        {"type": ["string", "null"], "format": "password"},
    ),
    "verify": _field(
        "CA file",
        "Path of a PEM file on the workers with the certificate authorities to trust.",
        {"type": ["string", "null"]},
    ),
    "timeout": _field(
        "Read timeout",
        "Longest wait for each part of a response, in seconds. Empty: 30, or [hyperoru] timeout.",
        {"type": ["number", "null"], "minimum": 0.1},
    ),
    "max_answer_seconds": _field(
        "Response timeout",
        "Longest time for a whole response, in seconds. Empty: 300, or [hyperoru] max_answer_seconds.",
        {"type": ["number", "null"], "minimum": 0.1},
    ),
    "max_answer_bytes": _field(
        "Response size limit",
        "Largest response in bytes, compressed or not. Empty: 64 million, or [hyperoru] max_answer_bytes.",
        {"type": ["integer", "null"], "minimum": 1000},
    ),
    "max_retries": _field(
        "Retries",
        "How often a failed request is retried. Empty: 8, or [hyperoru] max_retries.",
        {"type": ["integer", "null"], "minimum": 0},
    ),
    "requests_per_second": _field(
        "Requests per second",
        "Limit for each task; 0 is no limit. Empty: no limit, or [hyperoru] requests_per_second.",
        {"type": ["number", "null"], "minimum": 0},
    ),
    "contract": _field(
        "Contract",
        "JSON object: how this server's API differs from the default, for each resource.",
        {"type": ["string", "null"], "format": "json"},
    ),
}


#: the fields that each connection has, as the UI shows them here
CONNECTION_BEHAVIOUR: dict[str, Any] = {
    # without a stored port, the Test button of Airflow 3.3 takes the host for changed, and tests nothing
    "hidden-fields": ["schema"],
    "relabeling": {"host": "Base URL", "login": "Email or user name", "port": "Port"},
    "placeholders": {
        "host": "https://api.production.hyperoru.com",
        "port": "443 (the Test button of Airflow 3.3 needs one)",
        "login": "me@example.com",
    },
}


def get_provider_info() -> dict[str, Any]:
    """Describe the provider: its connection type, its options of Airflow's configuration, where its classes are."""
    return {
        "package-name": "airflow-provider-hyperoru",
        "name": "Hyperoru",
        "description": "Health, traders, market data and exact trade exports of `Hyperoru <https://hyperoru.com/>`__.",
        "integrations": [
            {
                "integration-name": "Hyperoru",
                "external-doc-url": "https://hyperoru.com/",
                "tags": ["service"],
            }
        ],
        "hooks": [_modules("hooks", "hyperoru")],
        "operators": [
            _modules(
                "operators",
                "export",
                "iceberg",
                "klines",
                "market",
                "reconcile",
                "report",
                "snapshot",
                "sql",
                "traders",
                "trades",
            )
        ],
        "sensors": [_modules("sensors", "events", "health", "klines", "price", "trades")],
        "triggers": [_modules("triggers", "backfill", "events", "poll")],
        "connection-types": [_connection_type()],
        "extra-links": [
            f"hyperoru_provider.operators.links.Hyperoru{name}Link" for name in ("Data", "Manifest", "Trader")
        ],
        "asset-uris": [
            {
                "schemes": ["hyperoru"],
                "handler": "hyperoru_provider.hooks.lineage.sanitize_uri",
                "factory": "hyperoru_provider.hooks.lineage.create_asset",
                "to_openlineage_converter": "hyperoru_provider.hooks.lineage.convert_asset_to_openlineage",
            }
        ],
        "config": {
            "hyperoru": {
                "description": "Defaults for all connections of the type ``hyperoru``; the extra of a connection may "
                "say otherwise.",
                "options": {**CONFIG_OPTIONS, "trader_url": TRADER_URL},
            }
        },
    }


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "hyperoru",
        "hook-name": "Hyperoru",
        "hook-class-name": "hyperoru_provider.hooks.hyperoru.HyperoruHook",
        "ui-field-behaviour": CONNECTION_BEHAVIOUR,
        "conn-fields": CONNECTION_FIELDS,
    }


def _modules(kind: str, *names: str) -> dict[str, Any]:
    return {"integration-name": "Hyperoru", "python-modules": [f"hyperoru_provider.{kind}.{name}" for name in names]}

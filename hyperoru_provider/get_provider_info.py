"""What Airflow reads about this package, while its own configuration is half built: nothing is imported here."""

from __future__ import annotations

from typing import Any


def _field(label: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": schema}


def _option(kind: str, default: str, description: str) -> dict[str, Any]:
    return {"description": description, "version_added": None, "type": kind, "example": None, "default": default}


#: the options of the section [hyperoru] in Airflow's configuration; a connection's extra has the same keys
CONFIG_OPTIONS: dict[str, Any] = {
    "token_cache": _option(
        "string",
        "variable",
        "Where the token of a login is kept: ``variable``, an Airflow Variable, which serves all tasks, or ``memory``, "
        "the process that logged in.",
    ),
    "timeout": _option("float", "30", "Seconds to wait for each part of an answer, 0.1 or more."),
    "max_answer_seconds": _option("float", "300", "Seconds to wait for all of an answer, 0.1 or more."),
    "max_answer_bytes": _option(
        "integer", "64000000", "Most bytes of an answer, as it comes and unpacked, 1000 or more."
    ),
    "max_retries": _option("integer", "8", "Repeats of a request after a transient failure, 0 or more."),
    "requests_per_second": _option("float", "0", "Most requests per second of each task; 0 for any number."),
}

#: the keys of the connection's extra, as the UI shows them; there are no others. None has a default, which the form
#: would save: what is left empty is as the option of Airflow's configuration says
CONNECTION_FIELDS: dict[str, Any] = {
    "session_token": _field(
        "Session token",
        "A token issued elsewhere; with it there is no login at all.",
        {"type": ["string", "null"], "format": "password"},
    ),
    "token_cache": _field(
        "Token cache",
        "Where a login's token is kept: variable (encrypted) serves all tasks, memory one. Empty: variable, or as "
        "Airflow's [hyperoru] token_cache says.",
        {"type": ["string", "null"], "enum": ["variable", "memory"]},
    ),
    "headers": _field(
        "Headers",
        "JSON: headers of every request, as a gateway before the server may want them. They are kept secret.",
        {"type": ["string", "null"], "format": "password"},
    ),
    "verify": _field(
        "Certificate authorities",
        "File on the workers with the authorities to trust, in PEM.",
        {"type": ["string", "null"]},
    ),
    "timeout": _field(
        "Timeout",
        "Seconds to wait for each part of an answer. Empty: 30, or Airflow's [hyperoru] timeout.",
        {"type": ["number", "null"], "minimum": 0.1},
    ),
    "max_answer_seconds": _field(
        "Seconds for an answer",
        "Seconds to wait for all of an answer. Empty: 300, or Airflow's [hyperoru] max_answer_seconds.",
        {"type": ["number", "null"], "minimum": 0.1},
    ),
    "max_answer_bytes": _field(
        "Bytes of an answer",
        "Most bytes of an answer, packed and unpacked. Empty: 64 million, or Airflow's [hyperoru] max_answer_bytes.",
        {"type": ["integer", "null"], "minimum": 1000},
    ),
    "max_retries": _field(
        "Retries",
        "Repeats of a request after a transient failure. Empty: 8, or Airflow's [hyperoru] max_retries.",
        {"type": ["integer", "null"], "minimum": 0},
    ),
    "requests_per_second": _field(
        "Requests per second",
        "Upper bound for each task; 0 for none. Empty: none, or Airflow's [hyperoru] requests_per_second.",
        {"type": ["number", "null"], "minimum": 0},
    ),
    "contract": _field(
        "Contract",
        "JSON: where this server differs from the default profile, per resource.",
        {"type": ["string", "null"], "format": "json"},
    ),
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
        "hooks": [_modules("hyperoru_provider.hooks.hyperoru")],
        "operators": [
            _modules(
                "hyperoru_provider.operators.export",
                "hyperoru_provider.operators.klines",
                "hyperoru_provider.operators.market",
                "hyperoru_provider.operators.snapshot",
                "hyperoru_provider.operators.sql",
                "hyperoru_provider.operators.traders",
                "hyperoru_provider.operators.trades",
            )
        ],
        "sensors": [
            _modules(
                "hyperoru_provider.sensors.events",
                "hyperoru_provider.sensors.health",
                "hyperoru_provider.sensors.klines",
                "hyperoru_provider.sensors.price",
                "hyperoru_provider.sensors.trades",
            )
        ],
        "triggers": [
            _modules(
                "hyperoru_provider.triggers.backfill",
                "hyperoru_provider.triggers.events",
                "hyperoru_provider.triggers.poll",
            )
        ],
        "connection-types": [_connection_type()],
        "config": {
            "hyperoru": {
                "description": "Defaults for all connections of the type ``hyperoru``; the extra of a connection may "
                "say otherwise.",
                "options": CONFIG_OPTIONS,
            }
        },
    }


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "hyperoru",
        "hook-name": "Hyperoru",
        "hook-class-name": "hyperoru_provider.hooks.hyperoru.HyperoruHook",
        "ui-field-behaviour": {
            # without a stored port, the Test button of Airflow 3.3 takes the host for changed, and tests nothing
            "hidden-fields": ["schema"],
            "relabeling": {"host": "Base URL", "login": "Email or user name", "port": "Port (for the Test button)"},
            "placeholders": {
                "host": "https://api.production.hyperoru.com",
                "port": "443; Airflow's Test button needs a port that was saved",
                "login": "me@example.com",
            },
        },
        "conn-fields": CONNECTION_FIELDS,
    }


def _modules(*names: str) -> dict[str, Any]:
    return {"integration-name": "Hyperoru", "python-modules": list(names)}

"""What Airflow reads about this package, while its own configuration is half built: nothing is imported here."""

from __future__ import annotations

from typing import Any


def _field(label: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": schema}


#: the keys of the connection's extra, as the UI shows them; there are no others
CONNECTION_FIELDS: dict[str, Any] = {
    "session_token": _field(
        "Session token",
        "A token issued elsewhere; with it there is no login at all.",
        {"type": ["string", "null"], "format": "password"},
    ),
    "token_cache": _field(
        "Token cache",
        "Where a login's token is kept: variable (default, encrypted) serves all tasks, memory one.",
        # no default: Airflow would mask it for the field's name, and save the mask
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
        "Seconds to wait for each part of an answer.",
        {"type": ["number", "null"], "minimum": 0.1, "default": 30},
    ),
    "max_answer_seconds": _field(
        "Seconds for an answer",
        "Seconds to wait for all of an answer.",
        {"type": ["number", "null"], "minimum": 0.1, "default": 300},
    ),
    "max_answer_bytes": _field(
        "Bytes of an answer",
        "Most bytes of an answer, as it comes and unpacked.",
        {"type": ["integer", "null"], "minimum": 1000, "default": 64_000_000},
    ),
    "max_retries": _field(
        "Retries",
        "Repeats of a request after a transient failure.",
        {"type": ["integer", "null"], "minimum": 0, "default": 8},
    ),
    "requests_per_second": _field(
        "Requests per second",
        "Upper bound for each task; empty for none.",
        {"type": ["number", "null"], "minimum": 0},
    ),
    "contract": _field(
        "Contract",
        "JSON: where this server differs from the default profile, per resource.",
        {"type": ["string", "null"], "format": "json"},
    ),
}


def get_provider_info() -> dict[str, Any]:
    """Describe the provider: its connection type with the form of the UI, and where its classes are."""
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
                "hyperoru_provider.operators.report",
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

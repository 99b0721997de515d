"""The connection's form as Airflow 3.1 asks for it; later versions read the same from the provider's info."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.get_provider_info import CONNECTION_BEHAVIOUR, CONNECTION_FIELDS


def form_widgets() -> dict[str, Any]:
    """Return a field of WTForms for each key of the connection's extra."""
    from wtforms import IntegerField, PasswordField, StringField
    from wtforms.validators import Optional, any_of

    def widget(label: str, description: str, schema: dict[str, Any]) -> Any:
        validators = [Optional(), *([any_of(schema["enum"])] if "enum" in schema else [])]
        options = {"validators": validators, "description": description}
        if schema.get("format") == "password":
            return PasswordField(label, **options)
        if schema["type"][0] == "integer":
            return IntegerField(label, **options)
        return StringField(label, **options)  # there is no field for numbers with a fraction

    return {name: widget(**field) for name, field in CONNECTION_FIELDS.items()}


def field_behaviour() -> dict[str, Any]:
    """Return how the form shows the fields that each connection has."""
    return {name.replace("-", "_"): value for name, value in CONNECTION_BEHAVIOUR.items()}

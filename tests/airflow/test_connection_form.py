"""The connection's form as the UI of each Airflow gets it."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

from hyperoru_provider.get_provider_info import CONNECTION_BEHAVIOUR, CONNECTION_FIELDS
from hyperoru_provider.hooks.hyperoru import HyperoruHook


@pytest.fixture(scope="module")
def form() -> Any:
    (found,) = (form for form in HookMetaService.hook_meta_data() if form.connection_type == HyperoruHook.conn_type)
    return found


def test_the_form_has_a_field_for_each_key_of_the_extra(form: Any) -> None:
    assert set(form.extra_fields) == set(CONNECTION_FIELDS)
    for name, field in CONNECTION_FIELDS.items():
        shown = form.extra_fields[name]
        assert shown["schema"]["title"] == field["label"]
        assert shown["description"] == field["description"]
        assert shown["schema"].get("enum") == field["schema"].get("enum")
        assert shown["value"] is None  # a default would be saved


def test_the_form_hides_what_is_secret(form: Any) -> None:
    hidden = {name for name, shown in form.extra_fields.items() if shown["schema"].get("format") == "password"}
    assert hidden == {"session_token", "headers"}


def test_the_form_says_what_the_fields_of_each_connection_are_here(form: Any) -> None:
    assert form.standard_fields.url_schema.hidden
    for name, label in CONNECTION_BEHAVIOUR["relabeling"].items():
        assert getattr(form.standard_fields, name).title == label
    for name, placeholder in CONNECTION_BEHAVIOUR["placeholders"].items():
        assert getattr(form.standard_fields, name).placeholder == placeholder

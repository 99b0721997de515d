"""The sandbox, the models and the contract say the same: the document that follows from two is asked of the third."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import api_document
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error, response_schema_conformance, status_code_conformance
from schemathesis.core.failures import FailureGroup

from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.sandbox import Sandbox

NOW = 1_769_083_200.25
DOCUMENT = api_document.document()
CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
schema = schemathesis.openapi.from_dict(DOCUMENT).include(method="GET")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, dict[str, str]]]:
    with Sandbox(clock=lambda: NOW) as sandbox:
        login = {"email": sandbox.email, "password": sandbox.password}
        token = httpx.post(f"{sandbox.url}/api/users/login", json=login).json()["session_token"]
        yield sandbox.url, {"Authorization": f"Bearer {token}"}


@schema.parametrize()  # type: ignore[untyped-decorator,unused-ignore]
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_sandbox_answers_as_the_document_says(case: Any, served: tuple[str, dict[str, str]]) -> None:
    url, headers = served
    case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)


def test_the_document_is_up_to_date_and_served(served: tuple[str, dict[str, str]]) -> None:
    assert api_document.PLACE.read_text() == api_document.text()
    assert httpx.get(f"{served[0]}/openapi.json").json() == DOCUMENT


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=list(RESOURCES))
def test_the_document_names_each_list_and_what_it_is_asked_by(resource: Any) -> None:
    get = DOCUMENT["paths"][resource.endpoint.path]["get"]
    named = {each["name"]: each for each in get["parameters"]}
    assert {name for name, each in named.items() if each["in"] == "path"} == {*resource.endpoint.path_names}
    assert all(named[name]["required"] for name in resource.endpoint.path_names)
    limit = named.get("limit") or named.get("per_page")
    if resource.endpoint.page_size is not None:
        assert limit is not None
        assert limit["schema"]["maximum"] == resource.endpoint.page_size


def test_a_sandbox_that_drifts_is_noticed(served: tuple[str, dict[str, str]]) -> None:
    """A required field that the rows don't have fails the check."""
    drifted = json.loads(json.dumps(DOCUMENT))
    drifted["components"]["schemas"]["Program"]["required"] = ["no_such_field"]
    case = schemathesis.openapi.from_dict(drifted)["/api/programs/"]["GET"].Case()
    with pytest.raises(FailureGroup):
        case.call_and_validate(base_url=served[0], headers=served[1], checks=CHECKS)

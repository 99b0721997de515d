"""Examines what is no list: the health, the login, the session and the price."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hyperoru_provider.client import HyperoruClient, calls
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError
from hyperoru_provider.client.http.request import Request
from hyperoru_provider.doctor.openapi import Document
from hyperoru_provider.doctor.report import Finding, Verdict, verdict_of
from hyperoru_provider.doctor.state import State

_WRONG_TOKEN = "hyperoru-doctor-asks-with-a-wrong-token"  # noqa: S105
_TOKEN_PARAMS = ("session_token", "token")

_ENDS_IN_API = "The base URL ends in /api, but all paths already begin with it: leave it out."
_NO_TLS = "If this server speaks plain HTTP, its host must begin with http://."
#: what a refusal says of a field that it lacks, or does not know
_LACKING = re.compile(r"missing|required|unknown|unexpected|extra|not (allowed|permitted|known)|no such", re.IGNORECASE)
_IDENTITIES = re.compile(r"e-?mail|user_?name|login", re.IGNORECASE)

T = TypeVar("T")


def examine_health(state: State) -> None:
    """Find out whether the service calls itself healthy."""
    # else it might be found beside /api, and nothing else
    is_too_long = state.server.base_url.endswith("/api")
    paths: list[dict[str, Any]] = [{}] if is_too_long else _paths(state, "health")
    finding, health = _first_that_works(state, "health", paths, HyperoruClient.health)
    if finding.verdict is Verdict.ABSENT and is_too_long:
        finding.notes.append(_ENDS_IN_API)
    if health is not None and not health.healthy:
        finding.notes.append(f"It says that it is {health.status}; only 'healthy' counts as healthy.")


def read_document(state: State) -> None:
    """Ask the server what it says of itself, if nothing was given."""
    if state.document is None:
        request = Request("GET", "/openapi.json", auth=False, retries=False)
        try:
            state.document = Document.parse(state.client().run(calls.Call(request, bytes)))
        except (HyperoruApiError, HyperoruConfigError):
            return


def examine_login(state: State) -> None:
    """Find out how to log in, and stay so."""

    def log_in(client: HyperoruClient) -> None:
        client.login()
        state.server.stay_logged_in(client)

    given = state.endpoint("login").identity
    sent_as = given if given != "auto" else "email" if "@" in state.server.login else "username"
    other = {"identity": "username" if sent_as == "email" else "email"}
    finding, _ = _first_that_works(state, "login", [{}, other], log_in, _asks_for_another_identity)
    if finding.verdict is Verdict.ABSENT and state.server.base_url.endswith("/api"):
        finding.notes.append(_ENDS_IN_API)
    if "SSL" in " ".join(finding.notes):
        finding.notes.append(_NO_TLS)


def _asks_for_another_identity(error: HyperoruApiError) -> bool:
    """Return whether a refusal is of the fields that were sent, and not of who they name: that may be locked out."""
    told = error.message.partition(" The login was sent as")[0]
    return error.status == 422 or (error.status == 400 and bool(_LACKING.search(told) and _IDENTITIES.search(told)))


def examine_profile(state: State) -> None:
    """Find out how the user behind the session can be asked for."""
    overrides: list[dict[str, Any]] = [{}, *({"token_param": name} for name in _TOKEN_PARAMS)]
    operation = state.operation(state.endpoint("profile").path)
    if operation is not None:
        named = [name for name in _TOKEN_PARAMS if name in operation.parameters]
        wanted = [name for name in named if operation.parameters[name].required]
        overrides = [{"token_param": name} for name in wanted] or overrides[:1]
    _, profile = _first_that_works(state, "profile", overrides, HyperoruClient.profile, _of_status(400, 401, 422))
    if profile is not None and profile.id is not None:
        state.known["user_id"] = profile.id


def examine_tokens(state: State) -> None:
    """Note whether the server shows somebody's traders to a wrong token."""
    client = state.client(session_token=_WRONG_TOKEN, email=None, password=None)
    try:
        client.run(calls.body_of(state.endpoint("traders"), {}))
    except HyperoruApiError:
        return
    state.warn(
        "login",
        "A wrong token lists the traders, too: anyone who reaches this server can read what needs no valid token.",
    )


def examine_price(state: State) -> None:
    """Find out how the price of a symbol can be asked for."""
    symbol = str(state.known["symbol"])
    _first_that_works(state, "price", _paths(state, "price"), lambda client: client.price(symbol))


def _paths(state: State, resource: str) -> list[dict[str, Any]]:
    """Return the overrides that lead to where a resource may be."""
    own = state.endpoint(resource).path
    return [{} if path == own else {"path": path} for path in state.paths(resource)]


def _of_status(*statuses: int) -> Callable[[HyperoruApiError], bool]:
    return lambda error: error.status in statuses


def _first_that_works(
    state: State,
    resource: str,
    overrides: Sequence[dict[str, Any]],
    ask: Callable[[HyperoruClient], T],
    goes_on_after: Callable[[HyperoruApiError], bool] | None = None,
) -> tuple[Finding, T | None]:
    """Ask with one override after another, add what was found out, and return it with the first answer.

    :param resource: what is asked for.
    :param overrides: of it, the likeliest first.
    :param ask: asks with a client.
    :param goes_on_after: whether the next override is tried after an error; by default after 404.
    """
    finding, found = Finding(resource), None
    goes_on_after = goes_on_after or _of_status(404)
    for override in overrides:
        try:
            found = ask(state.client(resource, override))
        except HyperoruApiError as error:
            if override == overrides[0]:
                finding = Finding(resource, verdict_of(error), [str(error)])
            if not goes_on_after(error):
                break
        else:
            changes = override if state.changes(resource, override) else {}
            finding = Finding(resource, Verdict.DIFFERS if changes else Verdict.WORKS, override=changes)
            break
    state.add(finding)
    return finding, found

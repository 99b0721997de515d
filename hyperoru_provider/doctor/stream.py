"""Examines the event stream: whether it lets us in, and whether a subscription is kept."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from hyperoru_provider.client import AsyncHyperoruClient
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruError
from hyperoru_provider.client.stream.messages import Event, Gap
from hyperoru_provider.doctor.report import WORKING, Finding, Verdict, merged, verdict_of
from hyperoru_provider.doctor.state import State

_PATIENCE = 4.0
#: seconds without an event or a lost socket after which a subscription is taken to be kept
_QUIET = 1.5
_SILENCE = f"Nothing came within {2 * _PATIENCE:g} s of subscribing."

#: how servers of the family speak, beside the id of the user
_FAMILY: dict[str, Any] = {
    "params": {"session_token": None},
    "channels": {
        "trades": "trade_update",
        "positions": "position_update",
        "model_chat": "model_chat_update",
        "asset_curve": "arena_asset_update",
    },
    "payloads": {"trades": "trade", "positions": "positions", "model_chat": "decision", "asset_curve": None},
    "fields": {"time": ["decision_time", "taken_at", "timestamp"]},
}


def examine_stream(state: State) -> None:
    """Find out how the event stream is subscribed to."""
    overrides: list[dict[str, Any]] = [{}]
    if "user_id" in state.known:
        overrides.append({"user_id": state.known["user_id"], **_FAMILY})
    found: list[Finding] = []
    for override in overrides:
        try:
            found.append(asyncio.run(_listen(state, override)))
        except TimeoutError:
            found.append(Finding("stream", notes=[_SILENCE]))
        is_silent = found[0].notes == [_SILENCE]  # a server that says nothing keeps any subscription
        if found[-1].verdict in WORKING and not (is_silent and found[-1].believed):
            state.add(found[-1])
            return
    state.add(found[0])


async def _listen(state: State, override: dict[str, Any]) -> Finding:
    """Return what comes of listening with an override for a moment.

    :raises TimeoutError: nothing does.
    """
    options = state.server.options(merged(state.contract, "stream", override))
    changes = override if state.changes("stream", override) else {}
    kept = Finding("stream", Verdict.DIFFERS if changes else Verdict.WORKS, override=changes)
    try:
        async with AsyncHyperoruClient(**options) as client, aclosing(client.events(give_up_after=_PATIENCE)) as items:
            async with asyncio.timeout(2 * _PATIENCE):
                await anext(items)  # the gap before the subscription
            try:
                async with asyncio.timeout(_QUIET):
                    item: Event | Gap = await anext(items)
            except TimeoutError:
                kept.believed = ["stream: its subscription is kept, but no event came while it was listened to."]
                return kept
    except HyperoruError as error:
        verdict = verdict_of(error) if isinstance(error, HyperoruApiError) else Verdict.REFUSED
        return Finding("stream", verdict, [str(error)])
    return kept if isinstance(item, Event) else Finding("stream", notes=[f"It breaks off: {item.reason.rstrip('.')}."])

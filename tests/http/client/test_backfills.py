"""Backfill jobs over real sockets, with both clients; and how a job is found again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client import AsyncHyperoruClient, HyperoruClient, errors
from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT, load_contract
from hyperoru_provider.client.api.models import BackfillJob
from hyperoru_provider.client.backfills import Backfill
from hyperoru_provider.sandbox import Sandbox
from tests.conftest import FAST

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = Backfill("BTC", "1h", START, START + timedelta(days=1))
VERIFIED_FIELDS = DEFAULT_CONTRACT.backfill_jobs.verified_fields
OLD = {
    "backfill": {
        "params": {
            "interval": "interval",
            "start": "start_date",
            "end": "end_date",
            "exchange": None,
            "environment": None,
        }
    }
}

Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, sandbox: Sandbox) -> Call:
    """Call one method of a new client."""

    def sync(method: str, *args: Any, **options: Any) -> Any:
        known: dict[str, Any] = {"email": sandbox.email, "password": sandbox.password, "retry_policy": FAST}
        with HyperoruClient(sandbox.url, **(known | options)) as client:
            return getattr(client, method)(*args)

    def in_loop(method: str, *args: Any, **options: Any) -> Any:
        known: dict[str, Any] = {"email": sandbox.email, "password": sandbox.password, "retry_policy": FAST}

        async def run() -> Any:
            async with AsyncHyperoruClient(sandbox.url, **(known | options)) as client:
                return await getattr(client, method)(*args)

        return asyncio.run(run())

    return sync if request.param == "sync" else in_loop


def test_a_job_from_its_start_to_its_end(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(backfill_seconds=600)
    begun = call("backfill_klines", DAY)
    assert (begun.id, begun.symbol, begun.interval, begun.meaning) == (1, "BTC", "1h", None)
    assert call("backfill_job", 1).meaning == "running"
    sandbox.set_faults(backfill_seconds=0)
    ended = call("backfill_job", 1)
    assert (ended.meaning, ended.rows_written) == ("finished", 24)
    assert [job.id for job in call("backfill_jobs")] == [1]


def test_a_job_that_fails(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(backfill_seconds=0, backfill_fail=True)
    job = call("backfill_klines", DAY)
    ended = call("backfill_job", job.id)
    assert (ended.meaning, ended.rows_written) == ("failed", 12)
    assert "exchange" in ended.error


@pytest.mark.parametrize("fault", ["backfill_lose_answer", "truncated", "error"])
def test_what_may_have_started_a_job_is_not_sent_again(call: Call, sandbox: Sandbox, fault: str) -> None:
    call("login")
    faults: dict[str, dict[str, Any]] = {
        "backfill_lose_answer": {"backfill_lose_answer": True},
        "truncated": {"truncate_rate": 1.0},
        "error": {"fail_next": 1},
    }
    sandbox.set_faults(**faults[fault])
    with pytest.raises(errors.HyperoruAmbiguousWriteError, match="Check the server"):
        call("backfill_klines", DAY)
    assert sandbox.stats()["by_path"]["/api/klines/backfill"] == 1


def test_what_was_refused_unread_is_sent_again(call: Call, sandbox: Sandbox) -> None:
    call("login")
    sandbox.set_faults(error_status=429, fail_next=2)
    assert call("backfill_klines", DAY).id == 1
    assert sandbox.stats()["by_path"]["/api/klines/backfill"] == 3


def test_a_wrong_window_or_interval_asks_nothing(call: Call, sandbox: Sandbox) -> None:
    for wrong in (Backfill("BTC", "1h", START, START), Backfill("BTC", "hourly", START, START + timedelta(days=1))):
        with pytest.raises(errors.HyperoruConfigError):
            call("backfill_klines", wrong)
    assert sandbox.stats()["requests"] == 0


def test_a_server_of_the_older_kind_is_a_matter_of_the_contract(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(backfill_old=True, backfill_seconds=0, backfill_window=True)
    job = call("backfill_klines", DAY, contract=OLD)
    assert (job.id, job.interval, job.start) == ("bf-001", "1h", "2026-01-01T00:00:00Z")
    assert call("backfill_job", "bf-001", contract=OLD).meaning == "finished"
    assert not DAY.differences(call("backfill_jobs", contract=OLD)[0], VERIFIED_FIELDS)


def test_another_word_or_address_is_a_matter_of_the_contract(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(backfill_seconds=0)
    call("backfill_klines", DAY)
    with pytest.raises(errors.HyperoruContractError, match=r"'completed'.*contract's backfill_status") as caught:
        call("backfill_job", 1, contract={"backfill_status": {"finished": "ready"}})
    assert caught.value.path == "/api/klines/backfill/status/1"
    contract = {"backfill_status": {"finished": ["Ready", "COMPLETED"]}}
    assert call("backfill_job", 1, contract=contract).meaning == "finished"
    with pytest.raises(errors.HyperoruBadRequestError, match="'job'"):
        call("backfill_job", 1, contract={"backfill_status": {"path": "/api/health", "params": {"task_id": "job"}}})


def test_an_answer_about_another_job_is_an_error(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(backfill_seconds=0, ignore_unknown=True)
    call("backfill_klines", DAY)
    with pytest.raises(errors.HyperoruContractError, match="describes job 1, but 2"):
        call("backfill_job", 2, contract={"backfill_status": {"path": "/api/klines/backfill/status/1"}})


def test_an_id_can_not_lead_elsewhere(call: Call, sandbox: Sandbox) -> None:
    with pytest.raises(errors.HyperoruNotFoundError) as caught:
        call("backfill_job", "../../health?x=1")
    assert caught.value.path == "/api/klines/backfill/status/..%2F..%2Fhealth%3Fx%3D1"


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"backfill_status": {"failed": ["done"]}}, "done can't mean two"),
        ({"backfill": {"params": {"period": "p"}}}, "contract.backfill.params.period: unknown name"),
        ({"backfill_jobs": {"verified_fields": ["status"]}}, "contract.backfill_jobs.verified_fields.status"),
    ],
)
def test_a_wrong_override_is_named(overrides: dict[str, Any], named: str) -> None:
    with pytest.raises(errors.HyperoruConfigError, match=named):
        load_contract(overrides)


def job_showing(**fields: Any) -> BackfillJob:
    return BackfillJob.model_validate({"id": 1, "status": "running", **fields})


@pytest.mark.parametrize(
    ("fields", "differences"),
    [
        ({}, []),
        ({"symbol": "btc", "exchange": "Hyperliquid", "interval": "1h"}, []),
        ({"start": "2026-01-01", "end": "2026-01-02T00:00:00"}, []),
        ({"start": "2026-01-01T01:00:00+01:00"}, []),
        ({"start": "?"}, ["start"]),
        ({"symbol": "ETH", "interval": "1d", "end": "2026-01-03"}, ["symbol", "interval", "end"]),
        ({"environment": "testnet"}, []),  # none was asked for
    ],
)
def test_what_a_job_shows_is_compared(fields: dict[str, Any], differences: list[str]) -> None:
    assert DAY.differences(job_showing(**fields), VERIFIED_FIELDS) == differences


def test_an_environment_is_compared_if_it_was_asked_for() -> None:
    wanted = Backfill("BTC", "1h", START, START + timedelta(days=1), environment="mainnet")
    assert wanted.differences(job_showing(environment="testnet"), VERIFIED_FIELDS) == ["environment"]
    assert not wanted.differences(job_showing(environment="testnet"), ["symbol"])


times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(
    st.builds(
        Backfill, st.text(min_size=1), st.just("1h"), times, times, st.text(min_size=1), st.none() | st.text(min_size=1)
    )
)
def test_a_backfill_survives_json_and_knows_its_own_job(wanted: Backfill) -> None:
    assert Backfill.of(wanted.as_dict()) == wanted
    assert not wanted.differences(job_showing(**wanted.as_dict()), VERIFIED_FIELDS)

"""Each hazard of servers of this family, through the whole export: exactly the rows, or an error and no change.

Each is met with the default contract, and where one would help, with the contract that fits. Those which lost rows
without a sign in an earlier reader are met again in test_silent_losses.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruBadRequestError,
    HyperoruContractError,
    HyperoruNetworkError,
    HyperoruRateLimitError,
    HyperoruServerError,
    HyperoruValidationError,
)
from hyperoru_provider.client.times import format_time, parse_time
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox
from tests import exports
from tests.http.export.server_faults import ERRORS_BESIDE, NO_PAGES, UNSIGNED

Make = Callable[..., HyperoruClient]

DAY = datetime(2026, 1, 15, tzinfo=UTC)
WINDOW = Window(DAY + timedelta(hours=1), DAY + timedelta(hours=23))
LATE = 900_000_000_000_001  # ids of rows that arrive


def trades(price: float) -> list[dict[str, Any]]:
    """Trades of three days, most of them in the window, five at a time; some exactly at its end."""
    seconds = [*range(-80_000, 0, 20_000), *range(0, 86_400, 720), *range(86_400, 160_000, 20_000)]
    return [
        {
            "trade_id": 1000 + number,
            "account_id": 3 if number % 40 == 0 else 1 + number % 2,
            "symbol": "ETH" if number % 7 == 0 else "BTC",
            "side": "BUY",
            "price": price,
            "quantity": 2,
            "trade_time": format_time(DAY + timedelta(seconds=seconds[number // 5])),
            "number": number,
        }
        for number in range(5 * len(seconds))
    ]


ROWS = trades(100.25)


@dataclass(frozen=True)
class Hazard:
    """A way in which a server differs.

    :param faults: the sandbox's switches.
    :param error: what the default contract ends in; ``None``: the rows.
    :param cls: its class.
    :param fits: what makes the contract fit; ``None``: nothing does, or nothing need.
    :param filters: what is asked for beside the window.
    :param by_chance: whether the default contract may also end in the rows, as it goes by when rows arrive.
    """

    faults: Mapping[str, Any]
    error: str | None = None
    cls: type[HyperoruApiError] = HyperoruContractError
    fits: Mapping[str, Any] | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    by_chance: bool = False


UNPAGED: dict[str, Any] = {"paging": "none", "ignore_unknown": True}
BESIDE: dict[str, dict[str, Any]] = {
    "an_empty_list": {},
    "an_empty_further_page": {"error_beside_page": "further"},
    "rows": {"error_beside_rows": True},
}
NO_FIRST_PAGE = "can't be determined whether its pages are numbered from 0 or from 1"

HAZARDS = {
    # unknown query parameters are ignored, not refused
    "ignored_time_filter": Hazard({"ignore_params": ["start", "end"]}, "params start and end"),
    "ignored_start": Hazard({"ignore_params": ["start"], "total": "none"}, "params start and end"),
    "ignored_end": Hazard({"ignore_params": ["end"], "total": "none"}, "params start and end"),
    "ignored_page": Hazard({"ignore_params": ["page"]}, "contract's paging", fits=NO_PAGES),
    "ignored_paging": Hazard(UNPAGED, "contract's paging", fits=NO_PAGES),
    "ignored_paging_and_no_total": Hazard({**UNPAGED, "total": "none"}, "contract's paging", fits=NO_PAGES),
    "ignored_account": Hazard({"ignore_params": ["account_id"]}, "params account_id", filters={"account_id": 1}),
    "ignored_symbol": Hazard({"ignore_params": ["symbol"]}, "params symbol", filters={"symbol": "ETH"}),
    "refused_page": Hazard(
        {"paging": "offset"}, "'per_page'; known here", HyperoruBadRequestError, fits={"paging": "offset"}
    ),
    "refused_page_for_a_cursor": Hazard(
        {"paging": "cursor", "total": "none"},
        "'per_page'; known here",
        HyperoruBadRequestError,
        fits={"paging": "cursor"},
    ),
    # a list may be capped with no sign that it was
    "capped_list": Hazard({**UNPAGED, "cap": 100, "total": "none"}, "contract's paging", fits=NO_PAGES),
    "capped_list_below_any_known_cap": Hazard({**UNPAGED, "cap": 20, "total": "none"}, "contract's", fits=NO_PAGES),
    "capped_pages": Hazard({"cap": 20, "total": "none"}),
    "capped_pages_without_an_end": Hazard({"cap": 20, "total": "none", "has_more": False}),
    "capped_pages_that_skip": Hazard({"cap": 5, "cap_skips": True, "total": "none"}),
    "capped_only_page_that_skips": Hazard(
        {"cap": 12, "cap_skips": True, "total": "none"}, filters={"account_id": 3}, fits={"page_size": 100}
    ),
    "capped_only_page_that_skips_and_says_no_more": Hazard(
        {"cap": 12, "cap_skips": True, "total": "none", "has_more": False},
        filters={"account_id": 3},
        fits={"page_size": 100},
    ),
    "capped_offsets": Hazard(
        {"paging": "offset", "cap": 20}, "'per_page'", HyperoruBadRequestError, {"paging": "offset"}
    ),
    "refused_page_size": Hazard({"max_per_page": 40}, "1 to 40", HyperoruValidationError, fits={"page_size": 40}),
    # rows that arrive while pages are read shift the rest
    "arriving_rows": Hazard({"unstable": 1}, "once it has settled"),
    "arriving_rows_without_a_total": Hazard(
        {"unstable": 1, "total": "none"}, "changed each time it was read", by_chance=True
    ),
    "arriving_rows_oldest_first": Hazard({"unstable": 1, "order": "oldest"}),
    "arriving_rows_by_cursor": Hazard(
        {"unstable": 1, "paging": "cursor", "total": "none"},
        "'per_page'",
        HyperoruBadRequestError,
        {"paging": "cursor"},
    ),
    "rows_out_of_order": Hazard({"order": "mixed"}),
    "rows_out_of_order_without_a_total": Hazard({"order": "mixed", "total": "none", "has_more": False}),
    "an_order_that_changes": Hazard({"order": "changing", "total": "none"}, NO_FIRST_PAGE),
    "an_order_that_changes_under_a_total": Hazard({"order": "changing"}, NO_FIRST_PAGE),
    # a filter may work by whole days, with the end inclusive
    "whole_days": Hazard({"day_granular": True}, "time_filter to 'day'", fits={"time_filter": "day"}),
    "inclusive_end": Hazard({"inclusive_end": True}),
    "naive_times": Hazard({"naive_times": True}),
    # an id alone is no key
    "composite_key": Hazard({"colliding_ids": True}, "contract's key", fits={"key": ["source", "trade_id"]}),
    "key_that_comes_again": Hazard(
        {"recurring_ids": 500}, "the same trade_id.*contract's key", fits={"key": ["trade_id", "trade_time"]}
    ),
    "same_key_with_other_content": Hazard({"conflicting_rows": True}, r"trade_id=\d+ occurs twice.*contract's key"),
    "repeated_rows": Hazard({"duplicate_rows": True}),
    "repeated_rows_without_a_total": Hazard({"duplicate_rows": True, "total": "none"}),
    "row_without_key": Hazard({"bad_rows": "no_key"}, "contract's key or fields"),
    "row_without_time": Hazard({"bad_rows": "no_time"}, "its fields are .*contract's time and fields"),
    # a total may be missing, or count something else
    "no_total": Hazard({"total": "none"}),
    "no_total_and_no_end": Hazard({"total": "none", "has_more": False}),
    "no_end": Hazard({"has_more": False}),
    "total_before_the_filter": Hazard({"total": "before_filter"}, r"contract's total to \[\]", fits={"total": []}),
    "total_of_the_page": Hazard({"total": "page"}),
    "changing_total": Hazard({"total": "changing"}, "once it has settled", fits={"total": []}),
    # a page number may count from 0, beside lists in which a row comes twice
    "pages_from_zero": Hazard({"first_page": 0}),
    "pages_from_zero_without_a_total": Hazard({"first_page": 0, "total": "none"}),
    "pages_from_zero_and_only_one": Hazard({"first_page": 0, **UNSIGNED}, filters={"account_id": 3}),
    "pages_from_zero_and_the_newest_row_twice": Hazard({"first_page": 0, "repeat_newest": True, **UNSIGNED}),
    "the_newest_row_twice": Hazard({"repeat_newest": True}, r"contract's total to \[\]", fits={"total": []}),
    "the_newest_row_twice_and_no_sign_of_an_end": Hazard({"repeat_newest": True, **UNSIGNED}),
    # a page past the end may be the last one again, or absent
    **{
        f"{kind}_past_the_end{'' if first_page else '_and_pages_from_zero'}": Hazard(
            {"past_the_end": fault, "first_page": first_page, **UNSIGNED}
        )
        for kind, fault in [("the_last_page", "last"), ("no_page", "absent")]
        for first_page in (1, 0)
    },
    "no_page_past_the_end_under_a_total": Hazard({"past_the_end": "absent", "has_more": False}),
    "the_last_page_past_the_end_under_a_total": Hazard({"past_the_end": "last", "has_more": False}),
    "no_page_past_the_only_one": Hazard({"past_the_end": "absent", **UNSIGNED}, filters={"account_id": 3}),
    "no_page_past_the_only_one_from_zero": Hazard(
        {"past_the_end": "absent", "first_page": 0, **UNSIGNED}, filters={"account_id": 3}
    ),
    # the limit is applied first, and rows are merged afterwards
    "merged_list": Hazard(
        {**UNPAGED, "cap": 100, "merge_after_limit": 0.5, **UNSIGNED}, "contract's paging", fits=NO_PAGES
    ),
    "merged_list_with_a_known_cap": Hazard(
        {**UNPAGED, "cap": 100, "merge_after_limit": 0.5, **UNSIGNED},
        "contract's paging",
        fits={**NO_PAGES, "cap": 100},
    ),
    "merged_list_oldest_first": Hazard(
        {**UNPAGED, "cap": 100, "order": "oldest", "merge_after_limit": 0.5, **UNSIGNED},
        "contract's paging",
        fits=NO_PAGES,
    ),
    "merged_pages": Hazard({"merge_after_limit": 0.5}, "paging to none", fits=NO_PAGES),
    "merged_pages_without_a_total": Hazard(
        {"merge_after_limit": 0.5, "total": "none"}, "paging to none", fits=NO_PAGES
    ),
    "merged_pages_and_no_sign_of_an_end": Hazard(
        {"merge_after_limit": 0.5, **UNSIGNED}, "paging to none", fits=NO_PAGES
    ),
    "merged_offsets": Hazard(
        {"merge_after_limit": 0.5, "paging": "offset", **UNSIGNED},
        "'per_page'",
        HyperoruBadRequestError,
        {"paging": "none", "page_size": None},
    ),
    "merged_cursors": Hazard(
        {"merge_after_limit": 0.5, "paging": "cursor", **UNSIGNED},
        "'per_page'",
        HyperoruBadRequestError,
        {"paging": "cursor"},
    ),
    # errors come in many shapes
    **{
        f"error_as_{shape}": Hazard({"fail_next": 1, "error_status": 400, "error_body": shape}, told, cls=cls)
        for shape, told, cls in [
            ("default", "failed on request of a fault", HyperoruBadRequestError),
            ("details", "failed on request of a fault", HyperoruBadRequestError),
            ("detail", "failed on request of a fault", HyperoruBadRequestError),
            ("detail_list", "failed on request of a fault", HyperoruBadRequestError),
            ("html", "from a proxy", HyperoruBadRequestError),
            ("empty", "without saying why", HyperoruBadRequestError),
        ]
    },
    "failures_in_the_middle": Hazard({"error_rate": 0.2, "rate_limit_rate": 0.1, "drop_rate": 0.1}),
    "failures_without_end": Hazard({"error_rate": 1}, "answered 503", HyperoruServerError),
    "refusals_without_end": Hazard({"rate_limit_rate": 1}, "answered 429", HyperoruRateLimitError),
    "truncated_bodies": Hazard({"truncate_rate": 0.3}),
    "truncated_bodies_without_end": Hazard({"truncate_rate": 1}, "broke off|peer closed|without", HyperoruNetworkError),
    # a 200 may carry a failure
    "failure_in_a_200": Hazard({"false_success": True}, "says that the request failed"),
    **{
        f"{kind}_beside_{what}": Hazard(
            {"error_beside": kind, **faults}, "answered with success, but (says|its (code|status))"
        )
        for kind in ERRORS_BESIDE
        for what, faults in BESIDE.items()
    },
    # lists come in many envelopes
    **{f"envelope_{name}": Hazard({"envelope": name}) for name in ("bare", "trades", "data", "results")},
    "trades_beside_accounts": Hazard({"beside_accounts": True}),
    "trades_beside_accounts_and_nothing_else": Hazard({"beside_accounts": True, **UNSIGNED}),
    "an_empty_list_is_null": Hazard({"null_when_empty": True, **UNSIGNED}),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(rows=ROWS) as sandbox:
        yield sandbox


@pytest.fixture
def server(running: Sandbox) -> Sandbox:
    running.reset()
    return running


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the window from when the rows had another price."""
    where = tmp_path_factory.mktemp("earlier")
    with Sandbox(rows=trades(7)) as before, HyperoruClient(before.url, before.email, before.password) as client:
        run(client, where, {}, {}, 1)
    return where


def run(
    client: HyperoruClient, where: Path, contract: Mapping[str, Any], filters: Mapping[str, Any], concurrency: int
) -> None:
    endpoint = load_contract({"trades": {"page_size": 50, **contract}}).trades
    exports.commit(client, endpoint, WINDOW, where, filters, concurrency=concurrency, slice_rows=120, rows_per_part=100)


def assert_exact(server: Sandbox, where: Path, filters: Mapping[str, Any]) -> None:
    """The committed rows are those of the window, each once, in order; of rows that arrived, none is there twice."""
    found = exports.rows(exports.committed(where))
    merged = server.faults.merge_after_limit > 0
    left = (
        {row["number"] for row in server.trades(format_time(WINDOW.start), format_time(WINDOW.end))}
        if merged
        else set(range(len(ROWS)))
    )
    wanted = [
        row["number"]
        for row in ROWS
        if WINDOW.start <= parse_time(row["trade_time"]) < WINDOW.end
        and all(row[name] == value for name, value in filters.items())
        and row["number"] in left
    ]
    assert sorted(row["number"] for row in found if row["trade_id"] < LATE) == wanted
    late = [row["trade_id"] for row in found if row["trade_id"] >= LATE]
    assert len(set(late)) == len(late)
    assert {row["price"] for row in found} == {100.25}
    times = [row["trade_time"] for row in found]
    assert times == sorted(times)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("name", HAZARDS)
def test_unannounced(
    client_of: Make, server: Sandbox, earlier: Path, tmp_path: Path, name: str, concurrency: int
) -> None:
    """With the default contract: the exact rows, or an error that names the override, and the earlier export stays."""
    hazard, client = HAZARDS[name], client_of(server)
    client.login()
    shutil.copytree(earlier, tmp_path, dirs_exist_ok=True)
    before = exports.committed(tmp_path)
    assert before
    server.set_faults(**hazard.faults)
    if hazard.error is None:
        run(client, tmp_path, hazard.fits or {}, hazard.filters, concurrency)
        assert_exact(server, tmp_path, hazard.filters)
        return
    for where in (tmp_path, tmp_path / "fresh"):
        try:
            run(client, where, {}, hazard.filters, concurrency)
        except HyperoruApiError as error:
            assert re.search(hazard.error, str(error)), error
            assert isinstance(error, hazard.cls)
        else:
            assert hazard.by_chance
            assert_exact(server, where, hazard.filters)
            return
        server.set_faults(**hazard.faults)
    assert exports.committed(tmp_path) == before
    assert exports.committed(tmp_path / "fresh") == {}


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("name", [name for name, hazard in HAZARDS.items() if hazard.error and hazard.fits])
def test_with_the_contract_that_fits(
    client_of: Make, server: Sandbox, earlier: Path, tmp_path: Path, name: str, concurrency: int
) -> None:
    hazard, client = HAZARDS[name], client_of(server)
    shutil.copytree(earlier, tmp_path, dirs_exist_ok=True)
    server.set_faults(**hazard.faults)
    run(client, tmp_path, hazard.fits or {}, hazard.filters, concurrency)
    assert_exact(server, tmp_path, hazard.filters)


@pytest.mark.parametrize("ends", [False, True])
def test_a_login_that_may_end_the_others(client_of: Make, server: Sandbox, tmp_path: Path, ends: bool) -> None:
    """Hazard 9: older tokens stay; and where they don't, an export in its middle logs in again."""
    server.set_faults(single_session=ends)
    first, second = (client_of(server, token_stores=()) for _ in range(2))
    first.login()
    second.login()
    run(first, tmp_path, {}, {}, 4)
    assert_exact(server, tmp_path, {})
    assert server.stats()["logins"] == (3 if ends else 2)


def test_a_list_that_can_t_be_told_from_a_capped_one(client_of: Make, tmp_path: Path) -> None:
    """All rows of the window in its one second: nothing shorter can be asked for."""
    busy = [{**ROWS[300], "trade_id": number, "number": number} for number in range(30)]
    with Sandbox(rows=busy, **UNPAGED, total="none") as server:
        with pytest.raises(HyperoruContractError, match="set the contract's cap"):
            run(client_of(server), tmp_path, NO_PAGES, {}, 4)
        assert exports.committed(tmp_path) == {}
        run(client_of(server), tmp_path, {**NO_PAGES, "cap": 31}, {}, 4)
        assert len(exports.rows(exports.committed(tmp_path))) == 30

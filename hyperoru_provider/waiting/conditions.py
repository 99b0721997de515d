"""Conditions to wait for: what to ask, and what an answer means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hyperoru_provider.client.api.models import BackfillJob, Coverage, Health, Price
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruContractError, HyperoruError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.times import format_time, interval_length, parse_time, shift
from hyperoru_provider.params.arguments import case_hint

#: seconds for which a request is retried before its question counts as unanswered: the next question follows anyway
RETRY_FOR = 10.0

_MESSAGE_LIMIT = 2_000
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class Question(NamedTuple):
    """A call of a client's method, which either client can be asked.

    :param method: name of the method.
    :param arguments: its positional arguments.
    """

    method: str
    arguments: tuple[Hashable, ...] = ()

    def ask(self, client: Any) -> Any:
        """Return the client's answer; an async client's is to be awaited."""
        return getattr(client, self.method)(*self.arguments)


class Verdict(NamedTuple):
    """What an answer means for a wait.

    :param done: whether the wait is over.
    :param message: why, or why not, in a sentence.
    :param state: what to remember until the next answer, as JSON.
    :param result: what the task returns when the wait is over, as JSON.
    """

    done: bool
    message: str
    state: Any = None
    result: Any = None


class Condition(ABC):
    """Base of all conditions: a frozen dataclass whose fields are JSON.

    Class and field names are stored with deferred tasks, so they can't be renamed.
    """

    @abstractmethod
    def question(self, now: datetime) -> Question:
        """Return what to ask at a moment."""

    @abstractmethod
    def evaluate(self, answer: Any, state: Any, now: datetime) -> Verdict:
        """Return what an answer means.

        :param answer: what the client's method returned.
        :param state: the state of the verdict before; ``None`` at first.
        :param now: when the question was asked.
        :raises HyperoruError: waiting any longer is of no use.
        """

    @property
    def sharing_key(self) -> Question:
        """The question, whatever the time is: conditions for which it is equal can share an answer."""
        return self.question(_END_OF_TIME)

    def state_after_failure(self, state: Any) -> Any:
        """Return what to remember after a question that got no answer."""
        return state

    def handle(self, reply: object, state: Any, now: datetime) -> Verdict:
        """Return what a reply means: an answer, or the error that came in its place.

        This is the one place that decides what an error means, in all modes of a sensor: a transient one is "not yet".

        :raises HyperoruError: waiting any longer is of no use.
        """
        if isinstance(reply, HyperoruApiError) and reply.transient:
            return Verdict(False, f"Not known: {reply}", self.state_after_failure(state))
        if isinstance(reply, BaseException):
            raise reply
        verdict = self.evaluate(reply, state, now)
        return verdict._replace(
            message=shorten(verdict.message, _MESSAGE_LIMIT)
        )  # it goes to logs, and with triggers to a database

    def as_dict(self) -> dict[str, Any]:
        """Return the condition as JSON, for :func:`load_condition`."""
        return {"rule": type(self).__name__, **vars(self)}


@dataclass(frozen=True)
class Healthy(Condition):
    """The service reports that it is healthy, several times in a row.

    :param checks: how many times.
    """

    checks: int = 1

    def question(self, now: datetime) -> Question:
        """Return the question for the service's health."""
        return Question("health")

    def evaluate(self, answer: Health, state: int | None, now: datetime) -> Verdict:
        """Count the healthy answers; any other resets the count."""
        if not answer.healthy:
            return Verdict(False, f"The service is {answer.status}, not healthy.")
        seen = (state or 0) + 1
        times = "" if self.checks == 1 else f" ({seen} of {self.checks} checks in a row)"
        return Verdict(seen >= self.checks, f"The service is healthy{times}.", seen)

    def state_after_failure(self, state: int | None) -> None:
        """Return ``None``: the count starts again."""


@dataclass(frozen=True)
class PriceReached(Condition):
    """A symbol's price is above or below a level, or has crossed it since it was first seen.

    :param symbol: for example ``BTC``.
    :param way: ``above``, ``below`` or ``crosses``.
    :param level: the price, a decimal number as text.
    """

    symbol: str
    way: str
    level: str

    def question(self, now: datetime) -> Question:
        """Return the question for the symbol's price."""
        return Question("price", (self.symbol,))

    def evaluate(self, answer: Price, state: str | None, now: datetime) -> Verdict:
        """Compare the price with the level; for ``crosses``, remember the side that the price came from."""
        side = {1: "above", 0: "at", -1: "below"}[int(answer.price.compare(Decimal(self.level)))]
        message = f"{self.symbol} is {answer.price:f}, {side} {self.level}"
        result = {"symbol": self.symbol, "price": f"{answer.price:f}"}
        if self.way != "crosses":
            return Verdict(side == self.way, f"{message}.", result=result)
        if state is None:
            return Verdict(False, f"{message}, to begin with.", None if side == "at" else side)
        return Verdict(side != state, f"{message}, and was {state}.", state, result)


@dataclass(frozen=True)
class TradesThere(Condition):
    """There is a number of trades, or more, in a window or since a time.

    :param start: start of the window, inclusive, as ISO 8601 text in UTC.
    :param end: end of the window, exclusive, likewise; ``None`` for the moment of asking.
    :param account_id: only this trader's; ``None`` for all.
    :param symbol: only this symbol's; ``None`` for all.
    :param at_least: the number.
    """

    start: str
    end: str | None
    account_id: str | None
    symbol: str | None
    at_least: int

    def question(self, now: datetime) -> Question:
        """Return the question for the number of trades so far, counted no further than needed."""
        start = parse_time(self.start)
        # trades to come would change the list while it is read; before the start, the shortest window stands for none
        end = now if self.end is None else min(now, parse_time(self.end))
        end = max(end, shift(start, datetime.resolution))
        return Question("count_trades", (start, end, self.account_id, self.symbol, self.at_least))

    def evaluate(self, answer: int, state: None, now: datetime) -> Verdict:
        """Compare the number of trades with the least one."""
        window = f"since {self.start}" if self.end is None else f"from {self.start} to {self.end}"
        if answer >= self.at_least:
            return Verdict(True, f"There are {self.at_least} trades or more {window}.")
        hint = "" if answer else case_hint(self.symbol)
        return Verdict(False, f"There are {answer} trades {window}, not yet {self.at_least}.{hint}")


@dataclass(frozen=True)
class KlinesCover(Condition):
    """The service's candles of a symbol and interval cover a time range.

    :param symbol: for example ``BTC``.
    :param interval: for example ``1h``.
    :param start: start of the range, as ISO 8601 text in UTC.
    :param end: end of the range, likewise.
    """

    symbol: str
    interval: str
    start: str
    end: str

    def question(self, now: datetime) -> Question:
        """Return the question for all candles that there are."""
        return Question("kline_coverage")

    def evaluate(self, answer: Sequence[Coverage], state: None, now: datetime) -> Verdict:
        """Look for a row of the symbol and interval that covers the range without gaps.

        :raises HyperoruContractError: it does not say which range it covers.
        """
        verdict = Verdict(False, f"There are no {self._candles}.")
        for row in answer:
            if (row.symbol.casefold(), row.interval) == (self.symbol.casefold(), self.interval):
                verdict = self._evaluate_row(row, now) or verdict
                if verdict.done:
                    break
        return verdict

    @property
    def _candles(self) -> str:
        return f"{self.interval} candles of {self.symbol}"

    def _evaluate_row(self, row: Coverage, now: datetime) -> Verdict | None:
        """Return what one row says, or ``None`` if its times are null.

        :raises HyperoruContractError: it has no such times.
        """
        missing = [name for name in ("earliest", "latest") if name not in row.model_fields_set]
        if missing and row.total_candles != 0:
            names = ", ".join(sorted(row.model_fields_set))
            raise HyperoruContractError(
                f"The coverage of the {self._candles} has no {' and no '.join(missing)}: its fields are {names}. Name "
                "them in the fields of the contract's coverage."
            )
        if row.earliest is None or row.latest is None:
            return None
        length = interval_length(self.interval)
        end = shift(row.latest, length)
        expected = (end - row.earliest) // length
        end = min(end, now)  # the last candle may still be open, and covers nothing ahead
        message = f"The {self._candles} range from {format_time(row.earliest)} to {format_time(end)}"
        if row.earliest > parse_time(self.start) or end < parse_time(self.end):
            return Verdict(False, f"{message}, which does not cover {self.start} to {self.end}.")
        if row.total_candles is not None and row.total_candles < expected:
            return Verdict(False, f"{message}, but with gaps: {row.total_candles} instead of {expected}.")
        return Verdict(True, f"{message}.")


@dataclass(frozen=True)
class BackfillOver(Condition):
    """A backfill job is over, however it ended.

    :param job: its id.
    :param left_behind: what to log about the job when the task is killed.
    """

    job: int | str
    left_behind: str

    def question(self, now: datetime) -> Question:
        """Return the question for the job's status."""
        return Question("backfill_job", (self.job,))

    def evaluate(self, answer: BackfillJob, state: None, now: datetime) -> Verdict:
        """Look at what the status means."""
        rows = "" if answer.rows_written is None else f", {answer.rows_written} rows written"
        return Verdict(answer.meaning != "running", f"The backfill job {self.job} is {answer.status}{rows}.")


_RULES = {rule.__name__: rule for rule in (Healthy, PriceReached, TradesThere, KlinesCover, BackfillOver)}


def load_condition(data: Mapping[str, Any]) -> Condition:
    """Return the condition that :meth:`Condition.as_dict` made JSON of.

    :raises HyperoruError: the JSON is of another version of this package.
    """
    rule = _RULES.get(str(data.get("rule")))
    if rule is None:
        raise HyperoruError(f"There is no condition {data.get('rule')!r} in this version of the provider.")
    fields = {name: value for name, value in data.items() if name != "rule"}
    try:
        return rule(**fields)
    except TypeError:
        raise HyperoruError(f"The condition {data['rule']!r} has other fields in this version.") from None

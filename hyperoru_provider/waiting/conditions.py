"""What is waited for: what to ask, and what an answer means. Pure: the same for a worker and a triggerer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from hyperoru_provider.client.api.models import BackfillJob, Coverage, Health, Price
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruError
from hyperoru_provider.client.times import format_time, interval_length, parse_time

#: Seconds for which a request is repeated before the question counts as not answered: the next one follows anyway.
RETRY_FOR = 10.0

_NO_TIME = datetime.max.replace(tzinfo=UTC)


class Question(NamedTuple):
    """A question that either client can be asked.

    :param method: name of the client's method.
    :param arguments: its arguments.
    """

    method: str
    arguments: tuple[Hashable, ...] = ()

    def put_to(self, client: Any) -> Any:
        """Ask; an async client's answer is to be awaited."""
        return getattr(client, self.method)(*self.arguments)


class Verdict(NamedTuple):
    """What an answer means to one who waits.

    :param done: whether the wait is over.
    :param says: why, or why not, in a sentence.
    :param state: what the condition has to remember until the next answer, as JSON.
    :param result: what the task returns when the wait is over, as JSON.
    """

    done: bool
    says: str
    state: Any = None
    result: Any = None


class Condition(ABC):
    """Base of all conditions: a frozen dataclass whose fields are JSON."""

    @abstractmethod
    def question(self, now: datetime) -> Question:
        """Give what to ask at a moment."""

    @abstractmethod
    def judge(self, answer: Any, state: Any, now: datetime) -> Verdict:
        """Decide about an answer.

        :param answer: what the client's method gave.
        :param state: what the verdict before said to remember; ``None`` at first.
        :param now: when it was asked.
        :raises HyperoruError: waiting on is of no use.
        """

    @property
    def topic(self) -> Question:
        """What all conditions have in common that one answer can serve: the question, whatever the time is."""
        return self.question(_NO_TIME)

    def missed(self, state: Any) -> Any:
        """Give what to remember after a question that got no answer."""
        return state

    def weigh(self, outcome: object, state: Any, now: datetime) -> Verdict:
        """Decide about an answer, or about the error that came in its place.

        The one place that says what an error means to a sensor, in all its modes: what may pass is "not yet".

        :raises HyperoruError: waiting on is of no use.
        """
        if isinstance(outcome, HyperoruApiError) and outcome.transient:
            return Verdict(False, f"Not known: {outcome}", self.missed(state))
        if isinstance(outcome, BaseException):
            raise outcome
        return self.judge(outcome, state, now)

    def as_dict(self) -> dict[str, Any]:
        """Give the condition as JSON; see :func:`load_condition`."""
        return {"rule": type(self).__name__, **vars(self)}


@dataclass(frozen=True)
class Healthy(Condition):
    """The service calls itself healthy, so many times in a row.

    :param checks: how many times.
    """

    checks: int = 1

    def question(self, now: datetime) -> Question:
        """Ask for the health."""
        return Question("health")

    def judge(self, answer: Health, state: int | None, now: datetime) -> Verdict:
        """Count."""
        if not answer.healthy:
            return Verdict(False, f"The service is {answer.status}, not healthy.")
        seen = (state or 0) + 1
        times = "" if self.checks == 1 else f" ({seen} of {self.checks} checks in a row)"
        return Verdict(seen >= self.checks, f"The service is healthy{times}.", seen)

    def missed(self, state: int | None) -> None:
        """Begin to count anew."""


@dataclass(frozen=True)
class PriceReached(Condition):
    """A symbol's price is above or below a level, or has crossed it since it was first seen.

    :param symbol: for example ``BTC``.
    :param way: ``above``, ``below`` or ``crosses``.
    :param level: the price, as text.
    """

    symbol: str
    way: str
    level: str

    def question(self, now: datetime) -> Question:
        """Ask for the price."""
        return Question("price", (self.symbol,))

    def judge(self, answer: Price, state: str | None, now: datetime) -> Verdict:
        """Compare, and for ``crosses`` remember the side that the price came from."""
        side = {1: "above", 0: "at", -1: "below"}[int(answer.price.compare(Decimal(self.level)))]
        says = f"{self.symbol} is {answer.price:f}, {side} {self.level}"
        result = {"symbol": self.symbol, "price": f"{answer.price:f}"}
        if self.way != "crosses":
            return Verdict(side == self.way, f"{says}.", result=result)
        if state is None:
            return Verdict(False, f"{says}, to begin with.", None if side == "at" else side)
        return Verdict(side != state, f"{says}, and was {state}.", state, result)


@dataclass(frozen=True)
class TradesThere(Condition):
    """There are at least so many trades in a window, or since a time.

    :param start: begin, as text in UTC.
    :param end: end, exclusive, as text in UTC; ``None`` for the moment of asking.
    :param account_id: only this trader's; ``None`` for all.
    :param symbol: only this symbol's; ``None`` for all.
    :param at_least: how many.
    """

    start: str
    end: str | None
    account_id: str | None
    symbol: str | None
    at_least: int

    def question(self, now: datetime) -> Question:
        """Ask for the number, as far as it matters."""
        start = parse_time(self.start)
        # what lies ahead would change the list while it is read; no window is empty, not even before its start
        end = now if self.end is None else min(now, parse_time(self.end))
        end = max(end, start + datetime.resolution)
        return Question("count_trades", (start, end, self.account_id, self.symbol, self.at_least))

    def judge(self, answer: int, state: None, now: datetime) -> Verdict:
        """Compare."""
        window = f"since {self.start}" if self.end is None else f"from {self.start} to {self.end}"
        if answer >= self.at_least:
            return Verdict(True, f"There are {self.at_least} trades or more {window}.")
        return Verdict(False, f"There are {answer} trades {window}, not yet {self.at_least}.")


@dataclass(frozen=True)
class KlinesCover(Condition):
    """A symbol's candles cover a time range.

    :param symbol: for example ``BTC``.
    :param interval: for example ``1h``.
    :param start: begin of the range, as text in UTC.
    :param end: its end, as text in UTC.
    """

    symbol: str
    interval: str
    start: str
    end: str

    def question(self, now: datetime) -> Question:
        """Ask which candles there are."""
        return Question("kline_coverage")

    def judge(self, answer: Sequence[Coverage], state: None, now: datetime) -> Verdict:
        """Look at all that the service has of the symbol and interval."""
        named = f"{self.interval} candles of {self.symbol}"
        says = f"There are no {named}."
        for row in answer:
            if (row.symbol.casefold(), row.interval) != (self.symbol.casefold(), self.interval):
                continue
            if row.earliest is None or row.latest is None:
                continue
            length = interval_length(self.interval)
            until = row.latest + length
            expected = (until - row.earliest) // length
            until = min(until, now)  # a last candle that is not over covers no more than this
            says = f"The {named} are of {format_time(row.earliest)} to {format_time(until)}"
            if row.earliest > parse_time(self.start) or until < parse_time(self.end):
                says = f"{says}, which does not cover {self.start} to {self.end}."
            elif row.total_candles is not None and row.total_candles < expected:
                says = f"{says}, but with gaps: {row.total_candles} in place of {expected}."
            else:
                return Verdict(True, f"{says}.")
        return Verdict(False, says)


@dataclass(frozen=True)
class BackfillOver(Condition):
    """A backfill job is over, however it ended.

    :param job: its id.
    :param left_behind: what to say of it if the task is killed.
    """

    job: int | str
    left_behind: str

    def question(self, now: datetime) -> Question:
        """Ask how the job is."""
        return Question("backfill_job", (self.job,))

    def judge(self, answer: BackfillJob, state: None, now: datetime) -> Verdict:
        """Look at what its status means."""
        rows = "" if answer.rows_written is None else f", {answer.rows_written} rows written"
        return Verdict(answer.meaning != "running", f"The backfill job {self.job} is {answer.status}{rows}.")


_RULES = {rule.__name__: rule for rule in (Healthy, PriceReached, TradesThere, KlinesCover, BackfillOver)}


def load_condition(data: Mapping[str, Any]) -> Condition:
    """Read what :meth:`Condition.as_dict` gave.

    :raises HyperoruError: it is of another version of this package.
    """
    rule = _RULES.get(str(data.get("rule")))
    if rule is None:
        raise HyperoruError(f"There is no condition {data.get('rule')!r} in this version of the provider.")
    fields = {name: value for name, value in data.items() if name != "rule"}
    try:
        return rule(**fields)
    except TypeError:
        raise HyperoruError(f"The condition {data['rule']!r} has other fields in this version.") from None

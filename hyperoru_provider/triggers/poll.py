"""The trigger behind every deferred wait for a condition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from hyperoru_provider.triggers.containment import contained
from hyperoru_provider.triggers.shared_poller import Waiter
from hyperoru_provider.waiting import payloads
from hyperoru_provider.waiting.conditions import load_condition
from hyperoru_provider.waiting.schedule import Schedule


class HyperoruPollTrigger(BaseTrigger):
    """Wait until a condition is met. All triggers of a triggerer that ask the same share each request.

    Fires one event, for :func:`hyperoru_provider.waiting.payloads.parse_event`. The arguments are stored in Airflow's
    database with each deferred task, so they can't be renamed.

    :param hyperoru_conn_id: the connection.
    :param condition: what to wait for, as :meth:`~hyperoru_provider.waiting.conditions.Condition.as_dict` returns it.
    :param interval: seconds between two questions.
    :param since: when the wait began, in seconds since 1970.
    :param deadline: when it ends at the latest, in seconds since 1970.
    :param state: what the condition remembers so far.
    :param doubling: whether the pauses double, beginning with the interval.
    :param longest: the longest pause, in seconds; ``None`` for no limit.
    """

    def __init__(
        self,
        *,
        hyperoru_conn_id: str,
        condition: Mapping[str, Any],
        interval: float,
        since: float,
        deadline: float,
        state: Any = None,
        doubling: bool = False,
        longest: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.hyperoru_conn_id = hyperoru_conn_id
        self.condition = condition
        self.interval = interval
        self.since = since
        self.deadline = deadline
        self.state = state
        self.doubling = doubling
        self.longest = longest

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and arguments that make the same trigger in another process."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "hyperoru_conn_id": self.hyperoru_conn_id,
                "condition": dict(self.condition),
                "interval": self.interval,
                "since": self.since,
                "deadline": self.deadline,
                "state": self.state,
                "doubling": self.doubling,
                "longest": self.longest,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire one event."""
        try:
            schedule = Schedule(self.interval, self.since, self.doubling, self.longest)
            waiter = Waiter(load_condition(self.condition), schedule, self.deadline, self.state)
            verdict = await waiter.wait(self.hyperoru_conn_id)
            event = payloads.timed_out(waiter.message) if verdict is None else payloads.done(verdict)
        except Exception as error:  # noqa: BLE001 - whatever is raised here, Airflow stores as it is
            event = payloads.failed(contained(error))
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

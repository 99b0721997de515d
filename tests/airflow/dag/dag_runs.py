"""What running a DAG in a test gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Outcome:
    """What a run of a DAG came to."""

    state: str
    tasks: list[dict[str, Any]]
    results: list[dict[str, Any]]
    #: keys of the Variables that hold the state of tasks, where Airflow has no store for it
    variables: list[str]
    #: what a task links to, by the key of its link's class
    links: dict[str, str]
    #: what the events of assets say
    asset_events: list[dict[str, Any]]

    def result(self, task: str) -> Any:
        """What the only instance of a task returned."""
        (found,) = self.mapped(task)
        return found

    def mapped(self, task: str) -> list[Any]:
        """What the instances of a task returned, in their order."""
        found = sorted((each for each in self.results if each["task"] == task), key=lambda each: each["index"])
        return [each["value"] for each in found]

    def states(self, task: str) -> list[str]:
        return [each["state"] for each in self.tasks if each["task"] == task]

    def succeeded_at_once(self) -> bool:
        return self.state == "success" and all(each["tries"] <= 1 for each in self.tasks)


RunDag = Callable[..., Outcome]

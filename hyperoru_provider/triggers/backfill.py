"""Waiting for a backfill job."""

from __future__ import annotations

from hyperoru_provider.triggers.poll import HyperoruPollTrigger


class HyperoruBackfillTrigger(HyperoruPollTrigger):
    """Wait until a backfill job is over; sends nothing that changes anything.

    Its condition is a :class:`~hyperoru_provider.waiting.conditions.BackfillOver`.
    """

    async def on_kill(self) -> None:
        """Say what goes on at the server, when a user ends the task; a triggerer that stops calls it not."""
        self.log.warning("%s", self.condition["left_behind"])

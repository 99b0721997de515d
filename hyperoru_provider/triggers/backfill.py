"""The trigger that waits for a backfill job."""

from __future__ import annotations

import logging

from hyperoru_provider.triggers.poll import HyperoruPollTrigger

log = logging.getLogger(__name__)


class HyperoruBackfillTrigger(HyperoruPollTrigger):
    """Wait until a backfill job is over, by reading alone.

    Its condition is a :class:`~hyperoru_provider.waiting.conditions.BackfillOver`.
    """

    async def on_kill(self) -> None:
        """Log what continues at the server. Called when a user ends the task, not when a triggerer stops."""
        log.warning("%s", self.condition["left_behind"])

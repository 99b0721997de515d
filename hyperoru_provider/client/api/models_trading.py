"""What led to trades, and what became of them: decisions, runs of programs, closed trades, and orders of a user."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.api.models import Amount, Id, Maybe, Model, Order, Snapshot, UtcTime


class UserOrder(Order):
    """An order of one of a user's traders."""

    user_id: Id | None = None


class Decision(Model):
    """What a model decided, and why."""

    id: Id
    decision_time: UtcTime
    account_id: Id | None = None
    account_name: str | None = None
    model: str | None = None
    operation: str | None = None
    symbol: str | None = None
    reason: str | None = None
    executed: Maybe[bool] = None
    prev_portion: Maybe[Amount] = None
    target_portion: Maybe[Amount] = None
    total_balance: Maybe[Amount] = None
    order_id: Id | None = None
    trigger_mode: str | None = None
    wallet_address: str | None = None
    exchange: str | None = None
    signal_trigger_id: Id | None = None
    prompt_template_id: Id | None = None
    prompt_template_name: str | None = None
    realized_pnl: Maybe[Amount] = None


class DecisionSnapshot(Snapshot):
    """The long texts of a decision: what the model was asked, how it reasoned, what it answered."""

    decision_id: Id | None = None
    prompt_snapshot: str | None = None
    reasoning_snapshot: str | None = None
    decision_snapshot: str | None = None


class ClosedTrade(Model):
    """A trade from its entry to its exit; ``source`` is the table that ``id`` counts in."""

    id: Id
    source: str
    decision_time: UtcTime
    account_id: Id | None = None
    account_name: str | None = None
    symbol: str | None = None
    entry_time: Maybe[UtcTime] = None
    exit_time: Maybe[UtcTime] = None
    entry_type: str | None = None
    exit_type: str | None = None
    gross_pnl: Maybe[Amount] = None
    fees: Maybe[Amount] = None
    net_pnl: Maybe[Amount] = None
    tags: Maybe[list[Any]] = None


class ProgramRun(Model):
    """One run of a trader's program."""

    id: Id
    created_at: UtcTime
    account_id: Id | None = None
    program_id: Id | None = None
    trigger_type: str | None = None
    trigger_symbol: str | None = None
    success: Maybe[bool] = None
    decision_action: str | None = None
    decision_symbol: str | None = None
    decision_size_usd: Maybe[Amount] = None
    decision_leverage: Maybe[Amount] = None
    decision_reason: str | None = None
    error_message: str | None = None
    execution_time_ms: Maybe[Amount] = None


class AiStreamChunk(Model):
    """A piece of what a task of an AI has written."""

    task_id: Id | None = None
    index: Id
    kind: str | None = None
    content: str | None = None
    metadata: Maybe[dict[str, Any]] = None

"""What traders decide by: programs, signals, prompts, factors. Times of no documented format are text."""

from __future__ import annotations

from hyperoru_provider.client.api.models import Amount, Id, Maybe, Model, Snapshot, UtcTime


class Program(Model):
    """A program that trades."""

    id: Id
    name: str | None = None
    description: str | None = None
    code: str | None = None
    enabled: Maybe[bool] = None
    created_at: str | None = None


class Signal(Model):
    """A condition that triggers a decision."""

    id: Id
    name: str | None = None
    type: str | None = None
    enabled: Maybe[bool] = None


class SignalPool(Model):
    """Several signals as one."""

    id: Id
    name: str | None = None
    signals_count: Maybe[Amount] = None


class SignalTrigger(Model):
    """When a signal was triggered, and by what."""

    id: Id
    triggered_at: UtcTime
    signal_id: Id | None = None
    pool_id: Id | None = None
    symbol: str | None = None
    trigger_value: Maybe[Amount] = None


class Prompt(Model):
    """A template of what models are asked."""

    id: Id
    name: str | None = None
    content: str | None = None
    created_at: str | None = None


class BacktestTask(Model):
    """A task that tries a prompt on the past."""

    id: Id
    status: str | None = None
    account_id: Id | None = None
    progress: Maybe[Amount] = None
    sample_count: Maybe[Amount] = None
    started_at: str | None = None
    finished_at: str | None = None


class Factor(Model):
    """A number that a user computes of the market."""

    id: Id
    name: str | None = None
    expression: str | None = None
    category: str | None = None
    description: str | None = None
    source: str | None = None
    created_at: str | None = None


class FactorEffectiveness(Snapshot):
    """How well a factor foretells prices."""

    factor_name: str
    ic: Maybe[Amount] = None
    rank_ic: Maybe[Amount] = None
    win_rate: Maybe[Amount] = None


class FactorDay(Model):
    """How well a factor foretold prices on a day, which is text."""

    factor_name: str
    date: str
    ic: Maybe[Amount] = None


class SupportedSymbol(Model):
    """A symbol that there are candles of."""

    symbol: str

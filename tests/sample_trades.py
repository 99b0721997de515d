"""Made-up trades of the nature of real ones: whole minutes that hundreds of rows share, and amounts of every kind."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_SYMBOLS = ("BTC", "BTC", "BTC", "SOL", "HYPE", "@107", "ETH", "PURR/USDC")


def trades(count: int, start: datetime, length: timedelta, seed: int = 5, first_id: int = 1) -> list[bytes]:
    """Give rows as a server would send them, oldest first, from ``start`` up to but not at ``start + length``.

    :param count: how many rows.
    :param start: a whole minute.
    :param length: whole minutes.
    :param seed: the same one gives the same rows.
    :param first_id: the first ``trade_id``.
    """
    rng = random.Random(seed)
    minutes = length // timedelta(minutes=1)
    moments: list[datetime] = []
    while len(moments) < count:
        burst = rng.choice((1, 1, 2, 5, 30, 300)) * rng.randint(1, 2)
        moments += [start + timedelta(minutes=rng.randrange(minutes))] * min(burst, count - len(moments))
    return [_trade(rng, number, moment) for number, moment in enumerate(sorted(moments), start=first_id)]


def _trade(rng: random.Random, number: int, moment: datetime) -> bytes:
    price = _one_of(rng, str(rng.randint(1, 95_420)), str(_decimal(rng, 80_000_000, 3)), str(_decimal(rng, 99_999, 6)))
    long = str(_decimal(rng, 10**24, 16))  # more digits than a float can hold
    quantity = _one_of(
        rng, str(rng.randint(1, 682_429)), f"{rng.randint(1, 9)}.00E-05", str(_decimal(rng, 10**9, 8)), long
    )
    commission = _one_of(rng, "0", str(-_decimal(rng, 99_999, 6)), str(_decimal(rng, 10**9, 8)), "2.5e-7", f"-{long}")
    pnl = _one_of(rng, "0", "0.0", str(_decimal(rng, 34_903_817_100, 6)), str(-_decimal(rng, 1_179_901_041, 4)))
    return (
        f'{{"trade_id":{number},"account_id":{rng.choice((1, 2, 2, 2, 3, 4))},"symbol":"{rng.choice(_SYMBOLS)}",'
        f'"side":"{rng.choice(("BUY", "SELL"))}","direction":"Open Long","price":{price},"quantity":{quantity},'
        f'"notional":{_decimal(rng, 392_143_072, 2)},"commission":{commission},"realized_pnl":{pnl},'
        f'"start_position":{-_decimal(rng, 10**8, 5)},"crossed":{_one_of(rng, "true", "false")},'
        f'"exchange":"hyperliquid","trade_time":"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}}'
    ).encode()


def _one_of(rng: random.Random, *choices: str) -> str:
    return rng.choice(choices)


def _decimal(rng: random.Random, largest: int, places: int) -> Decimal:
    return Decimal(rng.randint(1, largest)).scaleb(-places)

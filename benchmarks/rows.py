"""Trades, the same on every run, as one block of JSON in the order of the list: newest first."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = (END - START) // timedelta(milliseconds=1)
_CHUNK = 10_000
_SYMBOLS = ("BTC", "ETH", "SOL", "kPEPE", "PURR/USDC", "@107")
_MODELS = ("deepseek-v3.1", "gpt-5-mini", "qwen3-max", "claude-sonnet-4-5")
_SIDES = (
    '"side":"BUY","direction":"Open Long"',
    '"side":"SELL","direction":"Close Long"',
    '"side":"SELL","direction":"Open Short"',
    '"side":"BUY","direction":"Close Short"',
)


@dataclass(frozen=True)
class Book:
    """All rows of a run.

    :param text: the rows as JSON, separated by commas.
    :param offsets: where each row begins in the text, and where one after the last would.
    :param ages: each row's time as microseconds before 1970, so that they ascend.
    :param total: the exact sum of the rows' ``notional``.
    """

    text: bytearray
    offsets: array[int]
    ages: array[int]
    total: Decimal

    def within(self, start: datetime, end: datetime) -> tuple[int, int]:
        """Give the positions of the rows of ``start <= trade_time < end``, the second exclusive."""
        return bisect_right(self.ages, _age(end)), bisect_right(self.ages, _age(start))


def make_book(count: int) -> Book:
    """Make rows of about 350 bytes, spread evenly over the window; two or three share each time."""
    rng = random.Random(20260101)
    accounts = [_account(number, rng) for number in range(1, 21)]
    text, offsets, ages, chunk = bytearray(), array("Q", [0]), array("q"), list[str]()
    ticks = count * 2 // 5 + 1
    total = offset = 0
    tick, moment = -1, START
    for number in reversed(range(count)):
        if tick != number * 2 // 5:
            tick = number * 2 // 5
            moment = START + timedelta(milliseconds=tick * _MILLISECONDS // ticks)
            stamp, age = moment.replace(tzinfo=None).isoformat(timespec="milliseconds"), _age(moment)
        dice = rng.getrandbits(96)
        micros = 10_000_000 + dice % 90_000_000_000
        total += micros
        chunk.append(_row(number, dice >> 40, micros, accounts, stamp))
        ages.append(age)
        offset += len(chunk[-1]) + 1
        offsets.append(offset)
        if len(chunk) == _CHUNK or not number:
            text += ",".join([*chunk, ""]).encode()
            chunk.clear()
    return Book(text, offsets, ages, Decimal(total).scaleb(-6))


def _row(number: int, dice: int, micros: int, accounts: list[str], stamp: str) -> str:
    """Write a row; most commissions are small positive numbers, some rebates, some have an exponent."""
    commission = f"{micros % 9 + 1}.{dice % 90 + 10}E-05" if dice % 32 == 0 else f"{micros / 4e9:.8f}"
    rebate = "-" if dice % 8 == 1 else ""
    closes = dice & 1
    profit = f"{(dice >> 8) % 2_000_000 / 1e4 - 100:.4f}" if closes else "null"
    return (
        f'{{"trade_id":{700_000_000 + number},{accounts[(dice >> 4) % len(accounts)]}'
        f'"symbol":"{_SYMBOLS[(dice >> 12) % len(_SYMBOLS)]}",{_SIDES[dice & 3]},'
        f'"price":{(dice >> 16) % 9_000_000_000 / 1e5 + 1:.5f},"quantity":{(dice >> 20) % 90_000_000 / 1e6 + 1:.6f},'
        f'"notional":{micros // 1_000_000}.{micros % 1_000_000:06d},"commission":{rebate}{commission},'
        f'"realized_pnl":{profit},"trade_time":"{stamp}Z"}}'
    )


def _account(number: int, rng: random.Random) -> str:
    return (
        f'"account_id":{number},"account_name":"Momentum {number:02d}","model":"{_MODELS[number % len(_MODELS)]}",'
        f'"wallet_address":"0x{rng.getrandbits(160):040x}",'
    )


def _age(moment: datetime) -> int:
    return (_EPOCH - moment) // timedelta(microseconds=1)

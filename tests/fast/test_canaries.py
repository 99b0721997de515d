"""The search for canaries sees what is there, in each form, and nothing else."""

from __future__ import annotations

import pytest

from tests.canaries import ECHOES, EMAIL, PASSWORD, TOKEN, echo, seen_in


@pytest.mark.parametrize("how", ECHOES)
def test_a_secret_is_seen_however_it_is_repeated(how: str) -> None:
    seen = [each.partition(":")[0] for each in seen_in(f"before {echo(how)} after")]
    assert seen == ["password", "token", *(["email"] if how != "cut" else [])]


@pytest.mark.parametrize("secret", [PASSWORD, TOKEN])
def test_five_characters_are_enough(secret: str) -> None:
    for place in range(len(secret) - 4):
        assert seen_in(f"\n{secret[place : place + 5]}\n")
        assert not seen_in(f"\n{secret[place : place + 4]}\n")


def test_nothing_is_seen_where_nothing_is() -> None:
    assert not seen_in(f"a password, a token; {EMAIL.partition('@')[0]} 0123456789 %20%2F%3A")

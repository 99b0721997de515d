"""What PostgreSQL would cut or fold in silence, and what it can't do at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.export.sql_copy import CopyEncoder
from tests.databases import Database
from tests.http.export.test_sql import BOTH, START, land, schema_of, trade

#: whether rows go there as the text that the server sent
BOTH_WAYS = pytest.mark.parametrize("as_text", [True, False])


@pytest.fixture
def own(postgres: Database) -> Database:
    postgres.create("trades", "UNIQUE (trade_id)", account_name="VARCHAR(3)")
    return postgres


@BOTH
@BOTH_WAYS
def test_spaces_beyond_a_column_s_length_are_an_error_and_not_cut_off(
    own: Database, mode: str, as_text: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not as_text:
        monkeypatch.setattr(CopyEncoder, "encode", lambda *_: None)
    kept = ["abc", "ab ", "   ", "", "a b", "😀 😀"]
    land(own, [trade(n, account_name=f'"{name}"') for n, name in enumerate(kept)], mode, create=False)
    assert [name for (name,) in own.query("SELECT account_name FROM trades ORDER BY trade_time")] == kept
    for name in ("abc ", "   ", "ab  "):
        with pytest.raises(HyperoruContractError, match=r"^account_name of the row 7 has \d+ char.*fit VARCHAR\(3\)"):
            land(own, [trade(7, account_name=f'"{name:4}"')], mode, create=False)
    assert len(own.trades()) == len(kept)


@BOTH
@pytest.mark.parametrize("kind", ["TEXT", "VARCHAR", "VARCHAR(40)"])
def test_texts_that_would_be_compared_inexactly_are_refused(postgres: Database, mode: str, kind: str) -> None:
    postgres.query("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    postgres.create("trades", "UNIQUE (trade_id)", symbol=f"{kind} COLLATE ci")
    with pytest.raises(HyperoruConfigError, match=r"don't fit: symbol is .* COLLATE ci, but must be TEXT"):
        land(postgres, [trade(1)], mode, create=False)


@pytest.mark.parametrize("unique", ["UNIQUE (trade_id) DEFERRABLE", "PRIMARY KEY (trade_id) DEFERRABLE", "invalid"])
def test_upsert_needs_a_unique_index_that_is_checked_at_once(postgres: Database, unique: str) -> None:
    postgres.create("trades", *([] if unique == "invalid" else [unique]))
    if unique == "invalid":
        land(postgres, [trade(1)], create=False)
        postgres.query("INSERT INTO trades SELECT * FROM trades")
        connection = postgres.connect()
        connection.autocommit = True
        with pytest.raises(Exception, match="could not create unique index"):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY one ON trades (trade_id)")
        connection.close()
    with pytest.raises(HyperoruConfigError, match=r"no unique index on \(trade_id\)"):
        land(postgres, [trade(1)], "upsert", create=False)


def test_upsert_takes_an_index_that_includes_other_columns(postgres: Database) -> None:
    postgres.create()
    postgres.query("CREATE UNIQUE INDEX one ON trades (trade_id) INCLUDE (price)")
    assert land(postgres, [trade(1)], "upsert", create=False)["inserted"] == 1


@BOTH_WAYS
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_every_character_is_kept_whatever_the_encoding_of_the_connection(
    postgres: Database, as_text: bool, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not as_text:
        monkeypatch.setattr(CopyEncoder, "encode", lambda *_: None)

    def connect() -> Any:
        connection = postgres.connect()
        connection.execute(f"SET client_encoding TO '{encoding}'")
        connection.commit()
        return connection

    land(Database("postgres", connect, {}), [trade(1, account_name='"é 😀"')])
    assert postgres.query("SELECT account_name FROM trades") == [("é 😀",)]


def test_a_time_of_an_offset_that_the_database_does_not_know(postgres: Database) -> None:
    row = trade(1)
    raw = row.raw.replace(b"2026-01-15T00:00:01+00:00", b"2026-01-15T20:00:01+20:00")
    land(postgres, [Row(row.time, row.key, raw)])
    assert postgres.query("SELECT trade_time FROM trades") == [(START + timedelta(seconds=1),)]


@BOTH
def test_a_view_and_a_table_with_row_security_are_refused_before_the_server_is_asked(
    postgres: Database, mode: str
) -> None:
    land(postgres, [trade(1)])
    postgres.query("CREATE VIEW shown AS SELECT * FROM trades")
    with pytest.raises(HyperoruConfigError, match="shown is a view"):
        land(postgres, [trade(2)], mode, "shown", create=False)
    postgres.query("ALTER TABLE trades ENABLE ROW LEVEL SECURITY")
    postgres.query("ALTER TABLE trades FORCE ROW LEVEL SECURITY")
    role = f"hyperoru_{uuid4().hex}"
    postgres.query(f"CREATE ROLE {role}")
    try:
        postgres.query(f"GRANT ALL ON SCHEMA {schema_of(postgres)} TO {role}")
        postgres.query(f"ALTER TABLE trades OWNER TO {role}")

        def owner() -> Any:
            connection = postgres.connect()
            connection.execute(f"SET ROLE {role}")
            connection.commit()
            return connection

        with pytest.raises(HyperoruConfigError, match="row-level security"):
            land(Database("postgres", owner, {}), [trade(2)], mode, create=False)
    finally:
        postgres.query("ALTER TABLE trades OWNER TO CURRENT_USER")
        postgres.query(f"DROP OWNED BY {role}")
        postgres.query(f"DROP ROLE {role}")
    assert postgres.trades().keys() == {"1"}


def test_a_table_from_which_others_inherit_is_only_for_replace(postgres: Database) -> None:
    """Its keys are none of theirs, so each row of theirs would be there twice."""
    land(postgres, [trade(n) for n in range(3)])
    postgres.query("CREATE TABLE older () INHERITS (trades)")
    postgres.query("INSERT INTO older SELECT * FROM trades")
    postgres.query("DELETE FROM ONLY trades")
    with pytest.raises(HyperoruConfigError, match="Tables inherit from trades"):
        land(postgres, [trade(n, "2") for n in range(3)], "upsert")
    before = postgres.trades()
    land(postgres, [trade(n, "2") for n in range(3)])
    assert postgres.trades().keys() == before.keys() == set("012")

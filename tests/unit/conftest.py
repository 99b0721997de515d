from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database, in_file, in_schema


@pytest.fixture(params=["postgres", "sqlite"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def postgres() -> Iterator[Database]:
    with in_schema() as database:
        yield database


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return in_file(tmp_path / "test.db")

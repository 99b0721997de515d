"""Whatever a server does that can be told at all: a table has exactly its rows, or is as it was."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.databases import Database
from tests.fast.export.test_exact_or_nothing import check_table, servers
from tests.model_server import Server

CASES = int(os.environ.get("HYPERORU_CASES", "4000")) // 100


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
@settings(max_examples=CASES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), server=servers)
def test_the_exact_rows_of_a_table_or_nothing(database: Database, data: st.DataObject, server: Server) -> None:
    check_table(database, data, server)

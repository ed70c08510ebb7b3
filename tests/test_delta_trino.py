"""Trino judges the Delta log of folders: the server of tests/lake.py, by its catalog `local`. `-m "not trino"` leaves it out. It reads
only: on a local disk it has no way to commit."""
import pytest

from test_delta_log import COLUMNS, T0, VERSIONS, cleaned, expected, ours  # noqa: F401

pytestmark = pytest.mark.trino


@pytest.fixture(scope="module")
def tables(lake, ours, cleaned):  # noqa: F811
    return {"ours": lake.trino.register(ours), "cleaned": lake.trino.register(cleaned)}


def in_milliseconds(rows):
    """Trino has no microseconds in Delta tables."""
    return [(row[0], row[1] and row[1] // 1000, *row[2:]) for row in rows]


def rows_of(lake, table, of="", where="true"):
    columns = ["cast(to_unixtime(seen) * 1000 as bigint)" if name == "seen" else "cast(d as varchar)" if name == "d" else name for name in COLUMNS]
    rows = lake.sql(f"select {', '.join(columns)} from {table} {of} where {where}", "local")
    return sorted((tuple(row) for row in rows), key=lambda row: [(v is not None, str(type(v)), v) for v in row])


@pytest.mark.parametrize("name", ["ours", "cleaned"])
def test_snapshot_and_time_travel(lake, tables, name):
    table, first = tables[name], 20 if name == "cleaned" else 0
    assert rows_of(lake, table) == in_milliseconds(expected(range(VERSIONS)))
    for version in (0, 10, 13, 20, 23):
        if version >= first:
            assert rows_of(lake, table, f"for version as of {version}") == in_milliseconds(expected(range(version + 1)))
    if first:
        with pytest.raises(RuntimeError):
            rows_of(lake, table, "for version as of 13")
    history = lake.sql(f'select version, operation, operation_parameters from "{table}$history" order by version', "local")
    assert [row[0] for row in history] == list(range(first, VERSIONS))
    assert history[-1][1] == "WRITE" and history[-1][2]["run"] == str(VERSIONS - 1)


@pytest.mark.parametrize("name", ["ours", "cleaned"])
@pytest.mark.parametrize("where, keep", [
    ("id = 101", lambda row: row[0] == 101),
    ("s > '" + "p" * 40 + "s'", lambda row: row[2] > "p" * 40 + "s"),
    ("s = '" + "é" * 31 + "\U0010FFFF" + "z'", lambda row: row[2] == "é" * 31 + "\U0010FFFF" + "z"),
    ("seen = timestamp '2024-03-10 22:01:31.084 UTC'", lambda row: row[1] // 1000 == T0 // 1000 + 7000),
    ("day = 'x/y' and d >= date '2024-03-10'", lambda row: row[6] == "x/y" and row[4] >= "2024-03-10"),
])
def test_statistics_leave_no_row_out(lake, tables, name, where, keep):
    want = [row for row in expected(range(VERSIONS)) if row[0] is not None and keep(row)]
    assert want and rows_of(lake, tables[name], where=where) == in_milliseconds(want)


def test_comments_and_types(lake, tables):
    columns = {row[0]: row[1:] for row in lake.sql(f"show columns from {tables['ours']}", "local")}
    assert columns["id"] == ["bigint", "", "a number"] and columns["seen"][0] == "timestamp(3) with time zone" and columns["year"][2] == "of seen"

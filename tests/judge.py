"""What readers see of a table whose job has `unique_by: [id]` and one partition column, day: DuckDB over the folders, as a
plain Hive reader, and over the files that delta-rs finds in the log. Nobody may ever see a key twice."""
from urllib.parse import unquote

import deltalake
import duckdb

import harness


def rows_of(paths, columns="id, day"):
    if not paths:
        return []
    files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    read = f"read_parquet([{files}], hive_partitioning=true, hive_types={{'day': varchar}}, union_by_name=true)"
    return sorted(duckdb.sql(f"select {columns} from {read}").fetchall())


def hive_rows(table, columns="id, day"):
    """What a reader of folders sees."""
    return rows_of(harness.data_files(table), columns)


def delta_files(table):
    """Paths of the files of the newest version; none where there is no log."""
    if not (table / "_delta_log").is_dir() or not list((table / "_delta_log").glob("*.json")):
        return []
    return [unquote(uri.removeprefix("file://")) for uri in deltalake.DeltaTable(str(table)).file_uris()]


def delta_rows(table, columns="id, day"):
    """What a reader of the log sees."""
    return rows_of(delta_files(table), columns)


def assert_once(table, what=""):
    """No key stands twice in a partition, for either reader; who reads the folders misses nothing that the log has."""
    hive, delta = hive_rows(table), delta_rows(table)
    for name, rows in (("Hive", hive), ("Delta", delta)):
        assert len(rows) == len(set(rows)), f"{what}: a key stands twice ({name})"
    assert set(delta) <= set(hive), f"{what}: a row of the log is in no folder"


def assert_complete(table, expected, what="", columns="id, day", far=False):
    """Both readers see just these rows, once, and no file is left over."""
    expected = sorted(expected)
    for name, rows in (("Hive", hive_rows(table, columns)), ("Delta", delta_rows(table, columns))):
        if rows != expected:
            lost, strange = set(expected) - set(rows), set(rows) - set(expected)
            assert len(rows) == len(set(rows)), f"{what}: a row stands twice ({name})"
            raise AssertionError(f"{what}: {name} has {len(rows)} rows, not {len(expected)}: "
                                 f"lost {sorted(lost)[:5]}, strange {sorted(strange)[:5]}")
    assert harness.leftovers(table, far) == [], what

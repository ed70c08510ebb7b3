"""encoding: compact in the job file: smaller files, the same rows, the same bytes for any threads and memory, and a table whose files were
written in both ways. What the encodings look like, and who reads them, is the business of test_parquet_readers.py."""
import shutil

import pytest

import harness

DELTAS = {"DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"}


@pytest.fixture(scope="module")
def compact_job(tmp_path_factory):
    text = harness.MAIN_JOB.read_text().replace("\ntable:\n", "\ntable:\n  encoding: compact\n", 1)
    return harness.write(tmp_path_factory.mktemp("job") / "compact.yaml", text.encode())


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Enough records of one day for dictionaries to matter."""
    folder = tmp_path_factory.mktemp("large")
    harness.gristmill("generate", folder, "--records", "40000", "--hours", "20", "--start", "2024-03-10", "--seed", "5", "--bad", "0", "--quiet")
    return folder


@pytest.fixture(scope="module")
def tables(large, compact_job, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    harness.run(harness.MAIN_JOB, large, folder / "standard")
    harness.run(compact_job, large, folder / "compact", "--threads", "1")
    return folder


def differences(one, other):
    """Rows that only one of two tables has."""
    import duckdb

    rows = [f"(select * from read_parquet('{table}/*/*/*/*.parquet', hive_partitioning = true))" for table in (one, other)]
    return duckdb.sql(f"select count(*) from ((from {rows[0]} except all from {rows[1]}) union all (from {rows[1]} except all from {rows[0]}))").fetchall()[0][0]


def encodings(paths):
    import pyarrow.parquet as pq

    metas = [pq.ParquetFile(path).metadata for path in paths]
    return {encoding for meta in metas for group in range(meta.num_row_groups) for column in range(meta.num_columns)
            for encoding in meta.row_group(group).column(column).encodings}


def test_same_rows_in_less(tables):
    sizes = {name: sum(path.stat().st_size for path in harness.data_files(tables / name)) for name in ("standard", "compact")}
    assert sizes["compact"] <= sizes["standard"] * 0.92
    assert differences(tables / "compact", tables / "standard") == 0
    assert not encodings(harness.data_files(tables / "standard")) & DELTAS
    found = encodings(harness.data_files(tables / "compact"))
    assert found & DELTAS and "BYTE_STREAM_SPLIT" not in found


@pytest.mark.parametrize("threads, memory", [(4, "64M"), (2, "1G")])
def test_threads_and_memory(threads, memory, tables, large, compact_job, table):
    harness.run(compact_job, large, table, "--threads", threads, "--memory", memory)
    assert harness.fingerprint(table) == harness.fingerprint(tables / "compact")


def test_the_key_can_change(large, compact_job, tables, tmp_path):
    """Files that are there stay as they are; new ones are written in the new way, without the rows that the old ones hold."""
    source, table = tmp_path / "in", tmp_path / "table"
    objects = sorted(path for path in large.rglob("*.gz"))
    shutil.copytree(large, source, ignore=lambda folder, names: [n for n in names if n.endswith(".gz") and n > objects[len(objects) // 2].name])
    harness.run(harness.MAIN_JOB, source, table)
    before = {path: path.read_bytes() for path in harness.data_files(table)}
    shutil.copytree(large, source, dirs_exist_ok=True)
    for path in sorted(source.rglob("*.gz"))[:2]:
        shutil.copy(path, path.with_name("again-" + path.name))  # delivered twice: found in files of the other kind, either way round
    result = harness.run(compact_job, source, table).json
    assert result["committed"] and result["duplicates"] > 0
    assert all(path.read_bytes() == data for path, data in before.items())
    new = [path for path in harness.data_files(table) if path not in before]
    assert not encodings(before) & DELTAS and encodings(new) & DELTAS
    shutil.copy(objects[-1], source / "late.gz")
    assert harness.run(harness.MAIN_JOB, source, table).json["rows_written"] == 0
    assert differences(table, tables / "standard") == 0
    harness.gristmill("verify", harness.MAIN_JOB, "--source", source, "--table", table)

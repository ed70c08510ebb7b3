"""Memory stays inside the budget, whatever the input: thousands of open partitions, wide rows, large dictionaries."""
import random

import harness

# A row group is not smaller for a small budget, and all of its columns are encoded before they are written.
OUTSIDE_SMALL = 16 * harness.MIB


def within(result, budget_mib):
    if not harness.SANITIZED:
        most = budget_mib * harness.MIB + (OUTSIDE_SMALL if budget_mib < 128 else 0)
        assert result.peak <= most, f"peak {result.peak / harness.MIB:.0f} MiB with {budget_mib}M"


def test_three_thousand_partitions(source, table):
    """Rows of 3,000 days in random order, so that all partitions are open at once."""
    shuffle = random.Random(1)
    for name in range(4):
        days = [i % 3000 for i in range(15_000)]
        shuffle.shuffle(days)
        documents = (harness.access_record(name * 15_000 + i, timestamp=(day + 10_000) * harness.DAY_MS + i)
                     for i, day in enumerate(days))
        harness.write_gz(source / f"{name}.gz", harness.lines(documents))
    result = harness.run(harness.MAIN_JOB, source, table, "--memory", "256M", "--threads", "2", measure=True)
    summary = result.json
    assert summary["rows_written"] == 60_000
    assert len({tuple(f["partition"].items()) for f in summary["files"]}) == 3000
    assert len(summary["files"]) == 3000, "one file a partition: spilling must not cut files"
    within(result, 256)
    rows = harness.read_table(table)
    assert len(rows) == 60_000
    assert all(row["timestamp"][:10] == f"{row['year']}-{row['month']}-{row['day']}" for row in rows)


def test_small_budget(tmp_path, table):
    """400,000 generated records: many times what the budget holds. Larger budgets: test_memory.py."""
    memory = 64
    source = tmp_path / "input"
    harness.gristmill("generate", source, "--records", "400000", "--seed", "9")
    result = harness.run(harness.MAIN_JOB, source, table, "--memory", f"{memory}M", "--threads", "2", measure=True)
    harness.assert_balanced(result.json)
    within(result, memory)


def test_distinct_strings_do_not_grow_memory(source, table):
    """Every string of every record is new: dictionaries must give up in time."""
    word = random.Random(2)
    for name in range(3):
        documents = (harness.access_record(
            name * 40_000 + i, requestURL=f"/repo/v1/entity/syn{word.getrandbits(60)}", userAgent=f"synapseclient/{word.getrandbits(80)}",
            host=f"h{word.getrandbits(80)}", queryString=f"{word.getrandbits(400):x}", vmId=f"{word.getrandbits(160):x}",
            xforwardedFor=f"{word.getrandbits(64):x}") for i in range(40_000))
        harness.write_gz(source / f"{name}.gz", harness.lines(documents))
    result = harness.run(harness.MAIN_JOB, source, table, "--memory", "128M", "--threads", "2", measure=True)
    assert result.json["rows_written"] == 120_000
    within(result, 128)
    assert len({row["query_string"] for row in harness.read_table(table)}) == 120_000


def test_null_and_odd_partition_values(source, tmp_path):
    """Partition values are escaped in paths, and read back as they were."""
    job = harness.write(tmp_path / "job.yaml", harness.TINY_JOB.replace(
        "{name: day, type: string, expr: \"date_format(timestamp, '%Y-%m-%d')\", comment: the record's day}",
        "{name: part, type: string, expr: \"s\", comment: any text}").encode())
    values = ["plain", "a/b", "a=b", "50%", "a:b", "ü", None, "..", "a b", "{x}", "#", "a\\b", "\x01", "CON"]
    harness.write(source / "a.json", harness.lines(harness.tiny(i, s=v) for i, v in enumerate(values)))
    summary = harness.run(job, source, tmp_path / "table").json
    assert summary["rows_written"] == len(values), summary
    rows = harness.read_table(tmp_path / "table")
    assert {(row["s"], row["part"]) for row in rows} == {(v, v) for v in values}


def test_empty_partition_value_is_null(source, tmp_path):
    """Hive and Delta have no empty partition value: '' and null share one folder."""
    job = harness.write(tmp_path / "job.yaml", harness.TINY_JOB.replace(
        "{name: day, type: string, expr: \"date_format(timestamp, '%Y-%m-%d')\", comment: the record's day}",
        "{name: part, type: string, expr: \"s\", comment: any text}").encode())
    harness.write(source / "a.json", harness.lines([harness.tiny(1, s=""), harness.tiny(2, s=None)]))
    harness.run(job, source, tmp_path / "table")
    rows = harness.read_table(tmp_path / "table")
    assert [(row["part"]) for row in rows] == [None, None]
    assert sorted(row["s"] is None for row in rows) == [False, True]

"""`gristmill why`: where a key came from. Records and offsets are counted here from the input's own bytes; rows are looked up by
pyarrow at the place that is told."""
import os
import random

import pytest

import harness
from harness import gristmill

deltalake = pytest.importorskip("deltalake")

JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  partition_by:").replace("columns:", 'where: "id <> 5"\ncolumns:')
TWO = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [s, timestamp]\n  partition_by:")


class Work:
    def __init__(self, folder, job=JOB):
        self.job, self.source, self.table = folder / "job.yaml", folder / "source", folder / "table"
        harness.write(self.job, job.encode())
        self.source.mkdir()
        self.texts = {}

    def arrive(self, name, documents):
        """An object of documents and of bytes as they are, and a run."""
        parts = [d if isinstance(d, bytes) else harness.dump(d) for d in documents]
        self.texts[name] = [part + b"\n" for part in parts]
        harness.write_gz(self.source / name, b"".join(self.texts[name]))

    def run(self, *flags):
        return harness.run(self.job, self.source, self.table, *flags).json

    def offset(self, name, record):
        return sum(map(len, self.texts[name][:record]))

    def why(self, *key, status=0, **options):
        flags = [k for k in key if str(k).startswith("--")]
        key = [k for k in key if not str(k).startswith("--")]
        result = gristmill("why", self.job, *key, "--source", self.source, "--table", self.table, "--json", *flags, status=status, **options)
        return result.json

    def arrivals(self, *key):
        """(object, record, fate) of each arrival; the offset must be right where it is told."""
        report = self.why(*key)
        for arrival in report["arrivals"]:
            if arrival["offset"] is not None:
                assert arrival["offset"] == self.offset(arrival["object"], arrival["record"]), arrival
        return [(a["object"], a["record"], a["fate"]) for a in report["arrivals"]]

    def row(self, found):
        """The row at the place told, by pyarrow."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.table / found["path"]).read_row_group(found["row_group"]).slice(found["row"], 1).to_pylist()[0]


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path)


def test_three_arrivals_in_two_runs(work):
    first = [harness.tiny(i, s="first") for i in range(10)]
    work.arrive("a.gz", first + [harness.tiny(7, s="first")])
    work.arrive("b.gz", [harness.tiny(20)])
    work.run()
    work.arrive("c.gz", [harness.tiny(30), harness.tiny(7, s="another"), harness.tiny(31)])
    work.run()
    report = work.why(7)
    (row,) = report["rows"]
    assert (row["job"], row["run"], row["unit"], row["version"], row["partition"]) == ("tiny", 1, 0, 0, "day=2024-03-10")
    assert work.row(row)["id"] == 7 and work.row(row)["s"] == "first"
    assert work.arrivals(7) == [("a.gz", 7, "WRITTEN"), ("a.gz", 10, "DUPLICATE"), ("c.gz", 1, "CONFLICT")]
    assert [a["run"] for a in report["arrivals"]] == [1, 1, 2]
    assert all(a["offset"] is not None and not a["gone"] for a in report["arrivals"])
    # Of the second run only the object that the list of duplicates names was read.
    assert (report["objects_read"], report["objects_gone"], report["everywhere"], report["more"]) == (3, 0, False, 0)
    text = gristmill("why", work.job, "7", "--source", work.source, "--table", work.table, "--quiet").out.splitlines()
    assert text[0].startswith("row      day=2024-03-10/") and text[0].endswith(f"row group 0, row {row['row']}; run 1 of job tiny, version 0")
    assert text[1] == "arrival  a.gz, record 7 at byte " + str(work.offset("a.gz", 7)) + ", run 1: written: it is the row"
    assert len(text) == 5


def test_objects_that_are_gone_or_changed(work):
    """What the runs kept is told all the same; what cannot be known any more is not made up."""
    work.arrive("a.gz", [harness.tiny(1), harness.tiny(7)])
    work.arrive("b.gz", [harness.tiny(7)])
    work.run()
    work.arrive("c.gz", [harness.tiny(7)])
    work.run()
    (work.source / "a.gz").unlink()
    os.utime(work.source / "c.gz", (1, 1))
    report = work.why(7)
    assert [(a["object"], a["record"], a["fate"], a["gone"], a["offset"]) for a in report["arrivals"]] == [
        ("b.gz", 0, "DUPLICATE", False, 0), ("c.gz", 0, "DUPLICATE", True, None)]
    assert len(report["rows"]) == 1 and report["objects_gone"] == 2
    out = gristmill("why", work.job, "7", "--source", work.source, "--table", work.table, "--quiet").out
    assert "gone, or has other content now" in out and "2 more are gone or have changed" in out


def test_filtered_rejected_and_never_seen(work):
    """Without a row every object is read; the second of the rejected ones has no text that could be read."""
    no_time = harness.dump({"id": 6, "s": "x"})
    work.arrive("a.gz", [harness.tiny(1), harness.tiny(5), no_time, b'{"id":6,', harness.tiny(2)])
    work.arrive("b.gz", [harness.tiny(5)])
    work.run()
    assert work.arrivals(5) == [("a.gz", 1, "FILTERED"), ("b.gz", 0, "FILTERED")]
    assert work.arrivals(6) == [("a.gz", 2, "QUARANTINED")]
    (rejected,) = work.why(6)["arrivals"]
    assert rejected["detail"] == "missing_required"
    report = work.why(404)
    assert report["rows"] == report["arrivals"] == [] and report["everywhere"] is True and report["objects_read"] == 2
    assert "the key was never seen" in gristmill("why", work.job, "404", "--source", work.source, "--table", work.table).out


def test_all_finds_what_left_no_trace(work):
    work.arrive("a.gz", [harness.tiny(7)])
    work.run()
    work.arrive("b.gz", [harness.dump({"id": 7})])
    work.run()
    work.arrive("c.gz", [harness.tiny(7)])  # not processed yet
    assert work.arrivals(7)[0] == ("a.gz", 0, "WRITTEN")
    assert work.arrivals(7, "--all") == [("a.gz", 0, "WRITTEN"), ("b.gz", 0, "QUARANTINED"), ("c.gz", 0, "PENDING")]
    report = work.why(7, "--all")
    assert report["everywhere"] is True and report["objects_read"] == 3
    assert report["arrivals"][2]["run"] is None


def test_key_of_several_columns(tmp_path):
    work = Work(tmp_path, TWO)
    work.arrive("a.gz", [harness.tiny(i, s="é'\"" if i == 3 else f"s{i}") for i in range(6)] + [harness.tiny(3, s="é'\"")])
    work.run()
    report = work.why("é'\"", "2024-03-10T00:00:00.003Z")
    assert [(a["record"], a["fate"]) for a in report["arrivals"]] == [(3, "WRITTEN"), (6, "DUPLICATE")]
    assert work.row(report["rows"][0])["id"] == 3
    assert work.why("é'\"", "2024-03-10T00:00:00.004Z")["rows"] == []
    assert "'soon' is no timestamp" in gristmill("why", work.job, "x", "soon", "--source", work.source, "--table", work.table, status=2).err


def test_key_in_two_partitions(work):
    work.arrive("a.gz", [harness.tiny(7), harness.tiny(7, t=harness.T0 + harness.DAY_MS), harness.tiny(7), harness.tiny(7, t=harness.T0 + harness.DAY_MS)])
    work.run()
    report = work.why(7)
    assert sorted(row["partition"] for row in report["rows"]) == ["day=2024-03-10", "day=2024-03-11"]
    assert [(a["record"], a["partition"][-2:], a["fate"]) for a in report["arrivals"]] == [
        (0, "10", "WRITTEN"), (1, "11", "WRITTEN"), (2, "10", "DUPLICATE"), (3, "11", "DUPLICATE")]


def test_row_that_another_engine_wrote(work):
    """It won: the record that came later is a duplicate of it."""
    import pyarrow as pa

    work.arrive("a.gz", [harness.tiny(1)])
    work.run()
    schema = pa.schema(deltalake.DeltaTable(str(work.table)).schema().to_arrow())
    columns = {name: [{"id": 7, "day": "2024-03-10"}.get(name)] for name in schema.names}
    deltalake.write_deltalake(str(work.table), pa.table(columns, schema=schema), mode="append")
    work.arrive("b.gz", [harness.tiny(2), harness.tiny(7)])
    work.run()
    report = work.why(7)
    (row,) = report["rows"]
    assert row["job"] is None and row["run"] is None and row["version"] == 1
    assert work.arrivals(7) == [("b.gz", 1, "CONFLICT")]
    assert "not by a job of gristmill" in gristmill("why", work.job, "7", "--source", work.source, "--table", work.table).out


def test_row_that_was_removed(work):
    work.arrive("a.gz", [harness.tiny(7), harness.tiny(8)])
    work.run()
    deltalake.DeltaTable(str(work.table)).delete("id = 7")
    report = work.why(7)
    assert report["rows"] == [] and [(a["object"], a["fate"]) for a in report["arrivals"]] == [("a.gz", "NOT_THERE")]
    assert len(work.why(8)["rows"]) == 1


def test_only_files_that_may_hold_the_key_are_read(work, tmp_path):
    shim = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault" / "failio.so"
    if harness.SANITIZED:
        pytest.skip("the sanitizers replace the same functions")
    for i in range(12):
        # Bounds overlap, bloom filters tell; and the end of a file, which is read at once, is far from all of it.
        work.arrive(f"{i:02}.gz", [harness.tiny(1000 * k + i, s=random.Random(50 * i + k).randbytes(4000).hex()) for k in range(50)])
        work.run()
    log = tmp_path / "log"
    work.why(7004, env={"LD_PRELOAD": str(shim), "FAULT_IO_CALLS": "read", "FAULT_IO_BELOW": work.table.resolve(), "FAULT_IO_LOG": str(log)})
    reads = [line.split()[2] for line in log.read_text().splitlines() if "day=" in line]
    per_file = {path: reads.count(path) for path in reads}
    assert len(per_file) == 12
    *others, most = sorted(per_file.values())
    assert others[-1] < most, sorted(per_file.values())  # of the others the footer and the bloom filter


def test_memory(sample, sample_table):
    row = harness.read_table(sample_table[0])[123]
    result = gristmill("why", harness.MAIN_JOB, row["session_id"], "--source", sample, "--table", sample_table[0], "--json", "--memory", "64M",
                       measure=True)
    assert len(result.json["rows"]) == 1 and result.json["arrivals"][0]["fate"] == "WRITTEN"
    if not harness.SANITIZED:
        assert result.peak < 64 << 20, result.peak


@pytest.mark.parametrize("key, message", [
    ([], "KEY... is missing"), (["1", "2"], "the key has 1 columns, the first is id; 2 values were given"),
    (["x"], "'x' is no bigint, which column id of the key is"), (["99999999999999999999"], "is no bigint"),
])
def test_wrong_keys(key, message, work):
    work.arrive("a.gz", [harness.tiny(1)])
    work.run()
    assert message in gristmill("why", work.job, *key, "--source", work.source, "--table", work.table, status=2).err


def test_empty_key_is_none(tmp_path):
    work = Work(tmp_path, JOB.replace("unique_by: [id]", "unique_by: [s]"))
    work.arrive("a.gz", [harness.tiny(1, s=""), harness.tiny(2, s="")])
    work.run()
    assert "KEY... is empty" in gristmill("why", work.job, "", "--source", work.source, "--table", work.table, status=2).err


def test_job_without_key(tmp_path):
    work = Work(tmp_path, harness.TINY_JOB)
    work.arrive("a.gz", [harness.tiny(1)])
    work.run()
    assert "has no unique_by" in gristmill("why", work.job, "1", "--source", work.source, "--table", work.table, status=2).err

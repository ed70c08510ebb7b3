"""Tables that older versions left: today's program takes them over and processes nothing again."""
import os
import pathlib
import shutil

import pytest

import harness

deltalake = pytest.importorskip("deltalake")
FORMATS = sorted(path for path in (pathlib.Path(__file__).parent / "formats").iterdir() if path.is_dir())
PLANNED = 1_710_115_200  # 2024-03-11T00:00:00Z, the inputs' time


@pytest.mark.parametrize("folder", FORMATS, ids=lambda path: path.name)
def test_older_table(folder, tmp_path):
    work = tmp_path / "copy"
    shutil.copytree(folder, work)
    for path in (work / "input").iterdir():
        os.utime(path, (PLANNED, PLANNED))
    before = harness.fingerprint(work / "table")
    result = harness.run(work / "job.yaml", work / "input", work / "table")
    assert result.json["records_read"] == 0, result
    assert harness.fingerprint(work / "table") == before
    log = deltalake.DeltaTable(str(work / "table"))
    assert len(log.file_uris()) == len(before)
    # New input goes on from there, compared with what was there.
    harness.write(work / "input" / "new.json", b'{"id":"k1","time":1710028800001,"n":1}\n{"id":"fresh","time":1710028800000,"n":1}\n')
    result = harness.run(work / "job.yaml", work / "input", work / "table").json
    assert (result["records_read"], result["rows_written"], result["duplicates"]) == (2, 1, 1)
    keys = [(row["id"], row["day"]) for row in harness.read_table(work / "table")]
    assert len(keys) == len(set(keys)) == 106


@pytest.mark.parametrize("path", ["_gristmill/tiny/plans/00000001.json", "_gristmill/claims/00000002.json"])
def test_newer_state_is_refused_by_name(path, source, table, tiny_job):
    """A committed plan, or a claim, of a version that is to come."""
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    harness.run(tiny_job, source, table)
    before = harness.fingerprint(table)
    harness.write(table / path, b'{"format":99}\n')
    harness.write(source / "b.json", harness.lines([harness.tiny(2)]))
    result = harness.run(tiny_job, source, table, status=1)
    assert path in result.err and "format 99" in result.err, result
    assert harness.fingerprint(table) == before

"""Cases that anybody can add: a folder below tests/cases with

    job.yaml            the job
    input/              what it reads
    expected.ndjson     the rows, one JSON object a line, in any order; times as 2024-03-10T00:00:00.000000Z; with partitions
    expected.json       optional: {"status": 0, "flags": [...], "summary": {...}, "quarantine": [{...}], "stderr": [...]}
                        of summary and quarantine only what is named is compared; stderr lists texts that must occur

Binary inputs need not be kept: a file input/NAME.gz.txt is compressed to NAME.gz before the run."""
import gzip
import json
import pathlib
import shutil

import pytest

import harness

CASES = sorted(p.parent for p in (pathlib.Path(__file__).parent / "cases").glob("*/job.yaml"))


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
@pytest.mark.parametrize("threads", [1, 3])
def test_case(case, threads, tmp_path):
    source, table = tmp_path / "input", tmp_path / "table"
    if (case / "input").exists():
        shutil.copytree(case / "input", source)
    else:
        source.mkdir()
    for path in list(source.rglob("*.gz.txt")):
        path.with_suffix("").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    expected = json.loads((case / "expected.json").read_text()) if (case / "expected.json").exists() else {}

    result = harness.run(case / "job.yaml", source, table, "--threads", threads, *expected.get("flags", []),
                         status=expected.get("status", 0))

    for text in expected.get("stderr", []):
        assert text in result.err, result
    if expected.get("status", 0) == 2:
        return
    rows = [json.loads(line) for line in (case / "expected.ndjson").read_text(encoding="utf-8").splitlines() if line]
    assert harness.in_order(harness.read_table(table)) == harness.in_order(rows)
    if result.status == 0:
        harness.assert_balanced(result.json)
        summary = expected.get("summary", {})
        assert {name: result.json[name] for name in summary} == summary
    entries = harness.quarantine(table)
    if "quarantine" in expected:
        assert len(entries) == len(expected["quarantine"]), entries
        for entry, wanted in zip(entries, expected["quarantine"]):
            assert {name: entry[name] for name in wanted} == wanted

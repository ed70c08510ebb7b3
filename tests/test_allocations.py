"""The record loop allocates nothing once it is warm: what allocations there are belong to chunks, row groups and files."""
import pytest

import harness

COUNTER = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault" / "failalloc.so"
PER_RECORD = 0.02  # a chunk of 1,400 records makes about ten


@pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers replace the same functions")
def test_no_allocation_per_record(tmp_path):
    def allocations(records):
        source, report = tmp_path / f"input-{records}", tmp_path / f"report-{records}"
        harness.gristmill("generate", source, "--records", str(records), "--per-object", "20000", "--bad", "0", "--quiet")
        harness.run(harness.MAIN_JOB, source, tmp_path / f"table-{records}", "--threads", "1",
                    env={"LD_PRELOAD": str(COUNTER), "FAULT_ALLOC_REPORT": str(report)})
        return int(report.read_text().split()[0])

    few, many = 40_000, 120_000
    extra = (allocations(many) - allocations(few)) / (many - few)
    assert extra < PER_RECORD, f"{extra:.4f} allocations for each further record"

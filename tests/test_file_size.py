"""Files end near the size that the job asks for, also when one object holds many of them."""
import collections

import harness

TARGET = harness.MIB


def test_files_are_near_the_target(tmp_path, table):
    source = tmp_path / "input"
    harness.gristmill("generate", source, "--records", "80000", "--per-object", "80000", "--hours", "20", "--quiet")
    text = harness.MAIN_JOB.read_text()
    assert "  unique_by:" in text
    job = harness.write(tmp_path / "job.yaml", text.replace("  unique_by:", "  file_size: 1MiB\n  unique_by:").encode())
    summary = harness.run(job, source, table).json
    days = collections.defaultdict(list)
    for file in summary["files"]:
        days[tuple(file["partition"].items())].append(file)
    assert max(map(len, days.values())) >= 3
    for files in days.values():
        *full, _ = sorted(files, key=lambda file: file["path"])
        for file in full:
            assert TARGET <= file["bytes"] <= 1.5 * TARGET, file
    assert sum(file["rows"] for file in summary["files"]) == summary["rows_written"]

"""`not_after`: what lies too far beyond the time of the run's plan makes no partition; who judges again judges by the same time."""
import json
import time

import harness

DAY = 24 * 60 * 60 * 1000
JOB = """job: clocks
source: {location: in}
table:
  location: out
  partition_by: [{name: year, type: string, expr: "date_format(t, '%Y')"}]
  unique_by: [id]
where: "id <> 6"
columns:
  - {name: id, type: bigint, from: id}
  - {name: t, type: timestamp, from: t, required: true, not_after: 2d}
  - {name: u, type: timestamp, expr: "from_unixtime(n)", not_after: 36h}
  - {name: n, type: bigint, from: n}
"""


def documents():
    now = int(time.time() * 1000)
    year_9999 = 253370764800000
    return [{"id": 1, "t": now - 400 * DAY}, {"id": 2, "t": now + 2 * DAY - 600000}, {"id": 3, "t": now + 2 * DAY + 600000},
            {"id": 4, "t": year_9999}, {"id": 5, "t": now, "n": now // 1000 + 86400}, {"id": 6, "t": year_9999},
            {"id": 7, "t": now, "n": now // 1000 + 2 * 86400}, {"id": 8}]


def prepared(tmp_path, job=JOB):
    source, table = tmp_path / "in", tmp_path / "out"
    harness.write(source / "a.json", b"".join(json.dumps(document).encode() + b"\n" for document in documents()))
    return harness.write(tmp_path / "job.yaml", job.encode()), source, table


def test_clocks_that_are_wrong(tmp_path):
    job, source, table = prepared(tmp_path)
    summary = harness.run(job, source, table, "--max-quarantine", "100%").json
    harness.assert_balanced(summary)
    assert sorted(row["id"] for row in harness.read_table(table)) == [1, 2, 5]
    assert summary["filtered"] == 1 and summary["quarantined"] == 4
    assert not list(table.glob("year=9999*"))
    rejected = {json.loads(entry["raw"])["id"]: entry for entry in harness.quarantine(table)}
    assert {number: (entry["reason"], entry["column"]) for number, entry in rejected.items()} == {
        3: ("not_after", "t"), 4: ("not_after", "t"), 7: ("not_after", "u"), 8: ("missing_required", "t")}
    assert rejected[4]["detail"].startswith("9999-01-01T00:00:00.000000Z is later than 20")


def test_a_replay_judges_by_its_own_time(tmp_path):
    """With a wider limit the same records pass; with the same one they are rejected again, and counted so."""
    job, source, table = prepared(tmp_path)
    harness.run(job, source, table)
    again = harness.gristmill("quarantine", job, "replay", "--source", source, "--table", table, "--max-quarantine", "100%", "--json")
    assert again.json["quarantined"] == 4
    wider = harness.write(tmp_path / "wider.yaml", JOB.replace("not_after: 2d", "not_after: 36500d").replace("not_after: 36h", "not_after: 3d").encode())
    done = harness.gristmill("quarantine", wider, "replay", "--source", source, "--table", table, "--max-quarantine", "100%", "--json")
    harness.assert_balanced(done.json)
    assert sorted(row["id"] for row in harness.read_table(table)) == [1, 2, 3, 5, 7]


def test_why_judges_by_the_time_of_the_run(tmp_path):
    job, source, table = prepared(tmp_path)
    harness.run(job, source, table)
    told = harness.gristmill("why", job, "4", "--source", source, "--table", table, "--all", "--json").json
    assert [arrival["fate"] for arrival in told["arrivals"]] == ["QUARANTINED"]
    assert harness.gristmill("preview", job, "--source", source, "--table", table, "--rows", "100").out.count("9999-01-01") == 0

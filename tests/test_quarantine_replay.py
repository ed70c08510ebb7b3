"""The quarantine listed, shown, and replayed with a repaired job file: the rows of a clean run, once, whatever happens."""
import base64
import gzip
import json
import random
import shutil
import time

import pytest

import harness

SHIMS = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault"
KEYED = harness.TINY_JOB.replace("columns:\n", "  unique_by: [id]\ncolumns:\n", 1)
# What the broken job rejects and the repaired one takes: a column that is not always there, a number that is none, a
# record that is too large. What neither can use stays.
BROKEN = KEYED.replace("format: json", "format: json, max_record: 1KiB").replace("name: x, type: double, from: x",
                                                                                "name: x, type: double, from: x, on_error: quarantine")
BROKEN = BROKEN.replace("from: s, comment", "from: s, required: true, comment")
REPAIRED = BROKEN.replace("max_record: 1KiB", "max_record: 1MiB").replace("required: true, comment: text", "comment: text")
REPAIRED = REPAIRED.replace(", on_error: quarantine", "")
ALWAYS = ["--max-quarantine", "100%"]


def document(number):
    """One of several kinds; `t` and `id` are always there."""
    kind = number % 7
    if kind == 0:
        return harness.dump(harness.tiny(number, s=f"text {number}", x=number / 4))
    if kind == 1:
        return harness.dump(harness.tiny(number))                                   # no s
    if kind == 2:
        return harness.dump(harness.tiny(number, s="\u00e9", x=["no", "number"]))
    if kind == 3:
        return harness.dump(harness.tiny(number, s="long " * 300))                  # more than max_record
    if kind == 4:
        return harness.dump(harness.tiny(number, s="truncated"))[:-9]
    if kind == 5:
        return b'{"id":%d,"s":"\xff\x00"}' % number                                 # not UTF-8, and a control character
    return json.dumps(harness.tiny(number, s="spread over lines"), indent=2).encode()


def fill(source, first=0):
    """Objects in several layouts: lines, packed or not, and an array in one line."""
    numbers = iter(range(first, first + 600))
    harness.write_gz(source / f"{first}" / "a.gz", b"\n".join(document(n) for n in [next(numbers) for _ in range(200)]) + b"\n")
    harness.write(source / f"{first}" / "b.json", b"\r\n".join(document(n) for n in [next(numbers) for _ in range(200)]))
    whole = [n for n in [next(numbers) for _ in range(200)] if n % 7 not in (4, 5)]
    harness.write_gz(source / f"{first}" / "c.gz", b"[" + b", ".join(document(n) for n in whole) + b"]\n")


@pytest.fixture
def jobs(tmp_path):
    return harness.write(tmp_path / "broken.yaml", BROKEN.encode()), harness.write(tmp_path / "repaired.yaml", REPAIRED.encode())


def command(word, job, source, table, *flags, **options):
    return harness.gristmill("quarantine", job, word, "--source", source, "--table", table, *flags, **options)


def replay(job, source, table, *flags, **options):
    return command("replay", job, source, table, "--json", *flags, **options)


def listing(job, source, table, *flags):
    return command("list", job, source, table, "--json", *flags).json


def rows_of(table):
    return harness.in_order(harness.read_table(table))


def places(entries):
    return sorted((e["object"], e["offset"], e["record"], e["raw"]) for e in entries)


def files_of(table):
    return {str(p.relative_to(table)): p.read_bytes() for p in table.rglob("*") if p.is_file()}


def test_a_repaired_job_gives_the_rows_of_a_clean_run(source, table, jobs, tmp_path):
    broken, repaired = jobs
    fill(source)
    first = harness.run(broken, source, table, *ALWAYS).json
    assert first["quarantined"] > 200 and first["rows_written"] > 100
    clean = harness.run(repaired, source, tmp_path / "clean", *ALWAYS).json
    result = replay(repaired, source, table, *ALWAYS).json
    harness.assert_balanced(result)
    assert rows_of(table) == rows_of(tmp_path / "clean")
    assert result["committed"] and result["run"] == 2 and result["inputs"] == 1
    assert result["rows_written"] == clean["rows_written"] - first["rows_written"]
    assert result["bytes_raw"] == first["quarantined_bytes"]
    # What neither can use is where it was, and can be replayed again.
    again = [e for e in harness.quarantine(table)][first["quarantined"]:]
    assert places(again) == places(harness.quarantine(tmp_path / "clean"))
    groups = listing(repaired, source, table)
    assert groups["not_replayed"] == result["quarantined"] == len(again)
    assert {g["replayed_by"] for g in groups["groups"] if g["run"] == 1} == {2}
    # The log tells a replay from an ordinary run.
    commits = [json.loads(line) for path in sorted(table.glob("_delta_log/*.json")) for line in path.read_text().splitlines()]
    told = [c["commitInfo"]["operationParameters"].get("replay") for c in commits if "commitInfo" in c]
    assert told == [None, "true"]
    assert harness.leftovers(table) == []


def test_a_wrong_path_that_rejects_everything(source, table, tmp_path):
    wrong = harness.write(tmp_path / "wrong.yaml", KEYED.replace("from: t,", "from: time,").encode())
    right = harness.write(tmp_path / "right.yaml", KEYED.encode())
    harness.write_gz(source / "a.gz", harness.lines(harness.tiny(i, s=f"s{i % 50}") for i in range(5000)))
    harness.write_gz(source / "b.gz", harness.lines(harness.tiny(i, s="again") for i in range(4000, 6000)))
    assert harness.run(wrong, source, table, *ALWAYS).json["rows_written"] == 0
    result = replay(right, source, table).json
    assert (result["records_read"], result["rows_written"], result["duplicates"], result["quarantined"]) == (7000, 6000, 1000, 0)
    harness.run(right, source, tmp_path / "clean")
    assert rows_of(table) == rows_of(tmp_path / "clean")
    # Once: a second replay, an ordinary run, find nothing, and leave nothing.
    before = files_of(table)
    second = command("replay", right, source, table)
    assert second.out == "nothing to replay\n"
    assert replay(right, source, table).json["committed"] is False
    assert harness.run(right, source, table).json["inputs"] == 0
    assert files_of(table) == before
    assert listing(right, source, table)["not_replayed"] == 0


def test_replayed_until_nothing_is_left(source, table, jobs, tmp_path):
    """Three job files, each of which can use more; the quarantine of a replay is replayed in turn."""
    broken, repaired = jobs
    half = harness.write(tmp_path / "half.yaml", BROKEN.replace("required: true, comment: text", "comment: text").encode())
    documents = [harness.dump(harness.tiny(i, **({"s": "x"} if i % 3 else {}), **({"x": "no"} if i % 5 == 0 else {}))) for i in range(300)]
    harness.write(source / "a.json", b"\n".join(documents))
    assert harness.run(broken, source, table, *ALWAYS).json["quarantined"] == 140
    assert replay(half, source, table, *ALWAYS).json["quarantined"] == 60
    kept = harness.quarantine(table)[140:]
    assert {(e["reason"], e["column"]) for e in kept} == {("bad_value", "x")}
    assert [e["record"] for e in kept] == list(range(0, 300, 5))
    assert [e["raw"] for e in kept] == documents[::5]
    last = replay(repaired, source, table).json
    assert (last["run"], last["records_read"], last["rows_written"], last["quarantined"]) == (3, 60, 60, 0)
    assert sorted(row["id"] for row in harness.read_table(table)) == list(range(300))


def test_runs_are_chosen(source, table, jobs):
    broken, repaired = jobs
    for number in range(3):
        harness.write(source / f"{number}.json", harness.lines([harness.tiny(number * 10 + i) for i in range(3)]))
        harness.run(broken, source, table)
    assert [(g["run"], g["entries"], g["objects"], g["replayed_by"]) for g in listing(repaired, source, table)["groups"]] == [
        (3, 3, 1, None), (2, 3, 1, None), (1, 3, 1, None)]
    assert replay(repaired, source, table, "--run", "3", "--run", "1").json["rows_written"] == 6
    assert sorted(r["id"] for r in harness.read_table(table)) == [0, 1, 2, 20, 21, 22]
    assert [(g["run"], g["replayed_by"]) for g in listing(repaired, source, table)["groups"]] == [(3, 4), (2, None), (1, 4)]
    assert [g["run"] for g in listing(repaired, source, table, "--run", "2")["groups"]] == [2]
    assert replay(repaired, source, table, "--run", "3").json["committed"] is False
    wrong = replay(repaired, source, table, "--run", "9", status=2)
    assert "run 9 of job tiny is not committed" in wrong.err
    assert replay(repaired, source, table).json["rows_written"] == 3


def test_duplicates_of_the_table_and_among_themselves(source, table, jobs):
    broken, repaired = jobs
    good = [harness.tiny(i, s="kept") for i in range(10)]
    bad = [harness.tiny(i, x="no", s="rejected") for i in list(range(5, 15)) + [12, 13]]
    harness.write(source / "a.json", harness.lines(good + bad))
    harness.run(broken, source, table)
    result = replay(repaired, source, table).json
    assert (result["records_read"], result["rows_written"], result["duplicates"]) == (12, 5, 7)
    assert {r["id"]: r["s"] for r in harness.read_table(table)} == {i: "kept" if i < 10 else "rejected" for i in range(15)}


def test_dry_run_tells_and_stores_nothing(source, table, jobs):
    broken, repaired = jobs
    fill(source)
    harness.run(broken, source, table, *ALWAYS)
    before = files_of(table)
    tried = replay(repaired, source, table, "--dry-run", *ALWAYS).json
    assert files_of(table) == before and tried["committed"] is False
    done = replay(repaired, source, table, *ALWAYS).json
    for name in ("inputs", "records_read", "rows_written", "duplicates", "quarantined", "bytes_raw", "quarantined_bytes"):
        assert tried[name] == done[name], name


def test_the_limit_stops_a_replay(source, table, jobs):
    broken, repaired = jobs
    fill(source)
    harness.run(broken, source, table, *ALWAYS)
    rows, waiting = rows_of(table), listing(repaired, source, table)["not_replayed"]
    stopped = replay(repaired, source, table, "--max-quarantine", "1", status=3)
    assert "were rejected" in stopped.err and stopped.json["committed"] is False
    assert rows_of(table) == rows and listing(repaired, source, table)["not_replayed"] == waiting
    assert harness.leftovers(table) == []
    assert replay(repaired, source, table, *ALWAYS).json["committed"] is True


@pytest.mark.parametrize("flags", [["--threads", "1"], ["--threads", "3"], ["--threads", "2", "--memory", "80M"]])
def test_the_same_bytes_for_any_threads_and_memory(flags, source, tmp_path, jobs):
    broken, repaired = jobs
    made = []
    fill(source)
    fill(source, 1000)
    for name, some in (("plain", ["--threads", "1"]), ("other", flags)):
        table = tmp_path / name
        harness.run(broken, source, table, *ALWAYS)
        replay(repaired, source, table, *ALWAYS, *some)
        entries = table / "_gristmill/tiny/quarantine/00000002/00000.ndjson.gz"
        made.append((harness.fingerprint(table), entries.read_bytes()))
    assert made[0] == made[1]


# --- What happens meanwhile ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waiting(tmp_path_factory):
    """(repaired job, source, table with entries to replay, the rows that it must have in the end)"""
    base = tmp_path_factory.mktemp("waiting")
    broken = harness.write(base / "broken.yaml", BROKEN.encode())
    repaired = harness.write(base / "repaired.yaml", REPAIRED.encode())
    fill(base / "input")
    harness.run(broken, base / "input", base / "table", *ALWAYS)
    harness.run(repaired, base / "input", base / "clean", *ALWAYS)
    return repaired, base / "input", base / "table", rows_of(base / "clean")


def complete(waiting, table, ordinary, what):
    """What a dead replay left is finished by the next run, or by the next replay; then nothing is left to replay but
    what cannot be used."""
    job, source, _, rows = waiting
    if ordinary:
        harness.run(job, source, table, *ALWAYS)
    last = listing(job, source, table)
    replay(job, source, table, *ALWAYS)
    assert rows_of(table) == rows, what
    entries = {}
    for group in last["groups"]:
        entries.setdefault(group["run"], []).append(group)
    assert all(len({g["replayed_by"] for g in groups}) == 1 for groups in entries.values()), what
    waits = listing(job, source, table)
    assert waits["not_replayed"] == len([e for e in harness.quarantine(table) if e["reason"] in ("truncated", "not_json")]) / len(
        {g["run"] for g in waits["groups"]}), what
    assert harness.leftovers(table) == [], what


@pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers replace the same functions")
@pytest.mark.parametrize("action, calls", [("kill", 16), ("kill-after", 16), ("lose", 8), ("fail", 8)])
def test_a_call_on_files_goes_wrong(action, calls, waiting, tmp_path):
    job, source, base, rows = waiting

    def faulty(table, **settings):
        environment = {"LD_PRELOAD": str(SHIMS / "failio.so"), **{name: str(value) for name, value in settings.items()}}
        return replay(job, source, table, "--threads", "1", *ALWAYS, status=None, env=environment)

    shutil.copytree(base, tmp_path / "counting")
    faulty(tmp_path / "counting", FAULT_IO_REPORT=tmp_path / "report")
    total = int((tmp_path / "report").read_text().split()[0])
    assert total > 20
    for n in range(1, total + 1, max(1, total // calls)):
        table = tmp_path / f"io-{n}"
        shutil.copytree(base, table)
        result = faulty(table, FAULT_IO_AT=n, FAULT_IO_ACTION=action)
        assert result.status in (0, 1, -9), result
        seen = [row["id"] for row in harness.read_table(table)]
        assert len(seen) == len(set(seen)), f"{action} at call {n}: a row twice"
        complete(waiting, table, n % 2 == 0, f"{action} at call {n} of {total}")


@pytest.mark.parametrize("seed", range(3))
def test_kill_at_a_random_moment(seed, source, table, tmp_path):
    wrong = harness.write(tmp_path / "wrong.yaml", KEYED.replace("from: t,", "from: time,").encode())
    right = harness.write(tmp_path / "right.yaml", KEYED.encode())
    for name in "ab":
        harness.write_gz(source / f"{name}.gz", harness.lines(harness.tiny(i + 20000 * (name == "b"), s=f"s{i}") for i in range(20000)))
        harness.run(wrong, source, table, *ALWAYS)
    moment = random.Random(seed)
    for _ in range(3):
        process = harness.Process("quarantine", right, "replay", "--source", source, "--table", table, "--threads", "2")
        time.sleep(moment.random() * 1.5)
        process.kill()
        process.wait()
    if seed == 1:
        harness.run(right, source, table)
    replay(right, source, table)
    assert sorted(row["id"] for row in harness.read_table(table)) == list(range(40000))
    assert harness.leftovers(table) == []


def test_two_replays_and_a_run_at_once(waiting, tmp_path):
    job, source, base, rows = waiting
    table = shutil.copytree(base, tmp_path / "table")
    words = [["quarantine", job, "replay"], ["quarantine", job, "replay"], ["run", job]]
    processes = [harness.Process(*word, "--source", source, "--table", table, "--json", *ALWAYS) for word in words]
    results = [process.wait() for process in processes]
    assert all(result.status == 0 for result in results), results
    assert sum(result.json["rows_written"] for result in results) == len(rows) - len(harness.read_table(base))
    assert rows_of(table) == rows


def test_the_job_file_may_change_under_an_unfinished_replay(waiting, tmp_path):
    """The plan of a replay that died belongs to its own job file: with another one the files are planned anew."""
    if harness.SANITIZED:
        pytest.skip("the sanitizers replace the same functions")
    job, source, base, rows = waiting
    table = shutil.copytree(base, tmp_path / "table")
    other = harness.write(tmp_path / "other.yaml", REPAIRED.replace("  unique_by", "  compression_level: 2\n  unique_by").encode())
    environment = {"LD_PRELOAD": str(SHIMS / "failio.so"), "FAULT_IO_AT": "25", "FAULT_IO_ACTION": "kill"}
    replay(job, source, table, "--threads", "1", *ALWAYS, status=-9, env=environment)
    replay(other, source, table, *ALWAYS)
    assert rows_of(table) == rows
    assert harness.leftovers(table) == []


def test_a_damaged_file_is_named_and_holds_up_no_run(waiting, tmp_path):
    job, source, base, rows = waiting
    table = shutil.copytree(base, tmp_path / "table")
    path = table / "_gristmill/tiny/quarantine/00000001/00000.ndjson.gz"
    sound = path.read_bytes()
    path.write_bytes(sound[:-30])
    name = "_gristmill/tiny/quarantine/00000001/00000.ndjson.gz"
    for word in ("list", "show", "replay"):
        flags = ALWAYS if word == "replay" else []
        assert name in command(word, job, source, table, *flags, status=1).err, word
    before = rows_of(table)
    harness.run(job, source, table)
    assert rows_of(table) == before
    path.write_bytes(sound)
    replay(job, source, table, *ALWAYS)
    assert rows_of(table) == rows


def test_a_value_that_stops_a_replay_is_named_where_it_stood(source, table, tmp_path):
    harness.write(source / "a.json", b'{"id":1}\n' + harness.lines([harness.tiny(2)]) + b' {"id":3,"x":"no"}\n')
    lenient = KEYED.replace("required: true", "required: true, on_error: quarantine")
    harness.run(harness.write(tmp_path / "lenient.yaml", lenient.encode()), source, table)
    strict = KEYED.replace("from: x,", "from: x, on_error: fail,").replace("required: true, ", "")
    strict = harness.write(tmp_path / "strict.yaml", strict.replace("date_format(timestamp", "date_format(coalesce(timestamp, from_unixtime(0))").encode())
    failed = replay(strict, source, table, status=1)
    at = len(b'{"id":1}\n' + harness.lines([harness.tiny(2)]) + b" ")
    assert "a.json: column x" in failed.err and f"record 2, at byte {at}" in failed.err
    assert failed.json["committed"] is False
    result = harness.run(strict, source, table)
    assert result.json["inputs"] == 0 and "resuming" not in result.err


def test_an_ordinary_run_does_not_fail_with_a_replay(waiting, tmp_path):
    """A replay that died half done is taken up by the next run, finds its limit, and is given up; the run is done."""
    if harness.SANITIZED:
        pytest.skip("the sanitizers replace the same functions")
    job, source, base, rows = waiting
    table = shutil.copytree(base, tmp_path / "table")
    environment = {"LD_PRELOAD": str(SHIMS / "failio.so"), "FAULT_IO_AT": "25", "FAULT_IO_ACTION": "kill"}
    replay(job, source, table, "--threads", "1", *ALWAYS, status=-9, env=environment)
    result = harness.run(job, source, table, "--max-quarantine", "1")
    assert result.json["inputs"] == 0 and "resuming run 2" in result.err
    assert len(harness.read_table(table)) == len(harness.read_table(base))
    replay(job, source, table, *ALWAYS)
    assert rows_of(table) == rows


# --- List and show ------------------------------------------------------------------------------------------------------


def test_list_and_show_say_what_the_files_hold(waiting):
    job, source, table, _ = waiting
    entries = harness.quarantine(table)
    groups = listing(job, source, table)
    for group in groups["groups"]:
        of = [e for e in entries if e["reason"] == group["reason"]]
        assert (group["entries"], group["bytes"], group["objects"]) == (
            len(of), sum(e["bytes"] for e in of), len({e["object"] for e in of}))
    assert groups["entries"] == len(entries) == groups["not_replayed"]
    shown = [json.loads(line) for line in command("show", job, source, table, "--json").out.splitlines()]
    assert len(shown) == len(entries)
    for got, kept in zip(shown, entries):
        assert got.pop("run") == 1 and got.pop("replayed_by") is None
        got["raw"] = base64.b64decode(got["raw"]) if got["encoding"] == "base64" else got["raw"].encode()
        assert got == kept


def test_show_chooses(waiting):
    job, source, table, _ = waiting
    entries = harness.quarantine(table)

    def count(*flags):
        return len(command("show", job, source, table, "--json", *flags).out.splitlines())

    assert count("--reason", "bad_value") == len([e for e in entries if e["reason"] == "bad_value"])
    assert count("--object", "0/b.json") == len([e for e in entries if e["object"] == "0/b.json"])
    assert count("--object", "0/b.json", "--reason", "not_json", "--limit", "3") == 3
    assert count("--object", "nothing") == 0
    assert command("show", job, source, table, "--object", "nothing").out == "nothing of that is in quarantine\n"
    assert "'too_blue' is no reason" in command("show", job, source, table, "--reason", "too_blue", status=2).err
    assert "run 7 of this job is not committed" in command("list", job, source, table, "--run", "7", status=2).err


def test_shown_bytes_cannot_drive_the_terminal(source, table, tiny_job):
    harness.write(source / "a.json", b'{"id":1,"s":"\x1b[31m\xff","t":\xe2\x80\xae}\n' + harness.lines([harness.tiny(2)]))
    harness.run(tiny_job, source, table)
    out = command("show", tiny_job, source, table).out
    assert "\x1b" not in out and "\u202e" not in out and "\\x1B[31m\\xFF" in out


def test_nothing_is_in_quarantine(source, table, tiny_job, tmp_path):
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    assert command("list", tiny_job, source, tmp_path / "none").out == "nothing is in quarantine\n"
    assert "none" in replay(tiny_job, source, tmp_path / "none", status=1).err
    harness.run(tiny_job, source, table)
    assert command("list", tiny_job, source, table).out == "nothing is in quarantine\n"
    assert listing(tiny_job, source, table)["groups"] == []
    assert command("replay", tiny_job, source, table).out == "nothing to replay\n"
    assert not (tmp_path / "none").exists()


def test_spans_larger_than_memory(source, table, tmp_path):
    """An unbroken array of 100 MB behind one record that is too large: one entry, shown and replayed in little memory."""
    job = KEYED.replace("format: json", "format: json, max_record: 1MiB")
    broken = harness.write(tmp_path / "broken.yaml", job.encode())
    repaired = harness.write(tmp_path / "repaired.yaml", job.replace("1MiB", "4MiB").encode())
    record = harness.tiny(0, s="x" * 2_000_000)
    many = 60_000
    with gzip.open(source / "a.gz", "wb", 1) as out:
        out.write(b"[" + harness.dump(record))
        for i in range(1, many):
            out.write(b"," + harness.dump(harness.tiny(i, s="y" * 1600)))
        out.write(b"]")
    first = harness.run(broken, source, table, *ALWAYS).json
    assert (first["records_read"], first["quarantined"]) == (1, 1) and first["bytes_raw"] > 90_000_000
    shown = command("show", broken, source, table, "--json", measure=True)
    assert len(shown.out) > 120_000_000
    result = replay(repaired, source, table, "--memory", "64M", "--threads", "1", measure=True)
    assert result.json["rows_written"] == many and result.json["bytes_raw"] == first["quarantined_bytes"]
    if not harness.SANITIZED:
        assert shown.peak < 32 * harness.MIB and result.peak < 80 * harness.MIB, (shown.peak, result.peak)

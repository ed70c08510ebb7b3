"""`gristmill verify`: a sound table has no findings; every kind of damage, done on purpose, is found, named, and told apart from
the others."""
import ctypes
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

import harness
from harness import gristmill

deltalake = pytest.importorskip("deltalake")
RUNS = 23  # so that there are two checkpoints, and entries after the last

JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  partition_by:").replace("columns:", 'where: "id <> 5"\ncolumns:')


def documents(run):
    """Fresh ones on two days, one that came before, one that `where` filters, one that is no JSON."""
    fresh = [harness.tiny(100 * run + i, s=f"{'abc'[i % 3]}{i}", ok=i % 2 == 0, x=i / 4) for i in range(40)]
    fresh += [harness.tiny(100 * run + 50 + i, t=harness.T0 + harness.DAY_MS + i) for i in range(10)]
    again = [fresh[0]] + ([harness.tiny(100 * (run - 1), s="again")] if run > 1 else [])
    return harness.lines(fresh + again + [harness.tiny(5)]) + b'{"id":\n'


class Work:
    """A job, its source and its table, to be damaged."""

    def __init__(self, folder):
        self.folder = folder
        self.job, self.source, self.table = folder / "job.yaml", folder / "source", folder / "table"
        self.log, self.state = self.table / "_delta_log", self.table / "_gristmill" / "tiny"

    def run(self, *flags, **options):
        return harness.run(self.job, self.source, self.table, "--threads", "1", *flags, **options)

    def verify(self, *flags, status=None, **options):
        return gristmill("verify", self.job, "--source", self.source, "--table", self.table, "--json", *flags, status=status, **options)

    def findings(self, *flags, faults=True):
        """What verify finds: (code, object) of faults, or of notes. The exit status and the sums must agree with it."""
        result = self.verify(*flags)
        report = result.json
        told = [f for f in report["findings"] if f["fault"]]
        notes = [f for f in report["findings"] if not f["fault"]]
        assert report["faults"] == len(told) and report["notes"] == len(notes), report
        assert result.status == (1 if told else 0), result
        assert all(f["detail"] for f in told + notes), report
        return [(f["code"], f["object"]) for f in (told if faults else notes)]

    def path(self, path):
        return str(path.relative_to(self.table))

    def entry(self, version):
        return self.log / f"{version:020}.json"

    def edit_entry(self, version, edit):
        """Each action of an entry goes through edit."""
        lines = [json.loads(line) for line in self.entry(version).read_text().splitlines()]
        self.entry(version).write_text("".join(json.dumps(edit(action)) + "\n" for action in lines))


def build(folder):
    work = Work(folder)
    work.source.mkdir(parents=True)
    harness.write(work.job, JOB.encode())
    for run in range(1, RUNS + 1):
        harness.write_gz(work.source / f"{run:03}.gz", documents(run))
        summary = work.run().json
        assert summary["rows_written"] == 50 and summary["filtered"] == 1 and summary["quarantined"] == 1, summary
        assert summary["duplicates"] == (1 if run == 1 else 2), summary
    return work


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return build(tmp_path_factory.mktemp("verify") / "work")


@pytest.fixture
def work(sound, tmp_path):
    """A copy, times of files included."""
    shutil.copytree(sound.folder, tmp_path / "work")
    return Work(tmp_path / "work")


def tree(folder):
    """Every file with its bytes and time."""
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def flip(path, at):
    """Another byte at that place, from the end if it is negative."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


# --- A sound table ------------------------------------------------------------------------------------------------------


def test_sound(sound):
    before = tree(sound.folder)
    report = sound.verify(status=0).json
    assert report["findings"] == [] and report["complete"] is True
    assert report["version"] == RUNS - 1 and report["commits"] == report["runs"] == RUNS
    assert report["checkpoints"] == len(list(sound.log.glob("*.checkpoint.parquet"))) == 2
    assert report["files"] == 2 * RUNS == len(harness.data_files(sound.table)) and report["foreign_files"] == 0
    assert report["rows"] == report["keys"] == 50 * RUNS == len(harness.read_table(sound.table))
    assert report["bytes"] == sum(p.stat().st_size for p in harness.data_files(sound.table))
    assert [report[name] for name in ("objects", "processed", "pending", "unprocessed", "gone")] == [RUNS, RUNS, 0, 0, 0]
    assert tree(sound.folder) == before, "it writes"


def test_sound_without_job_file(sound):
    report = gristmill("verify", sound.table, "--json").json
    assert report["findings"] == [] and report["keys"] == 50 * RUNS and report["objects"] == 0


def test_sound_quick(sound):
    report = sound.verify("--quick", status=0).json
    assert report["findings"] == [] and report["runs"] == RUNS and report["keys"] == 0


def test_text(sound):
    result = gristmill("verify", sound.job, "--source", sound.source, "--table", sound.table)
    assert re.match(rf"proved: version {RUNS - 1}: 46 files, 1,150 rows", result.out)
    assert "23 processed, 0 pending, 0 not yet processed; 0 processed are gone" in result.out


def test_memory(sample, sample_table):
    result = gristmill("verify", harness.MAIN_JOB, "--source", sample, "--table", sample_table[0], "--json", "--memory", "64M", measure=True)
    assert result.json["findings"] == [] and result.json["keys"] == sample_table[1]["rows_written"]
    if not harness.SANITIZED:
        assert result.peak < 64 << 20, result.peak


def test_after_state_changes(work):
    """Rewinding, forgetting and what follows: the bookmark is proved against the chain."""
    gristmill("bookmark", work.job, "forget", "003.gz", "--reason", "a test", "--source", work.source, "--table", work.table)
    assert work.findings() == []
    report = work.verify().json
    assert (report["processed"], report["unprocessed"]) == (RUNS - 1, 1)
    work.run()
    gristmill("bookmark", work.job, "rewind", "--to", "2020-01-01", "--reason", "a test", "--source", work.source, "--table", work.table)
    report = work.verify().json
    assert (report["faults"], report["processed"], report["unprocessed"]) == (0, 0, RUNS)
    assert work.run().json["duplicates"] == 52 * RUNS - 1
    assert work.findings() == []


def test_while_runs_are_at_work(work):
    """Commits, checkpoints and bookmarks that come while the proof is made are no damage. Files that are being published are told."""

    def keep_running():
        for run in range(RUNS + 1, RUNS + 13):
            harness.write_gz(work.source / f"{run:03}.gz", documents(run))
            work.run()

    runner = threading.Thread(target=keep_running)
    runner.start()
    proofs = 0
    while runner.is_alive():
        found = work.findings()
        assert {code for code, _ in found} <= {"STRAY_CLAIMED"}, found
        proofs += 1
    runner.join()
    assert proofs > 2 and work.findings() == []


def test_unpartitioned(tmp_path, source, table):
    job = JOB.replace("  partition_by:\n", "").replace("    - {name: day, type: string, expr: \"date_format(timestamp, '%Y-%m-%d')\", comment: the record's day}\n", "")
    harness.write(tmp_path / "job.yaml", job.encode())
    harness.write(source / "a.json", documents(1))
    harness.run(tmp_path / "job.yaml", source, table)
    assert gristmill("verify", table, "--json").json["findings"] == []
    harness.write(table / "notes.txt", b"x")
    report = gristmill("verify", table, "--json", status=1).json
    assert [(f["code"], f["object"]) for f in report["findings"]] == [("STRAY_FOREIGN", "notes.txt")]


def test_older_format(tmp_path):
    """Before the first run of today's program, and after it."""
    formats = pathlib.Path(__file__).parent / "formats"
    shutil.copytree(formats / "1", tmp_path / "work")
    for path in (tmp_path / "work" / "input").iterdir():
        os.utime(path, (1_710_115_200, 1_710_115_200))
    work = Work(tmp_path / "work")
    work.source = tmp_path / "work" / "input"
    assert work.findings() == []
    assert [code for code, _ in work.findings(faults=False)] == ["OLD_FORMAT"]
    work.run()
    report = work.verify(status=0).json
    assert report["findings"] == [] and report["runs"] == 2 and report["files"] == 3 and report["processed"] == 3


# --- Files --------------------------------------------------------------------------------------------------------------


def test_byte_in_a_page(work):
    path = harness.data_files(work.table)[3]
    flip(path, 60)
    assert work.findings() == [("PAGE_DAMAGED", work.path(path))]
    assert work.findings("--quick") == []


def test_byte_between_pages_and_footer(work):
    """The page index and bloom filters have no CRC of their own: the hash of the whole file tells."""
    path = harness.data_files(work.table)[3]
    data = path.read_bytes()
    flip(path, len(data) - 8 - int.from_bytes(data[-8:-4], "little") - 3)
    assert work.findings() == [("FILE_HASH", work.path(path))]


@pytest.mark.parametrize("at", [-1, -6, -20])
def test_byte_in_the_footer(work, at):
    path = harness.data_files(work.table)[3]
    flip(path, at)
    (code, name), = work.findings()
    assert code in ("FILE_DAMAGED", "FILE_HASH") and name == work.path(path)


def test_cut_file(work):
    path = harness.data_files(work.table)[3]
    path.write_bytes(path.read_bytes()[:-1])
    for flags in ([], ["--quick"]):
        assert work.findings(*flags) == [("FILE_SIZE", work.path(path))]


def test_deleted_files(work):
    first, second = harness.data_files(work.table)[3:5]
    first.unlink()
    second.unlink()
    for flags in ([], ["--quick"]):
        assert sorted(work.findings(*flags)) == [("FILE_MISSING", work.path(first)), ("FILE_MISSING", work.path(second))]


def test_file_replaced_by_another(work):
    """Sound Parquet, the right size by chance or not: other bytes than its run wrote."""
    first, second = [p for p in harness.data_files(work.table) if "03-10" in str(p)][5:7]
    second.write_bytes(first.read_bytes())
    codes = {code for code, name in work.findings()}
    assert codes in ({"FILE_SIZE"}, {"FILE_HASH", "KEY_TWICE"}), codes


def last_add(work, edit):
    """Changes the first add action of the last entry, which no checkpoint holds."""
    done = []

    def apply(action):
        if "add" in action and not done:
            done.append(action["add"]["path"])
            edit(action["add"])
        return action

    work.edit_entry(RUNS - 1, apply)
    return done[0]


def edit_stats(work, edit):
    def apply(add):
        stats = json.loads(add["stats"])
        edit(stats)
        add["stats"] = json.dumps(stats)

    return last_add(work, apply)


def test_wrong_number_of_records(work):
    path = edit_stats(work, lambda stats: stats.update(numRecords=stats["numRecords"] + 1))
    for flags in ([], ["--quick"]):
        assert work.findings(*flags) == [("FILE_ROWS", path)]


@pytest.mark.parametrize("part, column, value", [
    ("minValues", "id", 2301), ("maxValues", "id", 2338), ("minValues", "s", "a1"), ("maxValues", "s", "c"), ("minValues", "x", 0.25),
    ("maxValues", "x", 9.5), ("minValues", "timestamp", "2024-03-10T00:00:02.301Z"), ("maxValues", "timestamp", "2024-03-10T00:00:02.338Z"),
    ("nullCount", "id", 1), ("nullCount", "s", 3),
])
def test_wrong_statistics(work, part, column, value):
    def edit(stats):
        assert column in stats[part] and stats[part][column] != value, stats
        stats[part][column] = value

    path = edit_stats(work, edit)
    assert work.findings() == [("FILE_STATS", path)]
    assert work.findings("--quick") == []


def test_wider_statistics_hold(work):
    def edit(stats):
        stats["minValues"].update(id=-5, s="", x=-1e300, timestamp="2023-01-01T00:00:00.000Z")
        stats["maxValues"].update(id=10**12, s="c\U0010ffff", x=1e300, timestamp="2025-01-01T00:00:00.000Z")
        del stats["nullCount"]["ok"]

    edit_stats(work, edit)
    assert work.findings() == []


def test_folder_of_another_partition(work):
    path = last_add(work, lambda add: add["partitionValues"].update(day="2024-03-20"))
    assert work.findings() == [("FILE_PARTITION", path)]


def test_file_that_no_books_name(work):
    """An add of a file that is named like one of a run."""
    path = next(p for p in harness.data_files(work.table) if "00000023-00000-0000" in p.name)
    copy = path.with_name(path.name.replace("-00000-0000-", "-00000-0007-"))
    shutil.copy(path, copy)

    def edit(action):
        return action

    work.edit_entry(RUNS - 1, edit)
    text = work.entry(RUNS - 1).read_text()
    add = next(line for line in text.splitlines() if '"add"' in line and path.name in line)
    with open(work.entry(RUNS - 1), "a") as stream:
        stream.write(add.replace(path.name, copy.name) + "\n")
    found = work.findings()
    assert ("FILE_UNKNOWN", work.path(copy)) in found and "BALANCE" in {code for code, _ in found}


# --- Keys ---------------------------------------------------------------------------------------------------------------


def append(work, rows):
    """Rows by delta-rs, as another writer would."""
    import pyarrow as pa

    dataset = deltalake.DeltaTable(str(work.table))
    schema = pa.schema(dataset.schema().to_arrow())
    columns = {name: [row.get(name) for row in rows] for name in schema.names}
    deltalake.write_deltalake(str(work.table), pa.table(columns, schema=schema), mode="append")


def test_key_twice(work):
    append(work, [{"id": 1700, "day": "2024-03-10"}, {"id": 9_000_000, "day": "2024-03-10"}])
    (code, path), = work.findings()
    assert code == "KEY_TWICE"
    (finding,) = work.verify().json["findings"]
    assert finding["detail"].startswith("1 rows have a key") and "id = 1700" in finding["detail"]
    assert work.findings("--quick") == []
    assert gristmill("verify", work.table, "--json", status=1).json["faults"] == 1


def test_key_in_two_partitions_is_a_note(work):
    append(work, [{"id": 1700, "day": "2024-03-11"}])
    assert work.findings() == []
    (code, _), = work.findings(faults=False)
    assert code == "KEY_IN_PARTITIONS"
    # A third one, in the partition of the second.
    append(work, [{"id": 1700, "day": "2024-03-11"}])
    assert [code for code, _ in work.findings()] == ["KEY_TWICE"]


def test_null_keys_are_no_duplicates(work):
    append(work, [{"id": None, "day": "2024-03-10"}, {"id": None, "day": "2024-03-10"}])
    assert work.findings() == [] == work.findings(faults=False)


def test_many_keys_spill(tmp_path, source, table):
    """More keys than fit into their share of memory, each twice, across partitions; with the least memory there is."""
    job = harness.write(tmp_path / "job.yaml", harness.TINY_JOB.encode())  # without unique_by: a run keeps all
    keyed = harness.write(tmp_path / "keyed.yaml", JOB.replace("job: tiny", "job: keyed").encode())
    count = 150_000
    harness.write(source / "a.json", b"".join(b'{"id":%d,"t":%d}\n' % (i, harness.T0) for i in range(count)))
    harness.write(source / "b.json", b"".join(b'{"id":%d,"t":%d}\n' % (i, harness.T0 + harness.DAY_MS * (i % 2)) for i in range(count)))
    harness.run(job, source, table)
    empty = tmp_path / "empty"
    harness.write(empty / "x.json", b'{"id":-1,"t":0}\n')
    harness.run(keyed, empty, table)
    report = gristmill("verify", table, "--json", "--memory", "32M", status=1).json
    twice, notes = [f for f in report["findings"] if f["fault"]], [f for f in report["findings"] if not f["fault"]]
    assert {f["code"] for f in twice} == {"KEY_TWICE"} and {f["code"] for f in notes} == {"KEY_IN_PARTITIONS"}
    rows = lambda findings: sum(int(f["detail"].split()[0]) for f in findings)
    assert rows(twice) == count // 2 and rows(notes) == count // 2
    assert report["keys"] == 2 * count + 1


# --- Strays -------------------------------------------------------------------------------------------------------------


def test_foreign_stray(work):
    path = work.table / "day=2024-03-10" / "part-0.parquet"
    shutil.copy(harness.data_files(work.table)[0], path)
    harness.write(work.table / "day=2024-03-10" / "_hidden" / "x.parquet", b"x")
    harness.write(work.table / "day=2024-03-10" / ".hidden.parquet", b"x")
    harness.write(work.table / "README.md", b"x")
    for flags in ([], ["--quick"]):
        assert work.findings(*flags) == [("STRAY_FOREIGN", work.path(path))]


def forge_plan(work, number, parent):
    """A plan as a runner would leave it, with one new object; the name its file would have."""
    plan = json.loads((work.state / "plans" / f"{RUNS:08}.json").read_text())
    plan.update(plan=number, parent=parent)
    plan["units"][0]["inputs"][0]["key"] = "new.gz"
    harness.write(work.state / "plans" / f"{number:08}.json", json.dumps(plan).encode())
    ours = harness.data_files(work.table)[-1]
    stray = ours.with_name(re.sub(r"-\d{8}-", f"-{number:08}-", ours.name, count=1))
    shutil.copy(ours, stray)
    return stray


def test_stray_of_a_dead_run(work):
    stray = forge_plan(work, 99, 4)
    assert work.findings() == [("STRAY_DEAD", work.path(stray))]
    (finding,) = work.verify().json["findings"]
    assert (finding["job"], finding["run"]) == ("tiny", 99)


def test_stray_of_a_claimed_run(work):
    stray = forge_plan(work, 99, RUNS)
    claims = sorted((work.table / "_gristmill" / "claims").iterdir())
    claim = json.loads(claims[-1].read_text())
    claim.update(plan=99, claim=claim["claim"] + 1)
    harness.write(claims[-1].with_name(f"{claim['claim']:08}.json"), json.dumps(claim).encode())
    harness.write_gz(work.source / "new.gz", documents(50))
    harness.write_gz(work.source / "newer.gz", documents(51))
    report = work.verify(status=1).json
    (finding,) = report["findings"]
    assert (finding["code"], finding["object"], finding["run"]) == ("STRAY_CLAIMED", work.path(stray), 99)
    assert "is being published" in finding["detail"]
    assert (report["processed"], report["pending"], report["unprocessed"]) == (RUNS, 1, 1)


def test_stray_named_like_a_file_of_a_committed_run(work):
    path = harness.data_files(work.table)[0]
    copy = path.with_name(path.name.replace("-0000-", "-0009-"))
    shutil.copy(path, copy)
    assert work.findings() == [("STRAY_FOREIGN", work.path(copy))]


def test_stray_that_a_commit_removed(work):
    gone = [p for p in harness.data_files(work.table) if "03-11" in str(p)]
    deltalake.DeltaTable(str(work.table)).delete("day = '2024-03-11'")
    for flags in ([], ["--quick"]):
        assert sorted(work.findings(*flags)) == sorted(("STRAY_REMOVED", work.path(p)) for p in gone)
    for path in gone:
        path.unlink()
    assert work.findings() == []


# --- Books, plans, bookmark ---------------------------------------------------------------------------------------------


def books(work, run):
    return work.state / "runs" / f"{run:08}.json.zst"


def edit_books(work, run, edit):
    text = json.loads(subprocess.run(["zstd", "-dc", books(work, run)], capture_output=True, check=True).stdout)
    edit(text)
    packed = subprocess.run(["zstd", "-c", "--stream-size", str(len(json.dumps(text)))], input=json.dumps(text).encode(), capture_output=True, check=True)
    books(work, run).write_bytes(packed.stdout)


@pytest.mark.parametrize("flags", [[], ["--quick"]], ids=["full", "quick"])
def test_edited_books(work, flags):
    edit_books(work, 7, lambda text: text["inputs"][0]["balance"].update(rows_written=49, duplicates=3))
    assert work.findings(*flags) == [("BOOKS_HASH", work.path(books(work, 7)))]


def test_books_that_are_written_otherwise_but_say_the_same(work):
    edit_books(work, 7, lambda text: None)
    assert work.findings() == []


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"garbage"),
                                    lambda path: path.write_bytes(path.read_bytes()[:-9])], ids=["gone", "garbage", "cut"])
def test_damaged_books(work, damage):
    damage(books(work, 7))
    assert work.findings() == [("BOOKS_DAMAGED", work.path(books(work, 7)))]


@pytest.mark.parametrize("metric, told", [("numOutputRows", "rows written"), ("recordsRead", "records read"), ("duplicates", "duplicates"),
                                          ("numOutputBytes", "bytes of files"), ("objects", "objects"), ("numFiles", "files")])
def test_totals_of_a_commit(work, metric, told):
    def edit(action):
        metrics = action.get("commitInfo", {}).get("operationMetrics", {})
        if metric in metrics:
            metrics[metric] = str(int(metrics[metric]) + 1)
        return action

    work.edit_entry(8, edit)
    assert work.findings() == [("BALANCE", work.path(books(work, 9)))]
    (finding,) = work.verify().json["findings"]
    assert finding["detail"].startswith(told) and finding["version"] == 8


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3_128(data):
    """By the library itself."""
    call = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
    call.restype, call.argtypes = Hash128, [ctypes.c_char_p, ctypes.c_size_t]
    digest = call(data, len(data))
    return f"{digest.high:016x}{digest.low:016x}"


def test_books_that_do_not_balance(work):
    """As a faulty program would have committed them: the hash agrees, the sums do not."""
    changed = {}

    def edit(text):
        text["inputs"][0]["balance"]["filtered"] += 1
        canonical = json.dumps(text, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        changed["hash"] = xxh3_128(canonical)

    edit_books(work, 9, edit)

    def rehash(action):
        if "commitInfo" in action:
            action["commitInfo"]["operationParameters"]["books"] = changed["hash"]
        return action

    work.edit_entry(8, rehash)
    found = work.verify().json["findings"]
    assert {f["code"] for f in found} == {"BALANCE"} and all(f["run"] == 9 for f in found)
    assert any("object 009.gz: the books do not balance" in f["detail"] for f in found)


@pytest.mark.parametrize("kind", ["quarantine", "duplicates"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: flip(path, 30), lambda path: path.write_bytes(path.read_bytes()[:-4])],
                         ids=["gone", "flipped", "cut"])
def test_files_kept_with_a_run(work, kind, damage):
    path = next((work.state / kind / f"{4:08}").iterdir())
    damage(path)
    assert work.findings() == [("KEPT_FILE", work.path(path))]


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:50])], ids=["gone", "cut"])
def test_damaged_plan(work, damage):
    path = work.state / "plans" / f"{6:08}.json"
    damage(path)
    for flags in ([], ["--quick"]):
        assert work.findings(*flags) == [("PLAN_DAMAGED", work.path(path))]


def test_plan_with_another_object(work):
    path = work.state / "plans" / f"{6:08}.json"
    plan = json.loads(path.read_text())
    plan["units"][0]["inputs"][0]["size"] += 1
    path.write_text(json.dumps(plan))
    assert ("PLAN_DAMAGED", work.path(path)) in work.findings()


def bookmarks(work):
    return sorted((work.state / "bookmark").iterdir())


def test_garbage_bookmark(work):
    path = bookmarks(work)[-1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (code, name), = work.findings()
    assert code == "BOOKMARK" and name == work.path(path)


def test_bookmark_that_knows_another_object(work):
    """The plans say what was processed; a bookmark that was made of others is found."""
    for path in sorted((work.state / "plans").glob("*.json")):
        plan = json.loads(path.read_text())
        if plan["plan"] == 3:
            plan["units"][0]["inputs"][0]["key"] = "003x.gz"
            path.write_text(json.dumps(plan))
    codes = [code for code, _ in work.findings()]
    assert "BOOKMARK" in codes and "PLAN_DAMAGED" in codes


# --- The log ------------------------------------------------------------------------------------------------------------


def test_missing_entry_before_a_checkpoint(work):
    work.entry(5).unlink()
    for flags in ([], ["--quick"]):
        assert work.findings(*flags) == [("LOG_GAP", work.path(work.entry(5)))]


def test_missing_entry_after_the_last_checkpoint(work):
    """Nothing can be said of the newest version then."""
    work.entry(RUNS - 2).unlink()
    report = work.verify(status=1).json
    assert [(f["code"], f["object"]) for f in report["findings"]] == [("LOG_GAP", work.path(work.entry(RUNS - 2)))]
    assert report["complete"] is False and report["version"] is None
    text = gristmill("verify", work.table, status=1).out
    assert "not proved" in text and "were not looked at" in text


def test_garbage_entry(work):
    work.entry(5).write_text("garbage\n")
    assert work.findings() == [("LOG_DAMAGED", work.path(work.entry(5)))]


def test_garbage_entry_after_the_last_checkpoint(work):
    work.entry(RUNS - 2).write_text("garbage\n")
    assert work.findings() == [("LOG_DAMAGED", work.path(work.entry(RUNS - 2)))]


def test_transactions_out_of_order(work):
    def edit(action):
        if action.get("txn", {}).get("appId") == "gristmill/tiny":
            action["txn"]["version"] = 2
        return action

    work.edit_entry(8, edit)
    assert ("LOG_ORDER", work.path(work.entry(8))) in work.findings()


def test_log_put_back(work):
    for version in range(15, RUNS):
        work.entry(version).unlink()
    for path in work.log.glob(f"{20:020}.checkpoint*"):
        path.unlink()
    codes = {code for code, _ in work.findings()}
    assert "LOG_FORGOT" in codes
    assert codes <= {"LOG_FORGOT", "STRAY_CLAIMED", "STRAY_FOREIGN", "STRAY_DEAD"}


def test_log_removed(work):
    shutil.rmtree(work.log)
    codes = {code for code, _ in work.findings()}
    assert "LOG_FORGOT" in codes


def checkpoint(work, version):
    return work.log / f"{version:020}.checkpoint.parquet"


@pytest.mark.parametrize("version", [10, 20])
def test_damaged_checkpoint(work, version):
    path = checkpoint(work, version)
    path.write_bytes(path.read_bytes()[:-100])
    assert work.findings() == [("CHECKPOINT_DAMAGED", work.path(path))]


def rewrite(path, change):
    import pyarrow.parquet as pq

    table = change(pq.read_table(path))
    pq.write_table(table, path)


@pytest.mark.parametrize("what", ["add", "txn"])
def test_checkpoint_that_lacks_something(work, what):
    """An older one, that nothing is read from as long as the newest is there."""
    path = checkpoint(work, 10)

    def change(table):
        rows = [i for i, value in enumerate(table.column(what).to_pylist()) if value is not None]
        return table.take([i for i in range(table.num_rows) if i != rows[-1]])

    rewrite(path, change)
    assert work.findings() == [("CHECKPOINT_WRONG", work.path(path))]
    assert work.findings("--quick") == []


def test_newest_checkpoint_that_lacks_a_file(work):
    """Then the table has it no longer, for all readers."""
    path = checkpoint(work, 20)
    lost = {}

    def change(table):
        adds = table.column("add").to_pylist()
        row = next(i for i, add in enumerate(adds) if add is not None)
        lost["path"] = adds[row]["path"]
        return table.take([i for i in range(table.num_rows) if i != row])

    rewrite(path, change)
    assert sorted(work.findings()) == [("CHECKPOINT_WRONG", work.path(path)), ("FILE_LOST", lost["path"])]
    assert sorted(work.findings("--quick")) == [("CHECKPOINT_WRONG", work.path(path)), ("FILE_LOST", lost["path"])]


def test_log_without_old_entries(work):
    """Cleaned, as the log's retention does: what was not kept is not asked for."""
    for version in range(20):
        work.entry(version).unlink()
    checkpoint(work, 10).unlink()
    report = work.verify(status=0).json
    assert report["findings"] == [] and report["commits"] == RUNS - 20 and report["runs"] == RUNS


# --- The source ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [[], ["--quick"]], ids=["full", "quick"])
def test_changed_object(work, flags):
    path = work.source / "004.gz"
    path.write_bytes(path.read_bytes() + path.read_bytes())
    os.utime(work.source / "006.gz", (1, 1))
    assert work.findings(*flags) == [("OBJECT_CHANGED", "004.gz"), ("OBJECT_CHANGED", "006.gz")]


def test_objects_that_came_and_went(work):
    (work.source / "004.gz").unlink()
    harness.write_gz(work.source / "0040.gz", documents(60))
    harness.write(work.source / "half.gz.tmp", b"x")
    report = work.verify(status=0).json
    assert [report[name] for name in ("objects", "processed", "pending", "unprocessed", "gone")] == [RUNS, RUNS - 1, 0, 1, 1]


# --- Others' tables -----------------------------------------------------------------------------------------------------


def test_table_of_another_engine(tmp_path):
    """Everything delta-rs writes is right, its statistics with all types too."""
    import datetime
    import decimal

    import pyarrow as pa

    start = datetime.datetime(2024, 3, 10, tzinfo=datetime.timezone.utc)
    table = pa.table({
        "day": ["a", "b", None, "a b/c%"] * 50,
        "n": pa.array([None if i % 7 == 0 else i - 100 for i in range(200)], pa.int32()),
        "big": pa.array([i << 40 for i in range(200)], pa.int64()),
        "x": pa.array([float("nan") if i % 5 == 0 else -i / 8 for i in range(200)]),
        "s": ["x" * i + "é\U0001f600" for i in range(200)],
        "t": pa.array([start + datetime.timedelta(microseconds=1_234_567 * i) for i in range(200)], pa.timestamp("us", tz="UTC")),
        "d": pa.array([datetime.date(1960 + i, 1, 1) for i in range(200)]),
        "ok": [i % 3 == 0 for i in range(200)],
        "money": pa.array([decimal.Decimal(i) / 100 for i in range(200)], pa.decimal128(12, 2)),
        "list": [[i, None, i + 1] if i % 4 else None for i in range(200)],
        "struct": [{"a": i, "b": str(i)} for i in range(200)],
    })
    path = tmp_path / "table"
    for _ in range(3):
        deltalake.write_deltalake(str(path), table, mode="append", partition_by=["day"])
    deltalake.DeltaTable(str(path)).create_checkpoint()
    deltalake.write_deltalake(str(path), table, mode="append")
    report = gristmill("verify", path, "--json").json
    assert [f for f in report["findings"] if f["fault"]] == []
    assert {f["code"] for f in report["findings"]} <= {"FILE_NOT_CHECKED"}
    assert report["files"] == report["foreign_files"] == 16 and report["rows"] == 800 and report["checkpoints"] == 1


# --- Usage --------------------------------------------------------------------------------------------------------------


def test_no_table(tmp_path):
    (tmp_path / "empty").mkdir()
    result = gristmill("verify", tmp_path / "empty", status=1)
    assert "there is no table here" in result.err and result.out == ""
    report = gristmill("verify", tmp_path / "empty", "--json", status=1).json
    assert report["error"]["code"] == "NOT_FOUND" and report["complete"] is False


def test_flags_of_a_job_for_a_table(sound):
    result = gristmill("verify", sound.table, "--source", sound.source, status=2)
    assert "--source needs a job file" in result.err


def test_findings_for_people(work):
    harness.data_files(work.table)[3].unlink()
    result = gristmill("verify", work.table, status=1)
    first, *rest = result.out.splitlines()
    assert re.match(r"FAIL  FILE_MISSING  day=\S+: the file is gone; run \d+ of job tiny wrote its \d+ bytes; restore", first)
    assert rest[0].startswith("not proved") and rest[-1].startswith("1 faults, 0 notes")
    quiet = gristmill("verify", work.table, "--quiet", status=1)
    assert quiet.out.splitlines() == [first] and quiet.err == ""


def test_every_finding_is_explained():
    header = (harness.ROOT / "include/gristmill.h").read_text()
    codes = re.findall(r"X\((\w+), (?:fault|note),", header)
    page = (harness.ROOT / "docs/verify.md").read_text()
    assert len(codes) > 20
    for code in codes:
        assert re.search(rf"(?m)^\| `{code}`( \(note\))? \|", page), code


# --- Faults of the machine ----------------------------------------------------------------------------------------------

SHIMS = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault"
unsanitized = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers replace the same functions")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    work = Work(tmp_path_factory.mktemp("faults") / "work")
    work.source.mkdir(parents=True)
    harness.write(work.job, JOB.encode())
    for run in range(1, 12):
        harness.write_gz(work.source / f"{run:03}.gz", documents(run))
        work.run()
    return work


def faulty(work, library, tmp_path, **settings):
    environment = {"LD_PRELOAD": str(SHIMS / library), **{name: str(value) for name, value in settings.items()}}
    return work.verify(env=environment, timeout=60)


def counted(work, library, prefix, tmp_path, **settings):
    report = tmp_path / "report"
    result = faulty(work, library, tmp_path, **{f"FAULT_{prefix}_REPORT": report}, **settings)
    assert result.status == 0, result
    return int(report.read_text().split()[0])


@unsanitized
def test_every_allocation_fails_once(small, tmp_path):
    """Never a false finding, never a false proof: out of memory is told as that. Small allocations are left alone: most are
    jansson's, which may read on with a byte less when one fails."""
    sizes = {"FAULT_ALLOC_BYTES": 2048}
    total = counted(small, "failalloc.so", "ALLOC", tmp_path, **sizes)
    for n in range(1, total + 1, max(1, total // 150)):
        result = faulty(small, "failalloc.so", tmp_path, FAULT_ALLOC_AT=n, **sizes)
        assert result.status in (0, 1, 2), f"allocation {n} of {total}: {result}"
        if result.status:
            assert "memory" in result.err, f"allocation {n} of {total}: {result}"
            assert '"fault":true' not in result.out, f"allocation {n} of {total}: {result}"
        else:
            assert result.json["findings"] == [], f"allocation {n} of {total}: {result}"


@unsanitized
def test_every_read_fails_once(small, tmp_path):
    """What cannot be read is a finding, or the end of the proof; it is never passed over."""
    calls = {"FAULT_IO_CALLS": "read,open", "FAULT_IO_BELOW": small.folder.resolve()}
    total = counted(small, "failio.so", "IO", tmp_path, **calls)
    silent = []
    for n in range(1, total + 1, max(1, total // 200)):
        result = faulty(small, "failio.so", tmp_path, FAULT_IO_AT=n, **calls, FAULT_IO_ACTION="fail", FAULT_IO_ERRNO="EIO")
        assert result.status in (0, 1, 2), f"call {n} of {total}: {result}"
        if result.status == 0:
            silent.append(n)
        else:
            assert "rror" in result.err + result.out, f"call {n} of {total}: {result}"
    assert not silent, f"calls {silent} of {total}"

"""scaling.py - how time and memory grow: with the objects of the source, runs, files of the table, files of a day.

    make scaling                                     all of it, into docs/scaling.md; about a quarter of an hour
    python3 bench/scaling.py --objects 1000,10000    some of it, printed; --objects '' leaves a table out

Each figure is one process of build/gristmill, measured from outside: user and system seconds (wall clock says more about the disk
and about whoever else is busy), the largest resident set. What is small is run three times and the least is told. Sources and tables
are made below $TMPDIR and removed."""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import bench

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "build" / "gristmill"
DOCUMENT = ROOT / "docs" / "scaling.md"
T0 = 1_710_028_800_000  # 2024-03-10
DAY_MS = 86_400_000
RECORD_OBJECTS = 100_000  # objects beyond these are empty
JOB = """\
job: scale
source: {location: ./source, plan_objects: %d}
table:
  location: ./table
  partition_by:
    - {name: day, type: string, expr: "date_format(t, '%%Y-%%m-%%d')"}
  unique_by: [id]
columns:
  - {name: id, type: string, from: id}
  - {name: t, type: timestamp, from: t, required: true}
  - {name: s, type: string, from: s}
"""


class Run:
    """One run of a job that has ended: milliseconds of CPU, peak in MiB, and what it printed as JSON."""

    def __init__(self, folder, *flags):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.NamedTemporaryFile("r") as usage:
            # Below GNU time, which is small: the kernel counts what the parent held at the fork as the child's.
            command = ["/usr/bin/time", "-q", "-f", "%M", "-o", usage.name, BINARY, "run", "job.yaml", "--json", "--quiet", *flags]
            process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
            _, status, spent = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            if process.returncode != 0:
                raise SystemExit(f"scaling: {err.read().decode()}")
            self.ms = (spent.ru_utime + spent.ru_stime) * 1000
            self.peak = int(usage.read()) / 1024
            self.json = json.loads(out.read().splitlines()[-1])


def least(folder, *flags):
    return min((Run(folder, *flags) for _ in range(3)), key=lambda run: run.ms)


def reads(folder):
    """Reads of table files by one run, as the kernel saw them; None without strace. It counts what S3 would see as requests."""
    if shutil.which("strace") is None:
        return None
    done = subprocess.run(["strace", "-f", "-c", "-e", "trace=pread64", BINARY, "run", "job.yaml", "--quiet"], cwd=folder,
                          capture_output=True, text=True)
    found = re.search(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+).* pread64$", done.stderr, re.M)  # %, seconds, microseconds a call, calls
    return int(found[1]) if done.returncode == 0 and found else None


def fresh(base, name, plan_objects=5000):
    folder = base / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "source").mkdir(parents=True)
    (folder / "job.yaml").write_text(JOB % plan_objects)
    return folder


def record(number, day=0):
    """Identifiers are as random as those of real logs: bounds exclude nothing."""
    digest = hashlib.md5(str(number).encode()).hexdigest()
    return json.dumps({"id": f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:]}",
                       "t": T0 + day * DAY_MS + number % DAY_MS, "s": f"value {number % 1000}"})


def lines(first, count, day=0):
    return "".join(record(number, day) + "\n" for number in range(first, first + count))


def name_of(i):
    """As a Firehose stream names its objects, a thousand an hour."""
    hour = i // 1000
    return (f"{2024 + hour // 8064}/{hour // 672 % 12 + 1:02}/{hour // 24 % 28 + 1:02}/{hour % 24:02}/"
            f"stream-1-2024-03-10-00-00-00-{hashlib.md5(str(i).encode()).hexdigest()}")


def put_objects(source, first, end):
    for i in range(first, end):
        path = source / name_of(i)
        if i % 1000 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        if i < RECORD_OBJECTS:
            os.write(file, (record(i) + "\n").encode())
        os.close(file)


# --- Tables -------------------------------------------------------------------------------------------------------------


def objects(base, counts):
    """Objects that are processed, and then the same again with nothing new."""
    rows = []
    folder, made = fresh(base, "objects"), 0
    for count in counts:
        put_objects(folder / "source", made, count)
        new, made = count - made, count
        first = Run(folder)
        assert len(first.json["runs"]) > 0, first.json
        nothing = least(folder)
        assert nothing.json["run"] is None, nothing.json
        bookmark = max((folder / "table/_gristmill/scale/bookmark").glob("*"), default=None)
        state = f"{bookmark.stat().st_size / count:.0f}" if bookmark and count >= 10_000 else "-"
        rows.append((count, f"{new / first.ms * 1000:,.0f}", f"{first.peak:.0f}", f"{nothing.ms:.0f}", f"{nothing.peak:.0f}", state))
    return ("objects", "planned and processed, a CPU second", "peak MiB", "nothing new, CPU ms", "peak MiB", "bookmark, bytes an object"), rows


def runs(base, counts):
    """A table that had this many runs, of one object each."""
    rows = []
    folder, made = fresh(base, "runs", plan_objects=1), 0
    for count in counts:
        for i in range(made, count):
            (folder / "source" / f"{i:06}.json").write_text(lines(i, 1, i % 30))
        made = count
        Run(folder)
        nothing = least(folder)
        (folder / "source" / f"{made:06}.json").write_text(lines(made * 1000, 1200, made % 30))
        made += 1
        one = Run(folder)
        assert one.json["rows_written"] == 1200, one.json
        state = sum(path.stat().st_size for path in (folder / "table" / "_gristmill" / "scale").rglob("*") if path.is_file())
        rows.append((count, f"{nothing.ms:.0f}", f"{nothing.peak:.0f}", f"{one.ms:.0f}", f"{one.peak:.0f}", f"{state / made:,.0f}"))
    return ("runs before", "nothing new, CPU ms", "peak MiB", "one new object of 150 KB, CPU ms", "peak MiB", "state, bytes a run"), rows


def write_log(folder, versions, each):
    """Entries after the first as this program writes them, of files that are not there: a run with nothing new opens none."""
    log = folder / "table" / "_delta_log"
    first = (log / f"{0:020}.json").read_text().splitlines()
    add = json.loads(next(line for line in first if line.startswith('{"add"')))
    path, day = add["add"]["path"], add["add"]["partitionValues"]["day"]
    text = json.dumps(add, separators=(",", ":"))
    for version in range(1, versions):
        rows = [first[0]]
        for k in range(each):
            number = version * each + k
            when = str(datetime.date(2010, 1, 1) + datetime.timedelta(number // 200))
            rows.append(text.replace(path, f"{path[:40]}{number:016x}.zstd.parquet").replace(day, when))
        (log / f"{version:020}.json").write_text("\n".join(rows) + "\n")
    return sum(entry.stat().st_size for entry in log.iterdir())


def log(base, shapes):
    """A log of this many versions and files: opened from its entries alone, with a checkpoint to write, and from the checkpoint."""
    rows = []
    for shape in shapes:
        versions, each = shape
        folder = fresh(base, "log")
        (folder / "source" / "a.json").write_text(lines(0, 1000))
        small = Run(folder) and least(folder)
        size = write_log(folder, versions, each)
        files = 1 + (versions - 1) * each
        entries = Run(folder, "--dry-run", "--memory", "2G")
        writing = Run(folder, "--memory", "2G")
        from_it = least(folder, "--memory", "2G")
        rows.append((versions, f"{files:,}", f"{size / 1e6:,.1f}", f"{entries.ms:,.0f}", f"{entries.peak:.0f}",
                     f"{(entries.peak - small.peak) * 1048576 / files:.0f}", f"{max(writing.ms - entries.ms, 0):,.0f}", f"{writing.peak:.0f}",
                     f"{from_it.ms:,.0f}", f"{from_it.peak:.0f}"))
    return ("versions", "live files", "entries, MB", "from entries alone, CPU ms", "peak MiB", "memory, bytes a file", "writing the checkpoint, CPU ms", "peak MiB",
            "nothing new, CPU ms", "peak MiB"), rows


def day_files(base, counts, records=2000):
    """One more object, half of whose records the table has, for a day with many files; then one for a day of its own."""
    rows = []
    folder, made = fresh(base, "files", plan_objects=1), 0
    for count in counts:
        for i in range(made, count):
            (folder / "source" / f"{i:06}.json").write_text(lines(i * records, records))
        made = count
        Run(folder)
        nothing = least(folder)
        probe = base / "probe"

        def one(day, first, traced=False):
            """By a copy of the table, so that each question is put to the same."""
            shutil.rmtree(probe, ignore_errors=True)
            shutil.copytree(folder, probe, copy_function=os.link)
            (probe / "source" / "new.json").write_text(lines(first, records, day))
            return reads(probe) if traced else Run(probe)

        first = (count - 1) * records + records // 2
        same, other = one(0, first), one(5, first)
        assert (same.json["duplicates"], other.json["duplicates"]) == (records // 2, 0), (same.json, other.json)
        seen = [one(day, first, True) for day in (0, 5)]
        shutil.rmtree(probe)
        each = f"{(seen[0] - seen[1]) / count:.1f}" if None not in seen else "-"
        rows.append((count, f"{count * records:,}", f"{nothing.ms:.0f}", f"{same.ms:.0f}", f"{same.peak:.0f}", each, f"{other.ms:.0f}", f"{other.peak:.0f}"))
    return ("files of the day", "rows", "nothing new, CPU ms", "an object of that day, CPU ms", "peak MiB", "reads a file", "an object of another day, CPU ms",
            "peak MiB"), rows


# --- All of it ----------------------------------------------------------------------------------------------------------


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---:|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join([f"{row[0]:,}", *row[1:]]) + " |" for row in rows])


def replace(text, name, rendered):
    """What stands between the two marks of a name; docs without them are an error, not left as they are."""
    new, count = re.subn(rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)", lambda marks: f"{marks[1]}{rendered}\n{marks[2]}", text, flags=re.S)
    if count != 1:
        raise SystemExit(f"scaling: {DOCUMENT.name} has no place for '{name}'")
    return new


def numbers(text):
    return [int(part) for part in text.split(",") if part]


def shapes(text):
    return [tuple(int(part) for part in shape.split("x")) for shape in text.split(",") if shape]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=numbers, default="1000,10000,100000,1000000", help="how many objects, ascending")
    parser.add_argument("--runs", type=numbers, default="10,100,1000", help="how many runs came before, ascending")
    parser.add_argument("--log", type=shapes, default="1000x1,10000x1,1000x100,8000x100", help="versions x files of each")
    parser.add_argument("--files", type=numbers, default="10,100,1000", help="how many files a day has, ascending")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scaling-") as scratch:
        for name, function in (("objects", objects), ("runs", runs), ("log", log), ("files", day_files)):
            given = getattr(options, name)
            if not given:
                continue
            rendered = table(*function(pathlib.Path(scratch), given))
            rendered += f"\n\n`bench/scaling.py` on {datetime.date.today().isoformat()}: {bench.machine()}."
            print(f"\n{name}\n{rendered}", flush=True)
            if options.write:
                DOCUMENT.write_text(replace(DOCUMENT.read_text(), name, rendered))


if __name__ == "__main__":
    main()

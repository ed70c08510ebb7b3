"""scaling.py - how time and memory grow: with the objects of the source, the versions of the log, the files of a day.

Run by `make scaling`; writes the tables of docs/scaling.md between its markers with --write. Each figure is one run of the
program, measured from outside; sources and tables are made below a temporary folder and removed."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "build" / "gristmill"
DOCUMENT = ROOT / "docs" / "scaling.md"
T0 = 1_710_028_800_000
JOB = """\
job: scale
source: {location: ./source}
table:
  location: ./table
  partition_by:
    - {name: day, type: string, expr: "date_format(t, '%Y-%m-%d')"}
  unique_by: [id]
columns:
  - {name: id, type: string, from: id}
  - {name: t, type: timestamp, from: t, required: true}
  - {name: s, type: string, from: s}
"""


def run(folder, *flags):
    """Runs the job; wall seconds, CPU seconds, peak MiB, and what it printed as JSON."""
    start = time.monotonic()
    done = subprocess.run(["/usr/bin/time", "-q", "-f", "%U %S %M", str(BINARY), "run", "job.yaml", "--json", "--quiet", *flags],
                          cwd=folder, capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        raise SystemExit(f"scaling: {done.stderr}")
    user, system, peak = done.stderr.split()[-3:]
    return seconds, float(user) + float(system), int(peak) / 1024, json.loads(done.stdout.splitlines()[-1])


def fresh(base, name):
    folder = base / name
    (folder / "source").mkdir(parents=True)
    (folder / "job.yaml").write_text(JOB)
    return folder


def record(number, day=0):
    return json.dumps({"id": f"{number:08x}-0000-4000-8000-{number * 7919 % (1 << 48):012x}", "t": T0 + day * 86_400_000 + number % 86_400_000,
                       "s": f"value {number % 1000}"})


def name_of(i):
    """As a Firehose stream names its objects, a thousand an hour."""
    hour = i // 1000
    return f"{2024 + hour // 8064}/{hour // 672 % 12 + 1:02}/{hour // 24 % 28 + 1:02}/{hour % 24:02}/stream-1-2024-03-10-00-00-{i % 1000:04}-{i:012x}.json"


def objects(base, counts):
    """Objects that are all processed already: what a run with nothing new costs."""
    rows = []
    folder, made = fresh(base, "objects"), 0
    for count in counts:
        for i in range(made, count):
            path = folder / "source" / name_of(i)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(record(i) + "\n")
        new = count - made
        made = count
        seconds, cpu, peak, result = run(folder)
        assert result["records_read"] == new, result
        nothing = min((run(folder) for _ in range(3)), key=lambda r: r[0])
        state = sum(p.stat().st_size for p in newest(folder / "table" / "_gristmill" / "scale" / "bookmark"))
        rows.append((f"{count:,}", f"{new / seconds:,.0f}", f"{peak:.0f}", f"{nothing[0] * 1000:.0f}", f"{nothing[2]:.0f}", f"{state / count:.1f}"))
    return ("objects", "planned and processed, objects/s", "peak MiB", "nothing new, ms", "peak MiB", "bookmark, bytes an object"), rows


def newest(folder):
    files = sorted(folder.iterdir()) if folder.exists() else []
    return files[-1:]


def log_versions(base, counts):
    """A log of many versions, one file each, opened with and without its checkpoints."""
    rows = []
    folder, made = fresh(base, "log"), 0
    for count in counts:
        for i in range(made, count):
            (folder / "source" / f"{i:06}.json").write_text(record(i, i % 30) + "\n")
        start, versions = time.monotonic(), count - made
        for _ in range(versions):
            run(folder, "--limit", "1")
        each = (time.monotonic() - start) / versions
        made = count
        with_checkpoint = min((run(folder) for _ in range(3)), key=lambda r: r[0])
        bare = base / "bare"
        shutil.copytree(folder / "table", bare / "table", copy_function=os.link)
        for path in [*(bare / "table" / "_delta_log").glob("*.parquet"), bare / "table" / "_delta_log" / "_last_checkpoint"]:
            path.unlink(missing_ok=True)
        (bare / "source").symlink_to(folder / "source")
        (bare / "job.yaml").write_text(JOB)
        without = run(bare, "--dry-run")
        shutil.rmtree(bare)
        rows.append((f"{count:,}", f"{each * 1000:.0f}", f"{with_checkpoint[0] * 1000:.0f}", f"{with_checkpoint[2]:.0f}",
                     f"{without[0] * 1000:.0f}", f"{without[2]:.0f}"))
    return ("versions, a file each", "a run with one object, ms", "nothing new, ms", "peak MiB", "without checkpoints, ms", "peak MiB"), rows


def day_files(base, counts, records=2000):
    """A day that has many files: what it costs to compare an object with them, and one of another day with none."""
    rows = []
    folder, made = fresh(base, "day"), 0
    for count in counts:
        for i in range(made, count):
            (folder / "source" / f"{i:06}.json").write_text("".join(record(i * records + k) + "\n" for k in range(records)))
            run(folder, "--limit", "1")
        made = count
        first = count * records
        (folder / "source" / "again.json").write_text("".join(record(first - records // 2 + k) + "\n" for k in range(records)))
        same = run(folder)
        assert same[3]["duplicates"] == records // 2, same
        (folder / "source" / "other.json").write_text("".join(record(first + k, 5) + "\n" for k in range(records)))
        other = run(folder)
        assert other[3]["duplicates"] == 0, other
        for name in ("again.json", "other.json"):
            (folder / "source" / name).unlink()
        rows.append((f"{count:,}", f"{count * records:,}", f"{same[0] * 1000:.0f}", f"{same[1] * 1000:.0f}", f"{same[2]:.0f}",
                     f"{other[0] * 1000:.0f}", f"{other[2]:.0f}"))
        shutil.rmtree(folder)
        folder, made = fresh(base, "day"), 0
    return ("files of the day", "rows", "one more object of that day, ms", "CPU ms", "peak MiB", "one of another day, ms", "peak MiB"), rows


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---:|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", default="1000,10000,100000")
    parser.add_argument("--versions", default="10,100,1000")
    parser.add_argument("--files", default="10,100,1000")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    options = parser.parse_args()
    text = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    with tempfile.TemporaryDirectory(prefix="scaling-") as scratch:
        for name, function, counts in (("objects", objects, options.objects), ("versions", log_versions, options.versions),
                                       ("files", day_files, options.files)):
            if not counts:
                continue
            rendered = table(*function(pathlib.Path(scratch), [int(n) for n in counts.split(",")]))
            print(f"\n{name}\n{rendered}", flush=True)
            text = re.sub(rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)", rf"\g<1>{rendered}\n\g<2>", text, flags=re.S)
    if options.write:
        DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()

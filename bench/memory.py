#!/usr/bin/env python3
"""memory.py - the largest resident set of a run, beside its budget.

    memory.py                                   the table of docs/benchmarks.md (--write puts it there)
    memory.py --records 1000000                 one size of input alone
    memory.py --check                           fails if any peak is above its budget (a stage of scripts/soak)

The same records into two or three partitions and into 4,096 that are all open at once; records of almost 32 MiB, an eighth of
the default budget; messages of 4 to 12 KB. Input and tables are made below --folder and removed."""
import argparse
import base64
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "build" / "gristmill"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
MAIN_JOB = ROOT / "jobs" / "access-record.yaml"
MIB = 1 << 20
T0 = 1_710_028_800_000
TEXT_JOB = """\
job: text
source: {location: ./source, max_record: 32MiB}
table:
  location: ./table
  unique_by: [id]
  partition_by:
    - {name: day, type: string, expr: "date_format(t, '%Y-%m-%d')"}
columns:
  - {name: id, type: bigint, from: id}
  - {name: t, type: timestamp, from: t, required: true}
  - {name: s, type: string, from: s}
"""
MANY_PARTITIONS = """\
  partition_by:
    - {name: part, type: string, expr: "substr(session_id, 1, 3)", comment: "The first three digits of a random key."}
"""


def measure(job, source, folder, flags):
    """Peak in MiB and CPU seconds of one run into a new table."""
    with tempfile.NamedTemporaryFile("r") as usage, tempfile.TemporaryDirectory(dir=folder) as table:
        # Below GNU time, which is small: the kernel counts what the parent held at the fork as the child's.
        command = ["/usr/bin/time", "-q", "-f", "%M %U %S", "-o", usage.name, BINARY, "run", job, "--source", source, "--table", table,
                   "--quiet", *flags]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"memory: {done.stderr}")
        peak, user, system = usage.read().split()
        return int(peak) / 1024, float(user) + float(system)


def generate(folder, records):
    source = folder / f"records-{records}"
    subprocess.run([BINARY, "generate", source, "--records", str(records), "--quiet"], check=True)
    return source


def write_text(source, sizes, objects):
    rng = random.Random(1)
    pieces = [base64.b64encode(rng.randbytes(MIB * 3 // 4)).decode() for _ in range(8)]  # 1 MiB of text each
    source.mkdir()
    for name in range(objects):
        with (source / f"{name}.json").open("w") as stream:
            for i, size in enumerate(sizes, name * 100_000):
                text = "".join(rng.choice(pieces) for _ in range(size // MIB)) + rng.choice(pieces)[:size % MIB]
                stream.write(json.dumps({"id": i, "t": T0 + i, "s": text}) + "\n")
    return source


def partitions_job(folder):
    job = MAIN_JOB.read_text()
    text = re.sub(r"  partition_by:\n(    - .*\n)+", MANY_PARTITIONS, job)
    assert text != job
    (folder / "partitions.yaml").write_text(text)
    return folder / "partitions.yaml"


def scenes(folder, counts):
    """Name, job and input of each line of the table; the input is removed when the next one is asked for."""
    many = partitions_job(folder)
    for count in counts:
        source = generate(folder, count)
        yield f"{count:,} records, 3 partitions", MAIN_JOB, source
        yield f"{count:,} records, 4,096 partitions", many, source
        shutil.rmtree(source)
    job = folder / "text.yaml"
    job.write_text(TEXT_JOB)
    rng = random.Random(2)
    for name, sizes, objects in (("12 records of 31 MiB", [31 * MIB] * 4, 3),
                                 ("48,000 messages of 4 to 12 KB", [rng.randrange(4_000, 12_000) for _ in range(12_000)], 4)):
        source = write_text(folder / "text", sizes, objects)
        yield name, job, source
        shutil.rmtree(source)


SETTINGS = ((256, 1), (256, 2), (256, 6), (128, 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--records", default="1000000,10000000")
    parser.add_argument("--folder", default=os.environ.get("TMPDIR", "/var/tmp"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    head = ["| input | " + " | ".join(f"{memory}M, {threads} thread{'s' * (threads > 1)}" for memory, threads in SETTINGS) + " |",
            "|---|" + "---:|" * len(SETTINGS)]
    rows, above = [], []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = pathlib.Path(name)
        for scene, job, source in scenes(folder, [int(n) for n in arguments.records.split(",") if n]):
            cells = []
            for memory, threads in SETTINGS:
                if memory == 128 and source.name == "text":
                    cells.append("-")  # max_record may be an eighth of the budget
                    continue
                peak, cpu = measure(job, source, folder, ("--memory", f"{memory}M", "--threads", threads))
                cells.append(f"{peak:.0f} MiB, {cpu:.1f} s")
                if peak > memory:
                    above.append(f"{scene}: {peak:.0f} MiB with {memory}M and {threads} threads")
            rows.append(f"| {scene} | {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    if arguments.write:
        text = DOCUMENT.read_text()
        table = "<!-- begin: memory -->\n" + "\n".join(head + rows) + "\n<!-- end: memory -->"
        DOCUMENT.write_text(re.sub(r"<!-- begin: memory -->.*<!-- end: memory -->", lambda _: table, text, flags=re.S))
    for line in above if arguments.check else ():
        print(f"above its budget: {line}", file=sys.stderr)
    return 1 if arguments.check and above else 0


if __name__ == "__main__":
    sys.exit(main())

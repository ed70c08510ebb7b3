#!/usr/bin/env python3
"""threads.py - what a second thread is worth, for inputs of three shapes; the files must be the same bytes.

    threads.py               the table of docs/benchmarks.md (--write puts it there)
    threads.py --urgent      the same with priority over all else on the machine (for root), for one that is busy

The shapes: objects as a Firehose stream leaves them, one object alone (one gzip member of 64 MB), and 10,000 small ones. Runs
with one thread and with two take turns, BENCH_RUNS times (default 5); the least wall-clock time of each is told, since whatever
else the machine does only adds to it. Two processes of one thread each, side by side, show what the machine itself gives: where
they take longer than one does alone, no program could reach twice. Inputs and tables lie in memory if there is a place for it."""
import argparse
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import bench

sys.path.insert(0, str(bench.ROOT / "tests"))
import harness  # noqa: E402

JOB = bench.ROOT / "jobs" / "access-record.yaml"
ONE_BYTES = 560_000_000  # of JSON in the object that is alone: 64 MB of gzip
SMALL_OBJECTS, SMALL_RECORDS = 10_000, 70


def lines_of(source):
    for path in sorted(source.rglob("*.gz")):
        with gzip.open(path, "rb") as stream:
            yield from stream


def make_one(source, folder):
    """Until it is large enough; at zlib's usual level, as most writers have it."""
    left = ONE_BYTES
    with gzip.GzipFile(folder / "one.gz", "wb", 6, mtime=0) as stream:
        for line in lines_of(source):
            left -= len(line)
            if left < 0:
                return
            stream.write(line)


def make_small(source, folder):
    lines = lines_of(source)
    for i in range(SMALL_OBJECTS):
        path = folder / f"{i // 1000:02}" / f"{i:05}.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(b"".join(next(lines) for _ in range(SMALL_RECORDS)), 1, mtime=0))


def made(source, name, make):
    """An input of another shape, made once of the generated one."""
    folder = source.parent / name
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "in").mkdir(parents=True)
        make(source, folder / "in")
        (folder / "done").touch()
    return folder / "in"


def command(binary, source, table, threads, arguments):
    line = [binary, "run", JOB, "--source", source, "--table", table, "--threads", threads, "--memory", "256M", "--quiet"]
    if arguments.urgent:  # the scheduler shares between sessions first
        line = ["setsid", "--wait", "sh", "-c", 'echo -20 >/proc/self/autogroup && exec "$@"', "sh", *line]
    return [str(part) for part in line]


class Run:
    """`processes` at once, of `threads` each: wall-clock seconds and CPU seconds of one, a digest of its files."""

    def __init__(self, binary, source, threads, arguments, processes=1):
        with tempfile.TemporaryDirectory(dir=harness.memory_folder() or bench.CACHE) as folder:
            tables = [pathlib.Path(folder, str(i)) for i in range(processes)]
            before, begin = os.times(), time.monotonic()
            running = [subprocess.Popen(command(binary, source, table, threads, arguments), stdin=subprocess.DEVNULL) for table in tables]
            if any([process.wait() != 0 for process in running]):
                sys.exit("threads: a run has failed")
            self.wall, after = time.monotonic() - begin, os.times()
            self.cpu = (after.children_user + after.children_system - before.children_user - before.children_system) / processes
            self.files = hashlib.sha256(repr(sorted(harness.fingerprint(tables[0]).items())).encode()).hexdigest()


def measure(binary, source, arguments):
    """The quickest of each kind of run."""
    kinds = {"one": (1, 1), "two": (2, 1), "side by side": (1, 2)}
    runs = {kind: [] for kind in kinds}
    for _ in range(arguments.runs):
        for kind, (threads, processes) in kinds.items():
            runs[kind].append(Run(binary, source, threads, arguments, processes))
    if len({run.files for kind in runs.values() for run in kind}) != 1:
        sys.exit(f"threads: {source}: not the same bytes")
    return {kind: min(results, key=lambda run: run.wall) for kind, results in runs.items()}


def row(label, best):
    one, two, beside = best["one"], best["two"], best["side by side"]
    return (f"| {label} | {one.wall:.2f} | {two.wall:.2f} | {one.wall / two.wall:.2f} | {(two.cpu / one.cpu - 1) * 100:+.0f} % "
            f"| {2 * one.wall / beside.wall:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=int(os.environ.get("BENCH_RECORDS", 1_000_000)))
    parser.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", 5)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--urgent", action="store_true", help="with priority over everything else")
    parser.add_argument("--write", action="store_true", default=bool(os.environ.get("BENCH_WRITE")), help="put the table into docs/benchmarks.md")
    arguments = parser.parse_args()
    if arguments.records < SMALL_OBJECTS * SMALL_RECORDS:
        sys.exit("threads: too few records for the shapes")
    binary = bench.ROOT / "build" / "gristmill"
    source = bench.make_input(binary, bench.SHAPES["access"], arguments.records, arguments.seed)
    shapes = {f"{arguments.records:,} records in 192 objects": source,
              "one object of 64 MB": made(source, "one", make_one),
              f"{SMALL_OBJECTS:,} objects of {SMALL_RECORDS} records": made(source, "small", make_small)}
    lines = ["| input | one thread, s | two threads, s | times as fast | CPU | two processes at once |", "|---|---:|---:|---:|---:|---:|"]
    lines += [row(label, measure(binary, shape, arguments)) for label, shape in shapes.items()]
    text = "\n".join([*lines, "", f"Wall clock, the least of {arguments.runs} interleaved runs{', with priority' if arguments.urgent else ''}; "
                      f"the same bytes each time. {bench.machine()}."])
    print(text)
    if arguments.write:
        bench.write("threads", text)


if __name__ == "__main__":
    main()

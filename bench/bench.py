#!/usr/bin/env python3
"""bench.py - CPU seconds, peak memory and output size of gristmill's whole job beside its peers, in one sitting.

    bench.py                 the table of docs/benchmarks.md (--write puts it there)
    bench.py --base REV      this tree beside another revision of it

Every contender runs on one CPU (taskset) with one thread, in turn, BENCH_RUNS times (default 3); medians are shown. CPU is
user + system time from wait4, which also gives the peak resident set. Of the peers, which are Python packages, the cost of
starting Python and loading the engine is measured alone and taken off their CPU time."""
import argparse
import datetime
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench"
MIB = 1 << 20
PEERS = {
    "clickhouse": "ClickHouse (chdb): copy",
    "duckdb": "DuckDB: copy",
    "duckdb-derived": "DuckDB: with derived columns",
    "polars": "Polars: copy",
}


def run(command, cpu=None, **options):
    """(cpu seconds, peak bytes) of one command, which must succeed."""
    if cpu is not None and shutil.which("taskset"):
        command = ["taskset", "-c", str(cpu), *map(str, command)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                                   env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}, **options)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            sys.exit(f"bench: {' '.join(map(str, command))} ended with {process.returncode}:\n{log.read().decode()[-3000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def size_of(folder):
    """Bytes of the Parquet files of a table: what is stored beside the data is not counted for anybody."""
    return sum(p.stat().st_size for p in folder.rglob("*.parquet"))


def make_input(binary, records, seed):
    """The generated input, kept between runs; a new generator makes a new one."""
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    folder = CACHE / f"input-{version}-{records}-{seed}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"generating {records:,} records into {folder.relative_to(ROOT)}", file=sys.stderr)
        run([binary, "generate", folder / "in", "--records", records, "--seed", seed, "--bad", 0, "--quiet"])
        (folder / "done").touch()
    return folder / "in"


def make_floor():
    """bench/floor.cc, compiled for this CPU alone; None without simdjson."""
    program = CACHE / "floor"
    source = ROOT / "bench" / "floor.cc"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ["g++", "-std=c++17", "-O3", "-march=native", "-o", str(program), str(source), "-lsimdjson", "-lisal"]
        if subprocess.run(command).returncode != 0:
            return None
    return program


def gristmill_command(binary, source, target, job=ROOT / "jobs" / "access-record.yaml"):
    return [binary, "run", job, "--source", source, "--table", target, "--threads", "1", "--memory", "256M", "--json"]


def make_compact_job():
    """The main job, its files in the compact profile."""
    job = CACHE / "compact.yaml"
    CACHE.mkdir(parents=True, exist_ok=True)
    job.write_text((ROOT / "jobs" / "access-record.yaml").read_text().replace("\ntable:\n", "\ntable:\n  encoding: compact\n", 1))
    return job


def measure(contenders, runs, cpu):
    """contenders: name -> function(target) -> command. Interleaved; name -> list of (cpu, peak, bytes)."""
    results = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="out-") as scratch:
        for turn in range(runs):
            for name, command in contenders.items():
                target = pathlib.Path(scratch, f"{name}-{turn}".replace(" ", "-"))
                seconds, peak = run(command(target), cpu)
                results[name].append((seconds, peak, size_of(target) if target.exists() else 0))
                shutil.rmtree(target, ignore_errors=True)
                print(f"  run {turn + 1}/{runs}  {name:30} {seconds:7.2f} s  {peak / MIB:6.0f} MiB", file=sys.stderr)
    return results


def medians(rows):
    return [statistics.median(column) for column in zip(*rows)]


def versions(binary):
    import importlib.metadata as meta

    names = {"chdb-core": "ClickHouse (chdb)", "duckdb": "DuckDB", "polars": "Polars"}
    parts = [subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.splitlines()[0]]
    return parts + [f"{label} {meta.version(package)}" for package, label in names.items()] + [
        f"Python {platform.python_version()}", "simdjson and ISA-L of Debian 12"]


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{model}, {os.cpu_count()} CPUs, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}"


def compare(binary, arguments):
    source = make_input(binary, arguments.records, arguments.seed)
    floor = make_floor()
    python, peers = sys.executable, ROOT / "bench" / "peers.py"
    compact = make_compact_job()
    contenders = {"gristmill": lambda target: gristmill_command(binary, source, target),
                  "gristmill-compact": lambda target: gristmill_command(binary, source, target, compact),
                  "gristmill-copy": lambda target: gristmill_command(binary, source, target, ROOT / "bench" / "copy.yaml")}
    for peer in PEERS:
        contenders[peer] = lambda target, peer=peer: [python, peers, peer, source, target]
    if floor:
        contenders["floor"] = lambda target: [floor, source]
    starting = {peer: statistics.median(run([python, peers, peer, "--import-only"], arguments.cpu)[0] for _ in range(3)) for peer in PEERS}
    results = measure(contenders, arguments.runs, arguments.cpu)

    raw = subprocess.run([*map(str, gristmill_command(binary, source, CACHE / "never")), "--dry-run"], capture_output=True, text=True, check=True)
    import json

    summary = json.loads(raw.stdout)
    ours, _, _ = medians(results["gristmill"])
    labels = {"gristmill": "**gristmill: the whole job**", "gristmill-compact": "gristmill: the whole job, `encoding: compact`",
              "gristmill-copy": "gristmill: copy", **PEERS, "floor": "floor: inflate and scan only"}
    lines = ["| one CPU, one thread | CPU s | range | against gristmill | peak MiB | output MB |", "|---|---:|---:|---:|---:|---:|"]
    for name, rows in results.items():
        off = starting.get(name, 0.0)
        seconds, peak, size = medians(rows)
        low, high = min(r[0] for r in rows) - off, max(r[0] for r in rows) - off
        output = f"{size / 1e6:.1f}" if size else "-"
        lines.append(f"| {labels[name]} | {seconds - off:.2f} | {low:.2f}-{high:.2f} | {(seconds - off) / ours:.2f} | {peak / MIB:.0f} | {output} |")
    started = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in starting.items())
    text = "\n".join([
        f"{summary['records_read']:,} generated records, {summary['bytes_raw'] / 1e6:.0f} MB of JSON in {summary['inputs']} gzip objects of together "
        f"{summary['bytes_in'] / 1e6:.0f} MB; median of {arguments.runs} interleaved runs.", "", *lines, "",
        f"Machine: {machine()}. Versions: {'; '.join(versions(binary))}.",
        f"Already taken off the peers: starting Python and loading the engine ({started})."])
    print(text)
    if arguments.write:
        write(text)


def write(text):
    """Replaces what stands between the two marks of docs/benchmarks.md."""
    page = ROOT / "docs" / "benchmarks.md"
    head, _, rest = page.read_text().partition("<!-- begin: bench -->")
    _, _, tail = rest.partition("<!-- end: bench -->")
    stamp = datetime.date.today().isoformat()
    page.write_text(f"{head}<!-- begin: bench -->\n{text}\nMeasured {stamp}.\n<!-- end: bench -->{tail}")


def compare_revisions(binary, arguments):
    """The same work by this tree and by another revision, built the same way in a work tree of its own."""
    with tempfile.TemporaryDirectory(prefix="gristmill-base-") as folder:
        tree = pathlib.Path(folder, "tree")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, arguments.base], cwd=ROOT, check=True)
        try:
            subprocess.run(["meson", "setup", tree / "build", tree, "-Dtests=disabled"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["ninja", "--quiet", "-C", tree / "build"], check=True)
            base = tree / "build" / "src" / "cli" / "gristmill"
            source = make_input(binary, arguments.records, arguments.seed)
            results = measure({
                arguments.base: lambda target: gristmill_command(base, source, target, tree / "jobs" / "access-record.yaml"),
                "this tree": lambda target: gristmill_command(binary, source, target),
            }, max(arguments.runs, 5), arguments.cpu)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT)
    (old, old_peak, old_size), (new, new_peak, new_size) = (medians(rows) for rows in results.values())
    spread = max((max(r[0] for r in rows) - min(r[0] for r in rows)) / medians(rows)[0] for rows in results.values())
    for label, a, b, unit in (("CPU", old, new, "s"), ("peak", old_peak / MIB, new_peak / MIB, "MiB"), ("output", old_size / 1e6, new_size / 1e6, "MB")):
        print(f"{label:7} {arguments.base} {a:9.2f} {unit:4} this tree {b:9.2f} {unit:4} {(b / a - 1) * 100:+6.1f} %")
    print(f"CPU times of one revision spread over {spread * 100:.0f} %: a difference below that says nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=int(os.environ.get("BENCH_RECORDS", 1_000_000)))
    parser.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", 3)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=os.cpu_count() - 1, help="the CPU that everything runs on")
    parser.add_argument("--base", help="compare with this revision instead of the peers")
    parser.add_argument("--write", action="store_true", default=bool(os.environ.get("BENCH_WRITE")), help="put the table into docs/benchmarks.md")
    arguments = parser.parse_args()
    binary = ROOT / "build" / "gristmill"
    CACHE.mkdir(parents=True, exist_ok=True)
    (compare_revisions if arguments.base else compare)(binary, arguments)


if __name__ == "__main__":
    main()

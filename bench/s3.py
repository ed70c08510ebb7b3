#!/usr/bin/env python3
"""s3.py - what it costs that source and table lie in S3, on loopback, beside the same run on directories.

    s3.py                    the table of docs/benchmarks.md (--write puts it there)

Three questions: the CPU time of a run from S3 to S3 against one from directory to directory, the same input on one thread;
how much longer a run over 200 objects takes when every answer is 50 ms late; and the memory for listing and planning
100,000 objects. The server is a real one (versitygw) whose own time is not counted; Toxiproxy makes the answers late."""
import argparse
import os
import pathlib
import statistics
import sys
import tempfile

import bench

sys.path.insert(0, str(bench.ROOT / "tests"))
import pytest  # noqa: E402
import s3_servers  # noqa: E402

JOB = bench.ROOT / "jobs" / "access-record.yaml"
LATENCY_MS = 50


def gristmill(binary, command, source, target, *flags):
    return [binary, command, JOB, "--source", source, "--table", target, *flags, "--json"]


def measure_cpu(binary, bucket, folder, prefix, arguments):
    """Interleaved runs: directory to directory, S3 to S3. Two medians of CPU seconds, and the peak of the second."""
    near, far, peaks = [], [], []
    for turn in range(arguments.runs):
        with tempfile.TemporaryDirectory(dir=bench.CACHE) as table:
            near.append(bench.run(gristmill(binary, "run", folder, table, "--threads", "1"), arguments.cpu).cpu)
        usage = bench.run(gristmill(binary, "run", bucket.url(prefix), bucket.url(f"cpu-{turn}/"), "--threads", "1"), arguments.cpu)
        far.append(usage.cpu)
        peaks.append(usage.peak)
    return statistics.median(near), statistics.median(far), statistics.median(peaks)


def measure_latency(binary, bucket, prefix, proxy, arguments):
    """Medians of wall-clock seconds without and with late answers, both by way of the proxy."""
    quick, late = [], []
    os.environ["AWS_ENDPOINT_URL"] = proxy.url
    for turn in range(arguments.runs):
        quick.append(bench.run(gristmill(binary, "run", bucket.url(prefix), bucket.url(f"quick-{turn}/"), "--threads", "1")).wall)
        proxy.add("latency", latency=LATENCY_MS)
        late.append(bench.run(gristmill(binary, "run", bucket.url(prefix), bucket.url(f"late-{turn}/"), "--threads", "1")).wall)
        proxy.remove("latency")
    os.environ["AWS_ENDPOINT_URL"] = bucket.server.url
    return statistics.median(quick), statistics.median(late)


def measure_planning(binary, bucket, count):
    """Peak bytes and wall-clock seconds of planning `count` objects, which the server finds as files in its folder."""
    root = bucket.path("many/")
    for i in range(count):
        path = root / f"{i // 1000:04}" / f"{i:07}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}\n")
    usage = bench.run(gristmill(binary, "plan", bucket.url("many/"), bucket.url("many-table/")))
    return usage.peak, usage.wall


def make_input(binary, bucket, records, seed, prefix):
    folder = bench.make_input(binary, bench.SHAPES["access"], records, seed)
    bucket.put_tree(folder, prefix)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=int(os.environ.get("BENCH_RECORDS", 1_000_000)))
    parser.add_argument("--latency-records", type=int, default=int(os.environ.get("BENCH_LATENCY_RECORDS", 5_000_000)))
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", 5)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=os.cpu_count() - 1)
    parser.add_argument("--write", action="store_true", default=bool(os.environ.get("BENCH_WRITE")))
    arguments = parser.parse_args()
    binary = bench.ROOT / "build" / "gristmill"
    bench.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bench.CACHE, prefix="s3-") as scratch:
        scratch = pathlib.Path(scratch)
        with s3_servers.Versitygw(scratch / "server") as server, s3_servers.Toxiproxy(scratch / "proxy") as toxiproxy:
            s3_servers.without_environment()
            os.environ.update(server.environment())
            bucket = server.make_bucket("bench")
            folder = make_input(binary, bucket, arguments.records, arguments.seed, "in/")
            near, far, peak = measure_cpu(binary, bucket, folder, "in/", arguments)
            make_input(binary, bucket, arguments.latency_records, arguments.seed, "long/")
            proxy = toxiproxy.before(server)
            quick, late = measure_latency(binary, bucket, "long/", proxy, arguments)
            planned, seconds = measure_planning(binary, bucket, arguments.objects)
    text = "\n".join([
        "| what | figure | goal |", "|---|---:|---:|",
        f"| CPU, {arguments.records:,} records, directory to directory | {near:.2f} s | |",
        f"| the same, S3 to S3 | {far:.2f} s, {far / near:.2f} times | 1.5 times |",
        f"| its peak memory | {peak / bench.MIB:.0f} MiB | 256 MiB |",
        f"| wall clock, {arguments.latency_records:,} records in 192 objects, S3 to S3 | {quick:.2f} s | |",
        f"| the same, every answer {LATENCY_MS} ms late | {late:.2f} s, {(late / quick - 1) * 100:+.0f} % | +15 % |",
        f"| {arguments.objects:,} objects listed and planned | {planned / bench.MIB:.0f} MiB, {seconds:.1f} s | 64 MiB |", "",
        f"Medians of {arguments.runs} runs, one thread; machine: {bench.machine()}."])
    print(text)
    if arguments.write:
        bench.write("s3", text)


if __name__ == "__main__":
    try:
        main()
    except pytest.skip.Exception as why:  # a server that cannot be had
        sys.exit(f"s3.py: {why}")

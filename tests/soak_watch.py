#!/usr/bin/env python3
"""Watchers on S3 and SQS for a while, with everything in their way that may be: events lost, doubled and out of order, requests that
fail on both services, processes that are killed and started again, two at once. A new object every second, with rows that came before.

    .venv/bin/python tests/soak_watch.py [--seconds 1200] [--seed 1]

At the end each key is there once, for readers of the folders and of the log; nothing is in quarantine, aside or left in the queue; the
books of all runs balance; the lag of each object, from its put to the commit that brought it (by the clock of this machine, which is
that of the commits), stays within LAG_MAX; and the memory of a watcher that lives on does not grow. The last line is one JSON object
of figures. test_watch_soak.py is the same for a hundred seconds."""
import argparse
import contextlib
import json
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.parse

import duckdb

import harness
import judge
import s3_servers
import scene
import watch_scene
from fault_proxy import FAULTS, FaultProxy

EVERY = 10          # seconds: what is lost is found that soon
LOST, DOUBLED, LATE_SECONDS = 0.3, 0.2, 4
# A lost event waits for the timer (11 s with jitter), or longer where a run fails and is backed off, or nobody lives for a moment.
LAG_MAX = 45
ROWS, AGAIN = 40, 10  # in an object: new ones, and ones that came before
FAULTS_S3 = {"reset": 0.004, "lose": 0.004, "503": 0.006, "500-done": 0.004, "cut-head": 0.002, "short-body": 0.002}
FAULTS_SQS = {"reset": 0.02, "lose": 0.02, "503": 0.03}
RSS_GROWTH = 24 << 20  # bytes, beyond what a watcher had in its first half


class Feeder(threading.Thread):
    """Puts objects, and tells of most of them, by and by."""

    def __init__(self, world, seed):
        super().__init__(daemon=True)
        self.world, self.random, self.ended, self.failure = world, random.Random(seed), threading.Event(), None
        self.put_at, self.counts = {}, {"objects": 0, "events": 0, "lost": 0, "doubled": 0}

    def run(self):
        try:
            self.feed()
        except Exception as error:  # told by whoever joins
            self.failure = error

    def feed(self):
        waiting, due = [], time.monotonic()
        while not self.ended.is_set() or waiting:
            now = time.monotonic()
            if now >= due and not self.ended.is_set():
                waiting += self.put(now)
                due += 1
            ready = [body for at, body in waiting if at <= now or self.ended.is_set()]
            waiting = [(at, body) for at, body in waiting if at > now and not self.ended.is_set()]
            self.world.queue.send(*ready)
            self.ended.wait(0.1)

    def put(self, now):
        """One object; the events that tell of it, and when."""
        number = self.counts["objects"]
        self.counts["objects"] += 1
        fresh = range(number * ROWS, number * ROWS + ROWS)
        again = [self.random.randrange(number * ROWS) for _ in range(AGAIN if number else 0)]
        made = self.world.put(f"{number // 60:03}/{number:06}.json", [*fresh, *again], s="x")
        self.put_at[number] = time.time()
        form = self.random.choice([self.world.event, lambda *o: watch_scene.by_sns(self.world.event(*o)), lambda *o: watch_scene.bridged(self.world.bucket.name, *o)])
        times = 0 if self.random.random() < LOST else 2 if self.random.random() < DOUBLED else 1
        self.counts["lost"] += times == 0
        self.counts["doubled"] += times == 2
        self.counts["events"] += times
        return [(now + self.random.random() * LATE_SECONDS, form(*made)) for _ in range(times)]

    def finish(self):
        self.ended.set()
        self.join(30)
        assert not self.is_alive() and self.failure is None, self.failure


class Slot:
    """A place for a watcher, that is started again when it has been killed."""

    def __init__(self, world, proxies, rng):
        self.world, self.proxies, self.random = world, proxies, rng
        self.process, self.start_at, self.kills, self.stops, self.memory = None, 0, 0, 0, []

    def keep(self):
        if self.process and self.process.ended():
            process, self.process = self.process, None
            raise AssertionError(f"a watcher has ended by itself: {process.wait()}")
        if not self.process and time.monotonic() >= self.start_at:
            self.process = self.world.watch(every=f"{EVERY}s", proxy=self.proxies[0].url, sqs=self.proxies[1].url)
            self.memory = []

    def end(self, hard):
        """Killed, or asked to stop, which ends well."""
        if not self.process:
            return
        process, self.process = self.process, None
        hard = hard or "served" not in process.said()  # it has just begun, and does not look for signals yet
        process.kill(signal.SIGKILL if hard else signal.SIGTERM)
        result = process.wait(60)
        assert result.status == (-signal.SIGKILL if hard else 0), result
        self.kills, self.stops = self.kills + hard, self.stops + (not hard)
        self.start_at = time.monotonic() + self.random.random() * 2

    def sample(self):
        if not self.process:
            return
        with contextlib.suppress(OSError, StopIteration):
            status = pathlib.Path(f"/proc/{self.process.popen.pid}/status").read_text().splitlines()
            self.memory.append(int(next(line for line in status if line.startswith("VmRSS")).split()[1]) * 1024)


def disturb(proxies, seed):
    for proxy, faults in zip(proxies, (FAULTS_S3, FAULTS_SQS)):
        for i, (name, chance) in enumerate(sorted(faults.items())):
            proxy.fail(FAULTS[name], chance=chance, times=None, seed=seed * 100 + i)


def lags(table, put_at):
    """Seconds from the put of each object to the commit that brought its first new row, as the log and DuckDB tell it."""
    committed = {}
    for path in (table / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        at = next(a["commitInfo"]["timestamp"] for a in actions if "commitInfo" in a) / 1000
        committed.update({str(table / urllib.parse.unquote(a["add"]["path"])): at for a in actions if "add" in a})
    files = list(committed)
    rows = duckdb.execute("select id, filename from read_parquet(?, filename=true, hive_partitioning=false) where id % ? = 0", [files, ROWS]).fetchall()
    return sorted(committed[name] - put_at[id_ // ROWS] for id_, name in rows)


def soak(s3, sqs, folder, seconds, seed):
    """Figures, or AssertionError."""
    rng = random.Random(seed)
    world = watch_scene.Scene(s3.make_bucket(), sqs.make_queue(f"soak-{time.monotonic_ns()}", 6), folder)
    with FaultProxy(s3.address) as first, FaultProxy(sqs.address) as second, contextlib.ExitStack() as stack:
        proxies, feeder = (first, second), Feeder(world, seed)
        slots = [Slot(world, proxies, rng), Slot(world, proxies, rng)]
        stack.callback(lambda: [slot.process and slot.end(True) for slot in slots])
        disturb(proxies, seed)
        feeder.start()
        start, calm = time.monotonic(), None
        end, last_kill_of_first, kill_at = start + seconds, start + seconds * 0.4, start + 5
        while time.monotonic() < end:
            now = time.monotonic()
            for slot in slots if now > start + seconds * 0.15 else slots[:1]:
                slot.keep()
            if now >= kill_at:  # the first lives on from some time on, and its memory is looked at
                rng.choice(slots if now < last_kill_of_first else slots[1:]).end(rng.random() < 0.75)
                kill_at = now + rng.random() * 12
            for slot in slots:
                slot.sample()
            for proxy in proxies:  # they would remember each request
                proxy.requests.clear()
            assert feeder.is_alive(), feeder.failure
            time.sleep(0.25)
        feeder.finish()
        calm = time.monotonic()
        slots[0].keep()
        slots[0].process.until(lambda: world.is_complete() and world.queue.is_empty(), "all is done", 90)
        calm = time.monotonic() - calm
        memory = slots[0].memory
        metrics = slots[0].process.metrics()
        for slot in slots:
            slot.end(False)
        faults = {proxy_name: sum(rule.fired for rule in proxy.rules) for proxy_name, proxy in zip(("s3", "sqs"), proxies)}
    return judged(world, feeder, slots, memory, {"seed": seed, "seconds": seconds, "calm_seconds": round(calm, 1), "faults": faults,
                                                 "runs_of_the_first": {how: int(metrics[f'gristmill_runs_total{{result="{how}"}}']) for how in ("ok", "nothing", "failed")}})


def judged(world, feeder, slots, memory, figures):
    flags = ["--source", world.bucket.url("in/"), "--table", world.bucket.url("lake/"), "--json"]
    again = harness.gristmill("run", world.job, *flags, env=world.bucket.environment()).json  # tidies up after those that died
    assert again["inputs"] == 0, again
    world.assert_complete("the end")
    proof = harness.gristmill("verify", world.job, *flags, env=world.bucket.environment()).json
    assert proof["faults"] == 0, proof
    assert world.aside() == []
    found = lags(world.files(), feeder.put_at)
    assert len(found) == feeder.counts["objects"]
    half = len(memory) // 2
    before, after = max(memory[:half]), max(memory[half:])
    figures |= {**feeder.counts, "rows": len(world.expected), "kills": sum(slot.kills for slot in slots), "stops": sum(slot.stops for slot in slots),
                "lag_p50": round(found[len(found) // 2], 1), "lag_p99": round(found[len(found) * 99 // 100], 1), "lag_max": round(found[-1], 1),
                "rss_first_half_mib": round(before / harness.MIB, 1), "rss_second_half_mib": round(after / harness.MIB, 1)}
    assert found[-1] <= LAG_MAX * harness.SLOW, figures
    assert after <= before + RSS_GROWTH or harness.SANITIZED, figures
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    s3_servers.without_environment()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=harness.memory_folder()) as name, \
            s3_servers.Versitygw(pathlib.Path(name) / "s3") as s3, watch_scene.Sqs(pathlib.Path(name) / "sqs") as sqs:
        print(json.dumps(soak(s3, sqs, pathlib.Path(name), options.seconds, options.seed)))


if __name__ == "__main__":
    sys.exit(main())

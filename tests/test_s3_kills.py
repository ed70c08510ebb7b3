"""Kill loops on S3, as test_exactly_once.py on a directory: runners die at random moments, or at a request drawn for them, while
objects arrive and other runners work beside them. After each round nobody sees a key twice; after a clean run each key is there
once. GRISTMILL_ROUNDS makes it longer, another GRISTMILL_SEED makes it another (scripts/soak)."""
import contextlib
import os
import random
import signal
import threading
import time

import pytest

import harness
import judge
import s3_scene
from fault_proxy import FAULTS, FaultProxy
from test_exactly_once import JOB, day_of

ROUNDS = int(os.environ.get("GRISTMILL_ROUNDS", "5"))
SEED = int(os.environ.get("GRISTMILL_SEED", "1"))
BESIDE = ["reset", "lose", "lose-reset", "503", "500-done", "cut-head", "short-body"]  # what happens to requests beside the kills


class World:
    """A source that grows, with duplicates of what it brought before, and the keys that the table must have in the end."""

    def __init__(self, bucket, folder, seed):
        self.random, self.seed, self.bucket, self.folder = random.Random(seed), seed, bucket, folder
        self.documents, self.objects = [], 0
        self.jobs = [harness.write(folder / "job0.yaml", JOB.encode()),
                     harness.write(folder / "job1.yaml", JOB.replace("  file_size: 32KiB", "  file_size: 32KiB\n  compression_level: 2").encode())]

    def arrive(self):
        for _ in range(self.random.randrange(1, 4)):
            fresh = [harness.tiny(len(self.documents) + i, s="x" * self.random.randrange(80)) for i in range(self.random.randrange(1, 2000))]
            fresh = [dict(d, t=d["t"] + harness.DAY_MS * self.random.randrange(2)) for d in fresh]
            self.documents += fresh
            again = self.random.sample(self.documents, min(len(self.documents), self.random.randrange(200)))
            self.bucket.put(f"in/{self.random.randrange(10)}/{self.objects:05}.json", harness.lines(fresh + again))
            self.objects += 1

    def start(self, job, url=None):
        return harness.Process("run", job, "--source", self.bucket.url("in/"), "--table", self.bucket.url("lake/"), "--threads", "1", "--json",
                               env=self.bucket.environment(**({"AWS_ENDPOINT_URL": url} if url else {})))

    def files(self):
        return self.bucket.tree("lake/", self.folder / "lake")

    def judged(self, results, allowed=(0, -9)):
        """After a round: what was killed is counted, what was not has ended well, and nobody sees a key twice."""
        assert all(r.status in allowed and (r.status != 1 or r.err.strip()) for r in results), (self.seed, [str(r) for r in results])
        judge.assert_once(self.files(), f"seed {self.seed}")
        harness.counted("kills on S3", sum(r.status == -9 for r in results))
        harness.counted("runs beside them", sum(r.status == 0 for r in results))

    def complete(self):
        result = self.start(self.jobs[0]).wait()
        assert result.status == 0, f"seed {self.seed}: {result}"
        expected = sorted((d["id"], day_of(d["t"])) for d in self.documents)
        judge.assert_complete(self.files(), expected, f"seed {self.seed}", far=True)
        again = self.start(self.jobs[0]).wait()
        assert again.status == 0 and again.json["committed"] is False, again
        s3_scene.secrets_in(self.bucket, result.out, result.err)


class Doom:
    """A proxy of one runner's own, which kills it at a request that is drawn for it, before or after its effect; and some of its
    requests fail for a moment."""

    def __init__(self, stack, world):
        self.proxy, self.pid, self.started = stack.enter_context(FaultProxy(world.bucket.server.address)), None, threading.Event()
        chance = world.random
        if chance.random() < 0.6:
            self.proxy.fail(self.kill_after if chance.random() < 0.5 else self.kill, nth=chance.randrange(1, 70))
        for _ in range(2):
            self.proxy.fail(FAULTS[chance.choice(BESIDE)], chance=0.03, times=None, seed=chance.randrange(1 << 30))

    def start(self, world, job):
        self.process = world.start(job, self.proxy.url)
        self.pid = self.process.popen.pid
        self.started.set()
        return self.process

    def kill(self, x):
        self.started.wait()
        os.kill(self.pid, signal.SIGKILL)
        x.drop()

    def kill_after(self, x):
        x.forward()
        self.kill(x)


def kill_loop(world, runners, rounds, doomed):
    """Rounds of some runners at once; doomed(stack) starts them."""
    length = 0.5
    for _ in range(rounds):
        world.arrive()
        with contextlib.ExitStack() as stack:
            processes = doomed(stack, [world.random.choice(world.jobs) if runners > 1 else world.jobs[0] for _ in range(runners)])
            results = harness.kill_some(world.random, processes, length, 0.3)
        length = max(0.05, 0.9 * length + 0.1 * max(r.seconds for r in results))
        yield results


@pytest.mark.parametrize("runners", [1, 2, 4])
def test_kill_loop(runners, s3, tmp_path):
    world = World(s3, tmp_path, SEED * 10 + runners)
    for results in kill_loop(world, runners, ROUNDS, lambda stack, jobs: [Doom(stack, world).start(world, job) for job in jobs]):
        world.judged(results)
    world.complete()


@pytest.mark.parametrize("runners", [1, 3])
def test_kill_loop_on_a_bad_line(runners, s3, toxiproxy, tmp_path):
    """Connections are reset, cut and slow while runners die; one that gives up says so."""
    world = World(s3, tmp_path, SEED * 10 + 100 + runners)
    with toxiproxy.before(s3.server) as way:

        def doomed(_, jobs):
            processes = [world.start(job, way.url) for job in jobs]
            toxic, attributes = world.random.choice([
                ("reset_peer", {"timeout": world.random.randrange(50)}), ("limit_data", {"bytes": world.random.randrange(1, 20_000)}),
                ("latency", {"latency": 20, "jitter": 20}), ("timeout", {"timeout": 50}),
                ("slicer", {"average_size": 100, "size_variation": 50, "delay": 10})])
            time.sleep(world.random.random() * 0.2)
            way.add(toxic, toxicity=0.5, stream=world.random.choice(["upstream", "downstream"]), **attributes)
            time.sleep(world.random.random() * 0.5)
            way.remove(toxic)
            if world.random.random() < 0.3:
                way.enable(False)
                time.sleep(0.2)
                way.enable(True)
            return processes

        for results in kill_loop(world, runners, ROUNDS, doomed):
            world.judged(results, allowed=(0, 1, -9))
    world.complete()


def test_kill_loop_on_two_servers(tmp_path, versitygw, minio):
    """MinIO, in short: its put-if-absent is of another make."""
    world = World(minio.make_bucket(), tmp_path, SEED * 10 + 200)
    for results in kill_loop(world, 3, max(2, ROUNDS // 3), lambda stack, jobs: [Doom(stack, world).start(world, job) for job in jobs]):
        world.judged(results)
    world.complete()


def test_the_server_dies(tmp_path):
    """kill -9 of the store itself in the middle of a run: it ends with an error, or well when the server comes back in time."""
    import s3_servers

    with s3_servers.Versitygw(tmp_path / "s3") as server:
        world = World(server.make_bucket(), tmp_path, SEED * 10 + 300)
        for _ in range(max(2, ROUNDS // 2)):
            world.arrive()
            process = world.start(world.jobs[0])
            time.sleep(world.random.random() * 0.3)
            server.stop()
            time.sleep(world.random.random() * 0.5)
            server.start()
            assert server.wait_ready()
            world.judged([process.wait()], allowed=(0, 1))
        world.complete()

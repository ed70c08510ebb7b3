"""Kill loops: runners die at random moments while input arrives, and other runners, jobs and versions work beside them. After
each round nobody sees a key twice; after a clean run each key is there once. GRISTMILL_ROUNDS makes it longer, another
GRISTMILL_SEED makes it another (scripts/soak)."""
import os
import random
import time

import pytest

import harness
import judge
import scene

ROUNDS = int(os.environ.get("GRISTMILL_ROUNDS", "12"))
SEED = int(os.environ.get("GRISTMILL_SEED", "1"))

JOB = scene.JOB.replace("  unique_by:", "  file_size: 32KiB\n  unique_by:")


class World:
    """A source that grows, with duplicates of what it brought before, and the keys that the table must have in the end."""

    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.source, self.table = folder / "source", folder / "table"
        self.source.mkdir()
        self.documents, self.objects = [], 0

    def arrive(self):
        for _ in range(self.random.randrange(1, 4)):
            fresh = [harness.tiny(len(self.documents) + i, s="x" * self.random.randrange(80)) for i in range(self.random.randrange(1, 3000))]
            fresh = [dict(d, t=d["t"] + 86_400_000 * self.random.randrange(2)) for d in fresh]
            self.documents += fresh
            again = self.random.sample(self.documents, min(len(self.documents), self.random.randrange(200)))
            name = f"{self.random.randrange(10)}/{self.objects:05}.json"
            self.objects += 1
            hidden = harness.write(self.source / f".{self.objects}", harness.lines(fresh + again))
            (self.source / name).parent.mkdir(exist_ok=True)
            os.rename(hidden, self.source / name)

    def expected(self):
        return sorted((d["id"], day_of(d["t"])) for d in self.documents)


def day_of(ms):
    return time.strftime("%Y-%m-%d", time.gmtime(ms // 1000))


def doom(chance):
    """Some die before or after a call on files that is drawn for them, whatever else happens to them: a run makes about 60."""
    if harness.SANITIZED or chance.random() < 0.5:
        return None
    return {"LD_PRELOAD": str(scene.IO), "FAULT_IO_AT": str(chance.randrange(1, 90)),
            "FAULT_IO_ACTION": chance.choice(["kill", "kill-after"])}


def judged(results, world, seed):
    """After a round: what was killed is counted, what was not has ended well, and nobody sees a key twice."""
    assert all(r.status in (0, -9) for r in results), (seed, [str(r) for r in results])
    judge.assert_once(world.table, f"seed {seed}")
    harness.counted("kills", sum(r.status == -9 for r in results))
    harness.counted("runs beside them", sum(r.status == 0 for r in results))


@pytest.mark.parametrize("seed", range(SEED, SEED + 2))
@pytest.mark.parametrize("runners", [1, 2, 4])
def test_kill_loop(runners, seed, quick):
    world = World(quick, seed * 10 + runners)
    jobs = [harness.write(quick / f"job{i}.yaml", JOB.encode()) for i in range(2)]
    harness.write(jobs[1], JOB.replace("  file_size: 32KiB", "  file_size: 32KiB\n  compression_level: 2").encode())
    length = 0.3
    for _ in range(ROUNDS):
        world.arrive()
        kinds = [world.random.choice(jobs) if runners > 1 else jobs[0] for _ in range(runners)]
        processes = [harness.Process("run", job, "--source", world.source, "--table", world.table, "--threads", "1", "--json",
                                     env=doom(world.random)) for job in kinds]
        results = harness.kill_some(world.random, processes, length, 0.4)
        length = max(0.02, 0.9 * length + 0.1 * max(r.seconds for r in results))
        judged(results, world, seed)
    harness.run(jobs[0], world.source, world.table)
    judge.assert_complete(world.table, world.expected(), f"seed {seed}")
    assert harness.run(jobs[0], world.source, world.table).json["committed"] is False


@pytest.mark.parametrize("count", [8, 50])
def test_many_runners_at_once(count, quick):
    """One result, no lost work beyond waste, clear messages."""
    world = World(quick, count)
    job = harness.write(quick / "job.yaml", JOB.encode())
    for _ in range(5):
        world.arrive()
    processes = [harness.Process("run", job, "--source", world.source, "--table", world.table, "--threads", "1", "--json") for _ in range(count)]
    results = [process.wait() for process in processes]
    assert all(r.status == 0 for r in results), [str(r) for r in results if r.status != 0]
    committed = [run for r in results for run in r.json["runs"]]
    assert len(committed) == len(set(committed)) and committed
    judge.assert_complete(world.table, world.expected())


@pytest.mark.parametrize("seed", [SEED])
def test_a_second_job_on_the_table(seed, quick):
    """Two jobs, each with its own inputs and transaction, some of them with the same keys, at once and killed."""
    worlds = [World(quick, seed * 10 + 100)]
    other = quick / "other"
    other.mkdir()
    worlds.append(World(other, seed * 10 + 101))
    worlds[1].table = worlds[0].table
    jobs = [harness.write(quick / f"{name}.yaml", JOB.replace("job: tiny", f"job: {name}").encode()) for name in ("one", "two")]
    for round_ in range(ROUNDS):
        for world in worlds:
            world.arrive()
        processes = [harness.Process("run", job, "--source", world.source, "--table", world.table, "--threads", "1", "--json",
                                     env=doom(world.random)) for job, world in zip(jobs, worlds)]
        time.sleep(worlds[0].random.random() * 0.1)
        victim = worlds[0].random.choice(processes)
        if round_ % 2 and not victim.ended():
            victim.kill()
        judged([process.wait() for process in processes], worlds[0], seed)
    for job, world in zip(jobs, worlds):
        harness.run(job, world.source, world.table)
    judge.assert_complete(worlds[0].table, set(worlds[0].expected()) | set(worlds[1].expected()), f"seed {seed}")


@pytest.mark.parametrize("number", ["18446744073709551615", "9223372036854775807", "99999999999999999999"])
def test_a_plan_with_an_absurd_number_is_nobodys(number, tmp_path):
    """The number after it would be 0, or less: the job would begin anew."""
    world = World(tmp_path, 7)
    world.arrive()
    job = harness.write(tmp_path / "job.yaml", JOB.encode())
    assert harness.run(job, world.source, world.table).json["run"] == 1
    harness.write(world.table / "_gristmill" / "tiny" / "plans" / f"{number}.json", b"{}")
    world.arrive()
    assert harness.run(job, world.source, world.table).json["run"] == 2
    judge.assert_complete(world.table, set(world.expected()), "absurd numbers")

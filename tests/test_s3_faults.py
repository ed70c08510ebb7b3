"""Each request of a run on S3 fails once, in each way that a network and a store know: the run must go on as if nothing had been,
or end with a clear message; nobody sees a key twice; the next run makes the table complete.

An even sample of the requests is tried, all of them with GRISTMILL_FAULT_STEP=1 (scripts/soak); GRISTMILL_SEED moves it. Two
scenes, as in test_faults.py: a table that does not exist yet, and one with a past. A third has a file of several parts."""
import os
import random
import signal
import threading
import time
import zlib

import pytest

import fault_proxy
import harness
import s3_scene
from fault_proxy import KINDS, FaultProxy

STEP = int(os.environ.get("GRISTMILL_FAULT_STEP", "0"))
SEED = os.environ.get("GRISTMILL_SEED", "")

# A network or a store that fails once for a moment: the run must succeed, as if nothing had been.
PASSING = ["refuse", "reset", "hang-up", "lose", "lose-reset", "cut-status", "cut-head", "cut-head-at-line", "short-body", "length-more", "garbage",
           "500", "500-done", "502-html", "503", "503-done", "429", "timeout", "skewed", "200-html", "200-error"]
# What a run may take for final: it ends well, or says what it met.
FINAL = ["expired", "denied", "length-less", "endless-head"]


class Scene(s3_scene.Scene):
    """With faults."""

    def __init__(self, name, bucket, folder, job):
        super().__init__(bucket, folder, job)
        self.name, self.base, self.total = name, None, 0

    def trial(self):
        return self.copy(self.base) if self.base else self.table()

    def count(self):
        """How many requests a run without faults makes."""
        if not self.total:
            with FaultProxy(self.bucket.server.address) as proxy:
                table = self.trial()
                self.run(table, proxy)
                self.assert_complete(table, "counting")
                self.total, self.counts = len(proxy.requests), proxy.counts
        return self.total

    def faulty(self, proxy, what, env=None, **when):
        """A run of which one request fails; it may end well or not, but never by a signal. Tells whether the rule was met."""
        proxy.clear()
        rule, table = proxy.fail(**when), self.trial()
        result = self.run(table, proxy, status=None, env=env)
        assert result.status in (0, 1, 2), f"{what}: {result}"
        harness.counted("requests that failed", rule.fired)
        return rule, table, result

    def killed(self, table, proxy, after=False, **when):
        """A run that dies before, or after, a request has its effect. Was there such a request?"""
        started, victim = threading.Event(), []

        def kill(x):
            started.wait()
            if after:
                x.forward()
            os.kill(victim[0], signal.SIGKILL)
            x.drop()

        proxy.clear()
        rule, process = proxy.fail(kill, **when), self.start(table, proxy)
        victim.append(process.popen.pid)
        started.set()
        result = process.wait()
        assert result.status == (-9 if rule.fired else 0), result
        harness.counted("kills", rule.fired)
        return rule.fired == 1

    def check(self, table, result, what, prove=False):
        assert result.status == 0 or result.err.strip(), f"{what}: status {result.status} without a word"
        assert not s3_scene.secrets_in(self.bucket, result.out, result.err), what
        if result.status == 0:
            self.assert_complete(table, f"{what}: success")
            self.nothing_new(table, f"{what}: success")
        else:
            self.assert_once(table, what)
            self.completed(table, what, prove=True)
        if prove:
            self.verify(table)


def fresh(scene):
    """There is no table."""
    scene.put("a.json", [*range(8), 3], "a", bad=1)
    scene.put("b/c d.json", range(20, 24), "Ä")


def busy(scene):
    """A table of many runs, whose bookmark and checkpoint are due; an earlier plan was worked and not committed."""
    scene.base = scene.table()
    for run in range(11):
        scene.put(f"old{run}.json", range(run * 10, run * 10 + 12), f"old{run}")
        if run < 10:
            scene.run(scene.base)
    with FaultProxy(scene.bucket.server.address) as proxy:
        assert scene.killed(scene.base, proxy, match=r"^lake-1/_delta_log/0.*json$", kind="put")
    scene.put("new.json", [*range(95, 130), 3, 5], "new", bad=2)


SCENES = {"fresh": fresh, "busy": busy}


@pytest.fixture(scope="module", params=SCENES)
def scene(request, versitygw, tmp_path_factory):
    made = Scene(request.param, versitygw.make_bucket(), tmp_path_factory.mktemp(f"scene-{request.param}"), s3_scene.JOB)
    SCENES[request.param](made)
    return made


@pytest.fixture(scope="module")
def proxy(versitygw):
    with FaultProxy(versitygw.address) as made:
        yield made


def points(scene, most, what):
    """The numbers of the requests to fail: in a soak all, else an even sample of at most `most` that begins somewhere."""
    total = scene.count()
    step = STEP or max(1, -(-total // most))
    return range(1 + zlib.crc32(f"{scene.name} {what} {SEED}".encode()) % step, total + 1, step)


def described(proxy):
    """What the request was that failed."""
    return "; ".join(f"{r.number}: {r.fault} at {r.kind} {r.key}" for r in proxy.requests if r.fault)[:300]


def test_the_scenes_do_everything(scene):
    """What the faults are to meet is met: else they would test nothing."""
    scene.count()
    assert scene.counts["list"] and scene.counts["get"] and scene.counts["put"] > 5, scene.counts
    if scene.name == "busy":
        table = scene.trial()
        scene.run(table)
        keys = set(scene.bucket.sizes(f"{table}/"))
        assert any(".checkpoint.parquet" in key for key in keys) and any("/bookmark/" in key for key in keys), sorted(keys)
        assert scene.counts["delete"] + scene.counts["multi-delete"] > 0, scene.counts


@pytest.mark.parametrize("fault", PASSING)
def test_a_failure_that_passes(fault, scene, proxy):
    kinds = set(KINDS) - {"head"} if fault == "skewed" else None  # without a body its 403 says nothing
    for n in points(scene, 3, fault):
        what = f"{fault} at request {n} of {scene.total}"
        rule, table, result = scene.faulty(proxy, what, fault=fault, nth=n, kind=kinds)
        assert result.status == 0 or not rule.fired, f"{what}: {described(proxy)}: {result}"
        scene.check(table, result, what, prove=n % 4 == 0)


@pytest.mark.parametrize("fault", FINAL)
def test_a_failure_that_may_be_final(fault, scene, proxy):
    for n in points(scene, 3, fault):
        what = f"{fault} at request {n} of {scene.total}"
        _, table, result = scene.faulty(proxy, what, fault=fault, nth=n)
        scene.check(table, result, f"{what}: {described(proxy)}", prove=n % 4 == 0)


@pytest.mark.parametrize("kind", ["list", "get"])
def test_a_bit_that_flips(kind, scene, proxy):
    """No wrong row and no lost one, whatever else."""
    scene.count()
    for n in range(1, scene.counts[kind] + 1, STEP or max(1, scene.counts[kind] // 6)):
        what = f"a bit of {kind} {n}"
        _, table, result = scene.faulty(proxy, what, fault="flip", kind=kind, nth=n)
        scene.check(table, result, f"{what}: {described(proxy)}")


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_a_request(after, scene, proxy):
    """It dies while its request is on the way, or when the answer is: the next run goes on."""
    for n in points(scene, 15, f"kill {after}"):
        table = scene.trial()
        scene.killed(table, proxy, after, nth=n)
        scene.assert_once(table, f"killed at request {n}")
        scene.completed(table, f"killed at request {n}: {described(proxy)}", prove=n % 4 == 0)


@pytest.mark.parametrize("kind,fault", [("put", "conflict"), ("put", "lose"), ("put", "503-done"), ("list", "500"), ("get", "short-body"),
                                        ("put", "reset"), ("get", "refuse")])
def test_twice_in_a_row(kind, fault, scene, proxy):
    """The second attempt fails as the first did."""
    scene.count()
    for n in range(1, scene.counts[kind] + 1, STEP or max(1, scene.counts[kind] // 2)):
        what = f"{fault} twice at {kind} {n}"
        rule, table, result = scene.faulty(proxy, what, fault=fault, kind=kind, nth=n, times=2)
        assert result.status == 0, f"{what}: {result}"
        scene.check(table, result, what)


@pytest.mark.parametrize("fault", ["reset", "503", "500", "garbage", "denied"])
def test_an_outage_that_lasts(fault, scene, proxy):
    """From some request on all fail: the run ends, in bounded time and after a bounded number of requests, and says why."""
    total = scene.count()
    for n in random.Random(f"{fault} {SEED}").sample(range(1, total + 1), 5 if STEP else 1):
        what = f"{fault} from request {n} of {total} on"
        start = time.monotonic()
        rule, table, result = scene.faulty(proxy, what, {"AWS_MAX_ATTEMPTS": "4"}, fault=fault, nth=n, times=None)
        if rule.fired:
            assert result.status == 1, f"{what}: {result}"
            assert rule.fired < 100 and time.monotonic() - start < 60, f"{what}: {rule.fired} requests"
        scene.check(table, result, what)


def test_a_storm(scene, proxy):
    """One request in ten fails, in any way that passes: retries are enough."""
    ways = [fault_proxy.FAULTS[name] for name in PASSING if name != "skewed"]
    for seed in range(30 if STEP else 2):
        chance = random.Random(f"{seed} {SEED}")

        def any_way(x, chance=chance):
            chance.choice(ways)(x)

        rule, table, result = scene.faulty(proxy, f"storm {seed}", fault=any_way, chance=0.1, times=None, seed=seed)
        assert result.status == 0, f"storm {seed}: {rule.fired} of {len(proxy.requests)} requests: {result}"
        scene.check(table, result, f"storm {seed}")


# --- Answers that never end, or never come ----------------------------------------------------------------------------------

@pytest.mark.parametrize("fault", ["endless-body", "endless-head"])
@pytest.mark.parametrize("kind", ["list", "get", "put"])
def test_an_answer_without_end(fault, kind, scene, proxy):
    """Memory stays bounded."""
    if scene.name != "fresh":
        return
    proxy.clear()
    proxy.fail(fault, kind=kind)
    table = scene.table()
    result = scene.run(table, proxy, status=None, measure=True)
    assert result.status in (0, 1) and (harness.SANITIZED or result.peak < 200 * harness.MIB), result
    scene.check(table, result, f"{fault} of a {kind}")


def test_a_stall(scene, proxy):
    """A connection on which nothing comes is given up; one that is only slow is not."""
    if scene.name != "fresh":
        return
    proxy.clear()
    table = scene.table()
    stalled = proxy.fail(lambda x: fault_proxy.stall_in_body(x, 120), kind="get")
    proxy.fail(lambda x: fault_proxy.stall(x, 3), kind="put", nth=2)
    proxy.fail(lambda x: fault_proxy.drip(x, 64, 0.005), kind="list", times=None)
    result = scene.run(table, proxy)
    assert stalled.fired == 1 and 15 < result.seconds < 60, result
    scene.check(table, result, "a stall")


# --- Files of several parts -------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def parts(versitygw, tmp_path_factory):
    """Rows that do not compress, so that one file is more than a part."""
    made = Scene("parts", versitygw.make_bucket(), tmp_path_factory.mktemp("scene-parts"), s3_scene.JOB)
    chance = random.Random(1)
    documents, letters = [], [chr(c) for c in range(0x21, 0x7f) if chr(c) not in '"\\']
    for i in range(0, 5000, 2):
        s = "".join(chance.choices(letters, k=5000))
        documents.append(harness.tiny(i, s=s))
        made.expected[(i, "2024-03-10")] = s
    made.bucket.put("in/large.json", harness.lines(documents))
    return made


def test_parts_are_made(parts):
    parts.count()
    assert parts.counts["create"] == 1 and parts.counts["part"] >= 2 and parts.counts["complete"] == 1, parts.counts
    assert parts.bucket.uploads() == []


@pytest.mark.parametrize("kind,fault", [
    ("create", "lose"), ("create", "500-done"), ("part", "reset"), ("part", "lose"), ("part", "503"), ("part", "short-body"), ("part", "no-upload"),
    ("complete", "lose"), ("complete", "lose-reset"), ("complete", "cut-head"), ("complete", "500"), ("complete", "500-done"),
    ("complete", "200-error"), ("complete", "200-error-done"), ("complete", "conflict"), ("complete", "no-upload"), ("complete", "503")])
def test_an_upload_fails(kind, fault, parts, proxy):
    parts.count()
    for n in range(1, parts.counts[kind] + 1, STEP or 2):
        what = f"{fault} at {kind} {n}"
        rule, table, result = parts.faulty(proxy, what, fault=fault, kind=kind, nth=n)
        assert rule.fired == 1, what
        assert result.status == 0 or fault == "no-upload", f"{what}: {result}"
        parts.check(table, result, what)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["part", "complete"])
def test_killed_in_an_upload(kind, after, parts, proxy):
    table = parts.table()
    assert parts.killed(table, proxy, after, kind=kind)
    parts.completed(table, f"killed at {kind}", prove=True)


def test_a_run_that_fails_aborts_its_uploads(parts, proxy):
    before = parts.bucket.uploads()
    for kind, fault in (("part", "denied"), ("complete", "denied")):
        proxy.clear()
        proxy.fail(fault, kind=kind, nth=1, times=None)
        table = parts.table()
        result = parts.run(table, proxy, status=1)
        assert "AccessDenied" in result.err, result
        parts.completed(table, f"{fault} at {kind}", prove=True)
        left = [key for key in parts.bucket.uploads() if key not in before]
        assert not left, f"{fault} at {kind}: {left}"

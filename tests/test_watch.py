"""`gristmill watch`: what wakes it, what becomes of messages, and that nothing which events do can harm the table."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import threading
import time

import pytest

import fault_proxy
import harness
import judge
import s3_servers
import scene
import watch_scene
from watch_scene import TEST_EVENT, Scene, Watcher, bridged, by_sns, direct


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_servers.Versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="module")
def sqs(tmp_path_factory):
    with watch_scene.Sqs(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture
def make(s3, sqs, tmp_path, request):
    """A scene whose queue has this visibility. With three seconds it is asked every second, and a watcher ends as soon."""
    def made(visibility=3, **more):
        return Scene(s3.make_bucket(), sqs.make_queue(f"queue-{time.monotonic_ns()}", visibility, **more), tmp_path)
    return made


# --- Events -------------------------------------------------------------------------------------------------------------

def test_events_of_every_form_wake_it(make):
    """Directly, by SNS, by EventBridge, by EventBridge and SNS; keys that each encodes in its own way; removals and tests are deleted
    and lead to nothing. It stays asleep until it is told: an object without an event is found with the next one."""
    s = make()
    with s.watch() as watcher:
        watcher.looked()
        s.put("silent.json", [100])
        forms = [lambda *o: direct(s.bucket.name, *o), lambda *o: by_sns(direct(s.bucket.name, *o, name="ObjectCreated:CompleteMultipartUpload")),
                 lambda *o: bridged(s.bucket.name, *o), lambda *o: by_sns(bridged(s.bucket.name, *o))]
        for i, form in enumerate(forms):
            start = time.monotonic()
            s.queue.send(form(*s.put(f"2024/a b+c=%é-{i}.json", [i])))
            watcher.until(lambda: watcher.metric('gristmill_runs_total{result="ok"}') == i + 1, f"form {i}")
            assert s.is_complete()
            assert time.monotonic() - start < 8 * harness.SLOW
        s.queue.send(TEST_EVENT, by_sns(TEST_EVENT), s.event("in/gone.json", 0, name="ObjectRemoved:Delete"), s.event("lake/_delta_log/0.json", 5),
                     bridged(s.bucket.name, "in/gone.json", 0, "Object Deleted"))
        watcher.until(s.queue.is_empty, "all messages are deleted")
        found = watcher.metrics()
        assert found['gristmill_runs_total{result="ok"}'] == 4 and found["gristmill_lag_seconds"] == 0
        assert found['gristmill_wakeups_total{reason="message"}'] == 4 and found['gristmill_queue_messages_poison_total'] == 0
        watcher.stop()
    s.assert_complete()


def test_events_that_are_lost_are_found_by_the_timer(make):
    s = make()
    with s.watch(every="2s") as watcher:
        watcher.looked()
        s.put("lost.json", [1, 2])
        watcher.until(s.is_complete, "the listing")
        assert watcher.metric('gristmill_wakeups_total{reason="full_listing"}') >= 1
        watcher.stop()
    s.assert_complete()


def test_events_doubled_and_out_of_order_make_each_row_once(make):
    """Also an event that comes before its object, and one of an object that is gone."""
    s = make()
    objects = [s.put(f"{i:02}.json", [i, i + 100, 7]) for i in range(8)]
    events = [s.event(*o) for o in objects]
    early = s.event("in/later.json", 10)
    with s.watch() as watcher:
        s.queue.send(early, *reversed(events), s.event("in/never.json", 5), *events, *events[::2])
        watcher.until(lambda: s.is_complete() and s.queue.is_empty(), "all are done")
        s.queue.send(s.event(*s.put("later.json", [50])))
        watcher.until(lambda: s.is_complete() and s.queue.is_empty(), "the late one")
        watcher.stop()
    s.assert_complete()
    s.verify()


def test_poison_is_kept_aside_and_stands_in_nobodys_way(make):
    """Bodies that are no JSON, no event, of another bucket or prefix; as deep as they are wide. What they were is kept, byte by byte."""
    s = make()
    bodies = ["not json", "[" * 100_000, "{}", '{"Records":[]}', "[1,2]", '"text"', '{"Type":"Notification","Message":"{"}', '{"a":"\\u0000é"}',
              json.dumps(direct("another-bucket", "in/a.json", 1)), json.dumps(direct(s.bucket.name, "elsewhere/a.json", 1)),
              json.dumps(bridged(s.bucket.name, "inside.json", 1)), '{"Records":[{"s3":7,"eventName":[]}]}', '{"Records":[{"eventName":"ObjectCreated:Put"}]}',
              json.dumps({"source": "aws.s3", "detail-type": 5}), json.dumps(direct(s.bucket.name, "in%2", 1))]
    with s.watch() as watcher:
        watcher.looked()
        s.queue.send(*bodies, s.event(*s.put("good.json", [1])))
        watcher.until(lambda: s.is_complete() and s.queue.is_empty(), "the good one, and nothing is left")
        assert watcher.metric('gristmill_queue_messages_poison_total') == len(bodies)
        assert watcher.stop(signal.SIGINT).err.count("kept aside") >= 8
    kept = s.aside()
    assert sorted(entry["body"] for entry in kept) == sorted(bodies)
    assert {entry["why"] for entry in kept} == {"it is no JSON object", "it is no event of S3", "it tells of no object of the source"}
    s.assert_complete()
    s.verify()
    assert harness.gristmill("run", s.job, "--source", s.bucket.url("in/"), "--table", s.bucket.url("lake/"), "--json",
                             env=s.bucket.environment()).json["inputs"] == 0


# --- Messages -----------------------------------------------------------------------------------------------------------

def test_messages_stay_hidden_during_a_slow_run_and_go_after_its_commit(make):
    """The run is slower than the visibility; a message that comes while it goes on belongs to the next."""
    s, go_on = make(), threading.Event()
    with fault_proxy.FaultProxy(s.bucket.server.address) as proxy, s.watch(proxy=proxy.url) as watcher:
        watcher.looked()
        slow = proxy.fail(lambda x: (go_on.wait(60), x.pass_on()), kind="get", match="slow", times=None)
        s.queue.send(s.event(*s.put("slow.json", [1])))
        watcher.until(lambda: slow.fired, "the run has begun")
        s.queue.send(s.event(*s.put("second.json", [2])))
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert s.queue.counts()[1] >= 1 and s.rows() == []
            time.sleep(0.2)
        assert s.queue.counts() == (0, 2)
        go_on.set()
        watcher.until(lambda: s.is_complete() and s.queue.is_empty(), "both are done")
        found = watcher.metrics()
        assert found['gristmill_queue_messages_received_total'] == 2 and found['gristmill_queue_visibility_extensions_total'] >= 2
        watcher.stop()
    s.assert_complete()


def test_a_message_comes_back_when_the_process_dies(make):
    """kill -9 in the middle of a run, with the message hidden; the next watcher gets it, and deletes it after its own look."""
    s = make()
    with fault_proxy.FaultProxy(s.bucket.server.address) as proxy:
        with s.watch(proxy=proxy.url) as watcher:
            watcher.looked()
            stuck = proxy.fail("stall", kind="get", match="in/a", times=1)
            s.queue.send(s.event(*s.put("a.json", [1])))
            watcher.until(lambda: stuck.fired, "the run has begun")
            assert s.queue.counts() == (0, 1)
            watcher.kill()
            assert watcher.wait().status == -signal.SIGKILL
        with s.watch() as watcher:
            watcher.until(lambda: s.queue.is_empty() and s.is_complete(), "it came back")
            assert watcher.metric('gristmill_queue_messages_deleted_total') == 1
            watcher.stop()
    s.assert_complete()
    s.verify()


def test_sigterm_in_the_middle_gives_messages_back_at_once(make):
    """The run is abandoned cleanly, the message is there for others long before its visibility ends, and the exit status is 0."""
    s = make(visibility=600)
    with fault_proxy.FaultProxy(s.bucket.server.address) as proxy, s.watch(proxy=proxy.url) as watcher:
        watcher.looked()
        slow = proxy.fail(lambda x: (proxy.sleep(1), x.pass_on()), kind="get", match="in/", times=None)
        s.queue.send(*[s.event(*s.put(f"{i}.json", [i])) for i in range(4)])
        watcher.until(lambda: slow.fired, "the run has begun")
        watcher.stop(within=8)
        assert s.queue.counts()[1] == 0
    with s.watch() as watcher:
        watcher.until(lambda: s.queue.is_empty() and s.is_complete(), "another has them")
    s.assert_complete()


def test_a_long_listing_lives_and_can_be_stopped(make, tmp_path):
    """The service manager waits for the first look, and kills who gives no sign of life: both may take many pages of a listing."""
    s = make()
    for i in range(4500):  # as the server keeps them
        harness.write(s.bucket.server.root / s.bucket.name / f"in/{i:04}.json", b"")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, fault_proxy.FaultProxy(s.bucket.server.address) as proxy:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        proxy.fail(lambda x: (proxy.sleep(0.8), x.pass_on()), kind="list", times=None)
        with s.watch(proxy=proxy.url, queue=False, env={"NOTIFY_SOCKET": tmp_path / "notify", "WATCHDOG_USEC": "900000"}) as watcher:
            said = []
            watcher.until(lambda: said.extend(told(manager)) or said.count("WATCHDOG=1") >= 3, "signs of life")
            assert "EXTEND_TIMEOUT_USEC=60000000" in said and "READY=1" not in said, said
            assert watcher.metric("gristmill_last_run_timestamp_seconds") is None and watcher.metric("gristmill_lag_seconds") is None
            watcher.stop(within=2)
            assert told(manager)[-1] == "STOPPING=1"


def told(manager):
    """What has been said to the service manager."""
    said = []
    with contextlib.suppress(BlockingIOError):
        while True:
            said.append(manager.recv(4096).decode())
    return said


def test_two_watchers_on_one_table_and_queue(make):
    """Objects all the time, each told of twice. Both work, no row is doubled, and what loses a race is no failure."""
    s = make()
    with s.watch() as one, s.watch() as two:
        one.looked(), two.looked()
        for i in range(16):
            event = s.event(*s.put(f"{i:02}.json", [i, i + 1000, i // 2]))
            s.queue.send(event, event)
            time.sleep(0.15)
        one.until(lambda: s.is_complete() and s.queue.is_empty(), "all is done", 30)
        for watcher in (one, two):
            assert watcher.page("/healthz")[0] == 200 and watcher.metric('gristmill_runs_total{result="failed"}') == 0, watcher.said()
            watcher.stop()
    s.assert_complete()
    s.verify()


def test_receipts_that_are_no_longer_valid_and_a_service_that_fails(make):
    """Another deletes the message meanwhile; some entries of a batch fail; requests fail: told once, and it goes on."""
    s = make()
    with fault_proxy.FaultProxy(s.queue.server.address) as proxy, s.watch(sqs=proxy.url) as watcher:
        watcher.looked()
        partial = proxy.fail(partial_failure, times=1)
        s.queue.send(*[s.event(*s.put(f"{i}.json", [i])) for i in range(3)])
        watcher.until(lambda: s.is_complete() and s.queue.is_empty(), "deleted by and by")
        assert partial.fired == 1
        proxy.clear()
        proxy.fail("reset", times=2)
        proxy.fail(lambda x: x.answer(503, "Unavailable", b'{"__type":"ServiceUnavailable"}'), times=2)
        s.queue.send(s.event(*s.put("after.json", [10])))
        watcher.until(lambda: s.is_complete() and "answers again" in watcher.said(), "after the outage", 30)
        said = watcher.stop().err
        assert said.count("the queue is out of reach") == said.count("the queue answers again") == 1, said
    s.assert_complete()


def partial_failure(x):
    """Of a batch to delete, the first entry fails as SQS says it, and nothing is done about the others; all else passes."""
    if not x.request.headers.get("x-amz-target", "").endswith("DeleteMessageBatch"):
        x.proxy.fail(partial_failure, times=1)
        x.pass_on()
    else:
        body = {"Successful": [], "Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError", "Message": "no"}]}
        x.answer(200, "OK", json.dumps(body).encode())


# --- Directories --------------------------------------------------------------------------------------------------------

@pytest.fixture
def folders(tmp_path):
    job = harness.write(tmp_path / "job.yaml", scene.JOB.encode())
    (tmp_path / "in").mkdir()
    return job, tmp_path / "in", tmp_path / "lake"


def ids(table):
    return [row[0] for row in judge.delta_rows(table)]


def test_a_directory_is_watched_with_all_that_is_in_it(folders):
    """Files that are written, moved in and linked; folders that come later, are moved in full, are moved away; a file that is written
    slowly is not taken before it is done."""
    job, source, table = folders

    def data(i):
        return harness.lines([harness.tiny(i)])

    with Watcher(job, source, table, "--every", "1h") as watcher:
        watcher.looked()
        harness.write(source / "a.json", data(1))
        watcher.until(lambda: ids(table) == [1], "a file")
        harness.write(source / "2024/03/b.json", data(2))
        watcher.until(lambda: ids(table) == [1, 2], "a folder")
        with open(source / "2024/03/slow.json", "wb") as slow:
            for i in range(3, 9):
                slow.write(data(i))
                slow.flush()
                time.sleep(0.4)
                assert ids(table) == [1, 2]
        watcher.until(lambda: ids(table) == list(range(1, 9)), "a slow file")
        harness.write(source / ".e.tmp", data(11)[:9])  # and is never finished
        outside = source.parent / "outside"
        harness.write(outside / "deep/c.json", data(9))
        outside.rename(source / "moved")
        watcher.until(lambda: ids(table) == list(range(1, 10)), "a folder moved in")
        (source / "moved").rename(source.parent / "away")
        harness.write(source.parent / "d.json", data(10))
        os.link(source.parent / "d.json", source / "2024/d.json")
        watcher.until(lambda: ids(table) == list(range(1, 11)), "a link")
        found = watcher.metrics()
        assert found['gristmill_wakeups_total{reason="directory"}'] >= 5 and found['gristmill_wakeups_total{reason="interval"}'] == 0
        watcher.stop(within=3)


def test_a_source_that_fails_and_comes_back(folders, tmp_path):
    """Back-off, the command, health and metrics of a failure; and all is well again by itself."""
    job, source, table = folders
    told = tmp_path / "told"
    source.rmdir()
    with Watcher(job, source, table, "--every", "1h", "--on-failure", f'echo "$GRISTMILL_JOB $GRISTMILL_STATUS" >>{told}') as watcher:
        watcher.until(lambda: watcher.metric('gristmill_runs_total{result="failed"}') >= 2, "failures")
        status, why = watcher.page("/healthz")
        assert status == 503 and "runs failed" in why
        watcher.until(lambda: watcher.metric("gristmill_lag_seconds") > 1, "the lag")  # the second may fail after 0.9 s
        said = watcher.said()
        delays = [float(seconds) for seconds in re.findall(r"\((?:1|2) in a row\); trying again in ([\d.]+) s", said)]
        assert 0.9 <= delays[0] <= 1.1 and 1.8 <= delays[1] <= 2.2, said
        harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
        watcher.until(lambda: ids(table) == [1], "recovery")
        # The run ends a little after its commit.
        watcher.until(lambda: watcher.page("/healthz")[0] == 200 and watcher.metric("gristmill_lag_seconds") == 0, "all is well")
        harness.write(source / "b.json", harness.lines([harness.tiny(2)]))
        watcher.until(lambda: ids(table) == [1, 2], "the folder is watched again")
        assert "runs succeed again, after" in watcher.stop().err
    assert set(told.read_text().splitlines()) == {"tiny NOT_FOUND"}


def test_a_source_that_goes_away_while_nothing_happens(folders):
    """That is told by a run that fails, not an hour later by the timer; and when it is there again, what lies in it is found at once."""
    job, source, table = folders
    harness.write(source / "a.json", harness.lines([harness.tiny(1)]))
    with Watcher(job, source, table, "--every", "1h") as watcher:
        watcher.until(lambda: ids(table) == [1], "a file")
        shutil.rmtree(source)
        watcher.until(lambda: watcher.metric('gristmill_runs_total{result="failed"}') >= 3, "failures")
        start = time.monotonic()
        harness.write(source.parent / "new/b.json", harness.lines([harness.tiny(2)]))
        (source.parent / "new").rename(source)
        watcher.until(lambda: ids(table) == [1, 2], "it is there again")
        assert time.monotonic() - start < 3.5 * harness.SLOW, watcher.said()
        watcher.stop(within=3)


def test_a_folder_behind_a_link_that_comes_later(folders):
    job, source, table = folders
    (source.parent / "behind").mkdir()
    with Watcher(job, source, table, "--every", "1h") as watcher:
        watcher.looked()
        (source / "link").symlink_to(source.parent / "behind")
        time.sleep(0.2)
        harness.write(source.parent / "behind/deep/a.json", harness.lines([harness.tiny(1)]))
        watcher.until(lambda: ids(table) == [1], "a file behind the link")
        harness.write(source.parent / "behind/deep/b.json", harness.lines([harness.tiny(2)]))
        watcher.until(lambda: ids(table) == [1, 2], "another")
        watcher.stop(within=3)


def test_too_many_rejects_are_not_tried_again_and_again(folders):
    """Trying costs reading all of it, and a commit: not before `every` is over."""
    job, source, table = folders
    harness.write(source / "bad.json", b'{"id":\n' * 200)
    with Watcher(job, source, table, "--every", "1h") as watcher:
        watcher.until(lambda: watcher.metric('gristmill_runs_total{result="quarantine"}') == 1, "a run")
        time.sleep(2.5)
        assert watcher.metric('gristmill_runs_total{result="quarantine"}') == 1
        status, why = watcher.page("/healthz")  # it waits for somebody, who must learn it
        assert status == 503 and "the last run failed" in why and "rejected" in why
        assert "min" in watcher.said().partition("trying again in ")[2].partition("\n")[0] or "1 h" in watcher.said()
        watcher.stop(within=3)


def test_doctor_looks_at_the_queue(make):
    """And takes no message from it."""
    s = make()
    s.queue.send(s.event("in/a.json", 1), s.event("in/b.json", 1))
    for url, status, health, text in ((s.queue.url, 0, "note", "messages stay hidden for 3 s, and about 2 wait"),
                                      (s.queue.url + "-not", 1, "FAIL", "QueueDoesNotExist")):
        s.job.write_text(scene.JOB + f'watch: {{queue: "{url}"}}\n')
        result = harness.gristmill("doctor", s.job, "--source", s.bucket.url("in/"), "--table", s.bucket.url("lake/"), "--json", env=s.bucket.environment(), status=None)
        steps = [step for step in result.json["steps"] if step["place"] == "queue"]
        assert [step["step"] for step in steps] == ["credentials", "look"], result
        assert steps[1]["result"] == health and text in steps[1]["text"], result
    assert s.queue.counts() == (2, 0)


# --- Mistakes -----------------------------------------------------------------------------------------------------------

def test_what_is_wrong_from_the_beginning_ends_it(make, folders, tmp_path):
    job, source, table = folders
    s = make()

    def fails(status, text, *flags, env=None, source=source):
        result = harness.gristmill("watch", job, "--source", source, "--table", table, "--metrics", "off", *flags, status=status, env=env, timeout=30)
        assert text in result.err, result

    fails(2, "takes a duration", "--every", "1 hour")
    fails(2, "a second to 365 days", "--every", "366d")
    fails(2, "the source is a directory", "--queue", s.queue.url)
    fails(2, "not the URL of a queue", "--queue", "queue", env=s.bucket.environment(), source=s.bucket.url("in/"))
    fails(1, "QueueDoesNotExist", "--queue", s.queue.url + "-not", env=s.bucket.environment(), source=s.bucket.url("in/"))
    fails(2, "one inside the other", source=table.parent)
    shutil.rmtree(table, ignore_errors=True)
    with Watcher(job, source, table) as watcher:
        watcher.looked()
        result = harness.gristmill("watch", job, "--source", source, "--table", table, "--metrics", f"127.0.0.1:{watcher.port}", status=1, timeout=30)
        assert str(watcher.port) in result.err
        watcher.stop()

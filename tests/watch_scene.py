"""A job that is watched: objects in S3, events of them in a queue, and watchers. Ids are rows, each in one object but for those that
a test doubles; keys of objects hold characters that events encode.

Events have the shapes of the AWS documentation (S3 User Guide, "Event message structure" and "EventBridge"; SNS Developer Guide)."""
import functools
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

import harness
import judge
import s3_scene
import s3_servers
import scene


@functools.cache
def _made():
    """None, or why there are no servers."""
    done = subprocess.run([harness.ROOT / "scripts/aws-stubs"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"scripts/aws-stubs: {done.stderr.strip()[-300:]}"


class Sqs(s3_servers.Server):
    """ministack as Amazon SQS: it keeps visibility, long polling and redrive policies, and checks no signature."""

    name, ready_path = "ministack", "/_ministack/health"

    def find(self):
        if why := _made():
            pytest.skip(why)
        return harness.ROOT / ".cache/aws-stubs/bin/ministack"

    def command(self):
        self.environ = {"BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "IOT_MTLS_ENABLED": "0", "HOME": str(self.folder)}
        return [self.program]

    @functools.cached_property
    def client(self):
        import boto3
        from botocore.config import Config

        session = boto3.session.Session("testing", "testing", region_name=s3_servers.REGION)
        return session.client("sqs", endpoint_url=self.url, config=Config(retries={"total_max_attempts": 1}, max_pool_connections=8))

    def make_queue(self, name, visibility=30, **more):
        attributes = {"VisibilityTimeout": str(visibility), **more}
        self.client.create_queue(QueueName=name, Attributes=attributes)
        return Queue(self, f"{self.url}/000000000000/{name}")


class Queue:
    def __init__(self, server, url):
        self.server, self.url, self.client = server, url, server.client

    def send(self, *bodies):
        for at in range(0, len(bodies), 10):
            entries = [{"Id": str(i), "MessageBody": body if isinstance(body, str) else json.dumps(body)} for i, body in enumerate(bodies[at:at + 10])]
            answer = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
            assert not answer.get("Failed"), answer

    def counts(self):
        """Messages that wait, and that are with somebody."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(names))["Attributes"]
        return tuple(int(found[name]) for name in names)

    def is_empty(self):
        return self.counts() == (0, 0)


# --- Events -------------------------------------------------------------------------------------------------------------

def direct(bucket, key, size, name="ObjectCreated:Put", when=None):
    return {"Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": when or now(), "eventName": name,
        "userIdentity": {"principalId": "A1"}, "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
        "s3": {"s3SchemaVersion": "1.0", "configurationId": "new", "bucket": {"name": bucket, "ownerIdentity": {"principalId": "A1"}, "arn": f"arn:aws:s3:::{bucket}"},
               "object": {"key": urllib.parse.quote_plus(key, safe="/"), "size": size, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6DCD90281E5"}}}]}


def by_sns(message):
    return {"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": "arn:aws:sns:us-east-1:123456789012:new",
            "Subject": "Amazon S3 Notification", "Message": json.dumps(message), "Timestamp": now(), "SignatureVersion": "1",
            "Signature": "EXAMPLE", "SigningCertURL": "https://sns.us-east-1.amazonaws.com/x.pem", "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe"}


def bridged(bucket, key, size, kind="Object Created"):
    return {"version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": kind, "source": "aws.s3", "account": "111122223333",
            "time": now(), "region": "us-east-1", "resources": [f"arn:aws:s3:::{bucket}"],
            "detail": {"version": "0", "bucket": {"name": bucket}, "object": {"key": key, "size": size, "etag": "b1946ac92492d2347c6235b4d2611184", "sequencer": "00617F08299329D189"},
                       "request-id": "N4N7GDK58NMKJ12R", "requester": "123456789012", "source-ip-address": "1.2.3.4", "reason": "PutObject"}}


TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2014-10-13T15:57:02.089Z", "Bucket": "any", "RequestId": "5582815E1AEA5ADF", "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR"}


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


# --- Watchers -----------------------------------------------------------------------------------------------------------

class Watcher(harness.Process):
    """A running `gristmill watch`. Its metrics are at a port of its own."""

    def __init__(self, job, source, table, *flags, env=None, **options):
        self.port = s3_servers.free_port()
        super().__init__("watch", job, "--source", source, "--table", table, "--metrics", f"127.0.0.1:{self.port}", "--threads", "1", *flags, env=env, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.returncode is None:
            self.kill()
            self.wait()

    def page(self, path):
        """Status and text."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self):
        """Name with labels (but for the job's) -> value."""
        lines = [line for line in self.page("/metrics")[1].splitlines() if not line.startswith("#")]
        return {re.sub(r'gristmill_job="[^"]*",?', "", name).replace("{}", ""): float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def metric(self, name):
        """None while it is not known."""
        return self.metrics().get(name)

    def said(self):
        self.err.flush()
        with open(f"/proc/self/fd/{self.err.fileno()}", "rb") as log:
            return log.read().decode(errors="replace")

    def until(self, condition, what, seconds=15):
        """Waits; the process must live."""
        end = time.monotonic() + seconds * harness.SLOW
        while time.monotonic() < end:
            assert not self.ended(), f"{what}: it has ended\n{self.said()}"
            try:
                if condition():
                    return
            except OSError:
                pass  # it does not listen yet
            time.sleep(0.05)
        raise AssertionError(f"{what}: not within {seconds} s\n{self.said()}")

    def looked(self):
        """Waits until the first run has ended."""
        self.until(lambda: self.metric("gristmill_last_run_timestamp_seconds"), "the first look")
        return self

    def stop(self, number=15, within=10):
        start = time.monotonic()
        self.kill(number)
        result = self.wait(60)
        assert result.status == 0, result
        assert time.monotonic() - start < within * harness.SLOW, result
        return result


class Scene:
    def __init__(self, bucket, queue, folder):
        self.bucket, self.queue, self.folder = bucket, queue, folder
        self.job = harness.write(folder / "job.yaml", (scene.JOB + "watch: {batch_age: 1s}\n").encode())
        self.expected = {}

    def put(self, name, ids, s="a", below="in/"):
        """An object with a row for each id; its key and size."""
        rows = [dict(harness.tiny(i, s=s), t=harness.T0 + i + harness.DAY_MS * (i % 2)) for i in ids]
        for i in ids:
            self.expected.setdefault((i, scene.DAYS[i % 2]), s)
        data = harness.lines(rows)
        self.bucket.put(below + name, data)
        return below + name, len(data)

    def event(self, *object_, **more):
        return direct(self.bucket.name, *object_, **more)

    def watch(self, *flags, env=None, every="1h", proxy=None, sqs=None, queue=True, **options):
        """proxy, sqs: URLs in front of the servers."""
        environment = self.bucket.environment(**({"AWS_ENDPOINT_URL": proxy} if proxy else {}), **(env or {}))
        url = self.queue.url.replace(self.queue.server.url, sqs or self.queue.server.url)
        where = ["--queue", url] if queue else []
        return Watcher(self.job, self.bucket.url("in/"), self.bucket.url("lake/"), "--every", every, *where, *flags, env=environment, **options)

    def files(self):
        return self.bucket.tree("lake/", self.folder / "lake")

    def rows(self):
        return judge.delta_rows(self.files(), "id, day, s")

    def is_complete(self):
        try:
            return len(self.rows()) == len(self.expected)
        except Exception:  # a table that is not there yet, or is just being written
            return False

    def assert_complete(self, what=""):
        files = self.files()
        judge.assert_complete(files, [(i, day, s) for (i, day), s in self.expected.items()], what, "id, day, s", far=True)
        assert harness.quarantine(files) == [], what

    def aside(self):
        """Messages kept aside."""
        found = self.bucket.sizes("lake/_gristmill/tiny/watch/")
        return [json.loads(self.bucket.get(key)) for key in found]

    def verify(self):
        flags = ["--source", self.bucket.url("in/"), "--table", self.bucket.url("lake/")]
        return harness.gristmill("verify", self.job, *flags, env=self.bucket.environment())

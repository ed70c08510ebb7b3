"""A job from S3 to S3 whose rows are known: as scene.py, on a bucket. Each scene has a bucket of its own, with the source below in/;
tables lie side by side below other prefixes, so that one source feeds many trials."""
import pathlib
import shutil

import harness
import judge
import scene

JOB = scene.JOB


class Scene:
    def __init__(self, bucket, folder, job=JOB):
        self.bucket, self.folder = bucket, folder
        self.job = harness.write(folder / "job.yaml", job.encode())
        self.expected, self.quarantined, self.tables = {}, 0, 0

    def put(self, name, ids, s, bad=0):
        """An object of one row for each id, and some records that are unusable. Who brings an id first has its row."""
        documents = [dict(harness.tiny(i, s=s), t=harness.T0 + i + harness.DAY_MS * (i % 2)) for i in ids]
        for i in ids:
            self.expected.setdefault((i, scene.DAYS[i % 2]), s)
        self.quarantined += bad
        self.bucket.put("in/" + name, harness.lines(documents) + b'{"id":\n' * bad)

    def table(self):
        """The name of a table that is not there yet."""
        self.tables += 1
        return f"lake-{self.tables}"

    def copy(self, name):
        """A table as it is, under another name. (On the server's disk: its files carry what it knows of objects.)"""
        copied = self.table()
        shutil.copytree(self.bucket.path(name), self.bucket.path(copied))
        return copied

    def arguments(self, table, *flags):
        return [self.job, "--source", self.bucket.url("in/"), "--table", self.bucket.url(f"{table}/"), *flags]

    def environment(self, proxy=None, **more):
        return self.bucket.environment(**({"AWS_ENDPOINT_URL": proxy.url} if proxy else {}), **more)

    def start(self, table, proxy=None, **options):
        return harness.Process("run", *self.arguments(table, "--threads", "1", "--json"), env=self.environment(proxy), **options)

    def run(self, table, proxy=None, status=0, env=None, **options):
        environment = self.environment(proxy, **(env or {}))
        return harness.gristmill("run", *self.arguments(table, "--threads", "1", "--json"), env=environment, status=status, timeout=120, **options)

    def verify(self, table, status=0):
        return harness.gristmill("verify", *self.arguments(table), env=self.environment(), status=status)

    def files(self, table):
        return self.bucket.tree(f"{table}/", self.folder / table)

    def assert_once(self, table, what):
        judge.assert_once(self.files(table), what)

    def assert_complete(self, table, what):
        files = self.files(table)
        judge.assert_complete(files, [(i, day, s) for (i, day), s in self.expected.items()], what, "id, day, s", far=True)
        assert len(harness.quarantine(files)) == self.quarantined, what

    def completed(self, table, what, prove=False):
        """A clean run follows: all rows, once; nothing left over. prove: and then there is nothing to do, and the books say so."""
        self.run(table)
        self.assert_complete(table, what)
        if prove:
            self.nothing_new(table, what)
            self.verify(table)

    def nothing_new(self, table, what):
        again = self.run(table)
        assert again.json["committed"] is False and again.json["inputs"] == 0, f"{what}: {again}"


def secrets_in(bucket, *places):
    """Where the secret key stands that should stand nowhere: texts, and files and folders."""
    secret, found = bucket.server.secret.encode(), []
    for place in places:
        if isinstance(place, pathlib.Path):
            paths = [p for p in place.rglob("*") if p.is_file()] if place.is_dir() else [place]
            found += [str(p) for p in paths if secret in p.read_bytes()]
        elif secret.decode() in place:
            found.append(place)
    return found

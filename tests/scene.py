"""A table in the middle of something: runs that died at a known moment, and what the next clean run must make of it.

Jobs have `unique_by: [id]` and the partition column day; ids are even on the first day and odd on the second."""
import re
import shutil

import harness
import judge

IO = harness.BINARY.resolve().parent.parent.parent / "tests" / "fault" / "failio.so"
DAYS = ("2024-03-10", "2024-03-11")
JOB = harness.TINY_JOB.replace("  partition_by:", "  unique_by: [id]\n  partition_by:")


def edited(job):
    """The same rows, made by another version of the job file."""
    return job.replace("  unique_by:", "  compression_level: 2\n  unique_by:")


def other(job):
    """A second job of the same table."""
    return job.replace("job: tiny", "job: other")


class Scene:
    """`jobs`: texts of job files by name; each has a source of its own but "edited", which is another version of "tiny"."""

    def __init__(self, folder, jobs):
        self.folder, self.table = folder, folder / "table"
        self.expected, self.quarantined, self.objects = {}, 0, 0
        for name, text in jobs.items():
            harness.write(folder / f"{name}.yaml", text.encode())
            self.source(name).mkdir(parents=True, exist_ok=True)

    def source(self, job):
        return self.folder / ("other-input" if job == "other" else "input")

    def put(self, name, ids, s, job="tiny", bad=0, filtered=()):
        """An object of one row for each id, and some records that are unusable. Who brings an id first has its row."""
        documents = [dict(harness.tiny(i, s=s), t=harness.T0 + i + harness.DAY_MS * (i % 2)) for i in ids]
        for i in ids:
            if i not in filtered:
                self.expected.setdefault((i, DAYS[i % 2]), s)
        self.quarantined += bad
        harness.write(self.source(job) / name, harness.lines(documents) + b'{"id":\n' * bad)

    def command(self, name, *flags, table=None, job="tiny", status=0, env=None, **options):
        environment = {key: str(value) for key, value in (env or {}).items()}
        words = name.split()
        return harness.gristmill(words[0], self.folder / f"{job}.yaml", *words[1:], "--source", self.source(job),
                                 "--table", table or self.table, *flags, status=status, env=environment, timeout=60, **options)

    def run(self, table=None, job="tiny", status=0, **env):
        return self.command("run", "--json", "--threads", "1", table=table, job=job, status=status, env=env)

    def die(self, at, job="tiny", nth=1, action="kill-after"):
        """A run that is killed right after, or before, it has linked the nth file whose path holds `at`."""
        rehearsal, log = self.folder / "rehearsal", self.folder / "links"
        self.copy(rehearsal)
        log.unlink(missing_ok=True)
        self.run(rehearsal, job, LD_PRELOAD=IO, FAULT_IO_CALLS="link", FAULT_IO_LOG=log)
        shutil.rmtree(rehearsal)
        numbers = [line.split(" ", 1)[0] for line in log.read_text().splitlines() if at in line.split("/rehearsal", 1)[1]]
        self.run(None, job, -9, LD_PRELOAD=IO, FAULT_IO_CALLS="link", FAULT_IO_AT=numbers[nth - 1], FAULT_IO_ACTION=action)

    def copy(self, table):
        """The table as it is, at another place: all of its names are relative to it."""
        shutil.rmtree(table, ignore_errors=True)
        if self.table.exists():
            shutil.copytree(self.table, table)
        return table

    def completed(self, table, what, fault=None):
        """A clean run follows: all rows, once; nothing left over; it is proved; and then there is nothing to do. fault: what
        `verify` must find all the same."""
        result = self.run(table)
        if (table / "_gristmill" / "other").exists():  # ours has finished or ended its run; it tidies up itself
            self.run(table, "other")
        self.assert_complete(table, what)
        proof = self.command("verify", table=table, status=1 if fault else 0)
        assert fault is None or re.search(fault, proof.out), f"after {what}: {proof}"
        again = self.run(table)
        assert again.json["committed"] is False and again.json["inputs"] == 0, f"after {what}: {again}"
        return result

    def assert_complete(self, table, what):
        judge.assert_complete(table, [(i, day, s) for (i, day), s in self.expected.items()], f"after {what}", "id, day, s")
        assert len(harness.quarantine(table)) == self.quarantined, f"after {what}"

"""Levels of processor: each gives the same bytes, and one that cannot be is told of."""
import platform
import re

import pytest

import harness

VARIABLE = "GRISTMILL_CPU"
LEVELS = ("scalar", "sse4.2", "avx2", "neon")
QEMU = "/usr/bin/qemu-x86_64-static"
PROCESSORS = {"qemu64": "scalar", "Nehalem": "sse4.2", "Haswell": "avx2"} if platform.machine() == "x86_64" else {}


def _version(level=None, status=0):
    return harness.gristmill("--version", env={VARIABLE: level} if level is not None else None, status=status)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Generated records, and text that the scans must stop in: escapes, all lengths, UTF-8 that is ill-formed at every place."""
    folder = tmp_path_factory.mktemp("cpu") / "in"
    harness.gristmill("generate", folder, "--records", "3000", "--seed", "7", "--bad", "0.01")
    documents = []
    for n in range(400):
        text = ("a" * n) + ("\u20ac\U0001f600\u00e9" * (n // 7))
        record = harness.lines([harness.access_record(10_000_000 + n, queryString=text, userAgent="\t\"" * (n % 5) + text)])
        if n % 3 == 0:
            at = record.index(b"queryString") + 14 + n // 2
            record = record[:at] + b"\xc3" + record[at:]
        documents.append(record)
    harness.write_gz(folder / "edges.gz", b"".join(documents))
    return folder


def test_levels_give_the_same_bytes(source, tmp_path):
    made = {}
    for level in LEVELS:
        result = harness.run(harness.MAIN_JOB, source, tmp_path / level, "--max-quarantine", "100%", env={VARIABLE: level}, status=None)
        if result.status == 0:
            made[level] = harness.fingerprint(tmp_path / level)
        else:
            assert re.search("GRISTMILL_CPU: (no level of processors is named|this processor has no) '?" + re.escape(level), result.err)
    assert len(made) >= 2 and len({str(files) for files in made.values()}) == 1


def test_the_level_in_use_is_told():
    best = _version().out.splitlines()[-1]
    assert best in [f"cpu {level}" for level in LEVELS[1:]]
    assert _version("").out.splitlines()[-1] == best
    assert _version("scalar").out.splitlines()[-1] == "cpu scalar"


@pytest.mark.parametrize("level", ["mmx", "AVX2", " scalar", "native"])
def test_no_such_level(level):
    err = _version(level, status=2).err
    assert f"GRISTMILL_CPU: no level of processors is named '{level}'" in err and "use scalar" in err


@pytest.mark.skipif(harness.SANITIZED, reason="a sanitizer's shadow memory has no room below qemu")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_processor_is_asked(source, tmp_path, processor):
    """On a processor that lacks what this one has, emulated, no instruction is used that it does not know."""
    emulated = ("-cpu", processor, harness.BINARY)
    assert harness.gristmill(*emulated, "--version", binary=QEMU).out.splitlines()[-1] == f"cpu {PROCESSORS[processor]}"
    harness.run(harness.MAIN_JOB, source, tmp_path / "here", "--max-quarantine", "100%")
    harness.gristmill(*emulated, "run", harness.MAIN_JOB, "--source", source, "--table", tmp_path / "there", "--max-quarantine", "100%", "--quiet", binary=QEMU)
    assert harness.fingerprint(tmp_path / "here") == harness.fingerprint(tmp_path / "there")

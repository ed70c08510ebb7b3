"""What a record of the main job costs in instructions and allocations is pinned in tests/pins.json: see scripts/pins."""
import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys

import pytest

import harness

SCRIPT = harness.ROOT / "scripts" / "pins"
# The format is described in Valgrind's manual, "Callgrind Format Specification": names are told once and then by number alone,
# positions may be relative, a cost that is left out is 0, and the line behind calls= is what the callee cost.
REPORT = """\
# callgrind format
positions: line
events: Ir

ob=(1) /usr/lib/libother.so
fl=(1) ???
fn=(1) elsewhere
5 1000

ob=(2) /opt/build/src/cli/gristmill
fl=(2) ../src/shred/record.c
fn=(2) reads
16 400
+2 20
fi=(3) /usr/include/emmintrin.h
30 7
fe=(2)
*
cob=(1)
cfi=(1)
cfn=(1)
calls=3 5
18 1000
* 3
cfi=(4) ../src/job/functions/url.c
cfn=(3) normalizes
calls=1 9
19 600

fl=(4)
fn=(3)
9 600

ob=(1)
fl=(1)
fn=(1)
6 50

ob=(2)
fl=(5) /usr/include/xxhash.h
fn=(4) hashes
1 11
"""


@pytest.fixture(scope="module")
def pins():
    loader = importlib.machinery.SourceFileLoader("pins", str(SCRIPT))
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("pins", loader))
    loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module


@pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers replace the same functions")
def test_pins():
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    done = subprocess.run([SCRIPT, "--binary", harness.BINARY], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_report_of_callgrind(pins):
    assert pins.by_module(REPORT.splitlines(), "gristmill") == {"shred": 430, "job": 600, "other": 11}


@pytest.mark.parametrize("instructions, allocations, good", [
    ({"total": 1020.0, "shred": 720.0, "job": 300.0}, 0.01, True),
    ({"total": 1030.0, "shred": 730.0, "job": 300.0}, 0.01, False),
    ({"total": 970.0, "shred": 670.0, "job": 300.0}, 0.01, False),  # cheaper is to be written down, too
    ({"total": 1000.0, "shred": 670.0, "job": 330.0}, 0.01, False),  # from one module to another
    ({"total": 1000.0, "shred": 700.0, "job": 270.0, "run": 30.0}, 0.01, False),
    ({"total": 1000.0, "shred": 700.0, "job": 300.0}, 0.012, False),
])
def test_tolerance(pins, instructions, allocations, good):
    pinned = {"tolerance": {"instructions": 0.025, "allocations": 0.1}, "instructions": {"total": 1000.0, "shred": 700.0, "job": 300.0}, "allocations": 0.01}
    assert pins.compare(pinned, {"instructions": instructions, "allocations": allocations})[1] == good

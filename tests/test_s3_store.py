"""The store's contract (tests/unit/store/contract.c) on servers that speak S3. What they never do, unit tests have a server of their
own for."""
import os
import subprocess

import harness

CONTRACT = harness.BINARY.parent / "tests/unit/store/test_store_contract"


def test_the_contract_holds(any_s3):
    done = subprocess.run([CONTRACT, any_s3.url("contract")], env={**os.environ, **any_s3.environment()}, capture_output=True, text=True,
                          timeout=120 * harness.SLOW)
    assert done.returncode == 0, done.stdout + done.stderr

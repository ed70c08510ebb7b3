"""Watchers among lost events, faults and kills, for a while: see soak_watch.py, and scripts/soak for twenty minutes of it.
GRISTMILL_SEED makes it another."""
import os

import pytest

import harness
import s3_servers
import soak_watch
import watch_scene

SECONDS = float(os.environ.get("GRISTMILL_SOAK_SECONDS", "85"))
SEED = int(os.environ.get("GRISTMILL_SEED", "1"))


@pytest.mark.slow
def test_soak(quick):
    with s3_servers.Versitygw(quick / "s3") as s3, watch_scene.Sqs(quick / "sqs") as sqs:
        figures = soak_watch.soak(s3, sqs, quick, SECONDS * harness.SLOW, SEED)
    print(figures)
    harness.counted("seconds of soak", round(figures["seconds"]))
    harness.counted("kills of watchers", figures["kills"])
    harness.counted("objects watched for", figures["objects"])
    for name in ("lag_p50", "lag_p99", "lag_max", "rss_first_half_mib", "rss_second_half_mib"):
        harness.counted(name, round(figures[name]))

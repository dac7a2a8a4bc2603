"""A built server with the Kafka door for clients: the fixture `broker`. The binary is FRESHET_BINARY, else build/release/freshet."""
import os
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from live import Server, free_port  # noqa: E402

BINARY = os.environ.get("FRESHET_BINARY") or os.path.join(ROOT, "build/release/freshet")


@pytest.fixture()
def broker():
    """A server; .bootstrap is for Kafka clients, .client() speaks HTTP."""
    kafka = free_port()
    with Server(BINARY, arguments=["--kafka-listen", f"127.0.0.1:{kafka}"]) as server:
        server.bootstrap = f"127.0.0.1:{kafka}"
        server.binary_path = BINARY
        server.start()
        yield server


def wait_until(what, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = what()
        if value:
            return value
        time.sleep(0.05)
    return what()

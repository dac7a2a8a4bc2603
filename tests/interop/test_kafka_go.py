"""sarama and segmentio's kafka-go against a built server: tests/interop/kafka_go."""
import subprocess

from go_support import go_program
from kafka_support import broker  # noqa: F401


def test_go_clients(broker):
    done = subprocess.run([go_program("kafka_go"), broker.bootstrap], capture_output=True, text=True, timeout=300, check=False)
    bad = [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
    assert done.returncode == 0, "\n".join(bad)[-3000:] + done.stderr[-2000:]

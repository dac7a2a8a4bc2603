"""Apache Kafka's own operators' tools (kafka-log-dirs, kafka-transactions, kafka-configs, kafka-reassign-partitions) against a built server.

Their jars are what conformance.sh installs: FRESHET_KAFKA_CLIENTS, else build/kafka-clients.
"""
import json
import os
import re
import shutil
import subprocess

import pytest

from kafka_support import BINARY, ROOT, Server, broker, free_port  # noqa: F401

kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # noqa: E402

CLIENTS = os.environ.get("FRESHET_KAFKA_CLIENTS") or os.path.join(ROOT, "build/kafka-clients")


def tool(name, *arguments):
    run = os.path.join(CLIENTS, "broker", "ktool.sh")
    if not os.path.isdir(os.path.join(CLIENTS, "broker", "libs")) or not shutil.which("java"):
        pytest.skip(f"no jars in {CLIENTS}: tests/interop/conformance.sh installs them")
    done = subprocess.run([run, name, *arguments], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(text):
    """A tool's table as dicts."""
    lines = [re.split(r"\s{2,}|\t", line.strip()) for line in text.splitlines() if line.strip()]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def test_log_dirs_and_transactions(broker):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("moved", 2, 1)])["moved"].result(10)
    producer = kafka.Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": "mover"})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce("moved", value=b"x" * 1000, partition=1)
    assert producer.flush(10) == 0

    text = tool("org.apache.kafka.tools.LogDirsCommand", "--describe", "--bootstrap-server", broker.bootstrap, "--topic-list", "moved")
    found = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
    directory = found["brokers"][0]["logDirs"][0]
    assert directory["error"] is None and directory["logDir"].startswith("/")
    sizes = {part["partition"]: part["size"] for part in directory["partitions"]}
    assert sizes["moved-0"] == 0 and sizes["moved-1"] > 1000

    transactions = ("org.apache.kafka.tools.TransactionsCommand", "--bootstrap-server", broker.bootstrap)
    assert [(row["TransactionalId"], row["TransactionState"]) for row in rows(tool(*transactions, "list"))] == [("mover", "Ongoing")]
    about = rows(tool(*transactions, "describe", "--transactional-id", "mover"))[0]
    assert about["TransactionState"] == "Ongoing" and about["TopicPartitions"] == "moved-1"
    producers = rows(tool(*transactions, "describe-producers", "--topic", "moved", "--partition", "1"))
    assert len(producers) == 1 and producers[0]["CurrentTransactionStartOffset"] == "0"
    producer.commit_transaction(10)
    assert rows(tool(*transactions, "describe", "--transactional-id", "mover"))[0]["TransactionState"] == "CompleteCommit"
    assert "No partition reassignments found." in tool("org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--list", "--bootstrap-server", broker.bootstrap)


def test_quotas_by_kafka_configs(tmp_path):
    port, asking = free_port(), free_port()
    listeners = ["--kafka-listen", f"127.0.0.1:{port}", "--kafka-sasl-listen", f"127.0.0.1:{asking}"]
    with Server(BINARY, arguments=listeners) as server:
        server.start()
        server.client().call("PUT", "/v1/users/ann", {"password": "a-password-of-tests"})
        configs = ("kafka.admin.ConfigCommand", "--bootstrap-server", f"127.0.0.1:{port}")
        tool(*configs, "--alter", "--add-config", "producer_byte_rate=250000", "--entity-type", "users", "--entity-name", "ann")
        tool(*configs, "--alter", "--add-config", "consumer_byte_rate=9000", "--entity-type", "clients", "--entity-name", "app")
        # of users the tool would ask for SCRAM credentials, too, which is not offered
        assert "consumer_byte_rate=9000.0" in tool(*configs, "--describe", "--entity-type", "clients", "--entity-name", "app")
        limits = server.client().get("/v1/limits")["limits"]
        assert [(one["limit"], one.get("client"), one["bytes_in"], one["bytes_out"]) for one in limits] == [("*", "app", 0, 9000), ("ann", None, 250000, 0)]
        tool(*configs, "--alter", "--delete-config", "producer_byte_rate", "--entity-type", "users", "--entity-name", "ann")
        assert [one["limit"] for one in server.client().get("/v1/limits")["limits"]] == ["*"]


def test_groups_by_state_and_type(broker):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("grouped", 1, 1)])["grouped"].result(10)
    consumer = kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "readers", "auto.offset.reset": "earliest"})
    consumer.subscribe(["grouped"])
    for _ in range(100):
        consumer.poll(0.1)
        if consumer.assignment():
            break

    def listed(**filters):
        return {one.group_id: one for one in admin.list_consumer_groups(**filters).result(10).valid}

    assert listed()["readers"].type == kafka.ConsumerGroupType.CLASSIC
    assert "readers" in listed(types={kafka.ConsumerGroupType.CLASSIC}, states={kafka.ConsumerGroupState.STABLE})
    assert "readers" not in listed(types={kafka.ConsumerGroupType.CONSUMER}) and "readers" not in listed(states={kafka.ConsumerGroupState.EMPTY})
    consumer.close()
    server = ConfigResource(ResourceType.BROKER, "1")
    assert admin.describe_configs([server])[server].result(10)["advertised.listeners"].value == f"PLAINTEXT://{broker.bootstrap}"

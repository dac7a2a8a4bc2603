"""A pipeline's own records, dead letters, replays and lag, by librdkafka and the command line."""
import json
import subprocess

import pytest

from kafka_support import broker, wait_until  # noqa: F401

kafka = pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402


def make_collection(broker, name, partitions=1, **configs):
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    config = {"freshet.dimension": "3", "freshet.metric": "l2", **{k.replace("_", "."): v for k, v in configs.items()}}
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(10)


def produce(broker, topic, records, **more):
    failed = []
    producer = kafka.Producer({"bootstrap.servers": broker.bootstrap, "partitioner": "murmur2_random", **more})
    for key, value in records:
        producer.produce(topic, key=key, value=value if value is None or isinstance(value, bytes) else json.dumps(value),
                         on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(60) == 0 and not failed, failed


def cli(broker, *arguments, status=0):
    done = subprocess.run([broker.binary_path, *arguments, "--url", broker.url], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def test_a_pipelines_own_record(broker):
    """{"entity_id", "vector", "timestamp", "metadata"} works unchanged; names can be mapped; Debezium is unwrapped."""
    make_collection(broker, "own")
    own = {"entity_id": "e1", "vector": [1, 0, 0], "timestamp": "2026-01-31T12:00:00Z", "metadata": {"color": "red"}}
    produce(broker, "own", [("e1", own), ("e2", {**own, "entity_id": "e2", "vector": [0, 1, 0]})])
    http = broker.client()
    hit = http.post("/v1/collections/own/search", {"vector": [1, 0, 0], "k": 1})["hits"][0]
    assert hit["id"] == "e1" and hit["metadata"] == {"color": "red"}
    record = next(iter(http.log("own")))
    assert record["op"] == "upsert"
    make_collection(broker, "mapped", freshet_field_vector="embedding", freshet_field_metadata="tags", freshet_field_timestamp="at")
    produce(broker, "mapped", [("m", {"embedding": [0, 0, 1], "tags": {"n": 1}, "at": 1700000000000})])
    assert http.post("/v1/collections/mapped/get", {"ids": ["m"]})["records"][0]["metadata"] == {"n": 1}
    make_collection(broker, "cdc", freshet_envelope="debezium")
    after = {"vector": [1, 1, 1], "metadata": {"row": 7}}
    produce(broker, "cdc", [("7", {"payload": {"op": "c", "before": None, "after": after}}), ("8", {"op": "c", "after": after})])
    assert http.post("/v1/collections/cdc/count", {})["count"] == 2
    produce(broker, "cdc", [("7", {"payload": {"op": "d", "before": after, "after": None}})])
    assert http.post("/v1/collections/cdc/count", {})["count"] == 1
    consumer = kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"})
    http.post("/v1/collections/own/upsert", {"records": [{"id": "e3", "vector": [0, 0, 1], "metadata": {"by": "http"}}]})
    consumer.subscribe(["own"])
    seen = {}
    wait_until(lambda: (lambda m: m and not m.error() and seen.update({m.key(): json.loads(m.value())}))(consumer.poll(0.5)) or len(seen) == 3)
    consumer.close()
    assert seen[b"e3"]["metadata"] == {"by": "http"} and seen[b"e3"]["vector"] == [0, 0, 1]
    assert seen[b"e1"] == own


def test_dead_letters(broker):
    make_collection(broker, "vectors")
    produce(broker, "vectors", [("good", {"vector": [1, 0, 0]}), ("bad", {"vector": [1]}), ("junk", b"no json"), ("newer", {"vector": [2]})])
    produce(broker, "vectors", [("newer", {"vector": [3, 3, 3]})])  # the letter is older than this
    http = broker.client()
    assert http.post("/v1/collections/vectors/count", {})["count"] == 2
    letters = [json.loads(line) for line in cli(broker, "dlq", "list", "vectors").splitlines()]
    assert [letter["key"] for letter in letters] == ["bad", "junk", "newer"]
    assert letters[0]["record"] == 1 and letters[0]["partition"] == 0 and "dimension" in letters[0]["reason"]
    assert letters[1]["value"] == "no json"
    answer = json.loads(cli(broker, "dlq", "replay", "vectors"))
    assert answer == {"replayed": 0, "superseded": 1, "unusable": 2, "removed": 0}
    assert len(cli(broker, "dlq", "list", "vectors", "--limit", "2").splitlines()) == 2
    # Mended: another collection takes two dimensions less; here the letters that can be used now are those of a wider topic.
    make_collection(broker, "narrow")
    produce(broker, "narrow", [("a", {"vector": [1, 2, 3, 4]})])
    assert http.get("/v1/collections/narrow/dlq")["end"] == 1
    assert http.get("/v1/collections/vectors/dlq?offset=2")["letters"][0]["key"] == "newer"
    metrics = http.raw("GET", "/metrics")[1].decode()
    assert "freshet_dead_letters_total 4" in metrics


def test_dead_letters_are_replayed(broker):
    """A letter can be used once its collection can: dropped and made with the right dimension, its topic of letters stays."""
    make_collection(broker, "mend")
    http = broker.client()
    produce(broker, "mend", [("a", {"vector": [1, 2, 3, 4]}), ("b", {"vector": [4, 3, 2, 1]})])
    http.call("DELETE", "/v1/collections/mend")
    http.post("/v1/collections", {"name": "mend", "dimension": 4, "metric": "l2"})
    assert json.loads(cli(broker, "dlq", "replay", "mend")) == {"replayed": 2, "superseded": 0, "unusable": 0, "removed": 2}
    assert http.post("/v1/collections/mend/count", {})["count"] == 2
    assert json.loads(cli(broker, "dlq", "replay", "mend"))["replayed"] == 0


def test_replay(broker):
    make_collection(broker, "a", partitions=2)
    produce(broker, "a", [(f"k{i}", {"vector": [i, 0, 0], "model_version": "v1" if i < 50 else "v2"}) for i in range(100)])
    produce(broker, "a", [(f"k{i}", None) for i in range(0, 100, 10)])
    http = broker.client()
    cli(broker, "replay", "a", "--to", "b", "--wait")
    assert http.post("/v1/collections/b/count", {})["count"] == 90
    assert http.post("/v1/collections/b/get", {"ids": ["k17"], "with_vector": True})["records"][0]["vector"] == [17, 0, 0]
    cli(broker, "replay", "a", "--wait", "--rate", "100000")  # in place: the state stays
    assert http.post("/v1/collections/a/count", {})["count"] == 90
    job = http.post("/v1/collections/a/replay", {"target": "slow", "rate": 4, "model_version": "v2"})  # longer than all that follows
    assert job["state"] == "running"
    job = json.loads(cli(broker, "replay", "pause", str(job["id"]), "--json"))
    broker.stop()
    broker.start()
    job = json.loads(cli(broker, "replay", "show", str(job["id"]), "--json"))
    assert job["state"] == "paused" and job["model_version"] == "v2"
    cli(broker, "replay", "resume", str(job["id"]))
    broker.kill()
    broker.start()
    assert json.loads(cli(broker, "replay", "show", str(job["id"]), "--json"))["state"] == "running"
    cli(broker, "replay", "cancel", str(job["id"]))
    assert "cancelled" in cli(broker, "replay", "list")
    cli(broker, "replay", "forget", str(job["id"]))
    assert "cancelled" not in cli(broker, "replay", "list")
    cli(broker, "replay", "nowhere", status=1)
    assert "freshet_replay_records_total" in broker.client().raw("GET", "/metrics")[1].decode()


def test_lag(broker):
    make_collection(broker, "c")
    produce(broker, "c", [(f"k{i}", {"vector": [i, 0, 0]}) for i in range(10)])
    consumer = kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "late", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe(["c"])
    assert wait_until(lambda: consumer.poll(0.5))
    consumer.commit(offsets=[kafka.TopicPartition("c", 0, 4)], asynchronous=False)
    groups = json.loads(cli(broker, "lag", "late", "--json"))["groups"]
    assert groups == [{"group": "late", "state": "Stable", "members": 1, "lag": 6,
                       "partitions": [{"topic": "c", "partition": 0, "committed": 4, "end": 10, "lag": 6}]}]
    assert 'freshet_group_lag{group="late",topic="c",partition="0"} 6' in broker.client().raw("GET", "/metrics")[1].decode()
    consumer.close()


def test_durability(broker):
    """Never weaker than asked for, and labelled."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("fast", 1, 1, config={"freshet.durability": "none"})])["fast"].result(10)
    produce(broker, "fast", [(None, b"x")])
    assert 'freshet_topic_durability{topic="fast",durability="none"} 1' in broker.client().raw("GET", "/metrics")[1].decode()
    with pytest.raises(kafka.KafkaException):
        make_collection(broker, "never", freshet_durability="none")


def test_a_collection_of_several_vectors(broker):
    """Defined by Milvus's REST, written by a Kafka producer, searched by each field, and read back as it was written."""
    http = broker.client()
    fields = [{"fieldName": "id", "dataType": "Int64", "isPrimary": True},
              {"fieldName": "title", "dataType": "FloatVector", "elementTypeParams": {"dim": "2"}},
              {"fieldName": "body", "dataType": "FloatVector", "elementTypeParams": {"dim": "3"}}]
    made = http.post("/v2/vectordb/collections/create", {"collectionName": "pages", "schema": {"enableDynamicField": True, "fields": fields},
                     "indexParams": [{"fieldName": name, "indexName": name, "metricType": "L2"} for name in ("title", "body")]})
    assert made["code"] == 0, made
    produce(broker, "pages", [("1", {"vectors": {"title": [1, 0], "body": [1, 0, 0]}, "metadata": {"n": 1}}),
                              ("2", {"vector": [0, 1], "vectors": {"body": [0, 0, 1]}})])
    for field, vector, nearest in (("title", [0, 1], "2"), ("body", [1, 0, 0], "1")):
        found = http.post("/v2/vectordb/entities/search", {"collectionName": "pages", "data": [vector], "annsField": field, "limit": 1})
        assert found["code"] == 0 and [hit["id"] for hit in found["data"]] == [nearest], found
    consumer = kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["pages"])
    http.post("/v2/vectordb/entities/insert", {"collectionName": "pages", "data": [{"id": 3, "title": [1, 1], "body": [1, 1, 1], "n": 3}]})
    seen = {}
    wait_until(lambda: (lambda m: m and not m.error() and seen.update({m.key(): json.loads(m.value())}))(consumer.poll(0.5)) or len(seen) == 3)
    consumer.close()
    assert seen[b"3"]["vector"] == [1, 1] and seen[b"3"]["vectors"] == {"body": [1, 1, 1]} and seen[b"3"]["metadata"]["n"] == 3
    produce(broker, "pages", [("4", {"vectors": {"spine": [1]}})])
    assert "names no vector field" in http.get("/v1/collections/pages/dlq")["letters"][0]["reason"]

"""An unmodified Kafka Connect with its FileStream source writes a collection: a file of JSON lines becomes searchable."""
import json
import os
import shutil
import subprocess

import pytest

from kafka_support import ROOT, broker, free_port, wait_until  # noqa: F401

LIBS = os.environ.get("FRESHET_CONNECT_LIBS") or os.path.join(ROOT, "build/connect/libs")
VERSION = "4.3.1"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>f</groupId><artifactId>f</artifactId><version>1</version>
<dependencies>{"".join(f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
                       for group, name, version in (("org.apache.kafka", "connect-runtime", VERSION), ("org.apache.kafka", "connect-file", VERSION),
                                                    ("org.apache.kafka", "connect-transforms", VERSION)))}</dependencies></project>"""


@pytest.fixture(scope="module")
def class_path():
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    if not os.path.isdir(LIBS):
        if not shutil.which("mvn"):
            pytest.skip("mvn is not installed")
        folder = os.path.dirname(LIBS)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "pom.xml"), "w", encoding="ascii") as pom:
            pom.write(POM)
        done = subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}", "-DincludeScope=runtime"], cwd=folder,
                              capture_output=True, text=True, timeout=240, check=False)
        if done.returncode:
            shutil.rmtree(LIBS, ignore_errors=True)
            pytest.skip(f"Maven cannot get connect-runtime: {done.stdout[-200:]}")
    return os.path.join(LIBS, "*")


def test_file_stream_source(broker, class_path, tmp_path):
    """The connector's lines have no key: transforms take it from the value. Its records are {"entity_id", "vector", ...} as strings."""
    http = broker.client()
    admin = pytest.importorskip("confluent_kafka.admin", reason="confluent-kafka is not installed")
    client = admin.AdminClient({"bootstrap.servers": broker.bootstrap})
    config = {"freshet.dimension": "2", "freshet.metric": "l2"}
    client.create_topics([admin.NewTopic("embeddings", 1, 1, config=config)])["embeddings"].result(10)
    source = tmp_path / "records.jsonl"
    source.write_text("".join(json.dumps({"entity_id": f"e{i}", "vector": [i, 1], "metadata": {"n": i}}) + "\n" for i in range(50)))
    # HoistField and ValueToKey make {"line": ...} of the line and a key of it; ExtractField takes both back to plain text.
    (tmp_path / "worker.properties").write_text(f"""bootstrap.servers={broker.bootstrap}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.file.filename={tmp_path}/offsets
offset.flush.interval.ms=1000
plugin.path={os.path.dirname(class_path)}
plugin.discovery=service_load
listeners=http://127.0.0.1:{free_port()}
""")
    (tmp_path / "source.properties").write_text(f"""name=file
connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector
tasks.max=1
file={source}
topic=embeddings
transforms=hoist,key,flat,line
transforms.hoist.type=org.apache.kafka.connect.transforms.HoistField$Value
transforms.hoist.field=line
transforms.key.type=org.apache.kafka.connect.transforms.ValueToKey
transforms.key.fields=line
transforms.flat.type=org.apache.kafka.connect.transforms.ExtractField$Key
transforms.flat.field=line
transforms.line.type=org.apache.kafka.connect.transforms.ExtractField$Value
transforms.line.field=line
""")
    log = open(tmp_path / "connect.log", "wb")
    connect = subprocess.Popen(["java", "-Xmx256m", "-cp", class_path, "org.apache.kafka.connect.cli.ConnectStandalone", str(tmp_path / "worker.properties"),
                                str(tmp_path / "source.properties")], stdout=log, stderr=log)
    try:
        count = wait_until(lambda: (lambda n: n if n >= 50 else 0)(http.post("/v1/collections/embeddings/count", {})["count"]), 90)
        assert count == 50, (tmp_path / "connect.log").read_text()[-3000:]
        with open(source, "a", encoding="ascii") as more:
            more.write(json.dumps({"entity_id": "late", "vector": [1000, 1], "metadata": {"n": 1000}}) + "\n")
        assert wait_until(lambda: http.post("/v1/collections/embeddings/count", {})["count"] == 51, 30)
        hit = http.post("/v1/collections/embeddings/search", {"vector": [1000, 1], "k": 1})["hits"][0]
        assert hit["metadata"] == {"n": 1000}
    finally:
        connect.terminate()
        try:
            connect.wait(30)
        except subprocess.TimeoutExpired:  # its REST server, told to stop while it starts, waits for itself for ever (jstack: RestServer.stop)
            connect.kill()
            connect.wait(30)
        log.close()

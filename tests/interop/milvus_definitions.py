"""Run by test_milvus_clients.py in an environment with pymilvus: databases, collections, indexes, partitions, aliases, states."""
import logging
import sys

from pymilvus import DataType, MilvusClient, MilvusException

logging.disable(logging.CRITICAL)
client = MilvusClient(sys.argv[1], token="root:Milvus")


def code_of(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MilvusException as error:
        return error.code
    raise AssertionError(f"{call.__name__} was taken")


def schema_of(dynamic=False):
    schema = client.create_schema(enable_dynamic_field=dynamic, description="things")
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("place", DataType.FLOAT_VECTOR, dim=3)
    schema.add_field("name", DataType.VARCHAR, max_length=20, nullable=True)
    schema.add_field("size", DataType.INT32, default_value=7)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=4, max_length=8)
    schema.add_field("more", DataType.JSON, nullable=True)
    return schema


# made, described, made again, made otherwise
client.create_collection("things", schema=schema_of())
shape = client.describe_collection("things")
fields = {field["name"]: field for field in shape["fields"]}
assert [field["field_id"] for field in shape["fields"]] == [100, 101, 102, 103, 104, 105], shape
assert shape["description"] == "things" and shape["enable_dynamic_field"] is False and shape["collection_id"] > 0
assert fields["key"]["is_primary"] and fields["key"]["params"]["max_length"] == 64 and fields["place"]["params"]["dim"] == 3
assert fields["name"]["nullable"] and fields["size"]["default_value"].int_data == 7 and fields["tags"]["element_type"] == DataType.VARCHAR
client.create_collection("things", schema=schema_of())
code_of(client.create_collection, "things", schema=schema_of(dynamic=True))
assert client.list_collections() == ["things"] and not client.has_collection("nothing")
assert code_of(client.describe_collection, "nothing") == 100

# indexes and loading
assert client.list_indexes("things") == [] and str(client.get_load_state("things")["state"]) == "NotLoad"
assert code_of(client.load_collection, "things") == 700
wanted = client.prepare_index_params()
wanted.add_index("place", index_type="HNSW", metric_type="L2", index_name="places", params={"M": 8, "efConstruction": 40})
wanted.add_index("name", index_type="INVERTED")
client.create_index("things", wanted)
found = client.describe_index("things", "places")
assert (found["index_type"], found["metric_type"], found["M"], found["efConstruction"], found["field_name"]) == ("HNSW", "L2", "8", "40", "place"), found
assert sorted(client.list_indexes("things")) == ["name", "places"] and client.describe_index("things", "none") is None
again = client.prepare_index_params()
again.add_index("place", index_type="HNSW", metric_type="COSINE", index_name="places")
assert code_of(client.create_index, "things", again) == 65535
wrong = client.prepare_index_params()
wrong.add_index("size", index_type="HNSW", metric_type="L2")
assert code_of(client.create_index, "things", wrong) == 1100
client.load_collection("things")
assert str(client.get_load_state("things")["state"]) == "Loaded"
client.refresh_load("things", timeout=10)
assert code_of(client.drop_index, "things", "places") == 1100
client.release_collection("things")
client.drop_index("things", "name")
assert client.list_indexes("things") == ["places"]

# partitions
client.create_partition("things", "old")
client.create_partition("things", "old")
assert client.list_partitions("things") == ["_default", "old"] and client.has_partition("things", "old")
client.load_partitions("things", ["old"])
assert str(client.get_load_state("things", "old")["state"]) == "Loaded"
assert str(client.get_load_state("things", "_default")["state"]) == "NotLoad"
assert code_of(client.drop_partition, "things", "old") == 1100
client.release_partitions("things", ["old"])
client.drop_partition("things", "old")
assert client.list_partitions("things") == ["_default"] and code_of(client.load_partitions, "things", ["old"]) == 200
assert int(client.get_partition_stats("things", "_default")["row_count"]) == 0

# properties, fields, names
client.alter_collection_properties("things", {"collection.ttl.seconds": 60})
assert client.describe_collection("things")["properties"]["collection.ttl.seconds"] == "60"
client.drop_collection_properties("things", ["collection.ttl.seconds"])
assert "collection.ttl.seconds" not in client.describe_collection("things")["properties"]
client.add_collection_field("things", "weight", DataType.DOUBLE, nullable=True)
assert {f["name"]: f["field_id"] for f in client.describe_collection("things")["fields"]}["weight"] == 106
client.create_alias("things", "stuff")
assert client.describe_alias("stuff")["collection_name"] == "things" and client.list_aliases("things")["aliases"] == ["stuff"]
assert client.describe_collection("stuff")["collection_name"] == "things"
code_of(client.drop_collection, "things")
client.drop_alias("stuff")
client.rename_collection("things", "objects")
assert client.list_collections() == ["objects"] and client.list_indexes("objects") == ["places"]
client.truncate_collection("objects")

# databases
client.create_database("second")
assert sorted(client.list_databases()) == ["default", "second"]
assert code_of(MilvusClient(sys.argv[1], db_name="third").list_collections) == 800
other = MilvusClient(sys.argv[1], db_name="second")
other.create_collection("objects", dimension=2)
assert other.list_collections() == ["objects"] and len(other.describe_collection("objects")["fields"]) == 2
code_of(client.drop_database, "second")
other.drop_collection("objects")
client.drop_database("second")
assert client.list_databases() == ["default"]

# what is done at once
client.flush("objects")
job = client.compact("objects")
assert job > 0 and client.get_compaction_state(job) == "Completed" and client.list_persistent_segments("objects") == []
client.drop_collection("objects")
client.drop_collection("objects")
print("ok")

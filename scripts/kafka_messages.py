#!/usr/bin/env python3
"""Write api/kafka/kafka_messages.[ch]: Kafka's messages as C structs and as the tables that kafka_codec.c interprets.

usage: kafka_messages.py --definitions DIR_OR_JAR [--check]
The definitions are Apache Kafka's own common/message/*.json, inside every kafka-clients jar. The result is checked in, so that
a build needs neither the jar nor Python. --check writes nothing and exits 1 when what is checked in differs.
"""
import argparse
import json
import os
import sys
import zipfile

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# API -> (key, lowest, highest version offered). Why these ends: api/kafka/README.md.
APIS = {
    "Produce": (0, 3, 11), "Fetch": (1, 4, 16), "ListOffsets": (2, 1, 9), "Metadata": (3, 0, 12), "OffsetCommit": (8, 2, 9),
    "OffsetFetch": (9, 1, 9), "FindCoordinator": (10, 0, 4), "JoinGroup": (11, 0, 9), "Heartbeat": (12, 0, 4),
    "LeaveGroup": (13, 0, 5), "SyncGroup": (14, 0, 5), "DescribeGroups": (15, 0, 5), "ListGroups": (16, 0, 5),
    "SaslHandshake": (17, 0, 1), "ApiVersions": (18, 0, 3), "CreateTopics": (19, 2, 7), "DeleteTopics": (20, 1, 6),
    "DeleteRecords": (21, 0, 2), "InitProducerId": (22, 0, 4), "OffsetForLeaderEpoch": (23, 2, 4),
    "AddPartitionsToTxn": (24, 0, 3), "AddOffsetsToTxn": (25, 0, 3), "EndTxn": (26, 0, 3), "TxnOffsetCommit": (28, 0, 3),
    "DescribeConfigs": (32, 1, 4), "AlterConfigs": (33, 0, 2), "SaslAuthenticate": (36, 0, 2), "CreatePartitions": (37, 0, 3),
    "DeleteGroups": (42, 0, 2), "IncrementalAlterConfigs": (44, 0, 1), "OffsetDelete": (47, 0, 0), "DescribeCluster": (60, 0, 1),
    "DescribeLogDirs": (35, 1, 4), "ListPartitionReassignments": (46, 0, 0), "DescribeClientQuotas": (48, 0, 1),
    "AlterClientQuotas": (49, 0, 1), "DescribeProducers": (61, 0, 0), "DescribeTransactions": (65, 0, 0), "ListTransactions": (66, 0, 1),
}
TYPES = {"bool": "bool", "int8": "int8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t", "uint32": "uint32_t",
         "int64": "int64_t", "float64": "double", "string": "fr_span", "bytes": "fr_span", "records": "fr_kafka_records", "uuid": "fr_kafka_uuid"}
MACROS = """\
#define F(member, type, many, first, last, nullable, tagged, tag, child, number) \\
    {#member, FR_KAFKA_##type, many, first, last, nullable, tagged, tag, offsetof(S, member), child, number}
#define SHAPE(name) \\
    const fr_kafka_shape fr_kafka_##name##_shape = {#name, name##_fields, FR_COUNT_OF(name##_fields), sizeof(fr_kafka_##name)}
#define SHAPE_EMPTY(name) const fr_kafka_shape fr_kafka_##name##_shape = {#name, NULL, 0, sizeof(fr_kafka_##name)}

"""
HEAD = "Written by scripts/kafka_messages.py from Apache Kafka's message definitions: change the script, not this file."


def load(source):
    if os.path.isdir(source):
        folder = os.path.join(source, "common", "message") if os.path.isdir(os.path.join(source, "common")) else source
        read = lambda name: open(os.path.join(folder, name), encoding="utf-8").read()
    else:
        jar = zipfile.ZipFile(source)
        read = lambda name: jar.read("common/message/" + name).decode()
    found = {}
    for api in APIS:
        for side in ("Request", "Response"):
            text = "\n".join(line for line in read(f"{api}{side}.json").splitlines() if not line.lstrip().startswith("//"))
            found[api + side] = json.loads(text)
    return found


def versions(text, high):
    """"3+", "0-12", "none" -> (first, last), ended at what is offered; first > last = never."""
    if text in (None, "none"):
        return (127, -1)
    if text.endswith("+"):
        return (int(text[:-1]), high)
    first, _, last = text.partition("-")
    return (int(first), min(int(last or first), high))


def camel(name):
    return name[0].lower() + name[1:]


class Messages:
    def __init__(self, definitions):
        self.definitions = definitions
        names = {}
        for message, definition in definitions.items():
            for name in self.struct_names(definition):
                names.setdefault(name, set()).add(message)
        self.shared = {name for name, users in names.items() if len(users) > 1}
        self.header, self.tables = [], []

    def struct_names(self, definition):
        for struct in definition.get("commonStructs", []):
            yield struct["name"]
            yield from self.nested(struct["fields"])
        yield from self.nested(definition["fields"])

    def nested(self, fields):
        for field in fields:
            if "fields" in field:
                yield field["type"].removeprefix("[]")
                yield from self.nested(field["fields"])

    def c_name(self, message, struct):
        return f"{message}_{struct}" if struct in self.shared else struct

    def struct(self, message, name, fields, commons, done, high):
        """Emit one struct after its children."""
        rows, members = [], []
        for field in fields:
            first, last = versions(field["versions"], high)
            if first > last:
                continue
            kind = field["type"].removeprefix("[]")
            many = field["type"].startswith("[]")
            child = None
            if kind not in TYPES:
                child = self.c_name(message, kind)
                if kind not in done:
                    done.add(kind)
                    self.struct(message, child, field.get("fields") or commons[kind], commons, done, high)
            self.field(rows, members, field, (kind, many, child), (first, last), high)
        if not rows:
            members.append("    char unused;")
        self.header.append(f"typedef struct fr_kafka_{name} {{\n" + "\n".join(members) + f"\n}} fr_kafka_{name};")
        self.header.append(f"extern const fr_kafka_shape fr_kafka_{name}_shape;\n")
        if not rows:
            self.tables.append(f"SHAPE_EMPTY({name});\n")
            return
        self.tables.append(f"#define S fr_kafka_{name}\nstatic const fr_kafka_field {name}_fields[] = {{\n"
                           + "\n".join(rows) + f"\n}};\n#undef S\nSHAPE({name});\n")

    @staticmethod
    def field(rows, members, field, kind, span, high):
        kind, many, child = kind
        c_type = f"fr_kafka_{child}" if child else TYPES[kind]
        member = camel(field["name"])
        members.append(f"    FR_KAFKA_LIST({c_type}) {member};" if many else f"    {c_type} {member};")
        nullable = versions(field.get("nullableVersions"), high)[0]
        tagged = versions(field.get("taggedVersions"), high)[0]
        default = str(field.get("default", ""))
        number = {"": 0, "null": 1, "true": 1, "false": 0}.get(default)
        if number is None:
            number = int(default, 0) if kind not in ("string", "bytes") else 0
        type_name = "STRUCT" if child else kind.upper()
        rows.append(f'    F({member}, {type_name}, {int(many)}, {span[0]}, {span[1]}, {nullable}, {tagged}, '
                    f'{field.get("tag", 0)}, {"&fr_kafka_" + child + "_shape" if child else "NULL"}, {number}),')

    def message(self, message, api, request):
        key, low, high = APIS[api]
        definition = self.definitions[message]
        commons = {s["name"]: s["fields"] for s in definition.get("commonStructs", [])}
        self.struct(message, message, definition["fields"], commons, set(), high)
        flexible = versions(definition["flexibleVersions"], 127)[0]
        self.header.append(f"extern const fr_kafka_message fr_kafka_{message}_message;\n")
        self.tables.append(f"const fr_kafka_message fr_kafka_{message}_message = "
                           f"{{{key}, {str(request).lower()}, {low}, {high}, {flexible}, &fr_kafka_{message}_shape}};\n")

    def write(self):
        for api in APIS:
            self.message(api + "Request", api, True)
            self.message(api + "Response", api, False)
        members = "\n".join(f"    {{{APIS[a][0]}, &fr_kafka_{a}Request_message, &fr_kafka_{a}Response_message}}," for a in APIS)
        header = (f"/* kafka_messages.h: Kafka's messages as structs; fields keep Kafka's spelling.\n * {HEAD} */\n"
                  "#ifndef FR_KAFKA_MESSAGES_H\n#define FR_KAFKA_MESSAGES_H\n\n#include \"api/kafka/kafka_codec.h\"\n\n"
                  + "\n".join(self.header) +
                  "\n/* Every API of the tables, by key. */\ntypedef struct fr_kafka_pair {\n    int16_t key;\n"
                  "    const fr_kafka_message *request, *response;\n} fr_kafka_pair;\n"
                  "extern const fr_kafka_pair fr_kafka_pairs[];\nextern const size_t fr_kafka_pair_count;\n\n#endif\n")
        tables = (f"/* kafka_messages.c: the tables of Kafka's messages.\n * {HEAD}\n"
                  " * Columns: name, type, array, first and last version, nullable from, tagged from, tag, child, default. */\n"
                  "#include \"api/kafka/kafka_messages.h\"\n\n#include <stddef.h>\n\n" + MACROS + "\n".join(self.tables) +
                  f"\nconst fr_kafka_pair fr_kafka_pairs[] = {{\n{members}\n}};\n"
                  "const size_t fr_kafka_pair_count = FR_COUNT_OF(fr_kafka_pairs);\n")
        return {"api/kafka/kafka_messages.h": header, "api/kafka/kafka_messages.c": tables}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--definitions", required=True)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    bad = 0
    for path, text in Messages(load(args.definitions)).write().items():
        full = os.path.join(HERE, path)
        if not args.check:
            open(full, "w", encoding="utf-8").write(text)
        elif not os.path.exists(full) or open(full, encoding="utf-8").read() != text:
            print(f"{path} differs from the definitions")
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())

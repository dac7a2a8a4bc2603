"""Access over HTTP: a matrix of every route of /openapi.json against every kind of caller, and what the matrix cannot say. The server must
never answer 2xx to a caller who may not."""
import base64
import itertools
import json
import os
import re
import signal
import time

import pytest

ROOT = "root-password"
PASSWORD = "sesame-77"


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


AS_ROOT = basic("root", ROOT)


def root(server, method, path, body=None, status=200):
    reply = server.request(method, path, body, AS_ROOT)
    assert reply.status == status, (method, path, reply.status, reply.body)
    return reply.json()


def user(server, name, *grants, password=PASSWORD, roles=()):
    root(server, "PUT", f"/v1/users/{name}", {"password": password, "roles": list(roles)})
    for actions, on, object_name in grants:
        root(server, "POST", "/v1/grants", {"user": name, "actions": actions.split(), "on": on, "name": object_name})


@pytest.fixture(scope="module")
def server(binary):
    from conftest import Freshet
    one = Freshet(["--auth"], environment={"FRESHET_ROOT_PASSWORD": ROOT}).start()
    for name in ("docs", "other"):
        root(one, "POST", "/v1/collections", {"name": name, "dimension": 2, "metric": "l2"})
    root(one, "PUT", "/v1/aliases/cur", {"collection": "docs"})
    user(one, "reader", ("read", "collection", "docs"))
    user(one, "writer", ("read write", "collection", "docs"))
    user(one, "stranger", ("read write admin", "collection", "other"))
    user(one, "revoked", ("admin", "everything", None))
    root(one, "POST", "/v1/grants/revoke", {"user": "revoked", "on": "everything"})
    user(one, "dropped", ("admin", "everything", None))
    one.dropped_key = root(one, "POST", "/v1/keys", {"user": "dropped"})["secret"]
    root(one, "DELETE", "/v1/users/dropped")
    one.revoked_key = root(one, "POST", "/v1/keys", {"user": "root"})
    root(one, "DELETE", f"/v1/keys/{one.revoked_key['key']}")
    one.reader_key = root(one, "POST", "/v1/keys", {"user": "reader"})["secret"]
    root(one, "PUT", "/v1/roles/some")
    root(one, "PUT", "/v1/limits/stranger", {"requests": 1000000})
    one.key = root(one, "POST", "/v1/keys", {"user": "stranger"})["key"]
    yield one
    one.end()


BODIES = {
    "collection_create": {"name": "made", "dimension": 2}, "upsert": {"records": [{"id": 1, "vector": [1, 2]}]}, "delete": {"ids": [9]},
    "search": {"vector": [1, 2]}, "get": {"ids": [1]}, "count": {}, "scroll": {}, "alias_put": {"collection": "docs"},
    "user_put": {"password": PASSWORD}, "key_make": {"user": "reader"}, "grant_put": {"user": "reader", "actions": ["read"], "name": "docs"},
    "grant_drop": {"user": "reader", "name": "docs"}, "limit_put": {"requests": 1000000},
}
IN_BODY = ("collection_create", "alias_put")  # a user's route that names in its body what it changes


def routes(server):
    found = json.loads(server.request("GET", "/openapi.json", None, AS_ROOT).body)
    for path, methods in found["paths"].items():
        for method, route in methods.items():
            # The alias stands for docs: judged as docs.
            target = path.format(collection="docs", alias="cur", user="stranger", role="some", key=server.key, replay="1")
            yield method.upper(), target, route["operationId"], route["x-access"]


def callers(server):
    return {
        "none": {}, "bad password": basic("reader", "wrong-one"), "bad user": basic("ghost", PASSWORD), "bad key": bearer("frk_0011223344556677_" + "0" * 48),
        "bad header": {"Authorization": "Digest x"}, "dropped": basic("dropped", PASSWORD), "dropped key": bearer(server.dropped_key),
        "revoked key": bearer(server.revoked_key["secret"]), "reader": basic("reader", PASSWORD), "reader's key": bearer(server.reader_key),
        "writer": bearer(f"writer:{PASSWORD}"), "stranger": basic("stranger", PASSWORD), "revoked": basic("revoked", PASSWORD),
    }


def expected(caller, op, access):
    """The status of a refusal, or None: anything but a refusal."""
    if access == "open":
        return None
    if caller == "none" or caller.split()[0] == "bad" or caller.startswith("dropped") or caller == "revoked key":
        return 401
    if access == "user":
        return 403 if op in IN_BODY else None
    allowed = {"reader": ("read",), "reader's key": ("read",), "writer": ("read", "write")}.get(caller, ())
    return None if access in allowed else 403


def test_matrix(server):
    wrong, seen, refused = [], 0, 0
    for (method, target, op, access), (caller, headers) in itertools.product(list(routes(server)), callers(server).items()):
        reply = server.request(method, target, BODIES.get(op), headers)
        wanted = expected(caller, op, access)
        seen += 1
        refused += wanted is not None
        if wanted is None and reply.status in (401, 403) or wanted is not None and reply.status != wanted:
            wrong.append((caller, method, target, access, wanted, reply.status, reply.body[:120]))
        if reply.status == 401 and "Basic" not in reply.headers.get("WWW-Authenticate", ""):
            wrong.append((caller, method, target, "no WWW-Authenticate"))
    assert not wrong, wrong[:10]
    assert seen >= 13 * 38 and refused > 300
    print(f"matrix: {seen} requests, {refused} to be refused, 0 wrong")


def test_a_refusal_names_what_is_missing(server):
    reply = server.request("POST", "/v1/collections/docs/upsert", BODIES["upsert"], basic("reader", PASSWORD))
    assert reply.status == 403 and reply.error["code"] == "permission_denied"
    assert reply.error["message"] == "user 'reader' needs write on 'docs'"
    assert server.request("GET", "/v1/users", None, basic("reader", PASSWORD)).error["message"] == "user 'reader' needs admin on everything"


def test_lists_show_what_may_be_read(server):
    def names(headers):
        return sorted(c["name"] for c in server.request("GET", "/v1/collections", None, headers).json()["collections"])
    assert names(AS_ROOT) == ["docs", "other"] and names(basic("reader", PASSWORD)) == ["docs"] and names(basic("stranger", PASSWORD)) == ["other"]
    assert server.request("GET", "/v1/aliases", None, basic("stranger", PASSWORD)).json()["aliases"] == []


def test_a_password_changed_or_taken_counts_at_once(server):
    user(server, "ann", ("read", "collection", "docs"))
    search = ("POST", "/v1/collections/docs/search", BODIES["search"])
    assert server.request(*search, basic("ann", PASSWORD)).status == 200
    root(server, "PUT", "/v1/users/ann", {"password": "another-one"})
    assert server.request(*search, basic("ann", PASSWORD)).status == 401
    assert server.request(*search, basic("ann", "another-one")).status == 200
    root(server, "POST", "/v1/grants/revoke", {"user": "ann", "name": "docs"})
    assert server.request(*search, basic("ann", "another-one")).status == 403


def test_what_is_stored_cannot_be_read_back(server):
    text = json.dumps([root(server, "GET", path) for path in ("/v1/users", "/v1/keys")])
    assert "sesame" not in text and "stored" not in text and "digest" not in text and "secret" not in text
    log = b"".join(open(os.path.join(folder, name), "rb").read() for folder, _, names in os.walk(server.data) for name in names)
    assert PASSWORD.encode() not in log and ROOT.encode() not in log and server.reader_key.encode() not in log


def test_roles(server):
    root(server, "PUT", "/v1/roles/ingest")
    root(server, "POST", "/v1/grants", {"role": "ingest", "actions": ["write"], "name": "doc*"})
    user(server, "pump", roles=["ingest"])
    assert server.request("POST", "/v1/collections/docs/upsert", BODIES["upsert"], basic("pump", PASSWORD)).status == 200
    assert server.request("POST", "/v1/collections/docs/search", BODIES["search"], basic("pump", PASSWORD)).status == 403
    assert server.request("DELETE", "/v1/roles/ingest", None, AS_ROOT).status == 409
    root(server, "PUT", "/v1/users/pump", {"roles": []})
    assert server.request("POST", "/v1/collections/docs/upsert", BODIES["upsert"], basic("pump", PASSWORD)).status == 403
    root(server, "DELETE", "/v1/roles/ingest")


def until_refused(ask):
    """The replies up to the first 429: as many as it takes where requests are slow."""
    replies = [ask()]
    while replies[-1].status != 429:
        assert len(replies) < 300
        replies.append(ask())
    return replies


def test_a_limit_refuses_and_says_when(server):
    user(server, "fast", ("read", "collection", "docs"))
    root(server, "PUT", "/v1/limits/fast", {"requests": 3})
    replies = until_refused(lambda: server.request("POST", "/v1/collections/docs/count", {}, basic("fast", PASSWORD)))
    assert [r.status for r in replies[:2]] == [200, 200]
    late = replies[-1]
    assert int(late.headers["Retry-After"]) == 1 and "limit" in late.error["message"]
    assert server.request("POST", "/v1/collections/docs/count", {}, basic("reader", PASSWORD)).status == 200
    metrics = server.request("GET", "/metrics", None, AS_ROOT).body.decode()
    assert any(line.startswith('freshet_limit_refusals_total{user="fast"}') and int(line.split()[-1]) > 0 for line in metrics.splitlines())
    time.sleep(1.1)
    assert server.request("POST", "/v1/collections/docs/count", {}, basic("fast", PASSWORD)).status == 200


def test_bytes_are_limited(server):
    user(server, "wide", ("read write", "collection", "docs"))
    root(server, "PUT", "/v1/limits/wide", {"bytes_in": 1000})
    body = {"records": [{"id": i, "vector": [1, 2]} for i in range(100)]}
    statuses = [server.request("POST", "/v1/collections/docs/upsert", body, basic("wide", PASSWORD)).status for _ in range(2)]
    assert statuses == [200, 429]  # the first one is served and leaves a debt


def test_it_survives_kill_9(fresh):
    one = fresh(["--auth"], environment={"FRESHET_ROOT_PASSWORD": ROOT})
    one.start()
    root(one, "POST", "/v1/collections", {"name": "docs", "dimension": 2})
    user(one, "ann", ("read", "collection", "docs"))
    user(one, "gone", ("admin", "everything", None))
    root(one, "DELETE", "/v1/users/gone")
    one.stop(signal.SIGKILL)
    one.start()
    assert one.request("POST", "/v1/collections/docs/count", {}, basic("ann", PASSWORD)).status == 200
    assert one.request("POST", "/v1/collections/docs/upsert", BODIES["upsert"], basic("ann", PASSWORD)).status == 403
    assert one.request("POST", "/v1/collections/docs/count", {}, basic("gone", PASSWORD)).status == 401


def test_first_start_prints_a_random_password_once(fresh):
    one = fresh(["--auth"])
    one.start()
    line = next(text for text in one.tail().splitlines() if "user root was made" in text)
    password = line.split("password ")[1].split(" ")[0]
    assert len(password) == 24 and one.request("GET", "/v1/users", None, basic("root", password)).status == 200
    one.stop()
    one.start()
    assert one.tail().count("user root was made") == 1
    assert one.request("GET", "/v1/users", None, basic("root", password)).status == 200


def test_beyond_this_machine_only_with_auth(binary):
    import subprocess
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        for listen in (["--listen", "0.0.0.0:0"], ["--listen", "127.0.0.1:0", "--kafka-listen", "0.0.0.0:0"]):
            done = subprocess.run([binary, "serve", "--data", folder, *listen], capture_output=True, timeout=30)
            assert done.returncode == 1 and b"--insecure" in done.stderr, done


def test_metrics_may_be_open(fresh):
    one = fresh(["--auth", "--metrics-open"], environment={"FRESHET_ROOT_PASSWORD": ROOT})
    one.start()
    assert one.request("GET", "/metrics").status == 200 and one.request("GET", "/v1/collections").status == 401


def test_without_auth_nothing_has_changed(fresh):
    one = fresh()
    one.start()
    one.create("docs")
    assert one.request("GET", "/v1/users", None).status == 200 and one.request("GET", "/metrics").status == 200
    assert one.request("POST", "/v1/collections/docs/count", {}, basic("nobody", "whatever")).status == 200


def test_milvus_rest_asks_too(server):
    refused = server.request("POST", "/v2/vectordb/collections/list", {})
    assert refused.status == 401 and refused.json()["code"] == 1800, refused.body
    assert server.request("POST", "/v2/vectordb/collections/list", {}, basic("root", "wrong-one")).status == 401
    for headers in (AS_ROOT, bearer(f"root:{ROOT}")):
        reply = server.request("POST", "/v2/vectordb/collections/list", {}, headers)
        assert reply.status == 200 and reply.json()["code"] == 0 and "docs" in reply.json()["data"], reply.body


# Milvus's REST, each route of its table: what is asked of the collection docs, and what else a body must hold to be looked at.
REST = {
    "read": "collections/has collections/describe collections/get_stats collections/get_load_state partitions/list partitions/has partitions/get_stats "
            "indexes/list indexes/describe aliases/list aliases/describe entities/query entities/get entities/search entities/hybrid_search entities/advanced_search",
    "write": "collections/load collections/release collections/refresh_load collections/flush collections/compact partitions/load partitions/release "
             "entities/insert entities/upsert entities/delete",
    "admin": "collections/drop collections/truncate collections/rename collections/alter_properties collections/drop_properties "
             "collections/fields/alter_properties collections/fields/add partitions/create partitions/drop indexes/create indexes/drop "
             "indexes/alter_properties indexes/drop_properties collections/create aliases/create aliases/alter aliases/drop databases/alter "
             "databases/alter_properties databases/drop_properties databases/create databases/drop users/list users/create users/update_password users/drop "
             "users/grant_role users/revoke_role roles/list roles/describe roles/create roles/drop roles/grant_privilege roles/revoke_privilege "
             "roles/grant_privilege_v2 roles/revoke_privilege_v2",
    "self": "users/describe",  # reader
    "user": "collections/list databases/list databases/describe collections/get_compaction_state",
}
REST_BODY = {
    "collectionName": "docs", "newCollectionName": "docs2", "partitionName": "p", "partitionNames": ["p"], "indexName": "vector", "aliasName": "cur",
    "dbName": "default", "userName": "reader", "roleName": "some", "password": "not-his-own", "newPassword": PASSWORD, "objectType": "Collection",
    "objectName": "docs", "privilege": "Search", "properties": {"a": "b"}, "propertyKeys": ["a"], "fieldName": "f", "schema": {}, "jobID": 1,
    "indexParams": [{"fieldName": "vector", "metricType": "L2"}], "data": [{"id": 1, "vector": [1, 2]}], "id": [1], "search": [{"data": [[1, 2]]}],
    "filter": "id > 0",
}


def test_matrix_of_rest(server):
    table = open(os.path.join(os.path.dirname(__file__), "../../api/milvus/milvus_rest_routes.c"), encoding="utf-8").read()
    routes = re.findall(r'^    \{"([a-z_/0-9]+)",', table, re.M)
    asked = {route: kind for kind, some in REST.items() for route in some.split()}
    assert sorted(routes) == sorted(asked), set(routes) ^ set(asked)  # a route without a row here fails
    rights = {"reader": ("read",), "reader's key": ("read",), "writer": ("read", "write")}
    wrong, seen = [], 0
    for route, (caller, headers) in itertools.product(routes, callers(server).items()):
        kind = asked[route]
        stranger = caller == "none" or caller.split()[0] == "bad" or caller.startswith("dropped") or caller == "revoked key"
        may = kind == "user" or kind in rights.get(caller, ()) or kind == "self" and caller in ("reader", "reader's key")
        reply = server.request("POST", f"/v2/vectordb/{route}", REST_BODY, headers)
        seen += 1
        if reply.status != (401 if stranger else 200 if may else 403) or stranger and reply.json() != {"code": 1800, "message": "user hasn't authenticated"}:
            wrong.append((route, caller, kind, reply.status, reply.body[:150]))
    assert not wrong, (len(wrong), wrong[:10])
    assert seen >= 67 * 13
    assert server.request("POST", "/v2/vectordb/collections/list", {}, basic("reader", PASSWORD)).json()["data"] == ["docs"]
    assert server.request("POST", "/v2/vectordb/collections/list", {}, basic("revoked", PASSWORD)).json()["data"] == []
    print(f"REST matrix: {seen} requests, 0 wrong")


def test_limits_hold_for_milvus_too(server):
    user(server, "slow", ("read write", "collection", "docs"))
    ask = lambda **more: server.request("POST", "/v2/vectordb/entities/query", {"collectionName": "docs", "filter": "id >= 0", "limit": 1, **more}, basic("slow", PASSWORD))
    root(server, "PUT", "/v1/limits/slow", {"requests": 3})
    replies = until_refused(ask)
    late = replies[-1]
    assert replies[0].status == 200 and int(late.headers["Retry-After"]) == 1 and late.json()["code"] == 8
    for kind, rate, first in (("bytes_in", 60, {"padding": "x" * 4000}), ("bytes_out", 10, {})):
        root(server, "PUT", "/v1/limits/slow", {"requests": 1000, kind: rate})
        time.sleep(1.1)
        assert [ask(**first).status, ask(**first).status] == [200, 429], kind  # the first one is served and leaves a debt
    root(server, "PUT", "/v1/limits/slow", {"requests": 1000})


def test_refusals_and_acts_of_milvus_are_written_down(server):
    user(server, "noted", ("read", "collection", "docs"))
    server.request("POST", "/v2/vectordb/entities/insert", REST_BODY, basic("noted", PASSWORD))
    server.request("POST", "/v2/vectordb/users/describe", {"userName": "root"}, basic("noted", PASSWORD))
    update = {"userName": "noted", "password": PASSWORD, "newPassword": "another-7"}
    assert server.request("POST", "/v2/vectordb/users/update_password", update, basic("noted", PASSWORD)).json()["code"] == 0
    wanted = [b'"principal":"noted","door":"milvus","action":"%s","object":"%s","verdict":"%s"' % row
              for row in ((b"Insert", b"docs", b"refused"), (b"SelectUser", b"", b"refused"), (b"UpdateCredential", b"noted", b"admitted"))]
    until = time.monotonic() + 60
    while True:
        log = b"".join(open(os.path.join(folder, name), "rb").read() for folder, _, names in os.walk(os.path.join(server.data, "log")) for name in names
                       if name.endswith(".log"))
        missing = [line for line in wanted if line not in log]
        if not missing:
            break
        assert time.monotonic() < until, missing
        time.sleep(0.05)


def test_the_command_line(server, binary, tmp_path):
    import subprocess
    secret = tmp_path / "secret"
    secret.write_text(ROOT + "\n")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FRESHET_")}

    def run(*arguments, status=0, given=None, **environment):
        done = subprocess.run([binary, *arguments, "--url", f"http://127.0.0.1:{server.port}"], capture_output=True, text=True, timeout=60,
                              input=given, env={**clean, **environment})
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stderr

    login = ("--user", "root", "--password-file", str(secret))
    assert "needed" in run("user", "list", status=1)
    run("user", "put", "cli", "--set-password-file", "-", *login, given=PASSWORD + "\n")
    run("user", "grant", "cli", "read", "docs", *login)
    made = json.loads(run("user", "key", "cli", "--actions", "read", *login))
    assert "docs" in run("collection", "show", "docs", FRESHET_API_KEY=made["secret"])
    assert "docs" in run("collection", "show", "docs", "--api-key", made["secret"])
    assert "needs read on 'other'" in run("collection", "show", "other", FRESHET_USER="cli", FRESHET_PASSWORD=PASSWORD, status=1)
    run("user", "limit", "cli", "--requests", "5", *login)
    assert json.loads(run("user", "limits", *login))["limits"]
    run("user", "limit", "cli", "--none", *login)
    run("user", "revoke", "cli", "docs", *login)
    assert "needs read" in run("collection", "show", "docs", FRESHET_API_KEY=made["secret"], status=1)
    run("user", "drop", "cli", *login)
    assert "unknown API key" in run("collection", "show", "docs", FRESHET_API_KEY=made["secret"], status=1)

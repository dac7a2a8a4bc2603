/* routes.c: the route table and what leads to it: matching, parameters, 404, 405. Everything that must know all routes
 * (dispatch, metrics labels, /openapi.json, tests) reads this one table. */
#include "api/http/http_private.h"

#include <stdio.h>

#define NO_FIELDS NULL, 0
#define FIELDS(name) fr_in_##name, FR_COUNT_OF(fr_in_##name)

const fr_in_field fr_in_create[] = {
    {"name", FR_IN_STRING, true, 0, 0, NULL, "1 to 249 of A-Z a-z 0-9 . _ -"},
    {"dimension", FR_IN_INT, false, 1, FR_DIMENSION_BITS_MAX, NULL,
     "numbers of a vector, to 32,768; bits of a binary one, a multiple of 8; may come from embedder.dimension"},
    {"metric", FR_IN_STRING, false, 0, 0, "l2|ip|cosine|hamming|jaccard|bm25", "default cosine; of binary vectors: hamming; of sparse ones: ip"},
    {"partitions", FR_IN_INT, false, 1, FR_PARTITIONS_MAX, NULL, "log partitions, default 1; cannot be raised later"},
    {"codes", FR_IN_STRING, false, 0, 0, "sq8|none", "what the graph walk reads; default sq8"},
    {"profile", FR_IN_STRING, false, 0, 0, "balanced|speed|compact", "memory against speed, default balanced"},
    {"vector_type", FR_IN_STRING, false, 0, 0, "f32|f16|bf16|int8|binary|sparse",
     "what a vector's numbers are kept as, default f32; f16, bf16: rounded to nearest; int8: whole numbers of -128 to 127; binary: bits; sparse: "
     "{\"7\":0.5}, no dimension"},
    {"vectors", FR_IN_STRING, false, 0, 0, "memory|disk", "where original vectors live; default by profile: speed memory, others disk"},
    {"m", FR_IN_INT, false, 2, 32, NULL, "links per row, default 16, compact 10"},
    {"ef_construction", FR_IN_INT, false, 8, 4096, NULL, "default 100"},
    {"embedder", FR_IN_OBJECT, false, 0, 0, NULL, "{\"type\":\"hash\",\"dimension\":256}: text becomes the vector"},
    {"id_type", FR_IN_STRING, false, 0, 0, "any|int64|string", "default any: 1 and \"1\" are one entity"},
    {"drop_stale", FR_IN_BOOL, false, 0, 0, NULL, "a record whose timestamp is older than the stored one does nothing; default false"},
    {"indexed", FR_IN_ARRAY, false, 0, 0, NULL, "up to 16 metadata paths that filters will name often: [\"color\", \"a.b\"]; others are noticed"},
    {"fields", FR_IN_SCHEMA, false, 0, 0, NULL, "instead of dimension, metric and so on: up to 8 vector fields, and scalar fields with types"},
    {"dynamic", FR_IN_BOOL, false, 0, 0, NULL, "with fields: metadata may have keys that are not declared; default true"},
};
const fr_in_field fr_in_record[] = {
    {"id", FR_IN_INT | FR_IN_STRING, true, 0, 0, NULL, "a string of 1 to 512 bytes or a 64-bit integer"},
    {"vector", FR_IN_VECTOR, false, 0, 0, NULL,
     "this or text; numbers in the range of the collection's vector_type; binary: numbers 0 and 1, or bytes as numbers or base64; "
     "sparse: {\"7\":0.5} or {\"indices\":[7],\"values\":[0.5]}"},
    {"vectors", FR_IN_OBJECT, false, 0, 0, NULL, "{field: vector}, where there are several vector fields"},
    {"text", FR_IN_STRING, false, 0, 0, NULL, "embedded by the collection's embedder; kept as metadata text"},
    {"metadata", FR_IN_OBJECT, false, 0, 0, NULL, "any JSON object, 65,536 bytes"},
    {"event_id", FR_IN_STRING, false, 0, 0, NULL, "makes a retry harmless; 1 to 256 bytes"},
    {"timestamp", FR_IN_INT | FR_IN_STRING, false, 0, 0, NULL, "source time: milliseconds since 1970 or RFC 3339"},
    {"model_version", FR_IN_STRING, false, 0, 0, NULL, "1 to 256 bytes"},
};
const fr_in_field fr_in_upsert[] = {
    {"records", FR_IN_RECORDS, true, 0, 0, NULL, "1 to 10,000 records; all or nothing"},
    {"ack", FR_IN_STRING, false, 0, 0, "durable|searchable", "when to answer; default searchable"},
};
const fr_in_field fr_in_delete[] = {
    {"ids", FR_IN_ARRAY, false, 0, 0, NULL, "1 to 10,000 ids; this or filter"},
    {"filter", FR_IN_STRING, false, 0, 0, NULL, "every entity that matches"},
    {"params", FR_IN_OBJECT, false, 0, 0, NULL, "the values of {name} in the filter: {\"name\": value or list}"},
};
const fr_in_field fr_in_search[] = {
    {"vector", FR_IN_VECTOR, false, 0, 0, NULL, "one of vector, vectors, text"},
    {"vectors", FR_IN_VECTORS, false, 0, 0, NULL, "1 to 1,024 vectors: hits is then a list of lists"},
    {"text", FR_IN_STRING, false, 0, 0, NULL, "embedded by the collection's embedder"},
    {"field", FR_IN_STRING, false, 0, 0, NULL, "the vector field that is searched; default: the first"},
    {"k", FR_IN_INT, false, 1, FR_K_MAX, NULL, "hits wanted, default 10"},
    {"ef", FR_IN_INT, false, 1, FR_EF_MAX, NULL, "breadth of the walk; default: the collection's"},
    {"recall", FR_IN_NUMBER, false, 0, 0, NULL, "instead of ef, 0.5 to 0.999: the breadth that reached this recall@10"},
    {"filter", FR_IN_STRING, false, 0, 0, NULL, "an expression over id and metadata"},
    {"params", FR_IN_OBJECT, false, 0, 0, NULL, "the values of {name} in the filter: {\"name\": value or list}"},
    {"output", FR_IN_ARRAY, false, 0, 0, NULL, "metadata keys of each hit, or [\"*\"]; default all"},
    {"min_offset", FR_IN_INT | FR_IN_OBJECT, false, 0, INT64_MAX, NULL, "read your writes: 17 or {\"0\":17}, inclusive"},
    {"timeout_ms", FR_IN_INT, false, 0, FR_HTTP_WAIT_MS_MAX, NULL, "how long to wait for min_offset, default 5000"},
    {"with_vector", FR_IN_BOOL, false, 0, 0, NULL, "of the first vector field; default false"},
    {"with_vectors", FR_IN_BOOL | FR_IN_ARRAY, false, 0, 0, NULL, "names of vector fields, or true: \"vectors\" of each"},
    {"offset", FR_IN_INT, false, 0, FR_K_MAX, NULL, "hits to skip; offset + k is at most 16,384"},
    {"radius", FR_IN_NUMBER, false, 0, 0, NULL, "l2: distance below it; ip, cosine: score above it"},
    {"range_filter", FR_IN_NUMBER, false, 0, 0, NULL, "l2: distance from it on; ip, cosine: score up to it"},
    {"group_by", FR_IN_STRING, false, 0, 0, NULL, "a metadata path"},
    {"group_size", FR_IN_INT, false, 1, FR_K_MAX, NULL, "hits per group, default 1"},
    {"explain", FR_IN_BOOL, false, 0, 0, NULL, "adds how the search was done"},
    {"exact", FR_IN_BOOL, false, 0, 0, NULL, "scan every row"},
};
const fr_in_field fr_in_get[] = {
    {"ids", FR_IN_ARRAY, true, 0, 0, NULL, "1 to 10,000 ids"},
    {"output", FR_IN_ARRAY, false, 0, 0, NULL, "metadata keys, or [\"*\"]; default all"},
    {"with_vector", FR_IN_BOOL, false, 0, 0, NULL, "of the first vector field; default false"},
    {"with_vectors", FR_IN_BOOL | FR_IN_ARRAY, false, 0, 0, NULL, "names of vector fields, or true: \"vectors\" of each"},
};
const fr_in_field fr_in_count[] = {
    {"filter", FR_IN_STRING, false, 0, 0, NULL, "default: everything"},
    {"params", FR_IN_OBJECT, false, 0, 0, NULL, "the values of {name} in the filter: {\"name\": value or list}"},
};
const fr_in_field fr_in_scroll[] = {
    {"filter", FR_IN_STRING, false, 0, 0, NULL, "default: everything"},
    {"params", FR_IN_OBJECT, false, 0, 0, NULL, "the values of {name} in the filter: {\"name\": value or list}"},
    {"limit", FR_IN_INT, false, 1, FR_RECORDS_MAX, NULL, "default 100"},
    {"cursor", FR_IN_STRING, false, 0, 0, NULL, "of the answer before; opaque"},
    {"output", FR_IN_ARRAY, false, 0, 0, NULL, "metadata keys, or [\"*\"]; default all"},
    {"with_vector", FR_IN_BOOL, false, 0, 0, NULL, "of the first vector field; default false"},
    {"with_vectors", FR_IN_BOOL | FR_IN_ARRAY, false, 0, 0, NULL, "names of vector fields, or true: \"vectors\" of each"},
};
const fr_in_field fr_in_alias[] = {{"collection", FR_IN_STRING, true, 0, 0, NULL, "the collection that the name means from now on"}};
const fr_in_field fr_in_log[] = {
    {"partition", FR_IN_INT, false, 0, FR_PARTITIONS_MAX - 1, NULL, "default 0"},
    {"offset", FR_IN_INT, false, 0, INT64_MAX, NULL, "first record; default: the start"},
    {"timestamp", FR_IN_INT | FR_IN_STRING, false, 0, 0, NULL, "instead of offset: the first record from this time on"},
    {"limit", FR_IN_INT, false, 1, FR_RECORDS_MAX, NULL, "default 100"},
};
const fr_in_field fr_in_user[] = {
    {"password", FR_IN_STRING, false, 0, 0, NULL, "6 to 256 bytes; needed for a new user; absent: it stays"},
    {"superuser", FR_IN_BOOL, false, 0, 0, NULL, "may do everything; absent: it stays"},
    {"roles", FR_IN_ARRAY, false, 0, 0, NULL, "names of roles; absent: they stay"},
};
const fr_in_field fr_in_key[] = {
    {"user", FR_IN_STRING, true, 0, 0, NULL, "whom the key acts for"},
    {"actions", FR_IN_ARRAY, false, 0, 0, NULL, "what it may do at most: read, write, admin; default all that the user may"},
    {"expires", FR_IN_INT | FR_IN_STRING, false, 0, 0, NULL, "milliseconds since 1970 or RFC 3339; default never"},
};
const fr_in_field fr_in_grant[] = {
    {"user", FR_IN_STRING, false, 0, 0, NULL, "to a user; this or role"},
    {"role", FR_IN_STRING, false, 0, 0, NULL, "to a role; \"public\" is every user's"},
    {"actions", FR_IN_ARRAY, false, 0, 0, NULL, "read, write, admin (which includes both)"},
    {"on", FR_IN_STRING, false, 0, 0, "collection|topic|group|transactional_id|database|everything", "default collection (a topic is the same)"},
    {"name", FR_IN_STRING, false, 0, 0, NULL, "of it; a trailing * means every name that begins so"},
};
const fr_in_field fr_in_limit[] = {
    {"client", FR_IN_STRING, false, 0, 0, NULL, "Kafka's client id; default any"},
    {"requests", FR_IN_INT, false, 0, INT64_MAX, NULL, "a second; 0 = no limit"},
    {"bytes_in", FR_IN_INT, false, 0, INT64_MAX, NULL, "a second; 0 = no limit"},
    {"bytes_out", FR_IN_INT, false, 0, INT64_MAX, NULL, "a second; 0 = no limit"},
};
const fr_in_field fr_in_client[] = {{"client", FR_IN_STRING, false, 0, 0, NULL, "Kafka's client id; default any"}};
const fr_in_field fr_in_replay[] = {
    {"target", FR_IN_STRING, false, 0, 0, NULL, "a collection; made like this one when it is not there; default: this one, in place"},
    {"offset", FR_IN_INT, false, 0, INT64_MAX, NULL, "first offset, of every partition; one of offset, timestamp, model_version, or none"},
    {"timestamp", FR_IN_INT | FR_IN_STRING, false, 0, 0, NULL, "from the first record of this time on"},
    {"model_version", FR_IN_STRING, false, 0, 0, NULL, "from the first record of this model version on"},
    {"rate", FR_IN_INT, false, 1, 1000000, NULL, "records a second at most, default 5,000"},
    {"follow", FR_IN_BOOL, false, 0, 0, NULL, "go on with what is written meanwhile, until it is cancelled"},
};
const fr_in_field fr_in_letters[] = {
    {"offset", FR_IN_INT, false, 0, INT64_MAX, NULL, "first letter; default: the start"},
    {"limit", FR_IN_INT, false, 1, FR_RECORDS_MAX, NULL, "default 100"},
};
const fr_in_field fr_in_letters_replay[] = {
    {"offset", FR_IN_INT, false, 0, INT64_MAX, NULL, "first letter; default: the start"},
    {"keep", FR_IN_BOOL, false, 0, 0, NULL, "leave the letters that are done; default false: they go, up to the first that is still unusable"},
};
const fr_in_field fr_in_lag[] = {{"group", FR_IN_STRING, false, 0, 0, NULL, "default: all"}};
const size_t fr_in_record_count = FR_COUNT_OF(fr_in_record);

#define RECORD_EXAMPLE "{\"id\":\"a\",\"metadata\":{\"color\":\"red\"},\"offset\":17}"
#define HIT_EXAMPLE "{\"id\":\"a\",\"distance\":0.25,\"score\":-0.25,\"metadata\":{\"color\":\"red\"},\"offset\":17}"
#define OFFSETS_EXAMPLE "\"offsets\":{\"0\":{\"first\":17,\"last\":17}}"
#define COLLECTION_EXAMPLE                                                                                             \
    "{\"name\":\"docs\",\"id\":1,\"dimension\":3,\"metric\":\"l2\",\"codes\":\"sq8\",\"profile\":\"balanced\","                     \
    "\"vector_type\":\"f32\",\"vectors\":\"disk\",\"m\":16,\"ef_construction\":100,\"partitions\":1,"                                                  \
    "\"id_type\":\"any\",\"drop_stale\":false,\"indexed\":[\"color\"],"                                                   \
    "\"fields\":[{\"name\":\"id\",\"type\":\"varchar\",\"primary\":true,\"nullable\":false,\"max_length\":512},"            \
    "{\"name\":\"vector\",\"type\":\"vector\",\"nullable\":false,\"dimension\":3,\"vector_type\":\"f32\","                  \
    "\"metric\":\"l2\",\"codes\":\"sq8\",\"profile\":\"balanced\",\"vectors\":\"disk\",\"m\":16,\"ef_construction\":100}]," \
    "\"dynamic\":true,\"embedder\":null,\"count\":1,\"unlinked\":0,\"deleted_unreclaimed\":0,"                             \
    "\"created\":1700000000000,\"state\":\"ok\",\"bytes\":{\"index\":0,\"log\":0,\"snapshot\":0},\"freshness_ms\":{\"p50\":0.5,"    \
    "\"p99\":1.5},\"offsets\":{\"0\":{\"start\":0,\"end\":1,\"durable\":0,\"applied\":0,\"snapshot\":-1}}}"

#define USER_EXAMPLE "{\"user\":\"ann\",\"superuser\":false,\"roles\":[\"ingest\"],\"created\":1700000000000}"
#define ROLE_EXAMPLE "{\"role\":\"ingest\",\"created\":1700000000000}"
#define KEY_EXAMPLE "{\"key\":\"5f0c\",\"user\":\"ann\",\"actions\":[\"read\"],\"expires\":null,\"created\":1700000000000}"
#define GRANT_EXAMPLE "{\"user\":\"ann\",\"actions\":[\"read\"],\"on\":\"collection\",\"name\":\"docs\",\"created\":1700000000000}"
#define LIMIT_EXAMPLE "{\"limit\":\"ann\",\"client\":null,\"requests\":100,\"bytes_in\":0,\"bytes_out\":0,\"created\":1700000000000}"

const fr_http_policy fr_http_open = {"open", FR_HTTP_WHO_OPEN, FR_ACTION_READ};
const fr_http_policy fr_http_scrape = {"scrape", FR_HTTP_WHO_SCRAPE, FR_ACTION_READ};
const fr_http_policy fr_http_user = {"user", FR_HTTP_WHO_USER, FR_ACTION_ADMIN};
const fr_http_policy fr_http_read = {"read", FR_HTTP_WHO_NAMED, FR_ACTION_READ};
const fr_http_policy fr_http_write = {"write", FR_HTTP_WHO_NAMED, FR_ACTION_WRITE};
const fr_http_policy fr_http_admin = {"admin", FR_HTTP_WHO_NAMED, FR_ACTION_ADMIN};
const fr_http_policy fr_http_server = {"server", FR_HTTP_WHO_SERVER, FR_ACTION_ADMIN};
#define REPLAY_EXAMPLE                                                                                                 \
    "{\"id\":1,\"state\":\"running\",\"source\":\"docs\",\"target\":\"docs2\",\"rate\":5000,\"follow\":false,\"replayed\":100,\"deletes\":0," \
    "\"superseded\":0,\"unusable\":0,\"progress\":0.5,\"started\":1700000000000,\"changed\":1700000000100,\"error\":null,\"model_version\":null," \
    "\"partitions\":[{\"partition\":0,\"next\":100,\"until\":200}]}"

const fr_http_route fr_http_routes[] = {
    {&fr_http_user, "POST", "/v1/collections", "collection_create", "Create a collection", fr_http_on_collection_create, FIELDS(create), NO_FIELDS,
     COLLECTION_EXAMPLE, false},
    {&fr_http_user, "GET", "/v1/collections", "collection_list", "All collections", fr_http_on_collection_list, NO_FIELDS, NO_FIELDS,
     "{\"collections\":[" COLLECTION_EXAMPLE "]}", false},
    {&fr_http_read, "GET", "/v1/collections/{collection}", "collection_get", "One collection: counts, offsets, bytes, freshness",
     fr_http_on_collection_get, NO_FIELDS, NO_FIELDS, COLLECTION_EXAMPLE, false},
    {&fr_http_admin, "DELETE", "/v1/collections/{collection}", "collection_drop", "Drop a collection and its log", fr_http_on_collection_drop,
     NO_FIELDS, NO_FIELDS, "{\"name\":\"docs\",\"dropped\":true}", false},
    {&fr_http_write, "POST", "/v1/collections/{collection}/upsert", "upsert", "Add or replace records, all or nothing", fr_http_on_upsert,
     FIELDS(upsert), NO_FIELDS, "{\"upserted\":1,\"duplicates\":0," OFFSETS_EXAMPLE "}", false},
    {&fr_http_write, "POST", "/v1/collections/{collection}/delete", "delete", "Delete by ids or by filter", fr_http_on_delete, FIELDS(delete),
     NO_FIELDS, "{\"deleted\":1," OFFSETS_EXAMPLE "}", false},
    {&fr_http_read, "POST", "/v1/collections/{collection}/search", "search", "The k nearest entities", fr_http_on_search, FIELDS(search), NO_FIELDS,
     "{\"hits\":[" HIT_EXAMPLE "]}", false},
    {&fr_http_read, "POST", "/v1/collections/{collection}/get", "get", "Entities by id, in the order asked; missing ones are left out",
     fr_http_on_get, FIELDS(get), NO_FIELDS, "{\"records\":[" RECORD_EXAMPLE "]}", false},
    {&fr_http_read, "POST", "/v1/collections/{collection}/count", "count", "How many entities match", fr_http_on_count, FIELDS(count), NO_FIELDS,
     "{\"count\":1}", false},
    {&fr_http_read, "POST", "/v1/collections/{collection}/scroll", "scroll", "All entities in key order, a page at a time", fr_http_on_scroll,
     FIELDS(scroll), NO_FIELDS, "{\"records\":[" RECORD_EXAMPLE "],\"cursor\":null}", false},
    {&fr_http_read, "GET", "/v1/collections/{collection}/log", "log", "The log's records as JSON", fr_http_on_log, NO_FIELDS, FIELDS(log),
     "{\"partition\":0,\"records\":[{\"offset\":17,\"timestamp\":1700000000000,\"key\":\"a\",\"op\":\"upsert\",\"vector\":[1,2,3],"
     "\"metadata\":{}}],\"next\":18,\"end\":18}",
     false},
    {&fr_http_admin, "POST", "/v1/collections/{collection}/compact", "compact", "Compact the log now; answers when it is done", fr_http_on_compact,
     NO_FIELDS, NO_FIELDS, COLLECTION_EXAMPLE, false},
    {&fr_http_server, "POST", "/v1/collections/{collection}/replay", "replay_start", "Apply the log again, into another collection or in place; a job",
     fr_http_on_replay_start, FIELDS(replay), NO_FIELDS, REPLAY_EXAMPLE, false},
    {&fr_http_server, "GET", "/v1/replays", "replay_list", "All replays", fr_http_on_replay_list, NO_FIELDS, NO_FIELDS, "{\"replays\":[" REPLAY_EXAMPLE "]}",
     false},
    {&fr_http_server, "GET", "/v1/replays/{replay}", "replay_get", "One replay: state and progress", fr_http_on_replay_get,
     NO_FIELDS, NO_FIELDS, REPLAY_EXAMPLE,
     false},
    {&fr_http_server, "DELETE", "/v1/replays/{replay}", "replay_forget", "Forget a replay that has ended", fr_http_on_replay_forget, NO_FIELDS, NO_FIELDS,
     REPLAY_EXAMPLE, false},
    {&fr_http_server, "POST", "/v1/replays/{replay}/pause", "replay_pause", "Stop a replay for now", fr_http_on_replay_order,
     NO_FIELDS, NO_FIELDS, REPLAY_EXAMPLE,
     false},
    {&fr_http_server, "POST", "/v1/replays/{replay}/resume", "replay_resume", "Go on with a paused replay", fr_http_on_replay_order, NO_FIELDS, NO_FIELDS,
     REPLAY_EXAMPLE, false},
    {&fr_http_server, "POST", "/v1/replays/{replay}/cancel", "replay_cancel", "End a replay where it is", fr_http_on_replay_order, NO_FIELDS, NO_FIELDS,
     REPLAY_EXAMPLE, false},
    {&fr_http_read, "GET", "/v1/collections/{collection}/dlq", "letters",
     "Records of producers that could not be used, and why", fr_http_on_letters, NO_FIELDS,
     FIELDS(letters),
     "{\"letters\":[{\"offset\":0,\"timestamp\":1700000000000,\"key\":\"a\",\"value\":\"{}\",\"bytes\":2,\"reason\":\"vector: is missing\","
     "\"partition\":0,\"record\":17}],\"next\":1,\"end\":1}",
     false},
    {&fr_http_write, "POST", "/v1/collections/{collection}/dlq/replay", "letters_replay",
     "Try the dead letters again, after mending", fr_http_on_letters_replay,
     FIELDS(letters_replay), NO_FIELDS, "{\"replayed\":1,\"superseded\":0,\"unusable\":0,\"removed\":1}", false},
    {&fr_http_server, "GET", "/v1/lag", "lag", "How far consumer groups are behind, by topic and partition", fr_http_on_lag, NO_FIELDS, FIELDS(lag),
     "{\"groups\":[{\"group\":\"g\",\"state\":\"Stable\",\"members\":1,\"lag\":5,\"partitions\":[{\"topic\":\"docs\",\"partition\":0,\"committed\":12,"
     "\"end\":17,\"lag\":5}]}]}",
     false},
    {&fr_http_user, "GET", "/v1/aliases", "alias_list", "All aliases", fr_http_on_alias_list, NO_FIELDS, NO_FIELDS,
     "{\"aliases\":[{\"alias\":\"current\",\"collection\":\"docs\"}]}", false},
    {&fr_http_user, "PUT", "/v1/aliases/{alias}", "alias_put", "Create or switch an alias, atomically", fr_http_on_alias_put, FIELDS(alias), NO_FIELDS,
     "{\"alias\":\"current\",\"collection\":\"docs\"}", false},
    {&fr_http_read, "GET", "/v1/aliases/{alias}", "alias_get", "What an alias means", fr_http_on_alias_get, NO_FIELDS, NO_FIELDS,
     "{\"alias\":\"current\",\"collection\":\"docs\"}", false},
    {&fr_http_admin, "DELETE", "/v1/aliases/{alias}", "alias_drop", "Remove an alias", fr_http_on_alias_drop, NO_FIELDS, NO_FIELDS,
     "{\"alias\":\"current\",\"dropped\":true}", false},
    {&fr_http_server, "GET", "/v1/users", "user_list", "All users", fr_http_on_user_list, NO_FIELDS, NO_FIELDS, "{\"users\":[" USER_EXAMPLE "]}", false},
    {&fr_http_server, "PUT", "/v1/users/{user}", "user_put", "Create or change a user", fr_http_on_user_put, FIELDS(user), NO_FIELDS,
     USER_EXAMPLE, false},
    {&fr_http_server, "GET", "/v1/users/{user}", "user_get", "One user", fr_http_on_user_get, NO_FIELDS, NO_FIELDS, USER_EXAMPLE, false},
    {&fr_http_server, "DELETE", "/v1/users/{user}", "user_drop", "Drop a user, his keys, grants and limits", fr_http_on_user_drop, NO_FIELDS,
     NO_FIELDS, "{\"user\":\"ann\",\"dropped\":true}", false},
    {&fr_http_server, "GET", "/v1/roles", "role_list", "All roles", fr_http_on_role_list, NO_FIELDS, NO_FIELDS, "{\"roles\":[" ROLE_EXAMPLE "]}", false},
    {&fr_http_server, "PUT", "/v1/roles/{role}", "role_put", "Create a role", fr_http_on_role_put, NO_FIELDS, NO_FIELDS, ROLE_EXAMPLE, false},
    {&fr_http_server, "GET", "/v1/roles/{role}", "role_get", "One role", fr_http_on_role_get, NO_FIELDS, NO_FIELDS, ROLE_EXAMPLE, false},
    {&fr_http_server, "DELETE", "/v1/roles/{role}", "role_drop", "Drop a role that no user has, and its grants", fr_http_on_role_drop, NO_FIELDS,
     NO_FIELDS, "{\"role\":\"ingest\",\"dropped\":true}", false},
    {&fr_http_server, "GET", "/v1/keys", "key_list", "All API keys, without their secrets", fr_http_on_key_list, NO_FIELDS, NO_FIELDS,
     "{\"keys\":[" KEY_EXAMPLE "]}", false},
    {&fr_http_server, "POST", "/v1/keys", "key_make", "A new API key; its text is shown this once", fr_http_on_key_make, FIELDS(key), NO_FIELDS,
     "{\"key\":\"5f0c\",\"user\":\"ann\",\"secret\":\"frk_5f0c_...\"}", false},
    {&fr_http_server, "GET", "/v1/keys/{key}", "key_get", "One API key, without its secret", fr_http_on_key_get, NO_FIELDS, NO_FIELDS, KEY_EXAMPLE, false},
    {&fr_http_server, "DELETE", "/v1/keys/{key}", "key_drop", "Revoke an API key", fr_http_on_key_drop, NO_FIELDS, NO_FIELDS,
     "{\"key\":\"5f0c\",\"dropped\":true}", false},
    {&fr_http_server, "GET", "/v1/grants", "grant_list", "All grants", fr_http_on_grant_list, NO_FIELDS, NO_FIELDS,
     "{\"grants\":[" GRANT_EXAMPLE "]}", false},
    {&fr_http_server, "POST", "/v1/grants", "grant_put", "Grant, or change what a grant allows", fr_http_on_grant_put, FIELDS(grant), NO_FIELDS,
     GRANT_EXAMPLE, false},
    {&fr_http_server, "POST", "/v1/grants/revoke", "grant_drop", "Take a grant back", fr_http_on_grant_drop, FIELDS(grant), NO_FIELDS,
     "{\"revoked\":true}", false},
    {&fr_http_server, "GET", "/v1/limits", "limit_list", "All limits", fr_http_on_limit_list, NO_FIELDS, NO_FIELDS,
     "{\"limits\":[" LIMIT_EXAMPLE "]}", false},
    {&fr_http_server, "PUT", "/v1/limits/{user}", "limit_put", "Limit a user; * = each that has no limit of his own", fr_http_on_limit_put, FIELDS(limit),
     NO_FIELDS, LIMIT_EXAMPLE, false},
    {&fr_http_server, "GET", "/v1/limits/{user}", "limit_get", "The limit of a user", fr_http_on_limit_get, NO_FIELDS, FIELDS(client), LIMIT_EXAMPLE, false},
    {&fr_http_server, "DELETE", "/v1/limits/{user}", "limit_drop", "Remove a limit", fr_http_on_limit_drop, NO_FIELDS, FIELDS(client),
     "{\"limit\":\"ann\",\"dropped\":true}", false},
    {&fr_http_server, "POST", "/v1/snapshots", "snapshot", "Write a snapshot now; answers when it is on disk", fr_http_on_snapshot, NO_FIELDS, NO_FIELDS,
     "{\"snapshot\":\"written\",\"took_ms\":12.5,\"time\":1700000000000}", false},
    {&fr_http_open, "GET", "/livez", "livez", "The process answers", fr_http_on_livez, NO_FIELDS, NO_FIELDS, "{\"live\":true}", true},
    {&fr_http_open, "GET", "/readyz", "readyz", "Ready to serve; 503 says why not, and the progress of recovery", fr_http_on_readyz, NO_FIELDS,
     NO_FIELDS, "{\"ready\":true,\"reason\":\"ok\"}", true},
    {&fr_http_scrape, "GET", "/metrics", "metrics", "Prometheus text", fr_http_on_metrics, NO_FIELDS, NO_FIELDS, NULL, true},
    {&fr_http_user, "GET", "/openapi.json", "openapi", "This description", fr_http_on_openapi, NO_FIELDS, NO_FIELDS, NULL, true},
};

size_t fr_http_route_count(void) { return FR_COUNT_OF(fr_http_routes); }
const char *fr_http_route_op(size_t index) { return index < FR_COUNT_OF(fr_http_routes) ? fr_http_routes[index].op : "other"; }
size_t fr_http_route_index(const fr_http_route *route)
{
    return route ? (size_t)(route - fr_http_routes) : FR_COUNT_OF(fr_http_routes);
}

/* ---- matching ---- */

/* Does path fit the pattern? Segments in braces match one whole segment each; their text goes to params. */
static bool path_fits(const char *pattern, fr_span path, fr_span params[FR_HTTP_PARAMS_MAX])
{
    const char *at = path.data, *end = at + path.size;
    size_t found = 0;
    while (*pattern) {
        if (*pattern != '{') {
            if (at == end || *at != *pattern) return false;
            at++, pattern++;
            continue;
        }
        const char *stop = memchr(at, '/', (size_t)(end - at));
        if (!stop) stop = end;
        if (stop == at) return false;
        params[found++] = fr_span_of(at, (size_t)(stop - at));
        at = stop;
        pattern += strcspn(pattern, "}") + 1;
    }
    return at == end;
}

static bool method_is(fr_span method, const char *name)
{
    return method.size == strlen(name) && memcmp(method.data, name, method.size) == 0;
}

/* The Allow header of a path, from the table; a static text per combination that exists. */
static const char *allowed(fr_span path)
{
    static const char *const texts[8] = {"",       "GET, HEAD",       "POST",       "GET, HEAD, POST", "PUT, GET, HEAD, DELETE",
                                         "GET, HEAD, DELETE", "", ""};
    bool get = false, post = false, put = false, drop = false;
    fr_span params[FR_HTTP_PARAMS_MAX];
    for (size_t i = 0; i < FR_COUNT_OF(fr_http_routes); i++) {
        if (!path_fits(fr_http_routes[i].path, path, params)) continue;
        const char *method = fr_http_routes[i].method;
        get |= *method == 'G', drop |= *method == 'D';
        post |= method[1] == 'O', put |= method[1] == 'U';
    }
    if (put) return texts[4];
    if (drop) return texts[5];
    return texts[(get ? 1 : 0) + (post ? 2 : 0)];
}

static bool route_find(fr_http_call *call, fr_span params[FR_HTTP_PARAMS_MAX])
{
    call->head = method_is(call->method, "HEAD");
    bool path_known = false;
    for (size_t i = 0; i < FR_COUNT_OF(fr_http_routes); i++) {
        const fr_http_route *route = &fr_http_routes[i];
        if (!path_fits(route->path, call->path, params)) continue;
        path_known = true;
        if (!method_is(call->method, route->method) && !(call->head && method_is(fr_span_of("GET", 3), route->method))) continue;
        call->route = route;
        return true;
    }
    if (path_known) {
        call->allow = allowed(call->path);
        fr_http_refuse(call, 405, "method_not_allowed", NULL, "this path does not take the method");
    } else {
        fr_http_refuse(call, 404, "not_found", "path", "there is no such path; /openapi.json lists them");
    }
    return false;
}

/* Names of the path: decoded and held to the rule of names. */
static fr_code params_in(fr_http_call *call, const fr_span params[FR_HTTP_PARAMS_MAX])
{
    const char *name = strchr(call->route->path, '{');
    for (size_t i = 0; name; i++, name = strchr(name + 1, '{')) {
        char field[32];
        size_t size;
        snprintf(field, sizeof field, "%.*s", (int)strcspn(name + 1, "}"), name + 1);
        if (!fr_http_decode(params[i], call->params[i], sizeof call->params[i], &size))
            return fr_fail(&call->err, FR_ERR_INVALID, field, "must have 1 to %u of A-Z a-z 0-9 . _ -", FR_NAME_BYTES_MAX);
        bool ours = strcmp(field, "collection") == 0 || strcmp(field, "alias") == 0; /* users, roles, keys: the engine's rule */
        if (ours) FR_TRY(fr_name_check(field, call->params[i], size, &call->err));
        else if (size > FR_USER_BYTES_MAX) return fr_fail(&call->err, FR_ERR_INVALID, field, "has %zu bytes, the limit is %u", size, FR_USER_BYTES_MAX);
    }
    return FR_OK;
}

/* Where a body that is too long for a loop is parsed. */
static fr_http_next away(const fr_http_route *route)
{
    bool reads = route->body == fr_in_search || route->body == fr_in_get || route->body == fr_in_count || route->body == fr_in_scroll;
    return reads ? FR_HTTP_SEARCHER : FR_HTTP_WORKER;
}

static fr_http_next enter(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (worker->loop && call->route->body && call->body.text.size > FR_HTTP_LOOP_BODY_BYTES) return away(call->route);
    return call->route->handler(door, call, worker);
}

/* Who asks, may he, and has he asked too often? */
static fr_http_next gate(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    fr_code code = fr_http_admit(door, call, !worker->loop);
    if (code == FR_ERR_BUSY && !call->status) {
        call->gate = FR_HTTP_ASKED;
        return FR_HTTP_WORKER;
    }
    if (code != FR_OK) return FR_HTTP_REPLY;
    call->gate = FR_HTTP_ADMITTED;
    return worker->loop ? enter(door, call, worker) : FR_HTTP_LOOP;
}

static bool guest_owns(const fr_http_guest *guest, fr_span path)
{
    size_t size = guest ? strlen(guest->prefix) : 0;
    return guest && path.size >= size && memcmp(path.data, guest->prefix, size) == 0;
}

fr_http_next fr_http_begin(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    fr_span params[FR_HTTP_PARAMS_MAX] = {{NULL, 0}};
    if (guest_owns(door->guest, call->path) && method_is(call->method, "POST")) {
        call->guest = door->guest;
        return call->guest->step(call->guest->user, call, worker);
    }
    if (!route_find(call, params)) return FR_HTTP_REPLY;
    fr_code code = params_in(call, params);
    if (code != FR_OK) return fr_http_fail(call, &call->err, code);
    call->db = atomic_load_explicit(&door->db, memory_order_acquire); /* pairs with the release when fr_open has ended */
    if (!call->db && !call->route->without_db) {
        fr_http_refuse(call, 503, "starting", NULL, "the server is recovering; /readyz shows the progress");
        return FR_HTTP_REPLY;
    }
    return gate(door, call, worker);
}

fr_http_next fr_http_step(fr_http *door, fr_http_call *call, fr_http_worker *worker)
{
    if (call->guest) return call->guest->step(call->guest->user, call, worker);
    if (call->gate == FR_HTTP_ASKED) return gate(door, call, worker);
    if (call->gate == FR_HTTP_ADMITTED && call->stage == 0) return enter(door, call, worker);
    return call->route->handler(door, call, worker);
}

/* milvus_create.c: making collections: a client's schema, checked, into a definition and attributes; making the same one again is fine. */
#include "api/milvus/milvus_private.h"

#include <time.h>

#define NAMES_MAX 16u

static bool bad(fr_milvus_call *call, const char *why)
{
    fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "%s: invalid parameter", why);
    return false;
}

static bool no_memory(fr_milvus_call *call)
{
    fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the schema");
    return false;
}

/* ---- functions ---- */

static bool places_of(fr_milvus_call *call, fr_milvus_schema *schema, char *const *names, size_t count, uint32_t **out, uint32_t *count_out)
{
    *out = fr_arena_alloc(&schema->arena, FR_MAX(count, (size_t)1) * sizeof **out);
    if (!*out || count > NAMES_MAX) return no_memory(call);
    for (size_t i = 0; i < count; i++) {
        const fr_milvus_field *field = fr_milvus_field_of(schema, names[i]);
        if (!field) {
            fr_milvus_fail(call, MILVUS_INVALID_PARAMETER, "function names field %.100s, which is not there: invalid parameter", names[i]);
            return false;
        }
        (*out)[(*count_out)++] = (uint32_t)(field - schema->fields);
    }
    return true;
}

static bool function_in(fr_milvus_call *call, fr_milvus_schema *schema, fr_collection_def *def, const Milvus__FunctionSchema *in)
{
    fr_milvus_function *functions = fr_milvus_grown(schema, schema->functions, schema->function_count, sizeof *functions);
    if (!functions) return no_memory(call);
    fr_milvus_function *function = &functions[schema->function_count];
    *function = (fr_milvus_function){.id = FR_MILVUS_FIRST_FIELD_ID + schema->function_count, .name = fr_milvus_kept(schema, in->name),
                                     .description = fr_milvus_kept(schema, in->description), .type = in->type};
    if (in->type != MILVUS_FUNCTION_BM25) return bad(call, "of functions only BM25 is offered");
    if (fr_milvus_pairs_in(schema, &function->params, in->params, in->n_params) != FR_OK) return no_memory(call);
    if (!places_of(call, schema, in->input_field_names, in->n_input_field_names, &function->inputs, &function->input_count) ||
        !places_of(call, schema, in->output_field_names, in->n_output_field_names, &function->outputs, &function->output_count))
        return false;
    if (function->input_count != 1 || function->output_count != 1) return bad(call, "BM25 takes one input field and one output field");
    const fr_milvus_field *input = &schema->fields[function->inputs[0]];
    fr_milvus_field *output = &schema->fields[function->outputs[0]];
    const char *analyzed = fr_milvus_pairs_get(&input->params, "enable_analyzer");
    if (input->type != FR_TYPE_VARCHAR || !analyzed || strcasecmp(analyzed, "true") != 0)
        return bad(call, "BM25's input must be a VarChar field with enable_analyzer");
    if (output->type != FR_TYPE_VECTOR_SPARSE || output->nullable) return bad(call, "BM25's output must be a sparse vector field without null");
    output->function_output = true;
    output->metric = def->fields[function->outputs[0]].metric = FR_METRIC_BM25;
    schema->functions = functions;
    schema->function_count++;
    return true;
}

/* ---- the whole ---- */

static bool partitions_make(fr_milvus_call *call, fr_milvus_schema *schema, int64_t wanted)
{
    bool keyed = schema->partition_key >= 0;
    if (!keyed && wanted > 1) return bad(call, "num_partitions should only be specified with partition key field enabled");
    if (wanted < 0 || wanted > FR_MILVUS_PARTITIONS_MAX) return bad(call, "num_partitions must be 1 to 1024");
    uint32_t count = !keyed ? 1 : wanted ? (uint32_t)wanted : FR_MILVUS_KEY_PARTITIONS;
    schema->partitions = fr_arena_alloc(&schema->arena, count * sizeof *schema->partitions);
    if (!schema->partitions) return no_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = keyed ? fr_milvus_text(call, "%s_%u", FR_MILVUS_DEFAULT_PARTITION, i) : FR_MILVUS_DEFAULT_PARTITION;
        schema->partitions[i] = (fr_milvus_partition){i, fr_milvus_kept(schema, name), schema->created_ms, false};
    }
    schema->partition_count = count;
    schema->next_partition_id = count;
    return true;
}

/* The primary key first: it is the engine's field 1. */
static void def_order(fr_collection_def *def, uint32_t primary)
{
    fr_field_def key = def->fields[primary];
    memmove(&def->fields[1], &def->fields[0], primary * sizeof key);
    def->fields[0] = key;
}

static bool shape_ok(fr_milvus_call *call, const fr_milvus_schema *schema)
{
    uint32_t keys = 0, vectors = 0, partition_keys = 0;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const fr_milvus_field *field = &schema->fields[i];
        keys += field->primary;
        vectors += field->type >= FR_TYPE_VECTOR_BINARY;
        partition_keys += field->partition_key;
    }
    if (keys != 1) return bad(call, keys ? "there are more than one primary key" : "primary key is not specified");
    if (vectors == 0) return bad(call, "schema does not contain vector field");
    if (vectors > FR_VECTOR_FIELDS_MAX) return bad(call, "a collection has at most 8 vector fields");
    if (partition_keys > 1) return bad(call, "there are more than one partition key");
    return true;
}

static bool schema_in(fr_milvus_call *call, const Milvus__CreateCollectionRequest *in, const Milvus__CollectionSchema *given,
                      fr_milvus_schema *schema, fr_collection_def *def)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    schema->created_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    schema->updated = fr_timestamp(call->db);
    schema->description = fr_milvus_kept(schema, given->description);
    schema->dynamic = given->enable_dynamic_field;
    schema->consistency = in->consistency_level;
    schema->shards = in->shards_num > 0 ? in->shards_num : 1;
    schema->next_field_id = FR_MILVUS_FIRST_FIELD_ID, schema->next_index_id = 1;
    if (in->consistency_level < MILVUS_STRONG || in->consistency_level > MILVUS_CUSTOMIZED) return bad(call, "consistency level is not known");
    if (!fr_milvus_ttl_ok(call, in->properties, in->n_properties)) return false;
    if (fr_milvus_pairs_in(schema, &schema->properties, in->properties, in->n_properties) != FR_OK) return no_memory(call);
    for (size_t i = 0; i < given->n_fields; i++) {
        if (given->fields[i]->is_dynamic) continue; /* $meta: made by the server */
        if (!fr_milvus_field_in(call, schema, given->fields[i], &def->fields[def->field_count])) return false;
        def->field_count++;
    }
    if (!shape_ok(call, schema)) return false;
    fr_milvus_field *key = &schema->fields[schema->primary];
    schema->auto_id = key->auto_id = key->auto_id || given->autoid;
    for (size_t i = 0; i < given->n_functions; i++)
        if (!function_in(call, schema, def, given->functions[i])) return false;
    if (!partitions_make(call, schema, in->num_partitions)) return false;
    def->id_type = key->type == FR_TYPE_INT64 ? FR_ID_INT64 : FR_ID_STRING;
    def->no_dynamic = !schema->dynamic;
    def_order(def, schema->primary);
    return true;
}

/* What decides whether two collections were made the same way. */
static bool same(fr_doc a, fr_doc b)
{
    static const char *const keys[] = {"fields", "functions", "dynamic", "auto_id"};
    a = fr_doc_get(a, fr_span_text("milvus")), b = fr_doc_get(b, fr_span_text("milvus"));
    if (!a.data || !b.data) return false;
    for (size_t i = 0; i < FR_COUNT_OF(keys); i++) {
        fr_doc left = fr_doc_get(a, fr_span_text(keys[i])), right = fr_doc_get(b, fr_span_text(keys[i]));
        if (!left.data != !right.data || (left.data && !fr_doc_equal(left, right))) return false;
    }
    return true;
}

static bool exists_the_same(fr_milvus_call *call, const char *database, const char *name, fr_span attributes)
{
    fr_milvus_schema *there = NULL;
    if (fr_milvus_schema_load(call->db, database, name, &there, &call->err) != FR_OK) return false;
    bool equal = strcmp(there->name, name) == 0 && there->attributes.size && same(fr_doc_root(there->attributes), fr_doc_root(attributes));
    fr_milvus_schema_free(there);
    return equal;
}

static void submit(fr_milvus_call *call, const char *name, const char *database, fr_collection_def *def, fr_span attributes)
{
    if (exists_the_same(call, database, name, attributes)) return;
    call->write = (fr_write){.kind = FR_WRITE_COLLECTION_CREATE, .def = def, .attributes = attributes};
    fr_code code = fr_submit_wait(call->db, &call->write, &call->err);
    if (code == FR_OK) return;
    if (code != FR_ERR_EXISTS) {
        fr_milvus_fail_fr(call, code, &call->err, database, name);
    } else if (!exists_the_same(call, database, name, attributes)) {
        fr_milvus_fail(call, MILVUS_UNEXPECTED, "create duplicate collection with different parameters, collection: %s", name);
    }
}

fr_milvus_next fr_milvus_on_create_collection(fr_milvus *door, fr_milvus_call *call, fr_milvus_worker *worker)
{
    (void)door, (void)worker;
    const Milvus__CreateCollectionRequest *in = call->request;
    const char *database = fr_milvus_database(call);
    fr_doc_builder b = {0};
    fr_span attributes;
    if (!fr_milvus_name_ok(call, "collection name", in->collection_name)) return FR_MILVUS_REPLY;
    if (!fr_milvus_database_there(call, database)) return FR_MILVUS_REPLY;
    const Milvus__CollectionSchema *given = fr_milvus_unpack(&milvus__collection_schema__descriptor,
                                                             fr_span_of(in->schema.data, in->schema.len), &call->arena, &call->err);
    if (!given) return fr_milvus_fail_fr(call, call->err.code, &call->err, database, in->collection_name);
    fr_collection_def *def = fr_milvus_alloc(call, sizeof *def);
    fr_milvus_schema *schema = fr_milvus_schema_new();
    if (!def || !schema) {
        no_memory(call);
    } else if (schema_in(call, in, given, schema, def)) {
        memcpy(def->name, in->collection_name, strlen(in->collection_name) + 1);
        if (strcmp(database, "default") != 0 && strlen(database) < sizeof def->database) memcpy(def->database, database, strlen(database) + 1);
        if (fr_milvus_schema_write(schema, &b, &attributes) == FR_OK) submit(call, in->collection_name, database, def, attributes);
        else bad(call, "the schema is too large");
    }
    fr_doc_free(&b);
    fr_milvus_schema_free(schema);
    return call->reply ? FR_MILVUS_REPLY : fr_milvus_done(call);
}

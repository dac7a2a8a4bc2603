/* milvus_create.c: making collections: a client's schema, checked, into a definition and attributes; making the same one again is fine. */
#include "api/milvus/milvus_private.h"

#include <stdio.h>
#include <time.h>

#define NAMES_MAX 16u

static bool no_memory(fr_milvus_call *call)
{
    fr_milvus_fail(call, MILVUS_MEMORY, "no memory for the schema");
    return false;
}

/* ---- functions ---- */

static bool places_of(fr_milvus_call *call, fr_milvus_schema *schema, const char *side, char *const *names, size_t count, uint32_t **out,
                      uint32_t *count_out)
{
    *out = fr_arena_alloc(&schema->arena, FR_MAX(count, (size_t)1) * sizeof **out);
    if (!*out || count > NAMES_MAX) return no_memory(call);
    for (size_t i = 0; i < count; i++) {
        const fr_milvus_field *field = fr_milvus_field_of(schema, names[i]);
        if (!field) return fr_milvus_bad(call, "function %s field not found: %.200s", side, names[i]);
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
    if (in->type != MILVUS_FUNCTION_BM25) return fr_milvus_bad(call, "check input field with unknown function type: of functions only BM25 is offered");
    if (!in->name[0]) return fr_milvus_bad(call, "function name cannot be empty");
    for (uint32_t i = 0; i < schema->function_count; i++)
        if (strcmp(schema->functions[i].name, in->name) == 0) return fr_milvus_bad(call, "duplicate function name: %.200s", in->name);
    if (in->n_input_field_names == 0) return fr_milvus_bad(call, "function input field names cannot be empty, function: %.200s", in->name);
    if (in->n_output_field_names == 0) return fr_milvus_bad(call, "function output field names cannot be empty, function: %.200s", in->name);
    if (in->n_params) return fr_milvus_bad(call, "BM25 function accepts no params");
    if (!places_of(call, schema, "input", in->input_field_names, in->n_input_field_names, &function->inputs, &function->input_count)) return false;
    const fr_milvus_field *input = &schema->fields[function->inputs[0]];
    const char *analyzed = fr_milvus_pairs_get(&input->params, "enable_analyzer");
    if (function->input_count != 1 || input->type != FR_TYPE_VARCHAR)
        return fr_milvus_bad(call, "BM25 function input field must be a VARCHAR/TEXT field, got %u field with type %s", function->input_count,
                             fr_milvus_type_name(input->type));
    if (!analyzed || strcasecmp(analyzed, "true") != 0) return fr_milvus_bad(call, "BM25 function input field must set enable_analyzer to true");
    if (!places_of(call, schema, "output", in->output_field_names, in->n_output_field_names, &function->outputs, &function->output_count)) return false;
    fr_milvus_field *output = &schema->fields[function->outputs[0]];
    if (output->primary) return fr_milvus_bad(call, "function output field cannot be primary key: function %.200s, field %s", in->name, output->name);
    if (output->nullable) return fr_milvus_bad(call, "function output field cannot be nullable: function %.200s, field %s", in->name, output->name);
    if (output->function_output) return fr_milvus_bad(call, "duplicate function output field: function %.200s, field %s", in->name, output->name);
    if (function->output_count != 1) return fr_milvus_bad(call, "BM25 function only need 1 output field, but got %u", function->output_count);
    if (output->type != FR_TYPE_VECTOR_SPARSE)
        return fr_milvus_bad(call, "BM25 function output field must be a SparseFloatVector field, but got %s", fr_milvus_type_name(output->type));
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
    if (!keyed && wanted != 0) return fr_milvus_bad(call, "num_partitions should only be specified with partition key field enabled");
    if (wanted < 0) return fr_milvus_bad(call, "the specified partitions should be greater than 0 if partition key is used");
    if (wanted > FR_MILVUS_PARTITIONS_MAX)
        return fr_milvus_bad(call, "partition number (%lld) exceeds max configuration (%u)", (long long)wanted, FR_MILVUS_PARTITIONS_MAX);
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

/* What is asked of the schema as a whole, in Milvus's order: which of several faults is told is part of the interface. */
static bool keys_ok(fr_milvus_call *call, const Milvus__CollectionSchema *given)
{
    const Milvus__FieldSchema *key = NULL, *automatic = NULL, *partition = NULL;
    for (size_t i = 0; i < given->n_fields; i++) {
        const Milvus__FieldSchema *field = given->fields[i];
        if (field->is_primary_key && key)
            return fr_milvus_bad(call, "there are more than one primary key, field name = %.100s, %.100s", key->name, field->name);
        if (field->is_primary_key && field->data_type != FR_TYPE_INT64 && field->data_type != FR_TYPE_VARCHAR)
            return fr_milvus_bad(call, "the data type of primary key should be Int64 or VarChar");
        if (field->is_primary_key) key = field;
    }
    if (!key) return fr_milvus_bad(call, "primary key is not specified");
    for (size_t i = 0; i < given->n_fields; i++) {
        const Milvus__FieldSchema *field = given->fields[i];
        if (!field->autoid) continue;
        if (automatic) return fr_milvus_bad(call, "only one field can speficy AutoID with true, field name = %.100s, %.100s", automatic->name, field->name);
        if (!field->is_primary_key) return fr_milvus_bad(call, "only primary field can speficy AutoID with true, field name = %.100s", field->name);
        automatic = field;
    }
    for (size_t i = 0; i < given->n_fields; i++) {
        const Milvus__FieldSchema *field = given->fields[i];
        if (!field->is_partition_key) continue;
        if (partition) return fr_milvus_bad(call, "there are more than one partition key, field name = %.100s, %.100s", partition->name, field->name);
        if (field->is_primary_key) return fr_milvus_bad(call, "the partition key field must not be primary field");
        if (field->nullable) return fr_milvus_bad(call, "partition key field not support nullable");
        if (field->data_type != FR_TYPE_INT64 && field->data_type != FR_TYPE_VARCHAR)
            return fr_milvus_bad(call, "the data type of partition key should be Int64 or VarChar");
        partition = field;
    }
    return true;
}

static bool shape_ok(fr_milvus_call *call, const Milvus__CollectionSchema *given)
{
    size_t fields = 0, vectors = 0;
    const Milvus__FieldSchema *clustering = NULL;
    for (size_t i = 0; i < given->n_fields; i++) {
        fields += !given->fields[i]->is_dynamic;
        vectors += given->fields[i]->data_type >= FR_TYPE_VECTOR_BINARY && given->fields[i]->data_type <= FR_TYPE_VECTOR_I8;
    }
    if (fields > FR_FIELDS_MAX) return fr_milvus_bad(call, "maximum field's number should be limited to %u", FR_FIELDS_MAX);
    if (vectors > FR_VECTOR_FIELDS_MAX) return fr_milvus_bad(call, "maximum vector field's number should be limited to %u", FR_VECTOR_FIELDS_MAX);
    if (vectors == 0) return fr_milvus_bad(call, "schema does not contain vector field");
    for (size_t i = 0; i < given->n_fields; i++) {
        static const char *const reserved[] = {"RowID", "Timestamp", "__virtual_pk__"};
        const char *name = given->fields[i]->name;
        for (size_t j = 0; j < FR_COUNT_OF(reserved); j++)
            if (strcmp(name, reserved[j]) == 0) {
                fr_milvus_fail(call, MILVUS_FIELD_INVALID_NAME,
                               "field name \"%s\" is reserved for internal use and cannot be used in user schemas: field name invalid[field=%s]", name, name);
                return false;
            }
    }
    if (!keys_ok(call, given)) return false;
    for (size_t i = 0; i < given->n_fields; i++) {
        const Milvus__FieldSchema *field = given->fields[i];
        if (!field->is_clustering_key) continue;
        if (clustering) {
            fr_milvus_fail(call, MILVUS_ILLEGAL_SCHEMA,
                           "there are more than one clustering key, field name = %.100s, %.100s: illegal collection schema[collection=%s]", clustering->name,
                           field->name, given->name);
            return false;
        }
        clustering = field;
    }
    return true;
}

static bool schema_in(fr_milvus_call *call, const Milvus__CreateCollectionRequest *in, const Milvus__CollectionSchema *given,
                      fr_milvus_schema *schema, fr_collection_def *def)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    schema->created_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    schema->updated = fr_timestamp(call->db);
    schema->name = fr_milvus_kept(schema, in->collection_name);
    schema->description = fr_milvus_kept(schema, given->description);
    schema->dynamic = given->enable_dynamic_field;
    schema->consistency = in->consistency_level;
    schema->shards = in->shards_num > 0 ? in->shards_num : 1;
    schema->next_field_id = FR_MILVUS_FIRST_FIELD_ID, schema->next_index_id = 1;
    if (in->shards_num > FR_MILVUS_SHARDS_MAX) return fr_milvus_bad(call, "maximum shards's number should be limited to %d", FR_MILVUS_SHARDS_MAX);
    if (!shape_ok(call, given)) return false;
    if (in->consistency_level < MILVUS_STRONG || in->consistency_level > MILVUS_CUSTOMIZED) return fr_milvus_bad(call, "consistency level is not known");
    if (!fr_milvus_ttl_ok(call, in->properties, in->n_properties)) return false;
    if (fr_milvus_pairs_in(schema, &schema->properties, in->properties, in->n_properties) != FR_OK) return no_memory(call);
    for (size_t i = 0; i < given->n_fields; i++) {
        if (given->fields[i]->is_dynamic) continue; /* $meta: made by the server */
        if (!fr_milvus_field_in(call, schema, given->fields[i], &def->fields[def->field_count])) return false;
        def->field_count++;
    }
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

static bool is_alias(fr_milvus_call *call, const char *database, const char *name)
{
    fr_collection_info *info = fr_milvus_alloc(call, sizeof *info);
    fr_id id;
    return info && fr_resolve_in(call->db, database, name, &id, NULL, &call->err) == FR_OK && fr_collection_get(call->db, id, info) == FR_OK &&
           strcmp(info->def.name, name) != 0;
}

static void submit(fr_milvus_call *call, const char *name, const char *database, fr_collection_def *def, fr_span attributes)
{
    if (exists_the_same(call, database, name, attributes)) return;
    call->write = (fr_write){.kind = FR_WRITE_COLLECTION_CREATE, .def = def, .attributes = attributes};
    fr_code code = fr_submit_wait(call->db, &call->write, &call->err);
    if (code == FR_OK) return;
    if (code != FR_ERR_EXISTS) {
        fr_milvus_fail_fr(call, code, &call->err, database, name);
    } else if (is_alias(call, database, name)) {
        fr_milvus_fail(call, MILVUS_ALIAS_CONFLICT, "alias and collection name conflict[database=%s][alias=%s]", database, name);
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
    if (!fr_milvus_name_ok(call, MILVUS_NAMED_COLLECTION, in->collection_name)) return FR_MILVUS_REPLY;
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
        else fr_milvus_bad(call, "the schema is too large");
    }
    fr_doc_free(&b);
    fr_milvus_schema_free(schema);
    return call->reply ? FR_MILVUS_REPLY : fr_milvus_done(call);
}

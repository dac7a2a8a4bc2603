/* schema.c: a collection's definition as the engine keeps it, derived once from what the catalog says (schema.h). */
#include "server/engine/engine.h"

#include <stdio.h>

void fr_schema_topic(const char *database, const char *name, char out[FR_TOPIC_NAME_SIZE])
{
    database = fr_database_name(database);
    snprintf(out, FR_TOPIC_NAME_SIZE, "%s%s%s", database, database[0] != 0 ? "." : "", name);
}

void fr_schema_derive(fr_schema *s)
{
    fr_collection_def *def = &s->def;
    s->filter = (fr_filter_schema){.key_name = "id", .id_type = def->id_type, .fields = def->fields, .field_count = def->field_count,
                                   .no_dynamic = def->no_dynamic};
    s->vector_count = 0;
    s->typed = def->no_dynamic;
    s->next_field = (uint16_t)FR_MAX(s->next_field, FR_FIELD_FIRST_FREE);
    for (uint32_t i = 0; i < def->field_count; i++) {
        const fr_field_def *f = &def->fields[i];
        if (f->primary) s->filter.key_name = f->name;
        if (f->id < FR_FIELD_DYNAMIC && f->id >= s->next_field) s->next_field = (uint16_t)(f->id + 1);
        if (fr_field_is_scalar(f)) s->typed = true;
        if (fr_type_is_vector(f->type) && s->vector_count < FR_VECTOR_FIELDS_MAX) s->vectors[s->vector_count++] = f;
    }
    if (strcmp(def->database, "default") == 0) def->database[0] = 0;
    fr_schema_topic(def->database, def->name, s->topic);
    if (s->vector_count == 0) return;
    const fr_field_def *first = s->vectors[0]; /* the simple form tells of the first */
    def->dimension = first->dimension, def->metric = first->metric, def->codes = first->codes, def->m = first->m;
    def->ef_construction = first->ef_construction, def->profile = first->profile, def->vectors = first->vectors;
    def->vector_type = first->type;
}

fr_schema *fr_schema_new(const fr_collection_def *def)
{
    fr_schema *s = fr_zalloc(FR_MEM_ENGINE, sizeof *s);
    if (s == NULL) return NULL;
    fr_arena_init(&s->arena, FR_MEM_ENGINE, 0);
    if (def != NULL) s->def = *def;
    fr_schema_derive(s);
    return s;
}

void fr_schema_free(fr_schema *s)
{
    if (s == NULL) return;
    fr_arena_free(&s->arena);
    fr_free(FR_MEM_ENGINE, s);
}

void fr_schema_free_list(fr_schema *s)
{
    while (s != NULL) {
        fr_schema *next = s->garbage_next;
        fr_schema_free(s);
        s = next;
    }
}

fr_code fr_schema_set_attributes(fr_schema *s, fr_span attributes)
{
    s->attributes = (fr_span){NULL, 0};
    if (attributes.size == 0) return FR_OK;
    s->attributes.data = fr_arena_copy(&s->arena, attributes.data, attributes.size);
    if (s->attributes.data == NULL) return FR_ERR_NO_MEMORY;
    s->attributes.size = attributes.size;
    return FR_OK;
}

void fr_schema_json(const fr_schema *schema, fr_json_map *map)
{
    bool plain = schema->vector_count == 1 && schema->vectors[0]->id == FR_FIELD_VECTOR;
    map->vector_count = plain ? 0 : schema->vector_count;
    for (uint32_t i = 0; i < map->vector_count; i++) {
        const fr_field_def *field = schema->vectors[i];
        memcpy(map->vectors[i].name, field->name, sizeof map->vectors[i].name);
        map->vectors[i].field = field->id;
        map->vectors[i].type = field->type;
    }
}

fr_code fr_schema_add_life(fr_schema *s, const char *name, bool dropped, const fr_offset *at, uint32_t partitions)
{
    fr_field_life *grown = fr_arena_alloc(&s->arena, (s->life_count + 1) * sizeof *grown);
    if (grown == NULL) return FR_ERR_NO_MEMORY;
    if (s->life_count != 0) memcpy(grown, s->lives, s->life_count * sizeof *grown);
    fr_field_life *life = &grown[s->life_count];
    *life = (fr_field_life){.dropped = dropped, .at = fr_arena_copy(&s->arena, at, partitions * sizeof *at)};
    snprintf(life->name, sizeof life->name, "%s", name);
    if (life->at == NULL) return FR_ERR_NO_MEMORY;
    s->lives = grown;
    s->life_count++;
    return FR_OK;
}

fr_schema *fr_schema_copy(const fr_schema *from)
{
    fr_schema *s = fr_schema_new(&from->def);
    if (s == NULL) return NULL;
    memcpy(s->builds, from->builds, sizeof s->builds);
    s->version = from->version;
    s->next_field = from->next_field;
    fr_code code = fr_schema_set_attributes(s, from->attributes);
    for (uint32_t i = 0; i < from->life_count && code == FR_OK; i++)
        code = fr_schema_add_life(s, from->lives[i].name, from->lives[i].dropped, from->lives[i].at,
                                  FR_MAX(from->def.partitions, 1u));
    if (code == FR_OK) return s;
    fr_schema_free(s);
    return NULL;
}

const fr_field_def *fr_schema_field(const fr_schema *s, fr_span name)
{
    for (uint32_t i = 0; i < s->def.field_count; i++)
        if (fr_span_equal(fr_span_text(s->def.fields[i].name), name)) return &s->def.fields[i];
    return NULL;
}

static const fr_offset *life_of(const fr_schema *s, fr_span name, bool dropped)
{
    for (uint32_t i = 0; i < s->life_count; i++)
        if (s->lives[i].dropped == dropped && fr_span_equal(fr_span_text(s->lives[i].name), name)) return s->lives[i].at;
    return NULL;
}

const fr_offset *fr_schema_since(const fr_schema *s, const char *name) { return life_of(s, fr_span_text(name), false); }
const fr_offset *fr_schema_until(const fr_schema *s, fr_span name) { return life_of(s, name, true); }

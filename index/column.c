/* column.c: see column.h: dictionaries and codes. */
#include "index/column.h"

#include <stdlib.h>

#define STEP_INDEX 0xffffu /* in place of a key's size: an array index follows */

uint32_t fr_column_path(const fr_steps *steps, uint8_t out[FR_COLUMN_PATH_BYTES_MAX])
{
    uint32_t size = 0;
    if (steps->count == 0 || steps->count > FR_COLUMN_STEPS_MAX) return 0;
    for (uint32_t i = 0; i < steps->count; i++) {
        const fr_step *step = &steps->at[i];
        size_t need = step->key.data != NULL ? step->key.size : 4;
        if (need > FR_COLUMN_PATH_BYTES_MAX || size + 2 + need > FR_COLUMN_PATH_BYTES_MAX) return 0;
        fr_store_le16(out + size, step->key.data != NULL ? (uint16_t)need : (uint16_t)STEP_INDEX);
        if (step->key.data == NULL) fr_store_le32(out + size + 2, step->index);
        else if (need != 0) memcpy(out + size + 2, step->key.data, need);
        size += 2 + (uint32_t)need;
    }
    return size;
}

fr_column *fr_column_create(const uint8_t *path, uint32_t size, bool declared)
{
    fr_column *c = fr_zalloc(FR_MEM_ROWS, sizeof *c);
    if (c == NULL) return NULL;
    memcpy(c->path, path, size);
    c->path_size = size;
    c->declared = declared;
    static _Atomic uint64_t serials;
    c->serial = atomic_fetch_add(&serials, 1) + 1;
    for (uint32_t at = 0; at < size;) {
        uint32_t bytes = fr_load_le16(c->path + at);
        fr_step *step = &c->step_at[c->steps.count++];
        at += 2;
        if (bytes == STEP_INDEX) step->index = fr_load_le32(c->path + at), bytes = 4;
        else step->key = (fr_span){c->path + at, bytes};
        at += bytes;
    }
    c->steps.at = c->step_at;
    fr_arena_init(&c->arena, FR_MEM_ROWS, 0);
    return c;
}

void fr_column_free(fr_column *c)
{
    if (c == NULL) return;
    fr_extents_free(&c->codes);
    fr_arena_free(&c->arena);
    fr_free(FR_MEM_ROWS, c->counts);
    fr_free(FR_MEM_ROWS, c);
}

uint64_t fr_column_bytes(const fr_column *c)
{
    uint32_t counts = c->code_count + c->code_count / 256 + 1;
    return sizeof *c + fr_extents_bytes(&c->codes, FR_ROWS_MAX) + c->arena.used + counts * sizeof *c->counts;
}

/* ==== dictionaries ==== */

static int order_numbers(const fr_operand *a, const fr_operand *b)
{
    if (a->kind == FR_VALUE_INT && b->kind == FR_VALUE_INT) return (a->integer > b->integer) - (a->integer < b->integer);
    if (a->kind == FR_VALUE_INT) return fr_doc_compare_mixed(a->integer, b->number);
    if (b->kind == FR_VALUE_INT) return -fr_doc_compare_mixed(b->integer, a->number);
    return (a->number > b->number) - (a->number < b->number);
}

static int by_number(const void *a, const void *b) { return order_numbers(a, b); }
static int by_text(const void *a, const void *b) { return fr_span_compare(((const fr_operand *)a)->string, ((const fr_operand *)b)->string); }

/* Of count sorted values, those that become codes of their own: all when there are few, else one per `stride`, and every one
 * that stands out. Moves them to the front, answers how many. */
static uint32_t choose(fr_operand *values, uint32_t count, uint32_t most, int (*order)(const void *, const void *))
{
    uint32_t distinct = 0, kept = 0;
    for (uint32_t i = 0; i < count; i++) distinct += i == 0 || order(&values[i - 1], &values[i]) != 0;
    uint32_t stride = distinct <= most ? 1 : count / (most / 2) + 1, since = stride;
    for (uint32_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && order(&values[i], &values[next]) == 0;) next++;
        since += next - i;
        if (since < stride && next - i < stride) continue;
        values[kept++] = values[i];
        since = 0;
        if (kept == most) break;
    }
    return kept;
}

static bool take_dictionary(fr_column *c, const fr_operand *numbers, uint32_t number_count, const fr_operand *strings, uint32_t string_count)
{
    c->numbers = fr_arena_alloc(&c->arena, FR_MAX(1u, number_count) * sizeof *c->numbers);
    c->strings = fr_arena_alloc(&c->arena, FR_MAX(1u, string_count) * sizeof *c->strings);
    if (c->numbers == NULL || c->strings == NULL) return false;
    if (number_count != 0) memcpy(c->numbers, numbers, number_count * sizeof *numbers);
    for (uint32_t i = 0; i < string_count; i++) {
        fr_span from = strings[i].string;
        c->strings[i] = (fr_span){fr_arena_copy(&c->arena, from.data, from.size), from.size};
        if (from.size != 0 && c->strings[i].data == NULL) return false;
    }
    c->number_count = number_count;
    c->string_count = string_count;
    c->code_count = fr_column_strings(c) + 2 * string_count + 1;
    c->wide = c->code_count > 256;
    fr_extents_init(&c->codes, c->wide ? 2 : 1, FR_MEM_ROWS);
    c->counts = fr_zalloc(FR_MEM_ROWS, (c->code_count + c->code_count / 256 + 1) * sizeof *c->counts);
    return c->counts != NULL;
}

bool fr_column_train(fr_column *c, fr_doc (*value)(void *user, uint32_t i), void *user, uint32_t count, uint64_t rows)
{
    uint32_t numbers = 0, strings = 0;
    fr_operand *values = fr_alloc(FR_MEM_ROWS, (FR_MAX(1u, count)) * 2 * sizeof *values);
    if (values == NULL) return false;
    for (uint32_t i = 0; i < count; i++) {
        fr_operand v = fr_filter_operand(value(user, i));
        if (v.kind == FR_VALUE_INT || v.kind == FR_VALUE_FLOAT) values[numbers++] = v;
        else if (v.kind == FR_VALUE_STRING && v.string.size <= FR_COLUMN_STRING_BYTES_MAX) values[count + strings++] = v;
    }
    if (numbers != 0) qsort(values, numbers, sizeof *values, by_number);
    if (strings != 0) qsort(values + count, strings, sizeof *values, by_text);
    /* at least a byte's worth; beyond it the dictionary stays small beside the codes */
    uint32_t most = FR_MIN(FR_COLUMN_BOUNDS_MAX, FR_MAX(120u, count / 2)), share = most;
    if (numbers != 0 && strings != 0) share = most / 2;
    numbers = choose(values, numbers, share, by_number);
    strings = choose(values + count, strings, share, by_text);
    bool fine = take_dictionary(c, values, numbers, values + count, strings);
    c->trained = rows;
    fr_free(FR_MEM_ROWS, values);
    return fine;
}

uint32_t fr_column_code_of(const fr_column *c, const fr_operand *value, bool *point_out)
{
    uint32_t low = 0, high, base;
    int order = 1;
    *point_out = true;
    switch (value->kind) {
    case FR_VALUE_BOOL: return value->boolean ? FR_CODE_TRUE : FR_CODE_FALSE;
    case FR_VALUE_DOC: *point_out = false; return FR_CODE_NESTED;
    case FR_VALUE_INT:
    case FR_VALUE_FLOAT:
        for (high = c->number_count, base = FR_CODE_VALUES; low < high && order != 0;) {
            uint32_t middle = (low + high) / 2;
            order = order_numbers(&c->numbers[middle], value);
            if (order < 0) low = middle + 1;
            else high = middle;
        }
        break;
    case FR_VALUE_STRING:
        for (high = c->string_count, base = fr_column_strings(c); low < high && order != 0;) {
            uint32_t middle = (low + high) / 2;
            order = fr_span_compare(c->strings[middle], value->string);
            if (order < 0) low = middle + 1;
            else high = middle;
        }
        break;
    default: return FR_CODE_MISSING;
    }
    *point_out = order == 0;
    return order == 0 ? base + 2 * high + 1 : base + 2 * low;
}

/* ==== rows ==== */

void fr_column_write(fr_column *c, uint32_t row, fr_doc metadata)
{
    bool point;
    fr_operand value = fr_filter_operand(fr_filter_walk(&c->steps, metadata));
    uint32_t code = fr_column_code_of(c, &value, &point);
    c->strays += !point;
    void *at = fr_extent_at(&c->codes, row);
    if (c->wide) atomic_store_explicit((_Atomic uint16_t *)at, (uint16_t)code, memory_order_relaxed);
    else atomic_store_explicit((_Atomic uint8_t *)at, (uint8_t)code, memory_order_relaxed);
}

void fr_column_count(fr_column *c, uint32_t row, bool alive)
{
    uint32_t code = fr_column_code(c, row), add = alive ? 1u : UINT32_MAX;
    atomic_fetch_add_explicit(&c->counts[code], add, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->counts[c->code_count + code / 256], add, memory_order_relaxed);
}

uint64_t fr_column_live(const fr_column *c, uint32_t low, uint32_t high)
{
    uint64_t sum = 0;
    for (uint32_t code = low; code <= high;) {
        bool whole = code % 256 == 0 && code + 255 <= high;
        sum += atomic_load_explicit(&c->counts[whole ? c->code_count + code / 256 : code], memory_order_relaxed);
        code += whole ? 256 : 1;
    }
    return sum;
}

/* ==== a table's columns ==== */

const fr_column *fr_columns_find(const fr_columns *columns, const uint8_t *path, uint32_t size)
{
    for (uint32_t i = 0; i < FR_COLUMNS_MAX; i++) {
        const fr_column *c = atomic_load_explicit(&columns->at[i], memory_order_acquire);
        if (c != NULL && c->path_size == size && memcmp(c->path, path, size) == 0) return c;
    }
    return NULL;
}

void fr_columns_wish(fr_columns *columns, const uint8_t *path, uint32_t size)
{
    for (uint32_t i = 0; i < FR_WISHES_MAX; i++) {
        fr_wish *wish = &columns->wishes[i];
        uint32_t state = atomic_load_explicit(&wish->state, memory_order_acquire);
        if (state == 0 && atomic_compare_exchange_strong(&wish->state, &state, 1)) {
            memcpy(wish->path, path, size);
            wish->path_size = size;
            atomic_store_explicit(&wish->uses, 1, memory_order_relaxed);
            atomic_store_explicit(&wish->state, 2, memory_order_release);
            return;
        }
        if (state != 2 || wish->path_size != size || memcmp(wish->path, path, size) != 0) continue;
        if (atomic_fetch_add_explicit(&wish->uses, 1, memory_order_relaxed) + 1 == FR_WISH_USES)
            atomic_store_explicit(&columns->wished, true, memory_order_release);
        return;
    }
}

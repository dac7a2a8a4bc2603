/* filter_set.c: lists of constants prepared for membership tests, and the patterns of `like`.
 * Members are kept per type, sorted and unique; a look-up is one binary search. Numbers are compared by value: a float
 * that an int64 equals is stored as that integer. */
#include "index/filter_private.h"

/* ==== sorting: heap sort, so that no input is quadratic and nothing is allocated ==== */

#define DEFINE_SORT(name, type, less)                                                                                  \
    static void name##_sift(type *items, size_t root, size_t count)                                                   \
    {                                                                                                                  \
        for (;;) {                                                                                                     \
            size_t child = root * 2 + 1;                                                                               \
            if (child >= count) return;                                                                                \
            if (child + 1 < count && less(items[child], items[child + 1])) child++;                                    \
            if (!less(items[root], items[child])) return;                                                              \
            type swap = items[root];                                                                                   \
            items[root] = items[child], items[child] = swap;                                                           \
            root = child;                                                                                              \
        }                                                                                                              \
    }                                                                                                                  \
    static uint32_t name##_unique(type *items, uint32_t count)                                                        \
    {                                                                                                                  \
        for (size_t i = count / 2; i-- > 0;) name##_sift(items, i, count);                                             \
        for (size_t left = count; left > 1; left--) {                                                                  \
            type swap = items[0];                                                                                      \
            items[0] = items[left - 1], items[left - 1] = swap;                                                        \
            name##_sift(items, 0, left - 1);                                                                           \
        }                                                                                                              \
        uint32_t kept = 0;                                                                                             \
        for (uint32_t i = 0; i < count; i++)                                                                           \
            if (i == 0 || less(items[kept - 1], items[i])) items[kept++] = items[i];                                   \
        return kept;                                                                                                   \
    }
#define NUMBER_LESS(a, b) ((a) < (b))
#define SPAN_LESS(a, b) (fr_span_compare((a), (b)) < 0)
DEFINE_SORT(integers, int64_t, NUMBER_LESS)
DEFINE_SORT(floats, double, NUMBER_LESS)
DEFINE_SORT(spans, fr_span, SPAN_LESS)

void fr_filter_sort_spans(fr_span *items, uint32_t *count)
{
    *count = spans_unique(items, *count);
}

/* ==== sets ==== */

/* Does an int64 equal the float? */
static bool whole(double number, int64_t *integer_out)
{
    if (!(number >= -0x1p63 && number < 0x1p63)) return false;
    *integer_out = (int64_t)number;
    return fr_doc_compare_mixed(*integer_out, number) == 0;
}

static void add(fr_filter_set *set, fr_doc element)
{
    fr_operand value = fr_filter_operand(element);
    int64_t integer;
    switch (value.kind) {
    case FR_VALUE_BOOL:
        if (value.boolean) set->has_true = true;
        else set->has_false = true;
        break;
    case FR_VALUE_INT: set->integers[set->integer_count++] = value.integer; break;
    case FR_VALUE_FLOAT:
        if (whole(value.number, &integer)) set->integers[set->integer_count++] = integer;
        else set->floats[set->float_count++] = value.number;
        break;
    case FR_VALUE_STRING: set->strings[set->string_count++] = value.string; break;
    case FR_VALUE_DOC:
        for (uint32_t i = 0; i < set->list_count; i++)
            if (fr_doc_equal(set->lists[i], value.doc)) return;
        set->lists[set->list_count++] = value.doc;
        break;
    case FR_VALUE_NONE:
    case FR_VALUE_NULL: break; /* a list of constants has none */
    }
}

fr_code fr_filter_set_make(fr_arena *arena, fr_doc list, fr_filter_set *set_out)
{
    uint32_t numbers = 0, strings = 0, lists = 0;
    fr_doc_iter iter = fr_doc_begin(list);
    for (fr_doc element; fr_doc_next(&iter, NULL, &element);) {
        fr_doc_tag tag = fr_doc_type(element);
        numbers += tag == FR_DOC_INT || tag == FR_DOC_FLOAT;
        strings += tag == FR_DOC_STRING, lists += tag == FR_DOC_ARRAY;
    }
    if (lists > FR_FILTER_LIST_LISTS_MAX) return FR_ERR_TOO_LARGE;
    fr_filter_set set = {.count = 0};
    set.integers = fr_arena_alloc(arena, numbers * sizeof *set.integers);
    set.floats = fr_arena_alloc(arena, numbers * sizeof *set.floats);
    set.strings = fr_arena_alloc(arena, strings * sizeof *set.strings);
    set.lists = fr_arena_alloc(arena, lists * sizeof *set.lists);
    if (set.integers == NULL || set.floats == NULL || set.strings == NULL || set.lists == NULL) return FR_ERR_NO_MEMORY;
    iter = fr_doc_begin(list);
    for (fr_doc element; fr_doc_next(&iter, NULL, &element);) add(&set, element);
    set.integer_count = integers_unique(set.integers, set.integer_count);
    set.float_count = floats_unique(set.floats, set.float_count);
    set.string_count = spans_unique(set.strings, set.string_count);
    set.count = set.integer_count + set.float_count + set.string_count + set.list_count + set.has_true + set.has_false;
    *set_out = set;
    return FR_OK;
}

#define FIND(items, count, value, less)                                                                                \
    uint32_t low = 0, high = (count);                                                                                  \
    while (low < high) {                                                                                               \
        uint32_t middle = low + (high - low) / 2;                                                                      \
        if (less((items)[middle], (value))) low = middle + 1;                                                          \
        else high = middle;                                                                                            \
    }                                                                                                                  \
    return low < (count) && !less((value), (items)[low]) ? low : FR_SET_MISSING

static uint32_t find_integer(const fr_filter_set *set, int64_t value)
{
    FIND(set->integers, set->integer_count, value, NUMBER_LESS);
}

static uint32_t find_float(const fr_filter_set *set, double value)
{
    FIND(set->floats, set->float_count, value, NUMBER_LESS);
}

static uint32_t find_string(const fr_filter_set *set, fr_span value)
{
    FIND(set->strings, set->string_count, value, SPAN_LESS);
}

uint32_t fr_filter_set_find(const fr_filter_set *set, const fr_operand *value)
{
    uint32_t base = 0, found = FR_SET_MISSING;
    int64_t integer;
    if (value->kind == FR_VALUE_INT) return find_integer(set, value->integer);
    if (value->kind == FR_VALUE_FLOAT && whole(value->number, &integer)) return find_integer(set, integer);
    base += set->integer_count;
    if (value->kind == FR_VALUE_FLOAT) found = find_float(set, value->number);
    if (found != FR_SET_MISSING) return base + found;
    base += set->float_count;
    if (value->kind == FR_VALUE_STRING) found = find_string(set, value->string);
    if (found != FR_SET_MISSING) return base + found;
    base += set->string_count;
    if (value->kind == FR_VALUE_DOC) {
        for (uint32_t i = 0; i < set->list_count; i++)
            if (fr_doc_equal(set->lists[i], value->doc)) return base + i;
    }
    base += set->list_count;
    if (value->kind == FR_VALUE_BOOL && value->boolean && set->has_true) return base;
    if (value->kind == FR_VALUE_BOOL && !value->boolean && set->has_false) return base + set->has_true;
    return FR_SET_MISSING;
}

bool fr_filter_set_comparable(const fr_filter_set *set, const fr_operand *value)
{
    switch (value->kind) {
    case FR_VALUE_BOOL: return set->has_true || set->has_false || set->count == 0;
    case FR_VALUE_INT:
    case FR_VALUE_FLOAT: return set->integer_count + set->float_count > 0 || set->count == 0;
    case FR_VALUE_STRING: return set->string_count > 0 || set->count == 0;
    case FR_VALUE_DOC: return fr_doc_type(value->doc) == FR_DOC_ARRAY && (set->list_count > 0 || set->count == 0);
    case FR_VALUE_NONE:
    case FR_VALUE_NULL: break;
    }
    return false;
}

/* ==== like ==== */

#define ANY_ONE 0xffu /* never a byte of UTF-8 */

fr_code fr_filter_like_make(fr_arena *arena, fr_span pattern, fr_like *like_out, const char **why_out)
{
    *why_out = "a pattern of like is at most 1,024 bytes";
    if (pattern.size > FR_FILTER_PATTERN_BYTES_MAX) return FR_ERR_TOO_LARGE;
    const uint8_t *from = pattern.data;
    uint8_t *bytes = fr_arena_alloc(arena, pattern.size);
    fr_like_part *parts = fr_arena_alloc(arena, (pattern.size / 2 + 1) * sizeof *parts);
    *why_out = "no memory to compile the filter";
    if (bytes == NULL || parts == NULL) return FR_ERR_NO_MEMORY;
    fr_like like = {.parts = parts, .open_start = pattern.size > 0 && from[0] == '%'};
    fr_like_part part = {.bytes = {bytes, 0}};
    for (size_t i = 0; i <= pattern.size; i++) {
        bool end = i == pattern.size, percent = !end && from[i] == '%';
        if (end || percent) {
            if (part.bytes.size > 0) parts[like.count++] = part;
            part = (fr_like_part){.bytes = {(const uint8_t *)part.bytes.data + part.bytes.size, 0}};
            like.open_end = percent || (end && like.open_end);
            continue;
        }
        like.open_end = false;
        uint8_t byte = from[i];
        bool any = byte == '_';
        if (byte == '\\') {
            *why_out = "a pattern of like ends in a lone backslash";
            if (++i == pattern.size) return FR_ERR_INVALID;
            byte = from[i];
        }
        bytes[(const uint8_t *)part.bytes.data - bytes + (ptrdiff_t)part.bytes.size++] = any ? (uint8_t)ANY_ONE : byte;
        part.wild = part.wild || any;
        part.characters += (byte & 0xc0) != 0x80;
    }
    *like_out = like;
    return FR_OK;
}

static size_t character_size(uint8_t lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Does the part match at text[at..]? Answers where it ends, SIZE_MAX when not. */
static size_t match_at(const fr_like_part *part, const uint8_t *text, size_t size, size_t at)
{
    const uint8_t *pattern = part->bytes.data;
    if (!part->wild) {
        if (size - at < part->bytes.size || memcmp(text + at, pattern, part->bytes.size) != 0) return SIZE_MAX;
        return at + part->bytes.size;
    }
    for (size_t i = 0; i < part->bytes.size; i++) {
        if (at >= size) return SIZE_MAX;
        if (pattern[i] == ANY_ONE) at += character_size(text[at]);
        else if (pattern[i] == text[at]) at++;
        else return SIZE_MAX;
    }
    return at <= size ? at : SIZE_MAX;
}

static size_t find_part(const fr_like_part *part, const uint8_t *text, size_t size, size_t at)
{
    if (!part->wild) {
        const uint8_t *found = memmem(text + at, size - at, part->bytes.data, part->bytes.size);
        return found != NULL ? (size_t)(found - text) + part->bytes.size : SIZE_MAX;
    }
    for (; at < size; at += character_size(text[at])) {
        size_t end = match_at(part, text, size, at);
        if (end != SIZE_MAX) return end;
    }
    return SIZE_MAX;
}

/* Does the part match the last characters, not before `at`? */
static bool match_end(const fr_like_part *part, const uint8_t *text, size_t size, size_t at)
{
    size_t start = size;
    for (uint32_t left = part->characters; left > 0; left--) {
        if (start <= at) return false;
        do start--;
        while (start > at && (text[start] & 0xc0) == 0x80);
    }
    return match_at(part, text, size, start) == size;
}

bool fr_filter_like_match(const fr_like *like, fr_span span)
{
    const uint8_t *text = span.data;
    size_t at = 0, size = span.size;
    uint32_t first = 0, last = like->count;
    if (last == 0) return like->open_start || size == 0;
    if (!like->open_start) {
        at = match_at(&like->parts[first++], text, size, 0);
        if (at == SIZE_MAX) return false;
        if (first == last) return like->open_end || at == size;
    }
    if (!like->open_end) last--; /* anchored at the end; looked at after the others, each of which is found leftmost */
    for (; first < last; first++) {
        at = find_part(&like->parts[first], text, size, at);
        if (at == SIZE_MAX) return false;
    }
    return like->open_end || match_end(&like->parts[like->count - 1], text, size, at);
}

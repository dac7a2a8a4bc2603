/* doc.c: binary documents: the check of foreign bytes, the readers, the builder.
 *
 * Invariants
 *   1. fr_doc_check is total: for any bytes it answers, reads nothing outside them and recurses at most
 *      FR_DOC_DEPTH_MAX deep.
 *   2. What the builder finishes passes fr_doc_check; what passed it can be read without further checks.
 *   3. Keys of an object are unique: pairwise comparison up to KEYS_PAIRWISE keys, a sort above, so that a hostile
 *      object costs O(n log n).
 */
#include "api/doc.h"

#include <math.h>

#define CONTAINER_HEAD 9u /* tag, bytes_after, count */
#define STRING_HEAD 5u    /* tag, size */
#define KEYS_PAIRWISE 16u
#define BUILDER_BYTES_MAX ((size_t)FR_METADATA_BYTES_MAX * 4)

/* ==== unique keys ==== */

static void sift_down(fr_span *keys, size_t root, size_t count)
{
    for (;;) {
        size_t child = root * 2 + 1;
        if (child >= count) return;
        if (child + 1 < count && fr_span_compare(keys[child], keys[child + 1]) < 0) child++;
        if (fr_span_compare(keys[root], keys[child]) >= 0) return;
        fr_span swap = keys[root];
        keys[root] = keys[child], keys[child] = swap;
        root = child;
    }
}

static void sort_keys(fr_span *keys, size_t count) /* heap sort: no memory, no quadratic case */
{
    for (size_t i = count / 2; i-- > 0;) sift_down(keys, i, count);
    for (size_t left = count; left > 1; left--) {
        fr_span swap = keys[0];
        keys[0] = keys[left - 1], keys[left - 1] = swap;
        sift_down(keys, 0, left - 1);
    }
}

static bool pairwise_unique(const fr_span *keys, size_t count, fr_span *twice_out)
{
    for (size_t i = 1; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (fr_span_equal(keys[i], keys[j])) {
                *twice_out = keys[i];
                return false;
            }
        }
    }
    return true;
}

/* The object's structure is already checked. INVALID with the key in *twice_out, NO_MEMORY. */
static fr_code check_unique(const uint8_t *object, fr_span *twice_out)
{
    fr_doc_iter iter = fr_doc_begin((fr_doc){object});
    fr_doc value;
    size_t count = 0, total = iter.left;
    if (total <= KEYS_PAIRWISE) {
        fr_span keys[KEYS_PAIRWISE];
        while (fr_doc_next(&iter, &keys[FR_MIN(count, KEYS_PAIRWISE - 1)], &value)) count++;
        return pairwise_unique(keys, count, twice_out) ? FR_OK : FR_ERR_INVALID;
    }
    fr_span *keys = fr_alloc(FR_MEM_DOOR, total * sizeof *keys);
    if (keys == NULL) return FR_ERR_NO_MEMORY;
    while (count < total && fr_doc_next(&iter, &keys[count], &value)) count++;
    sort_keys(keys, count);
    fr_code code = FR_OK;
    for (size_t i = 1; i < count && code == FR_OK; i++) {
        if (!fr_span_equal(keys[i - 1], keys[i])) continue;
        *twice_out = keys[i];
        code = FR_ERR_INVALID;
    }
    fr_free(FR_MEM_DOOR, keys);
    return code;
}

/* ==== check ==== */

typedef struct check {
    const uint8_t *start, *at;
    fr_err *err;
} check;

static fr_code bad(const check *c, const uint8_t *where, const char *what)
{
    return fr_fail(c->err, FR_ERR_INVALID, NULL, "document: byte %zu: %s", (size_t)(where - c->start), what);
}

static fr_code check_value(check *c, const uint8_t *end, uint32_t depth);

static fr_code check_string(check *c, const uint8_t *end)
{
    const uint8_t *where = c->at - 1;
    if ((size_t)(end - c->at) < 4) return bad(c, where, "the string's size is cut off");
    size_t size = fr_load_le32(c->at);
    c->at += 4;
    if ((size_t)(end - c->at) < size) return bad(c, where, "the string is longer than what is left");
    if (!fr_utf8_valid(c->at, size)) return bad(c, where, "the string is not UTF-8");
    c->at += size;
    return FR_OK;
}

static fr_code check_key(check *c, const uint8_t *end)
{
    const uint8_t *where = c->at;
    if ((size_t)(end - c->at) < 2) return bad(c, where, "the key's size is cut off");
    size_t size = fr_load_le16(c->at);
    c->at += 2;
    if ((size_t)(end - c->at) < size) return bad(c, where, "the key is longer than what is left");
    if (!fr_utf8_valid(c->at, size)) return bad(c, where, "the key is not UTF-8");
    c->at += size;
    return FR_OK;
}

static fr_code check_container(check *c, const uint8_t *outer_end, uint32_t depth)
{
    const uint8_t *where = c->at - 1;
    bool object = *where == FR_DOC_OBJECT;
    if (depth >= FR_DOC_DEPTH_MAX)
        return fr_fail(c->err, FR_ERR_INVALID, NULL, "document: nested deeper than %u", FR_DOC_DEPTH_MAX);
    if ((size_t)(outer_end - c->at) < 8) return bad(c, where, "the container's head is cut off");
    size_t bytes_after = fr_load_le32(c->at);
    uint32_t count = fr_load_le32(c->at + 4);
    c->at += 4;
    if (bytes_after < 4) return bad(c, where, "the container has no room for its count");
    if ((size_t)(outer_end - c->at) < bytes_after) return bad(c, where, "the container is longer than what is left");
    const uint8_t *end = c->at + bytes_after;
    c->at += 4;
    for (uint32_t i = 0; i < count; i++) {
        if (object) FR_TRY(check_key(c, end));
        FR_TRY(check_value(c, end, depth + 1));
    }
    if (c->at != end) return bad(c, where, "the container's size and its elements disagree");
    if (!object) return FR_OK;
    fr_span twice = {NULL, 0};
    fr_code code = check_unique(where, &twice);
    if (code == FR_ERR_INVALID)
        return fr_fail(c->err, code, NULL, "document: the key \"%.*s\" is there twice",
                       (int)FR_MIN(twice.size, (size_t)64), (const char *)twice.data);
    return code == FR_OK ? FR_OK : fr_fail(c->err, code, NULL, "document: no memory to check the keys");
}

static fr_code check_value(check *c, const uint8_t *end, uint32_t depth)
{
    if (c->at == end) return bad(c, c->at, "a value is missing");
    const uint8_t *where = c->at++;
    switch (*where) {
    case FR_DOC_NULL:
    case FR_DOC_FALSE:
    case FR_DOC_TRUE: return FR_OK;
    case FR_DOC_INT:
    case FR_DOC_FLOAT:
        if ((size_t)(end - c->at) < 8) return bad(c, where, "the number is cut off");
        c->at += 8;
        if (*where == FR_DOC_FLOAT && !isfinite(fr_doc_number((fr_doc){where})))
            return bad(c, where, "the number is not finite");
        return FR_OK;
    case FR_DOC_STRING: return check_string(c, end);
    case FR_DOC_ARRAY:
    case FR_DOC_OBJECT: return check_container(c, end, depth);
    default: return bad(c, where, "unknown tag");
    }
}

fr_code fr_doc_check(fr_span bytes, fr_err *err)
{
    if (bytes.size == 0) return fr_fail(err, FR_ERR_INVALID, NULL, "document: empty");
    check c = {.start = bytes.data, .at = bytes.data, .err = err};
    const uint8_t *end = c.start + bytes.size;
    FR_TRY(check_value(&c, end, 0));
    return c.at == end ? FR_OK : bad(&c, c.at, "bytes after the value");
}

/* ==== readers ==== */

fr_doc_tag fr_doc_type(fr_doc value)
{
    return (fr_doc_tag)value.data[0];
}

size_t fr_doc_size(fr_doc value)
{
    switch (value.data[0]) {
    case FR_DOC_INT:
    case FR_DOC_FLOAT: return 9;
    case FR_DOC_STRING:
    case FR_DOC_ARRAY:
    case FR_DOC_OBJECT: return (size_t)5 + fr_load_le32(value.data + 1);
    default: return 1;
    }
}

int64_t fr_doc_int(fr_doc value)
{
    FR_DASSERT(value.data[0] == FR_DOC_INT);
    return (int64_t)fr_load_le64(value.data + 1);
}

double fr_doc_number(fr_doc value)
{
    FR_DASSERT(value.data[0] == FR_DOC_INT || value.data[0] == FR_DOC_FLOAT);
    uint64_t bits = fr_load_le64(value.data + 1);
    if (value.data[0] == FR_DOC_INT) return (double)(int64_t)bits;
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

fr_span fr_doc_string(fr_doc value)
{
    FR_DASSERT(value.data[0] == FR_DOC_STRING);
    return (fr_span){value.data + STRING_HEAD, fr_load_le32(value.data + 1)};
}

uint32_t fr_doc_count(fr_doc value)
{
    if (value.data == NULL || value.data[0] < FR_DOC_ARRAY) return 0;
    return fr_load_le32(value.data + 5);
}

fr_doc fr_doc_get(fr_doc object, fr_span key)
{
    if (object.data == NULL || object.data[0] != FR_DOC_OBJECT) return (fr_doc){NULL};
    const uint8_t *at = object.data + CONTAINER_HEAD;
    for (uint32_t left = fr_load_le32(object.data + 5); left > 0; left--) {
        size_t size = fr_load_le16(at);
        fr_doc value = {at + 2 + size};
        if (size == key.size && (size == 0 || memcmp(at + 2, key.data, size) == 0)) return value;
        at = value.data + fr_doc_size(value);
    }
    return (fr_doc){NULL};
}

fr_doc fr_doc_at(fr_doc array, uint32_t index)
{
    if (array.data == NULL || array.data[0] != FR_DOC_ARRAY || index >= fr_doc_count(array)) return (fr_doc){NULL};
    fr_doc value = {array.data + CONTAINER_HEAD};
    while (index-- > 0) value.data += fr_doc_size(value);
    return value;
}

fr_doc_iter fr_doc_begin(fr_doc container)
{
    uint32_t count = fr_doc_count(container);
    if (count == 0) return (fr_doc_iter){NULL, 0, false};
    return (fr_doc_iter){container.data + CONTAINER_HEAD, count, container.data[0] == FR_DOC_OBJECT};
}

bool fr_doc_next(fr_doc_iter *iter, fr_span *key_out, fr_doc *value_out)
{
    if (iter->left == 0) return false;
    fr_span key = {NULL, 0};
    if (iter->object) {
        key = (fr_span){iter->at + 2, fr_load_le16(iter->at)};
        iter->at += 2 + key.size;
    }
    if (key_out != NULL) *key_out = key;
    *value_out = (fr_doc){iter->at};
    iter->at += fr_doc_size(*value_out);
    iter->left--;
    return true;
}

int fr_doc_compare_mixed(int64_t a, double b)
{
    if (b >= 0x1p63) return -1;
    if (b < -0x1p63) return 1;
    int64_t whole = (int64_t)b; /* towards zero, exact in this range */
    if (a != whole) return a < whole ? -1 : 1;
    double rest = b - (double)whole; /* exact: where b has a fraction, |b| < 2^53 */
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static bool equal_numbers(fr_doc a, fr_doc b)
{
    bool a_int = a.data[0] == FR_DOC_INT, b_int = b.data[0] == FR_DOC_INT;
    if (a_int && b_int) return fr_doc_int(a) == fr_doc_int(b);
    if (a_int) return fr_doc_compare_mixed(fr_doc_int(a), fr_doc_number(b)) == 0;
    if (b_int) return fr_doc_compare_mixed(fr_doc_int(b), fr_doc_number(a)) == 0;
    double left = fr_doc_number(a), right = fr_doc_number(b);
    return left >= right && left <= right;
}

static bool equal_containers(fr_doc a, fr_doc b)
{
    if (fr_doc_count(a) != fr_doc_count(b)) return false;
    fr_doc_iter left = fr_doc_begin(a), right = fr_doc_begin(b);
    fr_span left_key, right_key;
    fr_doc left_value, right_value;
    while (fr_doc_next(&left, &left_key, &left_value) && fr_doc_next(&right, &right_key, &right_value)) {
        if (!fr_span_equal(left_key, right_key)) right_value = fr_doc_get(b, left_key); /* another order */
        if (right_value.data == NULL || !fr_doc_equal(left_value, right_value)) return false;
    }
    return true;
}

bool fr_doc_equal(fr_doc a, fr_doc b)
{
    if (a.data == NULL || b.data == NULL) return a.data == b.data;
    fr_doc_tag left = fr_doc_type(a), right = fr_doc_type(b);
    if ((left == FR_DOC_INT || left == FR_DOC_FLOAT) && (right == FR_DOC_INT || right == FR_DOC_FLOAT))
        return equal_numbers(a, b);
    if (left != right) return false;
    if (left == FR_DOC_STRING) return fr_span_equal(fr_doc_string(a), fr_doc_string(b));
    return left < FR_DOC_ARRAY || equal_containers(a, b);
}

/* ==== builder ==== */

static void stick(fr_doc_builder *b, fr_code code)
{
    if (b->code == FR_OK) b->code = code;
}

/* Room for `size` more bytes; NULL after any failure. */
static uint8_t *grow(fr_doc_builder *b, size_t size)
{
    if (b->code != FR_OK) return NULL;
    size_t limit = b->limit != 0 ? b->limit : BUILDER_BYTES_MAX;
    if (b->size > limit || size > limit - b->size) {
        stick(b, FR_ERR_TOO_LARGE);
        return NULL;
    }
    size_t need = b->size + size;
    if (need > b->capacity) {
        size_t capacity = FR_MAX(FR_MAX(need, b->capacity * 2), (size_t)256);
        uint8_t *data = fr_realloc(FR_MEM_DOOR, b->data, capacity);
        if (data == NULL) {
            stick(b, FR_ERR_NO_MEMORY);
            return NULL;
        }
        b->data = data, b->capacity = capacity;
    }
    uint8_t *at = b->data + b->size;
    b->size = need;
    return at;
}

/* Is a value allowed here? Counts it. An order of calls that makes no document is our own mistake: INTERNAL. */
static bool place(fr_doc_builder *b)
{
    if (b->code != FR_OK) return false;
    bool allowed = b->depth == 0 ? b->size == 0 : b->data[b->open[b->depth - 1].at] != FR_DOC_OBJECT || b->key_open;
    if (!allowed) stick(b, FR_ERR_INTERNAL);
    if (allowed && b->depth > 0) b->open[b->depth - 1].count++;
    b->key_open = false;
    return allowed;
}

static void put_tag(fr_doc_builder *b, fr_doc_tag tag)
{
    uint8_t *at = place(b) ? grow(b, 1) : NULL;
    if (at != NULL) at[0] = (uint8_t)tag;
}

void fr_doc_put_null(fr_doc_builder *b)
{
    put_tag(b, FR_DOC_NULL);
}

void fr_doc_put_bool(fr_doc_builder *b, bool v)
{
    put_tag(b, v ? FR_DOC_TRUE : FR_DOC_FALSE);
}

static void put_eight(fr_doc_builder *b, fr_doc_tag tag, const void *bits)
{
    uint8_t *at = place(b) ? grow(b, 9) : NULL;
    if (at == NULL) return;
    at[0] = (uint8_t)tag;
    memcpy(at + 1, bits, 8);
}

void fr_doc_put_int(fr_doc_builder *b, int64_t v)
{
    put_eight(b, FR_DOC_INT, &v);
}

void fr_doc_put_float(fr_doc_builder *b, double v)
{
    if (!isfinite(v)) stick(b, FR_ERR_INVALID);
    put_eight(b, FR_DOC_FLOAT, &v);
}

void fr_doc_put_string(fr_doc_builder *b, const void *data, size_t size)
{
    if (size > UINT32_MAX) stick(b, FR_ERR_TOO_LARGE);
    else if (!fr_utf8_valid(data, size)) stick(b, FR_ERR_INVALID);
    uint8_t *at = place(b) ? grow(b, STRING_HEAD + size) : NULL;
    if (at == NULL) return;
    at[0] = FR_DOC_STRING;
    fr_store_le32(at + 1, (uint32_t)size);
    if (size != 0) memcpy(at + STRING_HEAD, data, size);
}

static uint32_t depth_of(fr_doc value) /* 0 for a scalar; the value is checked, so the recursion is bounded */
{
    if (value.data[0] < FR_DOC_ARRAY) return 0;
    uint32_t deepest = 0;
    fr_doc_iter iter = fr_doc_begin(value);
    fr_doc child;
    while (fr_doc_next(&iter, NULL, &child)) {
        uint32_t depth = depth_of(child);
        deepest = FR_MAX(deepest, depth);
    }
    return deepest + 1;
}

void fr_doc_put_value(fr_doc_builder *b, fr_doc value)
{
    if (b->depth + depth_of(value) > FR_DOC_DEPTH_MAX) stick(b, FR_ERR_TOO_LARGE);
    size_t size = fr_doc_size(value);
    uint8_t *at = place(b) ? grow(b, size) : NULL;
    if (at != NULL) memcpy(at, value.data, size);
}

void fr_doc_put_key(fr_doc_builder *b, const void *data, size_t size)
{
    if (b->code != FR_OK) return;
    bool allowed = b->depth > 0 && b->data[b->open[b->depth - 1].at] == FR_DOC_OBJECT && !b->key_open;
    if (!allowed) stick(b, FR_ERR_INTERNAL);
    else if (size > UINT16_MAX) stick(b, FR_ERR_TOO_LARGE);
    else if (!fr_utf8_valid(data, size)) stick(b, FR_ERR_INVALID);
    uint8_t *at = grow(b, 2 + size);
    if (at == NULL) return;
    fr_store_le16(at, (uint16_t)size);
    if (size != 0) memcpy(at + 2, data, size);
    b->key_open = true;
}

static void begin(fr_doc_builder *b, fr_doc_tag tag)
{
    if (b->depth >= FR_DOC_DEPTH_MAX) stick(b, FR_ERR_TOO_LARGE);
    size_t start = b->size;
    uint8_t *at = place(b) ? grow(b, CONTAINER_HEAD) : NULL;
    if (at == NULL) return;
    at[0] = (uint8_t)tag;
    b->open[b->depth].at = start;
    b->open[b->depth].count = 0;
    b->depth++;
}

static void end(fr_doc_builder *b, fr_doc_tag tag)
{
    if (b->code != FR_OK) return;
    if (b->depth == 0 || b->key_open || b->data[b->open[b->depth - 1].at] != tag) {
        stick(b, FR_ERR_INTERNAL);
        return;
    }
    b->depth--;
    uint8_t *head = b->data + b->open[b->depth].at;
    fr_store_le32(head + 1, (uint32_t)(b->size - b->open[b->depth].at - 5));
    fr_store_le32(head + 5, b->open[b->depth].count);
    fr_span twice;
    if (tag == FR_DOC_OBJECT) stick(b, check_unique(head, &twice));
}

void fr_doc_begin_array(fr_doc_builder *b)
{
    begin(b, FR_DOC_ARRAY);
}

void fr_doc_end_array(fr_doc_builder *b)
{
    end(b, FR_DOC_ARRAY);
}

void fr_doc_begin_object(fr_doc_builder *b)
{
    begin(b, FR_DOC_OBJECT);
}

void fr_doc_end_object(fr_doc_builder *b)
{
    end(b, FR_DOC_OBJECT);
}

fr_code fr_doc_finish(fr_doc_builder *b, fr_span *bytes_out)
{
    *bytes_out = (fr_span){NULL, 0};
    if (b->depth != 0 || b->size == 0) stick(b, FR_ERR_INTERNAL);
    if (b->code == FR_OK) *bytes_out = (fr_span){b->data, b->size};
    return b->code;
}

void fr_doc_reset(fr_doc_builder *b)
{
    b->size = 0, b->depth = 0;
    b->key_open = false;
    b->code = FR_OK;
}

void fr_doc_free(fr_doc_builder *b)
{
    fr_free(FR_MEM_DOOR, b->data);
    *b = (fr_doc_builder){.data = NULL};
}

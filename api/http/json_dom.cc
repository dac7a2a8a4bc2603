/* json_dom.cc: simdjson's DOM behind json_dom.h. No exceptions cross this file: every access is checked by type first. */
#define SIMDJSON_EXCEPTIONS 0
#include "api/http/json_dom.h"

#include <simdjson.h>

#include <cmath>
#include <cstring>
#include <new>
#include <type_traits>

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::element_type;
using simdjson::dom::object;

struct fr_json_dom {
    simdjson::dom::parser parser;
};

namespace {

/* Above this capacity the buffers are given back after use: a tape is up to 16 bytes per byte of text. */
constexpr size_t KEPT_CAPACITY = size_t{1} << 20;
constexpr size_t FIRST_CAPACITY = size_t{16} << 10;

/* simdjson's handles are a pointer and an index; they travel through C as bytes. */
template <typename to, typename from> to bytes_as(const from &value)
{
    static_assert(std::is_trivially_copyable<to>::value && std::is_trivially_copyable<from>::value, "plain bytes");
    constexpr size_t size = sizeof(to) < sizeof(from) ? sizeof(to) : sizeof(from);
    to out{};
    std::memcpy(static_cast<void *>(&out), static_cast<const void *>(&value), size);
    return out;
}

element element_of(fr_json_value value) { return bytes_as<element>(value); }

fr_json_value value_of(element value)
{
    static_assert(sizeof(element) <= sizeof(fr_json_value), "fits");
    return bytes_as<fr_json_value>(value);
}

struct array_range {
    array::iterator at, end;
};
struct object_range {
    object::iterator at, end;
};
static_assert(sizeof(array_range) <= sizeof(fr_json_iter::opaque), "fits");
static_assert(sizeof(object_range) <= sizeof(fr_json_iter::opaque), "fits");

bool grow(simdjson::dom::parser &parser, size_t size, uint32_t depth)
{
    if (parser.capacity() >= size && parser.max_depth() >= depth) return true;
    size_t capacity = parser.capacity() < FIRST_CAPACITY ? FIRST_CAPACITY : parser.capacity();
    while (capacity < size) capacity *= 2;
    return parser.allocate(capacity, depth) == simdjson::SUCCESS;
}

} // namespace

extern "C" {

fr_json_dom *fr_json_dom_create(void) { return new (std::nothrow) fr_json_dom(); }

void fr_json_dom_free(fr_json_dom *dom) { delete dom; }

void fr_json_dom_trim(fr_json_dom *dom)
{
    if (dom->parser.capacity() > KEPT_CAPACITY) dom->parser = simdjson::dom::parser();
}

fr_json_outcome fr_json_parse(fr_json_dom *dom, const void *text, size_t size, uint32_t depth_max, fr_json_value *root_out,
                              const char **message_out)
{
    if (!grow(dom->parser, size, depth_max)) return FR_JSON_NO_MEMORY;
    element root;
    simdjson::error_code error = dom->parser.parse(static_cast<const uint8_t *>(text), size, false).get(root);
    if (error == simdjson::SUCCESS) {
        *root_out = value_of(root);
        return FR_JSON_FINE;
    }
    *message_out = simdjson::error_message(error);
    if (error == simdjson::DEPTH_ERROR) return FR_JSON_TOO_DEEP;
    return error == simdjson::MEMALLOC ? FR_JSON_NO_MEMORY : FR_JSON_BAD;
}

fr_json_type fr_json_type_of(fr_json_value value)
{
    switch (element_of(value).type()) {
    case element_type::ARRAY: return FR_JSON_ARRAY;
    case element_type::OBJECT: return FR_JSON_OBJECT;
    case element_type::INT64: return FR_JSON_INT;
    case element_type::UINT64: return FR_JSON_UINT;
    case element_type::DOUBLE: return FR_JSON_DOUBLE;
    case element_type::STRING: return FR_JSON_STRING;
    case element_type::BOOL: return FR_JSON_BOOL;
    case element_type::NULL_VALUE: return FR_JSON_NULL;
    }
    return FR_JSON_NULL;
}

bool fr_json_bool(fr_json_value value)
{
    bool out = false;
    return element_of(value).get(out) == simdjson::SUCCESS && out;
}

int64_t fr_json_int(fr_json_value value)
{
    int64_t out = 0;
    return element_of(value).get(out) == simdjson::SUCCESS ? out : 0;
}

uint64_t fr_json_uint(fr_json_value value)
{
    uint64_t out = 0;
    return element_of(value).get(out) == simdjson::SUCCESS ? out : 0;
}

double fr_json_number(fr_json_value value)
{
    double out = 0;
    return element_of(value).get(out) == simdjson::SUCCESS ? out : 0;
}

const char *fr_json_string(fr_json_value value, size_t *size_out)
{
    std::string_view out;
    if (element_of(value).get(out) != simdjson::SUCCESS) out = std::string_view("", 0);
    *size_out = out.size();
    return out.data();
}

fr_json_iter fr_json_begin(fr_json_value container)
{
    fr_json_iter iter{};
    object fields;
    array items;
    if (element_of(container).get(fields) == simdjson::SUCCESS) {
        object_range range{fields.begin(), fields.end()};
        std::memcpy(iter.opaque, static_cast<const void *>(&range), sizeof range);
        iter.object = true;
    } else if (element_of(container).get(items) == simdjson::SUCCESS) {
        array_range range{items.begin(), items.end()};
        std::memcpy(iter.opaque, static_cast<const void *>(&range), sizeof range);
    }
    return iter;
}

bool fr_json_next(fr_json_iter *iter, const char **key_out, size_t *key_size_out, fr_json_value *value_out)
{
    if (iter->object) {
        object_range range = bytes_as<object_range>(iter->opaque);
        if (!(range.at != range.end)) return false;
        std::string_view key = range.at.key();
        *key_out = key.data(), *key_size_out = key.size();
        *value_out = value_of(range.at.value());
        ++range.at;
        std::memcpy(iter->opaque, static_cast<const void *>(&range), sizeof range);
        return true;
    }
    array_range range = bytes_as<array_range>(iter->opaque);
    if (!(range.at != range.end)) return false;
    *value_out = value_of(*range.at);
    ++range.at;
    std::memcpy(iter->opaque, static_cast<const void *>(&range), sizeof range);
    return true;
}

uint32_t fr_json_elements(fr_json_value container)
{
    fr_json_iter iter = fr_json_begin(container);
    const char *key;
    size_t size;
    fr_json_value item;
    uint32_t count = 0;
    while (fr_json_next(&iter, &key, &size, &item)) count++;
    return count;
}

int64_t fr_json_floats(fr_json_value value, float *out, size_t max, size_t *bad_out, bool *number_out)
{
    array items;
    *bad_out = 0, *number_out = false;
    if (element_of(value).get(items) != simdjson::SUCCESS) return -1;
    size_t count = 0;
    for (element item : items) {
        double number = 0;
        *number_out = item.get(number) == simdjson::SUCCESS;
        float narrow = static_cast<float>(number);
        if (!*number_out || !std::isfinite(narrow)) {
            *bad_out = count;
            return -1;
        }
        if (count < max) out[count] = narrow;
        count++;
    }
    return static_cast<int64_t>(count);
}

} // extern "C"

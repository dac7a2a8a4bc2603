/* json_num.cc: shortest round-trip decimal of floats: std::to_chars (Ryu inside libstdc++). */
#include "api/http/json_num.h"

#include <charconv>

extern "C" size_t fr_json_float(char *text, float value)
{
    return static_cast<size_t>(std::to_chars(text, text + FR_JSON_NUM_BYTES, value).ptr - text);
}

extern "C" size_t fr_json_double(char *text, double value)
{
    return static_cast<size_t>(std::to_chars(text, text + FR_JSON_NUM_BYTES, value).ptr - text);
}

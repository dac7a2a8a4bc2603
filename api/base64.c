/* base64.c: see base64.h. */
#include "api/base64.h"

static size_t encode(fr_span bytes, const char *tail, char *text_out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const uint8_t *from = bytes.data;
    size_t size = 0;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = FR_MIN(bytes.size - i, (size_t)3);
        uint32_t bits = (uint32_t)from[i] << 16 | (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) | (left > 2 ? from[i + 2] : 0u);
        for (size_t k = 0; k <= left; k++) {
            uint32_t value = bits >> (18 - 6 * k) & 63;
            text_out[size++] = value < 62 ? letters[value] : tail[value - 62];
        }
    }
    return size;
}

size_t fr_base64_url_encode(fr_span bytes, char *text_out) { return encode(bytes, "-_", text_out); }

size_t fr_base64_encode(fr_span bytes, char *text_out)
{
    size_t size = encode(bytes, "+/", text_out);
    while (size % 4 != 0) text_out[size++] = '=';
    text_out[size] = 0;
    return size;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' || c == '+' ? 62 : c == '_' || c == '/' ? 63 : -1;
}

int64_t fr_base64_decode(fr_span text, uint8_t *out, size_t max)
{
    const char *from = text.data;
    size_t size = 0, end = text.size;
    uint32_t bits = 0, have = 0;
    for (uint32_t padding = 0; padding < 2 && end != 0 && text.size % 4 == 0 && from[end - 1] == '='; padding++) end--;
    if (end % 4 == 1) return -1;
    for (size_t i = 0; i < end; i++) {
        int value = value_of(from[i]);
        if (value < 0) return -1;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        if (size < max) out[size] = (uint8_t)(bits >> have);
        size++;
    }
    return (int64_t)size;
}

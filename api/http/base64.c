/* base64.c: RFC 4648: decoding takes both alphabets, with or without padding; encoding gives the one for URLs, without. */
#include "api/http/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t fr_base64_encode(fr_span bytes, char *text_out)
{
    const uint8_t *from = bytes.data;
    size_t size = 0;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = FR_MIN(bytes.size - i, (size_t)3);
        uint32_t bits = (uint32_t)from[i] << 16 | (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) | (left > 2 ? from[i + 2] : 0);
        for (size_t k = 0; k <= left; k++) text_out[size++] = letters[bits >> (18 - 6 * k) & 63];
    }
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

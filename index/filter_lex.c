/* filter_lex.c: filter text -> tokens. Literals are decoded here, into the filter's arena.
 * Source: Milvus' Plan.g4 (lexical rules). Every byte is looked at once; nothing recurses. */
#include "index/filter_private.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ==== errors ==== */

fr_code fr_filter_invalid(fr_lexer *lexer, size_t at, const char *format, ...)
{
    if (lexer->code != FR_OK) return lexer->code; /* the first error is the one that helps */
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return lexer->code = fr_fail(lexer->err, FR_ERR_INVALID, "filter", "byte %zu: %s", at + 1, text);
}

/* The text from `at` on, cut at a character's boundary, control characters hidden. */
static void show(const fr_lexer *lexer, size_t at, size_t size, char out[48])
{
    size_t shown = FR_MIN(size, (size_t)32);
    while (shown < size && shown > 0 && ((uint8_t)lexer->text[at + shown] & 0xc0) == 0x80) shown--;
    for (size_t i = 0; i < shown; i++) {
        char c = lexer->text[at + i];
        out[i] = (uint8_t)c < 0x20 || c == 0x7f ? ' ' : c;
    }
    memcpy(out + shown, shown < size ? "..." : "", shown < size ? 4 : 1);
}

fr_code fr_filter_expected(fr_lexer *lexer, const fr_token *token, const char *what)
{
    if (token->kind == FR_TOKEN_ASSIGN) return fr_filter_invalid(lexer, token->at, "'=' is no operator; equality is '=='");
    if (token->kind == FR_TOKEN_END) return fr_filter_invalid(lexer, token->at, "expected %s, found the end", what);
    char found[48];
    show(lexer, token->at, token->size, found);
    return fr_filter_invalid(lexer, token->at, "expected %s, found '%s'", what, found);
}

/* ==== characters ==== */

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static int hex_digit(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}
static char peek(const fr_lexer *lexer, size_t ahead)
{
    return lexer->at + ahead < lexer->size ? lexer->text[lexer->at + ahead] : '\0';
}

/* ==== words ==== */

static const struct {
    const char *lower, *upper, *title; /* title: only true and false have it */
    fr_token_kind kind;
} keywords[] = {
    {"and", "AND", "", FR_TOKEN_AND},          {"or", "OR", "", FR_TOKEN_OR},
    {"not", "NOT", "", FR_TOKEN_NOT},          {"in", "IN", "", FR_TOKEN_IN},
    {"like", "LIKE", "", FR_TOKEN_LIKE},       {"exists", "EXISTS", "", FR_TOKEN_EXISTS},
    {"true", "TRUE", "True", FR_TOKEN_TRUE},   {"false", "FALSE", "False", FR_TOKEN_FALSE},
    {"null", "NULL", "", FR_TOKEN_NULL},
};

static void lex_word(fr_lexer *lexer, fr_token *token)
{
    while (is_letter(peek(lexer, 0)) || is_digit(peek(lexer, 0))) lexer->at++;
    token->kind = FR_TOKEN_WORD, token->word = true;
    fr_span word = {lexer->text + token->at, lexer->at - token->at};
    for (size_t i = 0; i < FR_COUNT_OF(keywords); i++) {
        if (fr_span_equal(word, fr_span_text(keywords[i].lower)) ||
            fr_span_equal(word, fr_span_text(keywords[i].upper)) ||
            fr_span_equal(word, fr_span_text(keywords[i].title)))
            token->kind = keywords[i].kind;
    }
}

/* ==== numbers ==== */

static void lex_integer(fr_lexer *lexer, fr_token *token, size_t from, uint64_t base)
{
    uint64_t value = 0;
    for (size_t i = from; i < lexer->at; i++) {
        uint64_t digit = (uint64_t)hex_digit(lexer->text[i]);
        if (digit >= base) {
            fr_filter_invalid(lexer, token->at, "malformed number: '%c' is no %s digit%s", lexer->text[i],
                              base == 8 ? "octal" : "binary", base == 8 ? " (a leading 0 says octal)" : "");
            return;
        }
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value) ||
            value > (uint64_t)1 << 63) {
            fr_filter_invalid(lexer, token->at, "the integer does not fit 64 bits (write it as a float: 1e19)");
            return;
        }
    }
    token->kind = FR_TOKEN_INT, token->integer = value;
}

static void lex_float(fr_lexer *lexer, fr_token *token)
{
    char digits[512];
    size_t size = lexer->at - token->at;
    if (size >= sizeof digits) {
        fr_filter_invalid(lexer, token->at, "the number is longer than %zu characters", sizeof digits - 1);
        return;
    }
    memcpy(digits, lexer->text + token->at, size);
    digits[size] = '\0';
    char *end = digits;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc's own static object: no memory */
    if (c_locale != (locale_t)0) token->number = strtod_l(digits, &end, c_locale);
    if (c_locale != (locale_t)0) freelocale(c_locale);
    if (end != digits + size) fr_filter_invalid(lexer, token->at, "malformed number '%.40s'", digits);
    else if (!isfinite(token->number)) fr_filter_invalid(lexer, token->at, "the number is out of range");
    token->kind = FR_TOKEN_FLOAT;
}

static void lex_number(fr_lexer *lexer, fr_token *token)
{
    bool hex = peek(lexer, 0) == '0' && (peek(lexer, 1) == 'x' || peek(lexer, 1) == 'X');
    bool binary = peek(lexer, 0) == '0' && (peek(lexer, 1) == 'b' || peek(lexer, 1) == 'B');
    if (hex || binary) lexer->at += 2;
    size_t from = lexer->at;
    bool real = false;
    for (;; lexer->at++) {
        char c = peek(lexer, 0);
        if (hex ? hex_digit(c) >= 0 : is_digit(c)) continue;
        if (c == '.' && !real && !binary) {
            real = true;
            continue;
        }
        break;
    }
    bool digits = lexer->at > from + (real ? 1u : 0u);
    char exponent = peek(lexer, 0);
    if (!binary && digits && (hex ? exponent == 'p' || exponent == 'P' : exponent == 'e' || exponent == 'E')) {
        real = true;
        lexer->at++;
        if (peek(lexer, 0) == '+' || peek(lexer, 0) == '-') lexer->at++;
        digits = is_digit(peek(lexer, 0));
        while (is_digit(peek(lexer, 0))) lexer->at++;
    }
    char after = peek(lexer, 0);
    if (!digits || is_letter(after) || is_digit(after)) {
        int shown = (int)FR_MIN(FR_MIN(lexer->at + 1, lexer->size) - token->at, (size_t)40);
        fr_filter_invalid(lexer, token->at, "malformed number '%.*s'", shown, lexer->text + token->at);
        return;
    }
    bool octal = !hex && !binary && lexer->text[from] == '0';
    if (real) lex_float(lexer, token);
    else lex_integer(lexer, token, from, hex ? 16 : binary ? 2 : octal ? 8 : 10);
}

/* ==== strings ==== */

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12), out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18), out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63)), out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

/* Reads exactly `count` hex digits. */
static bool lex_hex(fr_lexer *lexer, unsigned count, uint32_t *value_out)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < count; i++) {
        int digit = hex_digit(peek(lexer, 0));
        if (digit < 0) return false;
        value = value << 4 | (uint32_t)digit;
        lexer->at++;
    }
    *value_out = value;
    return true;
}

/* After \u or \U. A surrogate pair of \u escapes, as JSON writes it, becomes one character. */
static bool lex_unicode(fr_lexer *lexer, unsigned digits, uint32_t *value_out)
{
    uint32_t low;
    if (!lex_hex(lexer, digits, value_out)) return false;
    if (digits == 4 && *value_out >= 0xd800 && *value_out < 0xdc00) {
        if (peek(lexer, 0) != '\\' || peek(lexer, 1) != 'u') return false;
        lexer->at += 2;
        if (!lex_hex(lexer, 4, &low) || low < 0xdc00 || low > 0xdfff) return false;
        *value_out = 0x10000 + ((*value_out - 0xd800) << 10) + (low - 0xdc00);
    }
    return *value_out < 0xd800 || (*value_out > 0xdfff && *value_out <= 0x10ffff);
}

/* At the character after a backslash. Writes the bytes meant to out (room for 4); 0 = refused. */
static size_t lex_escape(fr_lexer *lexer, uint8_t *out)
{
    static const char names[] = "abfnrtv\\'\"?/", bytes[] = "\a\b\f\n\r\t\v\\'\"?/";
    char c = peek(lexer, 0);
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    uint32_t value = 0;
    if (name != NULL) {
        lexer->at++;
        out[0] = (uint8_t)bytes[name - names];
        return 1;
    }
    if (c == '%' || c == '_') { /* kept for like: "\%" and "\\%" both mean the percent sign itself */
        lexer->at++;
        out[0] = '\\', out[1] = (uint8_t)c;
        return 2;
    }
    if (c >= '0' && c <= '7') {
        for (int i = 0; i < 3 && peek(lexer, 0) >= '0' && peek(lexer, 0) <= '7'; i++, lexer->at++)
            value = value * 8 + (uint32_t)(peek(lexer, 0) - '0');
        out[0] = (uint8_t)value;
        return value <= 255 ? 1 : 0;
    }
    lexer->at++;
    if (c == 'x') {
        if (!lex_hex(lexer, 2, &value)) return 0;
        out[0] = (uint8_t)value;
        return 1;
    }
    if (c == 'u') return lex_unicode(lexer, 4, &value) ? put_utf8(out, value) : 0;
    if (c == 'U') return lex_unicode(lexer, 8, &value) ? put_utf8(out, value) : 0;
    return 0;
}

static void lex_string(fr_lexer *lexer, fr_token *token, bool raw)
{
    if (raw) lexer->at++;
    char quote = peek(lexer, 0);
    size_t end = ++lexer->at; /* first the closing quote, so that the room is known: an escape never grows */
    while (end < lexer->size && lexer->text[end] != quote) end += lexer->text[end] == '\\' && !raw ? 2 : 1;
    if (end >= lexer->size) {
        fr_filter_invalid(lexer, token->at, "the string has no closing %c", quote);
        return;
    }
    uint8_t *out = fr_arena_alloc(lexer->arena, end - lexer->at + 4);
    if (out == NULL) {
        lexer->code = fr_fail(lexer->err, FR_ERR_NO_MEMORY, "filter", "no memory to compile the filter");
        return;
    }
    size_t size = 0;
    while (lexer->at < end) {
        char c = lexer->text[lexer->at++];
        if (c != '\\' || raw) {
            out[size++] = (uint8_t)c;
            continue;
        }
        size_t escape = lexer->at - 1, put = lex_escape(lexer, out + size);
        if (put == 0) {
            fr_filter_invalid(lexer, escape, "unknown or malformed escape in a string");
            return;
        }
        size += put;
    }
    lexer->at = end + 1;
    if (!fr_utf8_valid(out, size)) {
        fr_filter_invalid(lexer, token->at, "the string's escapes do not make UTF-8");
        return;
    }
    token->kind = FR_TOKEN_STRING, token->string = (fr_span){out, size};
}

/* ==== signs ==== */

static const struct {
    char text[3];
    fr_token_kind kind;
} signs[] = {
    {"**", FR_TOKEN_POWER},       {"&&", FR_TOKEN_AND},          {"||", FR_TOKEN_OR},
    {"<<", FR_TOKEN_SHIFT_LEFT},  {">>", FR_TOKEN_SHIFT_RIGHT},  {"<=", FR_TOKEN_LESS_EQUAL},
    {">=", FR_TOKEN_GREATER_EQUAL}, {"==", FR_TOKEN_EQUAL},      {"!=", FR_TOKEN_NOT_EQUAL},
    {"=~", FR_TOKEN_REGEX},       {"!~", FR_TOKEN_REGEX},        {"(", FR_TOKEN_LEFT},
    {")", FR_TOKEN_RIGHT},        {"[", FR_TOKEN_LEFT_BRACKET},  {"]", FR_TOKEN_RIGHT_BRACKET},
    {"{", FR_TOKEN_LEFT_BRACE},   {"}", FR_TOKEN_RIGHT_BRACE},   {"=", FR_TOKEN_ASSIGN},
    {",", FR_TOKEN_COMMA},         {".", FR_TOKEN_DOT},
    {"<", FR_TOKEN_LESS},         {">", FR_TOKEN_GREATER},       {"+", FR_TOKEN_PLUS},
    {"-", FR_TOKEN_MINUS},        {"*", FR_TOKEN_STAR},          {"/", FR_TOKEN_SLASH},
    {"%", FR_TOKEN_PERCENT},      {"&", FR_TOKEN_BIT_AND},       {"|", FR_TOKEN_BIT_OR},
    {"^", FR_TOKEN_BIT_XOR},      {"~", FR_TOKEN_BIT_NOT},       {"!", FR_TOKEN_NOT},
};

static void lex_sign(fr_lexer *lexer, fr_token *token)
{
    for (size_t i = 0; i < FR_COUNT_OF(signs); i++) {
        size_t size = signs[i].text[1] != '\0' ? 2 : 1;
        if (lexer->size - lexer->at < size || memcmp(lexer->text + lexer->at, signs[i].text, size) != 0) continue;
        token->kind = signs[i].kind;
        lexer->at += size;
        return;
    }
    char found[48];
    size_t size = 1;
    while (lexer->at + size < lexer->size && ((uint8_t)lexer->text[lexer->at + size] & 0xc0) == 0x80) size++;
    show(lexer, lexer->at, size, found);
    fr_filter_invalid(lexer, lexer->at, "unexpected character '%s'", found);
}

fr_token fr_filter_next(fr_lexer *lexer)
{
    for (char c; lexer->at < lexer->size; lexer->at++) {
        c = lexer->text[lexer->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') break;
    }
    fr_token token = {.kind = FR_TOKEN_END, .at = lexer->at};
    if (lexer->code != FR_OK || lexer->at == lexer->size) return token;
    char c = peek(lexer, 0), next = peek(lexer, 1);
    if (c == '\'' || c == '"') {
        lex_string(lexer, &token, false);
    } else if ((c == 'r' || c == 'R') && (next == '\'' || next == '"')) {
        lex_string(lexer, &token, true);
    } else if (is_letter(c)) {
        lex_word(lexer, &token);
    } else if (is_digit(c) || (c == '.' && is_digit(next))) {
        lex_number(lexer, &token);
    } else if (c == '$') {
        lexer->at++;
        lex_word(lexer, &token);
        token.word = false, token.kind = FR_TOKEN_META;
        if (lexer->at - token.at != 5 || memcmp(lexer->text + token.at, "$meta", 5) != 0)
            fr_filter_invalid(lexer, token.at, "unknown name after '$': only $meta is known");
    } else {
        lex_sign(lexer, &token);
    }
    token.size = lexer->at - token.at;
    if (lexer->code != FR_OK) token.kind = FR_TOKEN_END;
    return token;
}

/* analyze.c: see analyze.h. Classes and case of characters are the C library's, in its C.UTF-8 locale: no table of ours. */
#include "api/analyze.h"

#include <locale.h>
#include <pthread.h>
#include <wctype.h>

struct fr_analyzer {
    fr_arena arena;
    bool whitespace, lowercase, only_letters; /* only_letters: terms of anything else are dropped */
    uint32_t characters_max;              /* longer terms are dropped; 0 = none are */
    fr_span *stops;                       /* sorted */
    uint32_t stop_count;
};

/* Lucene's list, which Milvus names _english_. */
static const char *const english[] = {"a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not",
                                      "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was",
                                      "will", "with"};

static locale_t classes;
static pthread_once_t classes_once = PTHREAD_ONCE_INIT;
static void make_classes(void) { classes = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0); } /* once, for the life of the process */

/* ==== parameters ==== */

static bool is(fr_span a, const char *text) { return fr_span_equal(a, fr_span_text(text)); }

static fr_code add_stop(fr_analyzer *a, fr_span word, fr_err *err)
{
    uint32_t low = 0, high = a->stop_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (fr_span_compare(a->stops[middle], word) < 0) low = middle + 1;
        else high = middle;
    }
    if (low < a->stop_count && fr_span_equal(a->stops[low], word)) return FR_OK;
    if (a->stop_count == FR_STOP_WORDS_MAX)
        return fr_fail(err, FR_ERR_TOO_LARGE, "stop_words", "an analyzer has at most %u stop words", FR_STOP_WORDS_MAX);
    if (a->stops == NULL) a->stops = fr_arena_alloc(&a->arena, FR_STOP_WORDS_MAX * sizeof *a->stops);
    void *copy = fr_arena_copy(&a->arena, word.data, word.size);
    if (a->stops == NULL || copy == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the analyzer");
    memmove(&a->stops[low + 1], &a->stops[low], (a->stop_count - low) * sizeof *a->stops);
    a->stops[low] = (fr_span){copy, word.size};
    a->stop_count++;
    return FR_OK;
}

static fr_code stop_words(fr_analyzer *a, fr_doc words, fr_err *err)
{
    if (fr_doc_type(words) != FR_DOC_ARRAY) return fr_fail(err, FR_ERR_INVALID, "stop_words", "stop_words must be a list of strings");
    fr_doc_iter iter = fr_doc_begin(words);
    for (fr_doc word; fr_doc_next(&iter, NULL, &word);) {
        if (fr_doc_type(word) != FR_DOC_STRING) return fr_fail(err, FR_ERR_INVALID, "stop_words", "stop_words must be a list of strings");
        fr_span text = fr_doc_string(word);
        if (!is(text, "_english_")) {
            FR_TRY(add_stop(a, text, err));
            continue;
        }
        for (size_t i = 0; i < FR_COUNT_OF(english); i++) FR_TRY(add_stop(a, fr_span_text(english[i]), err));
    }
    return FR_OK;
}

static fr_code length_max(fr_analyzer *a, fr_doc value, const char *name, fr_err *err)
{
    if (fr_doc_type(value) != FR_DOC_INT || fr_doc_int(value) < 1 || fr_doc_int(value) > INT32_MAX)
        return fr_fail(err, FR_ERR_INVALID, name, "%s must be an integer of at least 1", name);
    a->characters_max = (uint32_t)fr_doc_int(value);
    return FR_OK;
}

static fr_code unknown(const char *what, fr_span name, fr_err *err)
{
    return fr_fail(err, FR_ERR_UNSUPPORTED, "analyzer_params", "%s '%.*s' of the analyzer is not known here", what,
                   (int)FR_MIN(name.size, (size_t)64), name.size != 0 ? (const char *)name.data : "");
}

static fr_span text_of(fr_doc value) { return value.data != NULL && fr_doc_type(value) == FR_DOC_STRING ? fr_doc_string(value) : (fr_span){"", 0}; }

static fr_code tokenizer(fr_analyzer *a, fr_doc value, fr_err *err)
{
    fr_span name = fr_doc_type(value) == FR_DOC_OBJECT ? text_of(fr_doc_get(value, fr_span_text("type"))) : text_of(value);
    fr_doc_iter iter = fr_doc_begin(value);
    fr_span key;
    for (fr_doc one; fr_doc_type(value) == FR_DOC_OBJECT && fr_doc_next(&iter, &key, &one);)
        if (!is(key, "type")) return unknown("tokenizer parameter", key, err);
    a->whitespace = is(name, "whitespace");
    return a->whitespace || is(name, "standard") ? FR_OK : unknown("tokenizer", name, err);
}

static fr_code one_filter(fr_analyzer *a, fr_doc value, fr_err *err)
{
    bool object = fr_doc_type(value) == FR_DOC_OBJECT;
    fr_span name = object ? text_of(fr_doc_get(value, fr_span_text("type"))) : text_of(value), key;
    if (is(name, "lowercase")) a->lowercase = true;
    else if (is(name, "alphanumonly")) a->only_letters = true;
    else if (!object || (!is(name, "length") && !is(name, "stop"))) return unknown("filter", name, err);
    fr_doc_iter iter = fr_doc_begin(value);
    for (fr_doc one; object && fr_doc_next(&iter, &key, &one);) {
        if (is(key, "type")) continue;
        if (is(name, "length") && is(key, "max")) FR_TRY(length_max(a, one, "max", err));
        else if (is(name, "stop") && is(key, "stop_words")) FR_TRY(stop_words(a, one, err));
        else return unknown("filter parameter", key, err);
    }
    return FR_OK;
}

static fr_code parse(fr_analyzer *a, fr_doc params, fr_err *err)
{
    a->lowercase = true;
    if (params.data == NULL || fr_doc_type(params) == FR_DOC_NULL) return FR_OK;
    if (fr_doc_type(params) != FR_DOC_OBJECT) return fr_fail(err, FR_ERR_INVALID, "analyzer_params", "analyzer_params must be a JSON object");
    bool own = fr_doc_get(params, fr_span_text("tokenizer")).data != NULL, type = fr_doc_get(params, fr_span_text("type")).data != NULL;
    if (own && type) return fr_fail(err, FR_ERR_INVALID, "analyzer_params", "analyzer_params has type or tokenizer, not both");
    if (own) a->lowercase = false;
    fr_doc_iter iter = fr_doc_begin(params);
    fr_span key;
    for (fr_doc value; fr_doc_next(&iter, &key, &value);) {
        if (is(key, "type")) {
            if (!is(text_of(value), "standard")) return unknown("type", text_of(value), err);
        } else if (is(key, "tokenizer")) {
            FR_TRY(tokenizer(a, value, err));
        } else if (is(key, "stop_words") && !own) {
            FR_TRY(stop_words(a, value, err));
        } else if (is(key, "max_token_length") && !own) {
            FR_TRY(length_max(a, value, "max_token_length", err));
        } else if (is(key, "filter") && own) {
            if (fr_doc_type(value) != FR_DOC_ARRAY) return fr_fail(err, FR_ERR_INVALID, "filter", "filter of the analyzer must be a list");
            fr_doc_iter filters = fr_doc_begin(value);
            for (fr_doc one; fr_doc_next(&filters, NULL, &one);) FR_TRY(one_filter(a, one, err));
        } else {
            return unknown("parameter", key, err);
        }
    }
    return FR_OK;
}

fr_code fr_analyzer_create(fr_doc params, fr_analyzer **analyzer_out, fr_err *err)
{
    *analyzer_out = NULL;
    pthread_once(&classes_once, make_classes);
    if (classes == (locale_t)0) return fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "the C library has no C.UTF-8 locale");
    fr_analyzer *a = fr_zalloc(FR_MEM_SEARCH, sizeof *a);
    if (a == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the analyzer");
    fr_arena_init(&a->arena, FR_MEM_SEARCH, 0);
    fr_code code = parse(a, params, err);
    if (code == FR_OK) *analyzer_out = a;
    else fr_analyzer_free(a);
    return code;
}

void fr_analyzer_free(fr_analyzer *a)
{
    if (a == NULL) return;
    fr_arena_free(&a->arena);
    fr_free(FR_MEM_SEARCH, a);
}

/* ==== characters ==== */

#define NO_CHARACTER 0xffffffffu

/* The character at `at`, and how many bytes it has; a byte that begins none is NO_CHARACTER. */
static uint32_t decode(const uint8_t *text, size_t size, size_t at, size_t *bytes_out)
{
    uint8_t c = text[at];
    *bytes_out = 1;
    if (c < 0x80) return c;
    uint32_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    if (n == 0 || c > 0xf4 || size - at < n) return NO_CHARACTER;
    uint32_t value = c & (0xffu >> (n + 1));
    for (uint32_t i = 1; i < n; i++) {
        if ((text[at + i] & 0xc0) != 0x80) return NO_CHARACTER;
        value = value << 6 | (text[at + i] & 63u);
    }
    *bytes_out = n;
    return value;
}

static size_t encode(uint32_t c, uint8_t *out)
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
        out[0] = (uint8_t)(0xe0 | c >> 12), out[1] = (uint8_t)(0x80 | (c >> 6 & 63)), out[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18), out[1] = (uint8_t)(0x80 | (c >> 12 & 63)), out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

static bool alone(uint32_t c) /* Han, Hiragana: a term each */
{
    return (c >= 0x3041 && c <= 0x309f) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x20000 && c <= 0x3ffff);
}

static bool letter(uint32_t c)
{
    if (c < 0x80) return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    return c != NO_CHARACTER && iswalnum_l((wint_t)c, classes) != 0;
}

static bool space(uint32_t c) { return c < 0x80 ? c == ' ' || (c >= '\t' && c <= '\r') : c != NO_CHARACTER && iswspace_l((wint_t)c, classes) != 0; }

static uint32_t lower(uint32_t c)
{
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return (uint32_t)towlower_l((wint_t)c, classes);
}

/* ==== terms ==== */

static bool is_stop(const fr_analyzer *a, fr_span word)
{
    uint32_t low = 0, high = a->stop_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (fr_span_compare(a->stops[middle], word) < 0) low = middle + 1;
        else high = middle;
    }
    return low < a->stop_count && fr_span_equal(a->stops[low], word);
}

void fr_analyze(const fr_analyzer *a, fr_span source, bool (*each)(void *user, const fr_term *term), void *user)
{
    const uint8_t *text = source.data;
    uint8_t buffer[FR_TERM_BYTES_MAX + 4];
    uint32_t position = 0;
    for (size_t at = 0, bytes; at < source.size;) {
        uint32_t c = decode(text, source.size, at, &bytes);
        bool part = a->whitespace ? c != NO_CHARACTER && !space(c) : letter(c);
        if (!part) {
            at += bytes;
            continue;
        }
        size_t start = at, size = 0;
        uint32_t characters = 0;
        bool single = !a->whitespace && alone(c), letters = true;
        do {
            letters = letters && letter(c);
            size += encode(a->lowercase ? lower(c) : c, buffer + size);
            at += bytes;
            characters++;
            if (single || at >= source.size || characters == FR_TERM_CHARACTERS_MAX) break;
            c = decode(text, source.size, at, &bytes);
            part = a->whitespace ? c != NO_CHARACTER && !space(c) : letter(c) && !alone(c);
        } while (part);
        fr_term term = {.text = {buffer, size}, .start = start, .end = at, .position = position++};
        if (a->characters_max != 0 && characters > a->characters_max) continue;
        if ((a->only_letters && !letters) || is_stop(a, term.text)) continue;
        if (!each(user, &term)) return;
    }
}

uint32_t fr_term_hash(fr_span term) { return fr_murmur2(term.data, term.size); }

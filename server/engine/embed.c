/* embed.c: text to a vector without a model: signed feature hashing.
 * Source: K. Weinberger, A. Dasgupta, J. Langford, A. Smola, J. Attenberg, Feature hashing for large scale multitask
 * learning, ICML 2009: a feature adds its weight, with a hashed sign, to a hashed coordinate; inner products are kept
 * in expectation. Features: words, and character n-grams of 3 to 5 bytes inside a word with its borders marked (as in
 * P. Bojanowski et al., Enriching word vectors with subword information, TACL 2017), so that "running" meets "runner".
 * Counts are damped by a square root; short and very common English words weigh little. Deterministic: it depends on
 * the bytes and the dimension only; ASCII is lower-cased. */
#include "server/engine/engine.h"

#include <math.h>

#define TEXT_BYTES_MAX (1u << 20)
#define WORD_BYTES_MAX 64u
#define GRAM_MIN       3u
#define GRAM_MAX       5u

typedef struct feature {
    uint64_t hash;
    float weight;
} feature;

typedef struct features {
    feature *slots;
    uint32_t mask, used;
    fr_code code;
} features;

static void count_feature(features *f, uint64_t hash, float weight);

static void grow(features *f)
{
    features bigger = {.mask = f->slots == NULL ? 255 : f->mask * 2 + 1, .code = FR_OK};
    bigger.slots = fr_zalloc(FR_MEM_ENGINE, (bigger.mask + (size_t)1) * sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        f->code = FR_ERR_NO_MEMORY;
        return;
    }
    for (uint32_t i = 0; f->slots != NULL && i <= f->mask; i++)
        if (f->slots[i].weight > 0) count_feature(&bigger, f->slots[i].hash, f->slots[i].weight);
    fr_free(FR_MEM_ENGINE, f->slots);
    *f = bigger;
}

static void count_feature(features *f, uint64_t hash, float weight)
{
    if (f->slots == NULL || f->used * 2 > f->mask) grow(f);
    if (f->code != FR_OK) return;
    uint32_t at = (uint32_t)hash & f->mask;
    while (f->slots[at].weight > 0 && f->slots[at].hash != hash) at = (at + 1) & f->mask;
    if (f->slots[at].weight <= 0) f->used++;
    f->slots[at].hash = hash;
    f->slots[at].weight += weight;
}

static bool common(const char *word, size_t size)
{
    static const char *const words[] = {
        "a",     "an",   "and", "any",  "are", "as",    "at",  "be",   "by",      "for",  "from", "has",  "have",
        "in",    "into", "is",  "it",   "its", "of",    "on",  "one",  "or",      "some", "such", "that", "the",
        "their", "this", "to",  "used", "was", "which", "who", "with", "usually", "not",  "you",  "your"};
    for (size_t i = 0; i < FR_COUNT_OF(words); i++)
        if (strlen(words[i]) == size && memcmp(words[i], word, size) == 0) return true;
    return false;
}

static void add_word(features *f, const char *word, size_t size)
{
    char marked[WORD_BYTES_MAX + 2];
    float weight = common(word, size) ? 0.02f : 1.0f;
    count_feature(f, fr_hash(word, size, 1), weight);
    if (weight < 1.0f) return;
    marked[0] = '<';
    memcpy(marked + 1, word, size);
    marked[size + 1] = '>';
    size_t length = size + 2, grams = 0;
    for (size_t n = GRAM_MIN; n <= GRAM_MAX && n < length; n++) grams += length - n + 1;
    /* All the n-grams of a word together weigh twice as much as the word (squared lengths: weights are damped by a root
     * below). */
    float part = grams != 0 ? 2.0f / (float)grams : 0;
    for (size_t n = GRAM_MIN; n <= GRAM_MAX && n < length; n++)
        for (size_t at = 0; at + n <= length; at++) count_feature(f, fr_hash(marked + at, n, 2), part);
}

static bool in_word(uint8_t c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80; }

static void add_text(features *f, fr_span text)
{
    const uint8_t *at = text.data;
    char word[WORD_BYTES_MAX];
    size_t size = 0;
    for (size_t i = 0; i <= text.size; i++) {
        uint8_t c = i < text.size ? at[i] : ' ';
        if (c >= 'A' && c <= 'Z') c = (uint8_t)(c + ('a' - 'A'));
        if (in_word(c) && size < sizeof word) {
            word[size++] = (char)c;
            continue;
        }
        if (size != 0) add_word(f, word, size);
        size = 0;
        if (in_word(c)) word[size++] = (char)c;
    }
}

fr_code fr_engine_embed_hash(fr_span text, uint32_t dimension, float *out, fr_err *err)
{
    if (text.size > TEXT_BYTES_MAX)
        return fr_fail(err, FR_ERR_INVALID, "text", "a text has at most %u bytes, got %zu", TEXT_BYTES_MAX, text.size);
    if (!fr_utf8_valid(text.data, text.size)) return fr_fail(err, FR_ERR_INVALID, "text", "a text must be valid UTF-8");
    features f = {.code = FR_OK};
    add_text(&f, text);
    if (f.code != FR_OK) {
        fr_free(FR_MEM_ENGINE, f.slots);
        return fr_fail(err, f.code, "text", "no memory");
    }
    memset(out, 0, dimension * sizeof *out);
    double norm = 0;
    for (uint32_t i = 0; f.slots != NULL && i <= f.mask; i++) {
        if (f.slots[i].weight <= 0) continue;
        uint64_t mixed = fr_mix64(f.slots[i].hash);
        float damped = sqrtf(f.slots[i].weight);
        out[(uint32_t)(((mixed & UINT32_MAX) * dimension) >> 32)] += mixed >> 63 ? damped : -damped;
    }
    fr_free(FR_MEM_ENGINE, f.slots);
    for (uint32_t i = 0; i < dimension; i++) norm += (double)out[i] * (double)out[i];
    if (norm < 1e-12) return fr_fail(err, FR_ERR_INVALID, "text", "the text holds nothing that could be embedded");
    float scale = (float)(1.0 / sqrt(norm));
    for (uint32_t i = 0; i < dimension; i++) out[i] *= scale;
    return FR_OK;
}

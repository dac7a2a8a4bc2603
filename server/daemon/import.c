/* import.c: the formats' table, and the line formats jsonl and wordnet. See import.h. */
#include "server/daemon/import.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

static const struct {
    const char *name, *ending;
} formats[FR_IMPORT_FORMAT_COUNT] = {
    [FR_IMPORT_AUTO] = {"auto", ""},         [FR_IMPORT_JSONL] = {"jsonl", ".jsonl"},
    [FR_IMPORT_CSV] = {"csv", ".csv"},       [FR_IMPORT_WORDNET] = {"wordnet", ""},
    [FR_IMPORT_NPY] = {"npy", ".npy"},       [FR_IMPORT_FVECS] = {"fvecs", ".fvecs"},
    [FR_IMPORT_BVECS] = {"bvecs", ".bvecs"}, [FR_IMPORT_FBIN] = {"fbin", ".fbin"},
    [FR_IMPORT_U8BIN] = {"u8bin", ".u8bin"}, [FR_IMPORT_I8BIN] = {"i8bin", ".i8bin"},
};

const char *fr_import_format_name(fr_import_format format)
{
    return (unsigned)format < FR_IMPORT_FORMAT_COUNT ? formats[format].name : "unknown";
}

fr_import_format fr_import_format_named(const char *name)
{
    int format = 0;
    while (format < FR_IMPORT_FORMAT_COUNT && strcmp(name, formats[format].name) != 0) format++;
    return (fr_import_format)format;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t size = strlen(name), tail = strlen(ending);
    return tail > 0 && size >= tail && strcasecmp(name + size - tail, ending) == 0;
}

fr_import_format fr_import_format_guess(const char *name, fr_span bytes)
{
    for (int format = 0; format < FR_IMPORT_FORMAT_COUNT; format++) {
        if (ends_with(name, formats[format].ending)) return (fr_import_format)format;
    }
    if (ends_with(name, ".ndjson") || ends_with(name, ".json")) return FR_IMPORT_JSONL;
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    if (!strcmp(base, "data.noun") || !strcmp(base, "data.verb") || !strcmp(base, "data.adj") ||
        !strcmp(base, "data.adv")) {
        return FR_IMPORT_WORDNET;
    }
    if (bytes.size >= 6 && memcmp(bytes.data, "\x93NUMPY", 6) == 0) return FR_IMPORT_NPY;
    if (bytes.size >= 1 && *(const char *)bytes.data == '{') return FR_IMPORT_JSONL;
    return FR_IMPORT_AUTO;
}

void fr_import_place(const fr_import *import, uint32_t part, uint64_t line, uint64_t row, char *out, size_t size)
{
    const char *name = import->parts[FR_MIN(part, import->part_count - 1)].name;
    if (line) snprintf(out, size, "%s:%llu", name, (unsigned long long)line);
    else snprintf(out, size, "%s: row %llu", name, (unsigned long long)row);
}

fr_code fr_import_refuse(const fr_import *import, fr_err *err, const char *format, ...)
{
    char place[160], why[120];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    fr_import_place(import, import->part, import->line, import->row, place, sizeof place);
    return fr_fail(err, FR_ERR_INVALID, NULL, "%s: %s", place, why);
}

bool fr_import_line(fr_import *import, fr_span *line_out)
{
    for (; import->part < import->part_count; import->part++, import->at = 0, import->line = 0) {
        fr_span bytes = import->parts[import->part].bytes;
        if (import->at >= bytes.size) {
            if (import->part + 1 == import->part_count) return false; /* stay on the last part, for messages */
            continue;
        }
        const char *from = (const char *)bytes.data + import->at;
        size_t left = bytes.size - import->at;
        const char *end = memchr(from, '\n', left);
        size_t size = end ? (size_t)(end - from) : left;
        import->at += size + (end ? 1 : 0);
        import->line++;
        if (size > 0 && from[size - 1] == '\r') size--;
        *line_out = fr_span_of(from, size);
        return true;
    }
    return false;
}

void fr_import_open_record(fr_text *out, fr_span event_id)
{
    fr_text_puts(out, "{");
    if (event_id.size) {
        fr_text_puts(out, "\"event_id\":");
        fr_text_json_string(out, event_id.data, event_id.size);
        fr_text_puts(out, ",");
    }
}

/* ---- jsonl ---- */

static bool is_blank(fr_span line)
{
    const char *bytes = line.data;
    for (size_t at = 0; at < line.size; at++) {
        if (bytes[at] != ' ' && bytes[at] != '\t') return false;
    }
    return true;
}

static fr_code put_vector(fr_import *import, const json_t *vector, fr_text *out, fr_err *err)
{
    size_t count = json_array_size(vector);
    if (!json_is_array(vector)) return fr_import_refuse(import, err, "the vector must be a list of numbers");
    if (count == 0 || count > FR_DIMENSION_MAX) {
        return fr_import_refuse(import, err, "the vector has %zu values; 1 to %u are possible", count,
                                FR_DIMENSION_MAX);
    }
    if (import->dimension == 0) import->dimension = (uint32_t)count;
    if (count != import->dimension) {
        return fr_import_refuse(import, err, "the vector has %zu values, those before it have %u", count,
                                import->dimension);
    }
    fr_text_puts(out, "[");
    for (size_t index = 0; index < count; index++) {
        const json_t *value = json_array_get(vector, index);
        if (!json_is_number(value))
            return fr_import_refuse(import, err, "value %zu of the vector is not a number", index);
        float number = (float)json_number_value(value);
        if (!isfinite(number))
            return fr_import_refuse(import, err, "value %zu of the vector does not fit a 32-bit float", index);
        if (index) fr_text_add(out, ",", 1);
        fr_text_float(out, number);
    }
    fr_text_puts(out, "]");
    return FR_OK;
}

/* Keys that are no field of a record are metadata; a "metadata" object is merged with them. */
static fr_code put_metadata(fr_import *import, json_t *record, const char *const *fields, size_t field_count,
                            fr_text *out, fr_err *err)
{
    const json_t *metadata = json_object_get(record, "metadata");
    if (metadata && !json_is_object(metadata) && !json_is_null(metadata))
        return fr_import_refuse(import, err, "metadata must be an object");
    bool any = false;
    const char *key;
    json_t *value;
    for (int pass = 0; pass < 2; pass++) {
        void *at = json_object_iter(pass == 0 ? (json_t *)(uintptr_t)metadata : record);
        json_t *object = pass == 0 ? (json_t *)(uintptr_t)metadata : record;
        for (; at; at = json_object_iter_next(object, at)) {
            key = json_object_iter_key(at);
            value = json_object_iter_value(at);
            bool known = false;
            for (size_t index = 0; pass == 1 && index < field_count; index++)
                known = known || strcmp(key, fields[index]) == 0;
            if (known || (pass == 1 && metadata && json_object_get(metadata, key))) continue;
            fr_text_puts(out, any ? "," : ",\"metadata\":{");
            any = true;
            fr_text_json_string(out, key, strlen(key));
            fr_text_puts(out, ":");
            fr_text_json(out, value);
        }
    }
    if (any) fr_text_puts(out, "}");
    return FR_OK;
}

static fr_code jsonl_record(fr_import *import, json_t *record, fr_span event_id, fr_text *out, uint64_t *key_hash,
                            fr_err *err)
{
    const fr_import_options *options = &import->options;
    if (!json_is_object(record)) return fr_import_refuse(import, err, "a line must hold one JSON object");
    const json_t *id = json_object_get(record, options->id_field);
    if (!json_is_string(id) && !json_is_integer(id)) {
        return fr_import_refuse(import, err, "\"%.64s\" must be a string or a whole number", options->id_field);
    }
    const json_t *own = json_object_get(record, "event_id");
    if (own && !json_is_string(own)) return fr_import_refuse(import, err, "event_id must be a string");
    fr_import_open_record(out, own ? fr_span_of(json_string_value(own), json_string_length(own)) : event_id);
    size_t id_at = out->size;
    fr_text_puts(out, "\"id\":");
    fr_text_json(out, id);
    if (!out->failed) *key_hash = fr_hash(out->data + id_at, out->size - id_at, 0);

    const json_t *vector = json_object_get(record, options->vector_field),
                 *text = json_object_get(record, options->text_field);
    if (vector) {
        fr_text_puts(out, ",\"vector\":");
        FR_TRY(put_vector(import, vector, out, err));
    } else if (json_is_string(text)) {
        fr_text_puts(out, ",\"text\":");
        fr_text_json(out, text);
    } else {
        return fr_import_refuse(import, err, "neither \"%.32s\" (a list) nor \"%.32s\" (a string) is there",
                                options->vector_field, options->text_field);
    }
    static const char *const passed[] = {"timestamp", "model_version"};
    for (size_t index = 0; index < FR_COUNT_OF(passed); index++) {
        const json_t *value = json_object_get(record, passed[index]);
        if (!value || json_is_null(value)) continue;
        fr_text_format(out, ",\"%s\":", passed[index]);
        fr_text_json(out, value);
    }
    /* A text beside a vector is metadata, as it is when the text makes the vector. */
    const char *fields[] = {"event_id", "metadata",        "timestamp",           "model_version",
                            "offset",   options->id_field, options->vector_field, options->text_field};
    FR_TRY(put_metadata(import, record, fields, vector ? FR_COUNT_OF(fields) - 1 : FR_COUNT_OF(fields), out, err));
    fr_text_puts(out, "}");
    return FR_OK;
}

static fr_code jsonl_next(fr_import *import, fr_span event_id, fr_text *out, uint64_t *key_hash, bool *end_out,
                          fr_err *err)
{
    fr_span line = {0};
    do {
        if (!fr_import_line(import, &line)) {
            *end_out = true;
            return FR_OK;
        }
    } while (is_blank(line));
    json_error_t where;
    json_t *record = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES, &where);
    fr_code code = record ? jsonl_record(import, record, event_id, out, key_hash, err)
                          : fr_import_refuse(import, err, "not JSON at column %d: %.80s", where.column, where.text);
    json_decref(record);
    import->row++;
    return code;
}

/* ---- wordnet ---- */

static const struct {
    const char *ending, *name;
    char letter;
} parts_of_speech[] = {{"noun", "noun", 'n'}, {"verb", "verb", 'v'}, {"adj", "adjective", 'a'}, {"adv", "adverb", 'r'}};

/* The next word up to a space, or an empty span at the end. */
static fr_span take_word(fr_span *line)
{
    const char *bytes = line->data;
    size_t size = 0;
    while (size < line->size && bytes[size] != ' ') size++;
    fr_span word = fr_span_of(bytes, size);
    size_t step = size < line->size ? size + 1 : size;
    *line = fr_span_of(bytes + step, line->size - step);
    return word;
}

static bool read_digits(fr_span word, unsigned base, uint32_t *value_out)
{
    const char *bytes = word.data;
    uint64_t value = 0;
    if (word.size == 0 || word.size > 8) return false;
    for (size_t at = 0; at < word.size; at++) {
        char c = bytes[at];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 99;
        if (digit >= base) return false;
        value = value * base + digit;
    }
    *value_out = (uint32_t)value;
    return true;
}

/* synset_offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] ... | gloss   (wndb(5WN)) */
static fr_code wordnet_record(fr_import *import, fr_span line, fr_span event_id, fr_text *out, uint64_t *key_hash,
                              fr_err *err)
{
    size_t speech = 0;
    while (speech < FR_COUNT_OF(parts_of_speech) &&
           !ends_with(import->parts[import->part].name, parts_of_speech[speech].ending))
        speech++;
    if (speech == FR_COUNT_OF(parts_of_speech))
        return fr_import_refuse(import, err, "a WordNet file is named data.noun, .verb, .adj or .adv");
    const char *bar = memmem(line.data, line.size, " | ", 3);
    uint32_t offset, count;
    if (!bar) return fr_import_refuse(import, err, "no gloss after ' | '");
    fr_span gloss = fr_span_of(bar + 3, line.size - (size_t)(bar + 3 - (const char *)line.data));
    while (gloss.size && ((const char *)gloss.data)[gloss.size - 1] == ' ') gloss.size--;
    fr_span head = fr_span_of(line.data, (size_t)(bar - (const char *)line.data));
    fr_span digits = take_word(&head);
    take_word(&head); /* lexicographer file */
    take_word(&head); /* synset type */
    if (digits.size != 8 || !read_digits(digits, 10, &offset))
        return fr_import_refuse(import, err, "the line does not begin with a synset offset");
    if (!read_digits(take_word(&head), 16, &count) || count == 0)
        return fr_import_refuse(import, err, "the count of words is not there");
    if (!fr_utf8_valid(line.data, line.size)) return fr_import_refuse(import, err, "the line is not UTF-8");
    if (gloss.size == 0) return fr_import_refuse(import, err, "the gloss is empty");

    fr_import_open_record(out, event_id);
    size_t id_at = out->size;
    fr_text_format(out, "\"id\":\"%c%08u\"", parts_of_speech[speech].letter, offset);
    if (!out->failed) *key_hash = fr_hash(out->data + id_at, out->size - id_at, 0);
    fr_text_puts(out, ",\"text\":");
    fr_text_json_string(out, gloss.data, gloss.size);
    fr_text_format(out, ",\"metadata\":{\"pos\":\"%s\",\"words\":[", parts_of_speech[speech].name);
    for (uint32_t index = 0; index < count; index++) {
        fr_span word = take_word(&head);
        take_word(&head); /* lexical id */
        if (word.size == 0 || word.size > 256)
            return fr_import_refuse(import, err, "word %u of %u is not there", index + 1, count);
        const char *marker = memchr(word.data, '(', word.size); /* adjectives: (p), (a), (ip) after the word */
        size_t size = marker && marker != word.data ? (size_t)(marker - (const char *)word.data) : word.size;
        char spaced[256];
        for (size_t at = 0; at < size; at++)
            spaced[at] = ((const char *)word.data)[at] == '_' ? ' ' : ((const char *)word.data)[at];
        if (index) fr_text_puts(out, ",");
        fr_text_json_string(out, spaced, size);
    }
    fr_text_puts(out, "]}}");
    return FR_OK;
}

static fr_code wordnet_next(fr_import *import, fr_span event_id, fr_text *out, uint64_t *key_hash, bool *end_out,
                            fr_err *err)
{
    fr_span line = {0};
    do {
        if (!fr_import_line(import, &line)) {
            *end_out = true;
            return FR_OK;
        }
        /* the licence at the head of each file is indented by two spaces */
    } while (line.size == 0 || *(const char *)line.data == ' ');
    fr_code code = wordnet_record(import, line, event_id, out, key_hash, err);
    import->row++;
    return code;
}

static void wordnet_begin(fr_import *import)
{
    fr_span line;
    while (fr_import_line(import, &line)) import->row_total += line.size > 0 && *(const char *)line.data != ' ';
    import->part = 0;
    import->at = 0;
    import->line = 0;
}

/* ---- door ---- */

fr_code fr_import_begin(fr_import *import, const fr_import_part *parts, uint32_t part_count,
                        const fr_import_options *options, fr_err *err)
{
    *import = (fr_import){.options = *options, .part_count = part_count};
    FR_ASSERT(part_count >= 1 && part_count <= FR_IMPORT_PARTS_MAX);
    for (uint32_t part = 0; part < part_count; part++) {
        import->parts[part] = parts[part];
        import->byte_total += parts[part].bytes.size;
    }
    fr_import_options *own = &import->options;
    if (!own->id_field) own->id_field = "id";
    if (!own->vector_field) own->vector_field = "vector";
    if (!own->text_field) own->text_field = "text";
    if (own->format == FR_IMPORT_AUTO) own->format = fr_import_format_guess(parts[0].name, parts[0].bytes);
    switch (own->format) {
    case FR_IMPORT_AUTO:
        return fr_fail(err, FR_ERR_INVALID, "format",
                       "%s: neither the name nor the first bytes tell the format; say --format", parts[0].name);
    case FR_IMPORT_JSONL: return FR_OK;
    case FR_IMPORT_CSV: return fr_import_csv_begin(import, err);
    case FR_IMPORT_WORDNET:
        import->is_text = true;
        wordnet_begin(import);
        return FR_OK;
    default: return fr_import_numbers_begin(import, err);
    }
}

fr_code fr_import_next(fr_import *import, fr_span event_id, fr_text *out, uint64_t *key_hash, bool *end_out,
                       fr_err *err)
{
    size_t size = out->size;
    *end_out = false;
    *key_hash = 0;
    fr_code code;
    switch (import->options.format) {
    case FR_IMPORT_JSONL: code = jsonl_next(import, event_id, out, key_hash, end_out, err); break;
    case FR_IMPORT_CSV: code = fr_import_csv_next(import, event_id, out, key_hash, end_out, err); break;
    case FR_IMPORT_WORDNET: code = wordnet_next(import, event_id, out, key_hash, end_out, err); break;
    default: code = fr_import_numbers_next(import, event_id, out, key_hash, end_out, err); break;
    }
    if (code == FR_OK && out->failed) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a record");
    if (code != FR_OK && !out->failed) out->size = size; /* whole or not at all */
    return code;
}

fr_code fr_import_skip(fr_import *import, uint64_t rows, fr_err *err)
{
    bool fixed = import->row_size > 0;
    if (fixed) {
        import->row = FR_MIN(import->row + rows, import->row_total);
        return FR_OK;
    }
    fr_text scratch = {0};
    bool end = false;
    uint64_t key_hash;
    uint64_t until = import->row + rows;
    while (!end && import->row < until) {
        fr_text_reset(&scratch);
        /* A bad record was refused when it was first read, so it is not here; anything else would be news. */
        fr_code code = fr_import_next(import, (fr_span){0}, &scratch, &key_hash, &end, err);
        if (code != FR_OK) {
            fr_text_free(&scratch);
            return code;
        }
    }
    fr_text_free(&scratch);
    return FR_OK;
}

uint64_t fr_import_bytes_done(const fr_import *import)
{
    if (import->row_size) return import->rows_at + import->row * import->row_size;
    uint64_t done = import->at;
    for (uint32_t part = 0; part < import->part && part < import->part_count; part++)
        done += import->parts[part].bytes.size;
    return FR_MIN(done, import->byte_total);
}

void fr_import_end(fr_import *import)
{
    fr_text_free(&import->cell);
    fr_text_free(&import->header);
}

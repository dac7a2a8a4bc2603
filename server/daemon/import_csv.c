/* import_csv.c: comma-separated values with a header line (RFC 4180). Quoted cells may hold commas, quotes and line
 * ends. A cell is metadata unless its column is the id's, the vector's (a JSON list) or the text's. See import.h. */
#include "server/daemon/import.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Read one cell into import->cell. Answers what stood behind it: ',' or '\n' (also at the end of the file). */
static fr_code take_cell(fr_import *import, char *behind_out, fr_err *err)
{
    fr_span bytes = import->parts[0].bytes;
    const char *data = bytes.data;
    fr_text_reset(&import->cell);
    *behind_out = '\n';
    if (import->at < bytes.size && data[import->at] == '"') {
        import->at++;
        for (;;) {
            const char *from = data + import->at;
            const char *quote = import->at < bytes.size ? memchr(from, '"', bytes.size - import->at) : NULL;
            if (!quote) return fr_import_refuse(import, err, "a quoted cell does not end");
            for (const char *at = from; at < quote; at++) import->line += *at == '\n';
            fr_text_add(&import->cell, from, (size_t)(quote - from));
            import->at += (size_t)(quote - from) + 1;
            if (import->at >= bytes.size || data[import->at] != '"') break;
            fr_text_add(&import->cell, "\"", 1);
            import->at++;
        }
    } else {
        size_t from = import->at;
        while (import->at < bytes.size && data[import->at] != ',' && data[import->at] != '\n' &&
               data[import->at] != '\r')
            import->at++;
        fr_text_add(&import->cell, data + from, import->at - from);
    }
    if (import->at < bytes.size && data[import->at] == '\r') import->at++;
    if (import->at >= bytes.size) return FR_OK;
    char behind = data[import->at];
    if (behind != ',' && behind != '\n') return fr_import_refuse(import, err, "text behind a closing quote");
    import->at++;
    *behind_out = behind;
    return FR_OK;
}

static fr_span column_name(const fr_import *import, uint32_t column)
{
    return fr_span_of(import->header.data + import->column_at[column],
                      import->column_at[column + 1] - import->column_at[column]);
}

static bool column_is(const fr_import *import, uint32_t column, const char *name)
{
    return fr_span_equal(column_name(import, column), fr_span_text(name));
}

fr_code fr_import_csv_begin(fr_import *import, fr_err *err)
{
    fr_span bytes = import->parts[0].bytes;
    if (bytes.size >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0) import->at = 3; /* byte order mark */
    import->line = 1;
    bool has_id = false, has_vector = false, has_text = false;
    char behind = ',';
    while (behind == ',') {
        if (import->column_count == FR_IMPORT_COLUMNS_MAX)
            return fr_import_refuse(import, err, "more than %d columns", FR_IMPORT_COLUMNS_MAX);
        FR_TRY(take_cell(import, &behind, err));
        uint32_t column = import->column_count++;
        import->column_at[column] = (uint32_t)import->header.size;
        fr_text_add(&import->header, import->cell.data, import->cell.size);
        if (import->header.failed || import->cell.failed)
            return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the columns");
        import->column_at[column + 1] = (uint32_t)import->header.size;
        if (import->cell.size == 0 || memchr(import->cell.data, 0, import->cell.size) ||
            !fr_utf8_valid(import->cell.data, import->cell.size)) {
            return fr_import_refuse(import, err, "column %u has no name in UTF-8", column + 1);
        }
        for (uint32_t before = 0; before < column; before++) {
            if (fr_span_equal(column_name(import, before), column_name(import, column))) {
                return fr_import_refuse(import, err, "two columns are named \"%.*s\"",
                                        (int)FR_MIN(import->cell.size, 64u), import->cell.data);
            }
        }
        has_id = has_id || column_is(import, column, import->options.id_field);
        has_vector = has_vector || column_is(import, column, import->options.vector_field);
        has_text = has_text || column_is(import, column, import->options.text_field);
    }
    if (!has_id)
        return fr_import_refuse(import, err, "no column is named \"%.64s\" (--id-field)", import->options.id_field);
    if (!has_vector && !has_text) {
        return fr_import_refuse(import, err,
                                "no column is named \"%.32s\" (--vector-field) or \"%.32s\" (--text-field)",
                                import->options.vector_field, import->options.text_field);
    }
    import->is_text = !has_vector;
    return FR_OK;
}

/* A number in canonical form, so that "007" or "+1" stay the text they are. */
static json_t *number_of(const char *data, size_t size)
{
    if (size == 0 || size > 32 || !(data[0] == '-' || (data[0] >= '0' && data[0] <= '9'))) return NULL;
    json_t *value = json_loadb(data, size, JSON_DECODE_ANY, NULL);
    if (json_is_number(value)) return value;
    json_decref(value);
    return NULL;
}

static void put_cell(const fr_import *import, fr_text *out)
{
    const fr_text *cell = &import->cell;
    json_t *number = import->options.csv_strings ? NULL : number_of(cell->data, cell->size);
    if (number) fr_text_json(out, number);
    else if (!import->options.csv_strings && cell->size == 4 && memcmp(cell->data, "true", 4) == 0)
        fr_text_puts(out, "true");
    else if (!import->options.csv_strings && cell->size == 5 && memcmp(cell->data, "false", 5) == 0)
        fr_text_puts(out, "false");
    else fr_text_json_string(out, cell->data, cell->size);
    json_decref(number);
}

static fr_code put_vector(fr_import *import, fr_text *out, fr_err *err)
{
    json_t *vector = json_loadb(import->cell.data ? import->cell.data : "", import->cell.size, 0, NULL);
    size_t count = json_array_size(vector);
    fr_code code = FR_OK;
    if (!json_is_array(vector) || count == 0 || count > FR_DIMENSION_MAX) {
        code = fr_import_refuse(import, err, "the vector must be a JSON list of 1 to %u numbers", FR_DIMENSION_MAX);
    }
    if (code == FR_OK && import->dimension == 0) import->dimension = (uint32_t)count;
    if (code == FR_OK && count != import->dimension) {
        code = fr_import_refuse(import, err, "the vector has %zu values, those before it have %u", count,
                                import->dimension);
    }
    fr_text_puts(out, "[");
    for (size_t index = 0; code == FR_OK && index < count; index++) {
        const json_t *value = json_array_get(vector, index);
        float number = (float)json_number_value(value);
        if (!json_is_number(value) || !isfinite(number))
            code = fr_import_refuse(import, err, "value %zu is not a finite 32-bit float", index);
        if (index) fr_text_add(out, ",", 1);
        if (code == FR_OK) fr_text_float(out, number);
    }
    fr_text_puts(out, "]");
    json_decref(vector);
    return code;
}

static fr_code put_row(fr_import *import, fr_span event_id, fr_text *out, fr_text *metadata, uint64_t *key_hash,
                       fr_err *err)
{
    bool has_id = false, has_vector = false;
    char behind = ',';
    uint32_t column = 0;
    fr_import_open_record(out, event_id);
    for (; behind == ','; column++) {
        FR_TRY(take_cell(import, &behind, err));
        if (column >= import->column_count)
            return fr_import_refuse(import, err, "more cells than the %u columns", import->column_count);
        const fr_text *cell = &import->cell;
        if (!fr_utf8_valid(cell->data, cell->size))
            return fr_import_refuse(import, err, "cell %u is not UTF-8", column + 1);
        if (column_is(import, column, import->options.id_field)) {
            if (cell->size == 0) return fr_import_refuse(import, err, "the id is empty");
            has_id = true;
            *key_hash = fr_hash(cell->data, cell->size, 0);
            json_t *number = number_of(cell->data, cell->size);
            fr_text_puts(out, "\"id\":");
            if (json_is_integer(number)) fr_text_json(out, number);
            else fr_text_json_string(out, cell->data, cell->size);
            json_decref(number);
            fr_text_puts(out, ",");
        } else if (column_is(import, column, import->options.vector_field)) {
            has_vector = true;
            fr_text_puts(out, "\"vector\":");
            FR_TRY(put_vector(import, out, err));
            fr_text_puts(out, ",");
        } else if (import->is_text && column_is(import, column, import->options.text_field)) {
            has_vector = true;
            fr_text_puts(out, "\"text\":");
            fr_text_json_string(out, cell->data, cell->size);
            fr_text_puts(out, ",");
        } else if (cell->size) {
            fr_span name = column_name(import, column);
            if (metadata->size) fr_text_puts(metadata, ",");
            fr_text_json_string(metadata, name.data, name.size);
            fr_text_puts(metadata, ":");
            put_cell(import, metadata);
        }
    }
    if (column < import->column_count || !has_id || !has_vector) {
        return fr_import_refuse(import, err, "%u cells; the header has %u columns", column, import->column_count);
    }
    fr_text_puts(out, "\"metadata\":{");
    fr_text_add(out, metadata->data, metadata->size);
    fr_text_puts(out, "}}");
    if (metadata->failed) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a record");
    return FR_OK;
}

fr_code fr_import_csv_next(fr_import *import, fr_span event_id, fr_text *out, uint64_t *key_hash, bool *end_out,
                           fr_err *err)
{
    fr_span bytes = import->parts[0].bytes;
    const char *data = bytes.data;
    import->line++;
    while (import->at < bytes.size && (data[import->at] == '\n' || data[import->at] == '\r')) { /* empty lines */
        import->line += data[import->at] == '\n';
        import->at++;
    }
    if (import->at >= bytes.size) {
        *end_out = true;
        return FR_OK;
    }
    fr_text metadata = {0};
    fr_code code = put_row(import, event_id, out, &metadata, key_hash, err);
    fr_text_free(&metadata);
    import->row++;
    return code;
}

/* fuzz_import.c: the import readers. First byte: the format; the rest: the file. Each record must be one JSON object, and
 * skipping rows must lead to the same records as reading them. */
#include "server/daemon/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t read_rows(const fr_import_part *part, const fr_import_options *options, uint64_t skip, uint64_t *hash_out)
{
    fr_import import;
    fr_err err = {0};
    fr_text record = {0};
    uint64_t rows = 0, key_hash;
    bool end = false;
    *hash_out = 0;
    fr_code code = fr_import_begin(&import, part, 1, options, &err);
    if (code == FR_OK && skip) code = fr_import_skip(&import, skip, &err);
    while (code == FR_OK && rows < 1000) {
        fr_text_reset(&record);
        code = fr_import_next(&import, fr_span_of("event", 5), &record, &key_hash, &end, &err);
        if (code != FR_OK || end) break;
        json_t *parsed = json_loadb(record.data, record.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        FR_ASSERT(json_is_object(parsed));
        FR_ASSERT(json_object_get(parsed, "id") && json_object_get(parsed, "event_id"));
        json_decref(parsed);
        *hash_out = fr_hash(record.data, record.size, *hash_out);
        rows++;
    }
    FR_ASSERT(code == FR_OK || err.text[0]);
    FR_ASSERT(fr_import_bytes_done(&import) <= import.byte_total + import.row_size);
    fr_import_end(&import);
    fr_text_free(&record);
    return rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    fr_import_options options = {.format = (fr_import_format)(data[0] % FR_IMPORT_FORMAT_COUNT)};
    const char *name = options.format == FR_IMPORT_WORDNET ? "data.noun" : "file";
    fr_import_part part = {.bytes = fr_span_of(data + 1, size - 1), .name = name};
    uint64_t all, tail;
    uint64_t rows = read_rows(&part, &options, 0, &all);
    if (rows == 1) { /* one row read, or skipped: nothing is left */
        uint64_t left = read_rows(&part, &options, 1, &tail);
        FR_ASSERT(left == 0);
    }
    return 0;
}

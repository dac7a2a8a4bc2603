/* import.h: readers of the import formats, over bytes in memory.
 *
 * Invariants: 1. no byte outside the given parts is read, whatever they hold; 2. every refusal names the part and the
 * line or row; 3. a record is whole or not produced; 4. the rows of a format have a fixed order, so a row number is a
 * position to resume from. Files, sockets and checkpoints belong to cli_import.c.
 *
 *   jsonl    one object per line
 *   csv      RFC 4180 with a header line
 *   wordnet  data.noun, data.verb, data.adj, data.adv of WordNet (wndb(5WN))
 *   npy      NumPy's format 1.0 to 3.0, C order, two axes
 *   fvecs, bvecs, ivecs           per row: i32 dimension, values (corpus-texmex.irisa.fr)
 *   fbin, u8bin, i8bin            u32 rows, u32 dimension, rows (big-ann-benchmarks)
 */
#ifndef FR_IMPORT_H
#define FR_IMPORT_H

#include "server/daemon/client.h"

#define FR_IMPORT_PARTS_MAX   4
#define FR_IMPORT_COLUMNS_MAX 512

typedef enum fr_import_format {
    FR_IMPORT_AUTO,
    FR_IMPORT_JSONL,
    FR_IMPORT_CSV,
    FR_IMPORT_WORDNET,
    FR_IMPORT_NPY,
    FR_IMPORT_FVECS,
    FR_IMPORT_BVECS,
    FR_IMPORT_FBIN,
    FR_IMPORT_U8BIN,
    FR_IMPORT_I8BIN,
    FR_IMPORT_FORMAT_COUNT
} fr_import_format;

typedef struct fr_import_part {
    fr_span bytes;
    const char *name; /* for messages; borrowed */
} fr_import_part;

typedef struct fr_import_options {
    fr_import_format format;
    const char *id_field, *vector_field, *text_field; /* NULL: id, vector, text */
    int64_t first_id;                                 /* formats without ids: the first row's */
    bool csv_strings;                                 /* csv: metadata stays text */
} fr_import_options;

typedef struct fr_import {
    fr_import_options options;
    fr_import_part parts[FR_IMPORT_PARTS_MAX];
    uint32_t part_count;
    uint64_t row;       /* rows passed, the number of the next one */
    uint64_t row_total; /* 0 = not known before the end */
    uint64_t byte_total;
    uint32_t dimension; /* 0 = not known before the first record, or text */
    bool is_text;       /* records hold text, not vectors */
    /* where reading stands */
    uint32_t part;
    size_t at;
    uint64_t line; /* text formats: 1-based line of the record last read */
    /* numeric formats */
    size_t rows_at, row_size, element_size;
    char element; /* 'u' 'i' 'f' */
    /* csv */
    fr_text cell;
    fr_text header;
    uint32_t column_count;
    uint32_t column_at[FR_IMPORT_COLUMNS_MAX + 1];
} fr_import;

const char *fr_import_format_name(fr_import_format format);
fr_import_format fr_import_format_named(const char *name); /* FORMAT_COUNT: no such format */
/* By the name's ending, else by the first bytes; AUTO: unknown. */
fr_import_format fr_import_format_guess(const char *name, fr_span bytes);

/* Check the head of the parts and stand before row 0. The parts stay the caller's and must outlive the import. */
fr_code fr_import_begin(fr_import *import, const fr_import_part *parts, uint32_t part_count,
                        const fr_import_options *options, fr_err *err) FR_MUST_CHECK;
/* Append the next record as a JSON object to `out`.
 *   event_id   used unless the record brings its own
 *   key_hash   out: hash of the id, to keep records of one id in order
 *   end_out    out: true when there is none; nothing is appended then
 *   errors     INVALID with "part:line: why" or "part: row n: why"; the import stands behind the bad record     */
fr_code fr_import_next(fr_import *import, fr_span event_id, fr_text *out, uint64_t *key_hash, bool *end_out,
                       fr_err *err) FR_MUST_CHECK;
fr_code fr_import_skip(fr_import *import, uint64_t rows, fr_err *err) FR_MUST_CHECK;
uint64_t fr_import_bytes_done(const fr_import *import);
/* "part:line" or "part: row n" of a row, for messages about it. */
void fr_import_place(const fr_import *import, uint32_t part, uint64_t line, uint64_t row, char *out, size_t size);
void fr_import_end(fr_import *import);

/* ---- between the reader's own files ---- */
fr_code fr_import_numbers_begin(fr_import *import, fr_err *err) FR_MUST_CHECK;
fr_code fr_import_numbers_next(fr_import *import, fr_span event_id, fr_text *out, uint64_t *key_hash, bool *end_out,
                               fr_err *err) FR_MUST_CHECK;
fr_code fr_import_csv_begin(fr_import *import, fr_err *err) FR_MUST_CHECK;
fr_code fr_import_csv_next(fr_import *import, fr_span event_id, fr_text *out, uint64_t *key_hash, bool *end_out,
                           fr_err *err) FR_MUST_CHECK;
/* The next line without its end, or false at the end of all parts. Steps over part borders. */
bool fr_import_line(fr_import *import, fr_span *line_out);
/* {"event_id":..,"id":.. — the opening of every record. */
void fr_import_open_record(fr_text *out, fr_span event_id);
fr_code fr_import_refuse(const fr_import *import, fr_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

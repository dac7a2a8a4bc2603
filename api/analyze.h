/* analyze.h: text -> terms, as Milvus' analyzers make them: what TEXT_MATCH, PHRASE_MATCH, the BM25 function and RunAnalyzer share. Leaf.
 *
 * Parameters are a document (api/doc.h), all optional:
 *   {"type": "standard", "stop_words": ["_english_", "x"], "max_token_length": n}
 *   {"tokenizer": "standard" | "whitespace", "filter": ["lowercase", "alphanumonly", {"type": "length", "max": n}, {"type": "stop", "stop_words": [..]}]}
 * The standard tokenizer takes runs of letters and digits (of any script; Han and Hiragana one by one), the whitespace one what stands
 * between white space. The standard analyzer is in lower case; one with a tokenizer only where it has the filter.
 * A run longer than FR_TERM_CHARACTERS_MAX is cut into terms of that length.
 *
 * What is stored depends on the terms: a change here needs a new name of the analyzer. */
#ifndef FR_ANALYZE_H
#define FR_ANALYZE_H

#include "api/doc.h"

#define FR_TERM_CHARACTERS_MAX 255u
#define FR_TERM_BYTES_MAX 1024u
#define FR_STOP_WORDS_MAX 4096u

typedef struct fr_analyzer fr_analyzer; /* immutable: any thread */
typedef struct fr_term {
    fr_span text; /* borrowed during the call */
    size_t start, end; /* bytes of the source */
    uint32_t position; /* stop words leave a gap */
} fr_term;

/* INVALID or UNSUPPORTED name the parameter. params absent: standard. */
fr_code fr_analyzer_create(fr_doc params, fr_analyzer **analyzer_out, fr_err *err) FR_MUST_CHECK;
void fr_analyzer_free(fr_analyzer *analyzer); /* accepts NULL */
/* Calls each() for every term, in order, until it answers false. No allocation. The text need not be UTF-8: wrong bytes separate. */
void fr_analyze(const fr_analyzer *analyzer, fr_span text, bool (*each)(void *user, const fr_term *term), void *user);
/* The term's number in sparse vectors. Stored: never changed. */
uint32_t fr_term_hash(fr_span term);

#endif

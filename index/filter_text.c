/* filter_text.c: text_match and phrase_match. The text asked for becomes terms once; a row's text is analyzed while it is looked at, term
 * by term, without memory of its own. */
#include "index/filter_private.h"

static bool no_memory(fr_parser *parser)
{
    fr_filter_no_memory(parser);
    return false;
}

/* The analyzer of the field: as "$analyzers" says, else the standard one. */
static const fr_analyzer *analyzer_of(fr_parser *parser, const fr_node *field)
{
    fr_doc all = parser->params.data != NULL ? fr_doc_get(parser->params, fr_span_text("$analyzers")) : (fr_doc){NULL}, own = {NULL};
    if (all.data != NULL) {
        fr_span name = field->steps.count == 1 ? field->steps.at[0].key : (fr_span){"", 0};
        own = fr_doc_get(all, name);
        if (own.data == NULL) {
            fr_filter_invalid(&parser->lexer, field->at, "field \"%.*s\" is not enabled for match", (int)FR_MIN(name.size, (size_t)64),
                              (const char *)name.data);
            return NULL;
        }
    }
    fr_filter_analyzer *made = fr_arena_alloc(parser->lexer.arena, sizeof *made);
    if (made == NULL) {
        no_memory(parser);
        return NULL;
    }
    fr_code code = fr_analyzer_create(own, &made->analyzer, parser->lexer.err);
    if (code != FR_OK) {
        parser->lexer.code = code;
        return NULL;
    }
    made->next = parser->analyzers;
    parser->analyzers = made;
    return made->analyzer;
}

typedef struct terms {
    fr_parser *parser;
    fr_text_query *query;
    uint32_t room;
    size_t at;
    bool failed;
} terms;

static bool add_term(void *user, const fr_term *term)
{
    terms *t = user;
    fr_text_query *q = t->query;
    if (q->count == t->room) {
        fr_filter_too_large(t->parser, t->at, t->room == FR_FILTER_TERMS_MAX ? "the text has more than 64 terms" : "the text has more than 16,384 terms");
        t->failed = true;
        return false;
    }
    void *copy = fr_arena_copy(t->parser->lexer.arena, term->text.data, term->text.size);
    t->failed = copy == NULL && !no_memory(t->parser);
    if (t->failed) return false;
    if (q->places != NULL) q->places[q->count] = term->position;
    q->terms[q->count++] = (fr_span){copy, term->text.size};
    return true;
}

fr_node *fr_filter_node_text(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *field, fr_node *text, uint32_t number)
{
    if (field == NULL || text == NULL) return NULL;
    if (field->kind != FR_NODE_PATH || !fr_filter_types_are(parser, field, FR_VALUE_STRING, "text match", at)) {
        fr_filter_invalid(&parser->lexer, field->at, "expected a field as first argument");
        return NULL;
    }
    if (text->kind != FR_NODE_CONST || text->value.kind != FR_VALUE_STRING) {
        fr_filter_invalid(&parser->lexer, text->at, "expected a string as second argument");
        return NULL;
    }
    bool phrase = kind == FR_NODE_PHRASE_MATCH;
    fr_node *node = fr_filter_node(parser, kind, at, field, NULL);
    const fr_analyzer *analyzer = node != NULL ? analyzer_of(parser, field) : NULL;
    if (analyzer == NULL) return NULL;
    fr_text_query query = {.analyzer = analyzer, .least = phrase ? 0 : number, .slop = phrase ? number : 0};
    terms t = {.parser = parser, .query = &query, .at = text->at, .room = phrase || number > 1 ? FR_FILTER_TERMS_MAX : FR_FILTER_LIST_MAX};
    size_t most = FR_MIN((size_t)t.room, text->value.string.size / 2 + 1);
    query.terms = fr_arena_alloc(parser->lexer.arena, most * sizeof *query.terms);
    query.places = phrase ? fr_arena_alloc(parser->lexer.arena, most * sizeof *query.places) : NULL;
    if (query.terms == NULL || (phrase && query.places == NULL)) {
        no_memory(parser);
        return NULL;
    }
    fr_analyze(analyzer, text->value.string, add_term, &t);
    if (t.failed) return NULL;
    if (!phrase) fr_filter_sort_spans(query.terms, &query.count);
    for (uint32_t i = phrase ? query.count : 0; i-- > 0;) query.places[i] -= query.places[0];
    if (phrase && query.count != 0 && query.places[query.count - 1] + query.slop > 63) {
        fr_filter_too_large(parser, text->at, "a phrase with its slop is at most 64 positions long");
        return NULL;
    }
    node->text = query;
    return node;
}

/* ==== looking at a row ==== */

typedef struct matching {
    const fr_text_query *query;
    uint64_t seen; /* TEXT_MATCH with a minimum: terms found */
    uint32_t found;
    uint64_t history[FR_FILTER_TERMS_MAX]; /* PHRASE_MATCH: bit d of a term: it stood at last - d */
    uint32_t last[FR_FILTER_TERMS_MAX];
    bool matched;
} matching;

static bool one_term(void *user, const fr_term *term)
{
    matching *m = user;
    const fr_text_query *q = m->query;
    uint32_t low = 0, high = q->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (fr_span_compare(q->terms[middle], term->text) < 0) low = middle + 1;
        else high = middle;
    }
    if (low == q->count || !fr_span_equal(q->terms[low], term->text)) return true;
    if (q->least <= 1) {
        m->matched = true;
        return false;
    }
    if ((m->seen >> low & 1) == 0) m->found++;
    m->seen |= 1ull << low;
    m->matched = m->found >= q->least;
    return !m->matched;
}

fr_tri fr_filter_text_match(const fr_text_query *query, fr_span text)
{
    matching m;
    m.query = query, m.seen = 0, m.found = 0, m.matched = false;
    if (query->count != 0 && query->count >= query->least) fr_analyze(query->analyzer, text, one_term, &m);
    return m.matched ? FR_TRI_TRUE : FR_TRI_FALSE;
}

/* Stood term i at one of the positions from .. from + slop? */
static bool stood(const matching *m, uint32_t i, int64_t from)
{
    for (int64_t at = from; at <= from + m->query->slop; at++) {
        int64_t ago = (int64_t)m->last[i] - at;
        if (at >= 0 && ago >= 0 && ago < 64 && (m->history[i] >> ago & 1) != 0) return true;
    }
    return false;
}

/* A phrase that begins at `start` or up to slop later, every term shifted on its own. */
static bool phrase_at(const matching *m, int64_t start)
{
    for (uint32_t i = 0; i < m->query->count; i++)
        if (!stood(m, i, start + m->query->places[i])) return false;
    return true;
}

static bool phrase_term(void *user, const fr_term *term)
{
    matching *m = user;
    const fr_text_query *q = m->query;
    bool any = false;
    for (uint32_t i = 0; i < q->count; i++) {
        if (!fr_span_equal(q->terms[i], term->text)) continue;
        uint32_t passed = term->position - m->last[i];
        m->history[i] = (passed < 64 ? m->history[i] << passed : 0) | 1;
        m->last[i] = term->position;
        any = true;
    }
    for (uint32_t i = 0; any && i < q->count && !m->matched; i++) {
        if (m->last[i] != term->position || m->history[i] == 0) continue;
        for (int64_t back = 0; back <= q->slop && !m->matched; back++) m->matched = phrase_at(m, (int64_t)term->position - q->places[i] - back);
    }
    return !m->matched;
}

fr_tri fr_filter_phrase_match(const fr_text_query *query, fr_span text)
{
    matching m;
    m.query = query, m.matched = false;
    memset(m.history, 0, query->count * sizeof m.history[0]);
    memset(m.last, 0, query->count * sizeof m.last[0]);
    if (query->count != 0) fr_analyze(query->analyzer, text, phrase_term, &m);
    return m.matched ? FR_TRI_TRUE : FR_TRI_FALSE;
}

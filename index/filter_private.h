/* filter_private.h: what the files of the filter share: tokens, the tree, sets, patterns. Not for other rooms' files.
 *
 * Invariants
 *   1. A tree is immutable once compiled; all of it lies in one arena, together with every constant it points to.
 *   2. The tree is at most FR_FILTER_DEPTH_MAX deep; `and` and `or` are n-ary, so long lists of terms are flat.
 *   3. Evaluation allocates nothing and recurses no deeper than the tree.
 */
#ifndef FR_FILTER_PRIVATE_H
#define FR_FILTER_PRIVATE_H

#include "api/analyze.h"
#include "index/filter.h"

#define FR_FILTER_LIST_MAX 16384u        /* elements of one list in the text, and of any that an array is searched for */
#define FR_FILTER_VALUES_MAX 1048576u    /* elements of a list given as a value */
#define FR_FILTER_TERMS_MAX 64u          /* of a phrase, and of a text with minimum_should_match; without it: FR_FILTER_LIST_MAX */
#define FR_FILTER_LIST_LISTS_MAX 64u     /* elements that are lists themselves: compared one by one */
#define FR_FILTER_PATTERN_BYTES_MAX 1024u /* of `like` */

/* ---- tokens ---- */
typedef enum fr_token_kind {
    FR_TOKEN_END, FR_TOKEN_WORD, FR_TOKEN_META, FR_TOKEN_INT, FR_TOKEN_FLOAT, FR_TOKEN_STRING,
    FR_TOKEN_LEFT, FR_TOKEN_RIGHT, FR_TOKEN_LEFT_BRACKET, FR_TOKEN_RIGHT_BRACKET, FR_TOKEN_LEFT_BRACE, FR_TOKEN_RIGHT_BRACE, FR_TOKEN_ASSIGN,
    FR_TOKEN_COMMA, FR_TOKEN_DOT,
    FR_TOKEN_OR, FR_TOKEN_AND, FR_TOKEN_NOT, FR_TOKEN_IN, FR_TOKEN_LIKE, FR_TOKEN_EXISTS, /* words and signs alike */
    FR_TOKEN_TRUE, FR_TOKEN_FALSE, FR_TOKEN_NULL,
    FR_TOKEN_EQUAL, FR_TOKEN_NOT_EQUAL, FR_TOKEN_LESS, FR_TOKEN_LESS_EQUAL, FR_TOKEN_GREATER, FR_TOKEN_GREATER_EQUAL,
    FR_TOKEN_PLUS, FR_TOKEN_MINUS, FR_TOKEN_STAR, FR_TOKEN_SLASH, FR_TOKEN_PERCENT, FR_TOKEN_POWER,
    FR_TOKEN_BIT_AND, FR_TOKEN_BIT_OR, FR_TOKEN_BIT_XOR, FR_TOKEN_BIT_NOT, FR_TOKEN_SHIFT_LEFT, FR_TOKEN_SHIFT_RIGHT,
    FR_TOKEN_REGEX
} fr_token_kind;

typedef struct fr_token {
    fr_token_kind kind;
    size_t at, size; /* where in the text */
    bool word;       /* written in letters: may be a path step whatever its kind */
    uint64_t integer; /* INT: magnitude, up to 2^63 */
    double number;    /* FLOAT */
    fr_span string;   /* STRING: unescaped, in the arena */
} fr_token;

typedef struct fr_lexer {
    const char *text;
    size_t size, at;
    fr_arena *arena;
    fr_err *err;
    fr_code code; /* sticky */
} fr_lexer;

/* The next token; on failure lexer->code is set and END is answered. */
fr_token fr_filter_next(fr_lexer *lexer);
/* Fails with "byte N: expected ..., found ..."; answers the code. */
fr_code fr_filter_expected(fr_lexer *lexer, const fr_token *token, const char *what);
fr_code fr_filter_invalid(fr_lexer *lexer, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- values: what an expression has while a row is looked at ---- */
typedef enum fr_value_kind {
    FR_VALUE_NONE, /* missing, or an operation without a result */
    FR_VALUE_NULL,
    FR_VALUE_BOOL,
    FR_VALUE_INT,
    FR_VALUE_FLOAT,
    FR_VALUE_STRING,
    FR_VALUE_DOC /* array or object */
} fr_value_kind;

typedef struct fr_operand {
    fr_value_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        fr_span string;
        fr_doc doc;
    };
} fr_operand;

/* ---- sets: prepared lists ---- */
typedef struct fr_filter_set {
    int64_t *integers; /* sorted, unique; floats with an integer's value are here too */
    double *floats;    /* sorted, unique: only those that no int64 equals */
    fr_span *strings;  /* sorted, unique */
    fr_doc *lists;
    uint32_t integer_count, float_count, string_count, list_count;
    bool has_true, has_false;
    uint32_t count; /* distinct elements */
} fr_filter_set;

fr_code fr_filter_set_make(fr_arena *arena, fr_doc list, fr_filter_set *set_out);
#define FR_SET_MISSING UINT32_MAX
/* The element's ordinal, below set->count, or MISSING. */
uint32_t fr_filter_set_find(const fr_filter_set *set, const fr_operand *value);
/* Has the set an element of the value's type (or no element at all)? */
bool fr_filter_set_comparable(const fr_filter_set *set, const fr_operand *value);
void fr_filter_sort_spans(fr_span *spans, uint32_t *count); /* sorts, drops duplicates */

/* ---- patterns of `like` ---- */
typedef struct fr_like_part {
    fr_span bytes;     /* 0xff, which is never in UTF-8, stands for any one character */
    uint32_t characters;
    bool wild;         /* holds 0xff */
} fr_like_part;

typedef struct fr_like {
    fr_like_part *parts; /* the texts between the % signs, none empty */
    uint32_t count;
    bool open_start, open_end; /* begins, ends with % */
} fr_like;

/* INVALID (a backslash at the end), TOO_LARGE, NO_MEMORY; *why_out is static. */
fr_code fr_filter_like_make(fr_arena *arena, fr_span pattern, fr_like *like_out, const char **why_out);
bool fr_filter_like_match(const fr_like *like, fr_span text);

/* ---- the tree ---- */
typedef enum fr_node_kind {
    /* values */
    FR_NODE_CONST, FR_NODE_PATH, FR_NODE_KEY, FR_NODE_ARRAY_LENGTH,
    FR_NODE_NEGATE, FR_NODE_BIT_NOT,
    FR_NODE_ADD, FR_NODE_SUBTRACT, FR_NODE_MULTIPLY, FR_NODE_DIVIDE, FR_NODE_REMAINDER, FR_NODE_POWER,
    FR_NODE_BIT_AND, FR_NODE_BIT_OR, FR_NODE_BIT_XOR, FR_NODE_SHIFT_LEFT, FR_NODE_SHIFT_RIGHT,
    /* conditions: from FR_NODE_FIRST_CONDITION on */
    FR_NODE_AND, FR_NODE_OR, FR_NODE_NOT,
    FR_NODE_COMPARE,      /* any two values */
    FR_NODE_COMPARE_PATH, /* path with constant: the quick form */
    FR_NODE_IN, FR_NODE_KEY_IN, FR_NODE_LIKE, FR_NODE_IS_NULL, FR_NODE_CONTAINS_ANY, FR_NODE_CONTAINS_ALL,
    FR_NODE_TRUTH, /* a path used as a condition */
    FR_NODE_TEXT_MATCH, FR_NODE_PHRASE_MATCH,
    FR_NODE_SAMPLE,
    FR_NODE_FIRST_CONDITION = FR_NODE_AND
} fr_node_kind;

typedef enum fr_compare {
    FR_COMPARE_EQUAL, FR_COMPARE_NOT_EQUAL, FR_COMPARE_LESS, FR_COMPARE_LESS_EQUAL, FR_COMPARE_GREATER,
    FR_COMPARE_GREATER_EQUAL
} fr_compare;

typedef struct fr_step {
    fr_span key; /* data NULL: an index */
    uint32_t index;
} fr_step;

typedef struct fr_steps {
    const fr_step *at;
    uint32_t count; /* 0: the metadata itself */
} fr_steps;

struct fr_path {
    fr_arena arena;
    fr_steps steps;
};

typedef struct fr_key_set {
    fr_span *keys; /* sorted canonical key bytes */
    uint32_t count;
    bool comparable; /* false: the key's type is not the constants': unknown */
} fr_key_set;

typedef struct fr_text_query {
    const fr_analyzer *analyzer; /* the filter's */
    fr_span *terms;              /* TEXT_MATCH: sorted, unique; PHRASE_MATCH: in order */
    uint32_t count;
    uint32_t least;   /* TEXT_MATCH: so many of them */
    uint32_t slop;    /* PHRASE_MATCH */
    uint32_t *places; /* PHRASE_MATCH: positions of the terms in the phrase */
} fr_text_query;

typedef struct fr_node {
    fr_node_kind kind;
    fr_compare compare;
    uint32_t depth;
    size_t at;                          /* in the text, for errors */
    struct fr_node *left, *right;       /* right: of binary nodes */
    struct fr_node *next, *last;        /* AND, OR: left is the first term, last the last; next links the terms */
    union {
        fr_operand value;  /* CONST; COMPARE_PATH: the constant */
        fr_filter_set set; /* IN, CONTAINS_*: left is the value looked for, or the array */
        fr_key_set keys;   /* KEY_IN */
        fr_like like;
        fr_text_query text; /* TEXT_MATCH, PHRASE_MATCH: left is the field */
        uint64_t sample;    /* SAMPLE: keys whose hash is below it */
    };
    fr_steps steps; /* PATH, COMPARE_PATH, TRUTH */
    const fr_field_def *field; /* PATH: the declared field; only while compiling */
    fr_type type;   /* PATH: what the value is, as declared; NONE = any (dynamic, JSON) */
} fr_node;

struct fr_filter {
    fr_arena arena;
    fr_node *root; /* a condition */
    const fr_span *keys;
    uint32_t key_count;
    struct fr_filter_analyzer *analyzers;
};

typedef struct fr_filter_analyzer { /* one for each field that a filter matches text of */
    fr_analyzer *analyzer;
    struct fr_filter_analyzer *next;
} fr_filter_analyzer;

typedef struct fr_parser {
    fr_lexer lexer;
    fr_token token; /* the one looked at */
    uint32_t depth; /* of parentheses, prefix operators, lists */
    fr_filter_schema schema;
    fr_doc params;                 /* absent: none */
    fr_filter_analyzer *analyzers; /* made so far; the filter's when all went well */
} fr_parser;

/* Parses one condition up to the end of the text. */
fr_code fr_filter_parse(fr_parser *parser, fr_node **root_out);
fr_code fr_filter_parse_path(fr_parser *parser, fr_steps *steps_out);

/* Kleene's three values, in an order in which AND is min, OR is max and NOT is 2 - x. */
typedef enum fr_tri { FR_TRI_FALSE = 0, FR_TRI_UNKNOWN = 1, FR_TRI_TRUE = 2 } fr_tri;

/* Building the tree, with its rules of types. NULL: lexer.code says why. */
fr_node *fr_filter_node(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *left, fr_node *right);
fr_node *fr_filter_node_const(fr_parser *parser, size_t at, fr_operand value);
fr_node *fr_filter_node_condition(fr_parser *parser, fr_node *node); /* a path or a bool becomes a condition */
fr_node *fr_filter_node_join(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *left, fr_node *right);
fr_node *fr_filter_node_not(fr_parser *parser, size_t at, fr_node *node);
fr_node *fr_filter_node_compare(fr_parser *parser, fr_compare compare, size_t at, fr_node *left, fr_node *right);
fr_node *fr_filter_node_calculate(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *left, fr_node *right);
fr_node *fr_filter_node_in(fr_parser *parser, size_t at, fr_node *value, fr_node *list);
fr_node *fr_filter_node_like(fr_parser *parser, size_t at, fr_node *value, fr_node *pattern);
fr_node *fr_filter_node_contains(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *array, fr_node *list,
                                 bool one);
/* filter_text.c */
fr_node *fr_filter_node_text(fr_parser *parser, fr_node_kind kind, size_t at, fr_node *field, fr_node *text, uint32_t number);
fr_tri fr_filter_text_match(const fr_text_query *query, fr_span text);
fr_tri fr_filter_phrase_match(const fr_text_query *query, fr_span text);
/* filter_types.c: what is declared */
fr_node *fr_filter_node_path(fr_parser *parser, size_t at, fr_steps steps, bool root); /* root: written as $meta[..] */
bool fr_filter_types_compare(fr_parser *parser, const fr_node *left, const fr_node *right, size_t at);
bool fr_filter_types_list(fr_parser *parser, const fr_node *value, const fr_filter_set *set, size_t at);
bool fr_filter_types_are(fr_parser *parser, const fr_node *value, fr_value_kind kind, const char *operation, size_t at);
fr_code fr_filter_no_memory(fr_parser *parser);
fr_code fr_filter_too_large(fr_parser *parser, size_t at, const char *what); /* what: static, names the limit */

fr_tri fr_filter_test(const fr_node *node, const fr_filter_row *row);
fr_operand fr_filter_value(const fr_node *node, const fr_filter_row *row);

fr_operand fr_filter_operand(fr_doc value); /* absent: NONE */
fr_doc fr_filter_walk(const fr_steps *steps, fr_doc metadata); /* absent when missing */

#endif

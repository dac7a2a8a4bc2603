/* choose.c: which candidates of a row become its links. The nearest that is left is taken, and what lies nearer to it than to the owner
 * is passed over (algorithm 4 of Malkov and Yashunin, HNSW, with a slack: alpha in Subramanya et al., DiskANN). What is still there
 * stands side by side, so that a row that is chosen is compared with all of it at once; on codes everything is an integer. */
#include "index/table_private.h"

#include <math.h>

#define LINKS_MIN 6u
#define SLACK     1.1f /* of squared distances: more links, fewer hops; figures: index/README.md */
#define CHUNK     64u  /* candidates at a time: a bit each */

typedef struct fr_rest {
    const fr_table *table;
    fr_scratch *scratch;
    const fr_codeset *codes;
    bool coded, inner;
    const fr_candidate *candidates;
    uint32_t first, count;  /* what was not passed over yet, nearest first */
    uint8_t place[CHUNK];   /* among the candidates of the chunk */
    const uint8_t *code[CHUNK];
    int64_t least[CHUNK];   /* by place; coded: a key (codes.h) less the candidate's constant that is far enough from a chosen row */
    float bound[CHUNK];     /* by place; else: such a distance */
    int64_t own[CHUNK];     /* by place: what a key of it as a query begins with */
    uint64_t tree;          /* a bit each: a link of the tree, which is never passed over */
} fr_rest;

/* A distance from a chosen row that is far enough. Inner products are no distances to be stretched, but the same one from the other end
 * differs by rounding. */
static double far_enough(const fr_rest *r, float distance)
{
    return r->inner ? (double)distance - 1e-6 * fabs((double)distance) : (double)distance * (1 / (double)SLACK);
}

static int64_t round_up(double x)
{
    int64_t whole = (int64_t)x;
    return whole + ((double)whole < x);
}

/* An equal of one already chosen adds nothing, but what lies beyond both does: so at least 1 (inner products: no zero means "equal"). */
static void take_codes(fr_rest *r, const uint32_t *ids)
{
    const fr_codeset *codes = r->codes;
    const uint32_t padded = codes->padded, n = r->count;
    int32_t sums[CHUNK], constants[CHUNK];
    double unit = codes->kind == FR_CODE_SQ8 ? (double)codes->scale * (double)codes->scale : 1.0, whole = 1 / unit;
    for (uint32_t i = 0; i < n; i++) r->code[i] = fr_extent_at(&codes->code, ids[i]);
    memset(r->scratch->q2, 1, padded);
    if (!r->inner && fr_codeset_computes(codes)) {
        codes->kernel->gather_constant(r->scratch->q2, r->code, n, padded, sums, constants);
    } else {
        codes->kernel->gather_padded(r->scratch->q2, r->code, n, padded, sums);
        for (uint32_t i = 0; i < n && !r->inner; i++) constants[i] = *(const int32_t *)fr_extent_at(&codes->cst, ids[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        int64_t sum = sums[i], constant = !r->inner ? constants[i] : codes->kind == FR_CODE_U8 ? -128 * sum : 0;
        r->own[i] = !r->inner ? constant + 256 * sum : codes->kind == FR_CODE_U8 ? 0 : 128 * (sum - 128 * (int64_t)padded);
        double bound = far_enough(r, r->candidates[i].distance) * whole; /* tree links have -INFINITY; they are set below */
        int64_t least = bound > 1e15 ? (int64_t)1e15 : bound > -1e15 ? round_up(bound) : INT64_MIN / 2;
        r->least[i] = (r->inner ? least : FR_MAX(least, (int64_t)1)) - constant;
    }
}

static void rest_begin(fr_rest *r, const fr_candidate *candidates, uint32_t count, uint32_t owner)
{
    uint32_t ids[CHUNK], limit = r->scratch->row_limit;
    r->candidates = candidates, r->first = 0, r->count = count, r->tree = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = candidates[i].row;
        r->place[i] = (uint8_t)i;
        r->code[i] = NULL;
        ids[i] = row < limit ? row : 0; /* what is too young has no code here; it is never compared */
        if (owner != FR_ROW_NONE) r->tree |= (uint64_t)fr_tree_link(r->table, owner, row) << i;
    }
    if (r->coded) take_codes(r, ids);
    for (uint32_t i = 0; i < count; i++) {
        bool stays = r->tree >> i & 1 || candidates[i].row >= limit;
        if (!r->coded) r->bound[i] = stays ? -INFINITY : (float)far_enough(r, candidates[i].distance);
        else if (stays) r->least[i] = INT64_MIN / 2;
    }
}

/* Passes over what is nearer to the chosen row than to the owner. Without branches on distances: they cannot be predicted. */
static void compare_codes(fr_rest *r, const uint8_t *chosen, int64_t own)
{
    int32_t dots[CHUNK];
    int8_t *restrict q = r->scratch->q2;
    const uint32_t padded = r->codes->padded, n = r->count - r->first;
    const int64_t factor = r->inner ? 1 : 2;
    uint32_t kept = r->first;
    for (uint32_t j = 0; j < padded; j++) q[j] = (int8_t)(chosen[j] ^ 0x80);
    r->codes->kernel->gather_padded(q, r->code + r->first, n, padded, dots);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t place = r->place[r->first + i];
        r->code[kept] = r->code[r->first + i];
        r->place[kept] = place;
        kept += own - factor * dots[i] >= r->least[place];
    }
    r->count = kept;
}

static void compare(fr_rest *r, uint32_t chosen)
{
    uint32_t ids[CHUNK], n = r->count - r->first, kept = r->first, limit = r->scratch->row_limit;
    float found[CHUNK];
    fr_space space;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = r->candidates[r->place[r->first + i]].row;
        ids[i] = row < limit ? row : chosen;
    }
    fr_space_of_row(&space, r->table, r->codes, chosen, r->scratch->q2, r->scratch->decoded, r->scratch->rotated);
    fr_space_distances(&space, ids, n, found);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t place = r->place[r->first + i];
        r->place[kept] = place;
        kept += found[i] >= r->bound[place] && (r->inner || found[i] > 0 || isinf(r->bound[place]));
    }
    r->count = kept;
}

uint32_t fr_select(const fr_table *t, fr_scratch *s, const fr_codeset *codes, uint32_t owner,
                   const fr_candidate *candidates, uint32_t count, uint32_t max, uint32_t *chosen)
{
    uint32_t n = 0, passed_over[LINKS_MIN], spare = 0, reserved = 0;
    const uint8_t *chosen_codes[FR_LANES_MAX];
    int64_t chosen_own[FR_LANES_MAX];
    fr_rest rest = {.table = t, .scratch = s, .codes = codes, .inner = t->options.metric == FR_METRIC_IP,
                    .coded = fr_codeset_dots(codes)};
    for (uint32_t i = 0; i < count && owner != FR_ROW_NONE; i++) reserved += fr_tree_link(t, owner, candidates[i].row);
    for (uint32_t at = 0; at < count && n < max; at += CHUNK) {
        uint64_t taken = 0, left = 0;
        rest_begin(&rest, candidates + at, FR_MIN(CHUNK, count - at), owner);
        for (uint32_t j = 0, before = n; j < before && n + reserved < max && rest.count != 0; j++) {
            if (chosen[j] >= s->row_limit) continue; /* these codes have no place for it */
            if (rest.coded) compare_codes(&rest, chosen_codes[j], chosen_own[j]);
            else compare(&rest, chosen[j]);
        }
        while (rest.first < rest.count && n < max) {
            uint32_t place = rest.place[rest.first], row = candidates[at + place].row;
            const uint8_t *code = rest.code[rest.first++];
            taken |= 1ull << place;
            if (rest.tree >> place & 1) reserved = reserved != 0 ? reserved - 1 : 0; /* one may have become a link of the tree since it was counted */
            else if (n + reserved >= max || !fr_row_alive(fr_row_at(t, row))) continue;
            chosen[n] = row, chosen_codes[n] = code, chosen_own[n++] = rest.coded ? rest.own[place] : 0;
            if (n + reserved >= max || row >= s->row_limit || rest.first == rest.count) continue;
            if (rest.coded) compare_codes(&rest, code, chosen_own[n - 1]);
            else compare(&rest, row);
        }
        for (uint32_t i = rest.first; i < rest.count; i++) left |= 1ull << rest.place[i];
        for (uint32_t i = 0; i < CHUNK && at + i < count && spare < LINKS_MIN && n < LINKS_MIN; i++)
            if (!((taken | left) >> i & 1) && fr_row_alive(fr_row_at(t, candidates[at + i].row))) passed_over[spare++] = candidates[at + i].row;
    }
    /* Among equal vectors one passes; a few more keep the list from being a single thread. */
    for (uint32_t i = 0; i < spare && n < FR_MIN(max, LINKS_MIN); i++) chosen[n++] = passed_over[i];
    return n;
}

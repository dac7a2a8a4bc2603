/* kept.c: see kept.h. */
#include "index/kept.h"

#include "index/table_private.h"

void fr_kept_free(fr_kept *k)
{
    fr_free(FR_MEM_SEARCH, k->image);
    fr_free(FR_MEM_SEARCH, k->match);
    fr_free(FR_MEM_SEARCH, k->seen);
    fr_free(FR_MEM_SEARCH, k->counts);
    fr_free(FR_MEM_SEARCH, k->of);
    fr_free(FR_MEM_SEARCH, k->ids);
    *k = (fr_kept){.table = 0};
}

/* ==== which filter it is ==== */

static bool room_for(uint8_t **memory, size_t *room, size_t size)
{
    if (size <= *room) return true;
    uint8_t *grown = fr_alloc(FR_MEM_SEARCH, size * 2);
    if (grown == NULL) return false;
    fr_free(FR_MEM_SEARCH, *memory);
    *memory = grown;
    *room = size * 2;
    return true;
}

static size_t image_size(const fr_sieve *s)
{
    size_t size = 3 * sizeof(uint32_t) + (s->node_count - 1) * sizeof(fr_sieve_node);
    for (uint32_t l = 0; l < s->leaf_count; l++) {
        const fr_sieve_leaf *leaf = &s->leaves[l];
        size += sizeof(uint64_t) + sizeof(uint32_t) + leaf->range_count * 3 * sizeof(uint16_t) + (leaf->table != NULL ? leaf->column->code_count : 0);
    }
    return size;
}

static uint8_t *append(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

/* All that the verdicts depend on, but the rows. */
static void write_image(const fr_sieve *s, uint8_t *at)
{
    uint32_t head[3] = {s->root, s->node_count, s->leaf_count};
    at = append(at, head, sizeof head);
    at = append(at, &s->nodes[1], (s->node_count - 1) * sizeof s->nodes[1]); /* 0 is none */
    for (uint32_t l = 0; l < s->leaf_count; l++) {
        const fr_sieve_leaf *leaf = &s->leaves[l];
        uint32_t form = leaf->range_count << 1 | (leaf->table != NULL);
        at = append(at, &leaf->column->serial, sizeof leaf->column->serial);
        at = append(at, &form, sizeof form);
        for (uint32_t r = 0; r < leaf->range_count; r++) {
            uint16_t range[3] = {leaf->ranges[r].low, leaf->ranges[r].high, leaf->ranges[r].verdict};
            at = append(at, range, sizeof range);
        }
        if (leaf->table != NULL) at = append(at, leaf->table, leaf->column->code_count);
    }
}

static bool fit_rows(fr_kept *k, uint32_t rows)
{
    uint32_t blocks = (rows + FR_SIEVE_BLOCK - 1) / FR_SIEVE_BLOCK;
    if (rows > k->rows) {
        fr_free(FR_MEM_SEARCH, k->match);
        fr_free(FR_MEM_SEARCH, k->seen);
        fr_free(FR_MEM_SEARCH, k->counts);
        k->rows = 0;
        k->match = fr_alloc_aligned(FR_MEM_SEARCH, 64, (size_t)blocks * (FR_SIEVE_BLOCK / 8)); /* whole blocks */
        k->seen = fr_alloc(FR_MEM_SEARCH, blocks * sizeof *k->seen);
        k->counts = fr_alloc(FR_MEM_SEARCH, blocks * sizeof *k->counts);
        if (k->match == NULL || k->seen == NULL || k->counts == NULL) return false;
        k->rows = rows;
    }
    memset(k->seen, 0, (k->rows + FR_SIEVE_BLOCK - 1) / FR_SIEVE_BLOCK * sizeof *k->seen);
    return true;
}

fr_kept *fr_kept_of(fr_scratch *s, const fr_table *t, const fr_sieve *sieve)
{
    size_t size = image_size(sieve), most = FR_KEPT_BYTES_MAX / (s->visited_rows / 8 + 1);
    bool keep = size <= FR_KEPT_IMAGE_MAX && room_for(&s->sieve_image, &s->sieve_image_room, size);
    uint32_t places = (uint32_t)FR_MAX(1u, FR_MIN((size_t)FR_KEPT_MAX, most));
    fr_kept *oldest = &s->kept[0];
    if (keep) write_image(sieve, s->sieve_image);
    s->kept_clock++;
    for (fr_kept *k = s->kept; k < s->kept + places; k++) {
        if (keep && k->table == t->serial && k->image_size == size && k->rows >= s->row_limit && memcmp(k->image, s->sieve_image, size) == 0) {
            k->used = s->kept_clock;
            k->uses++;
            return k;
        }
        if (k->used < oldest->used) oldest = k;
    }
    oldest->table = oldest->cells = oldest->count = 0;
    oldest->judged = false;
    oldest->uses = 1;
    if (!fit_rows(oldest, s->visited_rows)) return NULL;
    oldest->used = s->kept_clock;
    if (keep && room_for(&oldest->image, &oldest->image_room, size)) {
        memcpy(oldest->image, s->sieve_image, size);
        oldest->image_size = size;
        oldest->table = t->serial;
    }
    return oldest;
}

/* ==== the bits ==== */

#define AHEAD_BYTES 1024u

static void keep_taken(const fr_table *t, uint64_t *match, uint32_t first, uint32_t words)
{
    for (uint32_t w = 0; w < words;) {
        uint32_t e = fr_extent_of(first + w), run = FR_MIN(words - w, fr_extent_start(e) + fr_extent_rows(e) - first - w);
        const _Atomic uint64_t *taken = fr_extent_at(&t->taken, first + w);
        for (uint32_t i = 0; i < run; i++) match[w + i] &= atomic_load_explicit(&taken[i], memory_order_acquire);
        w += run;
    }
}

/* The beginning of the next block: streams that the processor finds by itself end with a page. */
static void send_for(const fr_sieve *sieve, uint32_t first, uint32_t rows)
{
    for (uint32_t l = 0; l < sieve->leaf_count && first < rows; l++) {
        const uint8_t *codes = fr_extent_at(&sieve->leaves[l].column->codes, first);
        for (uint32_t i = 0; i < AHEAD_BYTES && first + i < rows; i += 64) __builtin_prefetch(codes + i);
    }
}

void fr_kept_match(fr_kept *k, const fr_table *t, const fr_scratch *s, const fr_sieve *sieve)
{
    static const uint64_t none[FR_SIEVE_BLOCK / 64];
    const fr_kernel *differing = fr_simd_kernel(FR_SIMD_HAMMING, FR_SCALAR_BIT);
    uint32_t rows = s->row_limit;
    k->count = 0;
    for (uint32_t first = 0, block = 0; first < rows; first += FR_SIEVE_BLOCK, block++) {
        uint64_t number = atomic_load_explicit((const _Atomic uint64_t *)fr_extent_at(&t->changes, block), memory_order_acquire) + 1;
        if (k->seen[block] != number || (rows != k->limit && first + FR_SIEVE_BLOCK > k->limit)) {
            uint32_t count = FR_MIN(FR_SIEVE_BLOCK, rows - first), words = (count + 63) / 64;
            uint64_t *match = k->match + first / 64;
            send_for(sieve, first + FR_SIEVE_BLOCK, rows);
            fr_sieve_block(sieve, first, count, match);
            keep_taken(t, match, first / 64, words);
            memset(match + words, 0, (FR_SIEVE_BLOCK / 64 - words) * sizeof *match);
            k->counts[block] = (uint32_t)differing->one(match, none, FR_SIEVE_BLOCK);
            k->seen[block] = number;
        }
        k->count += k->counts[block];
    }
    k->limit = rows;
    k->judged = true;
}

/* ==== cells ==== */

bool fr_kept_fit_cells(fr_kept *k, uint64_t cells, uint32_t count, uint64_t matches)
{
    uint64_t least = matches + 2048, want = matches + matches / 4 + 4096; /* apart: a stream of rows that pass must not empty the lists */
    if (k->table == 0 || k->uses < 2 || matches > k->rows / 8) return false;
    if (count > k->of_room || least > k->ids_room) {
        fr_free(FR_MEM_SEARCH, k->of);
        fr_free(FR_MEM_SEARCH, k->ids);
        k->cells = 0;
        k->of_room = k->ids_room = 0;
        k->of = fr_alloc(FR_MEM_SEARCH, count * sizeof *k->of);
        k->ids = fr_alloc(FR_MEM_SEARCH, (size_t)want * sizeof *k->ids);
        if (k->of == NULL || k->ids == NULL) return false;
        k->of_room = count;
        k->ids_room = (uint32_t)want;
    }
    if (k->cells == cells) return true;
    memset(k->of, 0, count * sizeof *k->of);
    k->ids_used = 0;
    k->cells = cells;
    return true;
}

/* heap.c: see heap.h. Segments double from 4 to 256 KiB and then, up to 4 MiB, are a quarter of what lives; a blob never spans two. */
#include "index/heap.h"

void fr_heap_init(fr_heap *heap)
{
    *heap = (fr_heap){0};
    fr_extents_init(&heap->segments, sizeof(fr_heap_segment), FR_MEM_ROWS);
}

void fr_heap_free(fr_heap *heap)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        fr_heap_segment *s = fr_heap_segment_at(heap, i);
        if (s->pages != 0) fr_free_pages(FR_MEM_ROWS, s->data, s->pages);
        else fr_free(FR_MEM_ROWS, s->data);
    }
    fr_extents_free(&heap->segments);
    fr_heap_init(heap);
}

static fr_heap_segment *add_segment(fr_heap *heap, uint32_t size)
{
    uint32_t index = heap->count;
    if (index == FR_ROWS_MAX || !fr_extents_reserve(&heap->segments, index + 1)) return NULL;
    uint32_t room = FR_HEAP_SEGMENT_MIN << FR_MIN(index, 6u);
    while (room < FR_HEAP_SEGMENT_MAX && room < heap->live / 4) room *= 2;
    room = FR_MAX(room, size);
    uint8_t *data = fr_alloc(FR_MEM_ROWS, room);
    if (data == NULL) return NULL;
    fr_heap_segment *s = fr_heap_segment_at(heap, index);
    s->size = room;
    s->used = s->live = 0;
    s->dirty = true;
    atomic_store_explicit(&s->data, data, memory_order_release);
    atomic_store_explicit(&heap->count, index + 1, memory_order_release);
    heap->bytes += room;
    return s;
}

uint8_t *fr_heap_alloc(fr_heap *heap, uint32_t size, uint64_t *ref_out)
{
    fr_heap_segment *s = heap->count != 0 ? fr_heap_segment_at(heap, heap->count - 1) : NULL;
    if (s == NULL || s->size - s->used < size || s->data == NULL) s = add_segment(heap, size);
    if (s == NULL) return NULL;
    *ref_out = (uint64_t)(heap->count - 1) << 32 | s->used;
    uint8_t *at = s->data + s->used;
    s->used += size;
    s->live += size;
    s->dirty = true;
    heap->live += size;
    return at;
}

void fr_heap_drop(fr_heap *heap, uint64_t ref, uint32_t size, fr_retired *retired)
{
    fr_heap_segment *s = fr_heap_segment_at(heap, (uint32_t)(ref >> 32));
    s->live -= size;
    heap->live -= size;
    bool newest = (uint32_t)(ref >> 32) + 1 == heap->count;
    if (s->live != 0 || newest || !fr_retired_reserve(retired, 1)) return;
    uint8_t *data = s->data;
    heap->bytes -= s->size;
    s->size = s->used = 0;
    s->dirty = true;
    atomic_store_explicit(&s->data, NULL, memory_order_release);
    fr_retired_push(retired, FR_MEM_ROWS, data, s->pages);
    s->pages = 0;
}

bool fr_heap_sparse(const fr_heap *heap) { return heap->bytes > (8u << 20) && heap->live * 2 < heap->bytes; }

enum { KEY_IS_INT = 1, HAS_TIME = 2, HAS_MODEL = 4, HAS_METADATA = 8, HAS_VECTOR = 16, FLAGS = 31 };

uint32_t fr_blob_size(const fr_blob *b)
{
    return (uint32_t)(3u + (b->source_time_ms != FR_TIME_NONE ? 8u : 0u) + (b->model_version.size ? 2u : 0u) + (b->metadata.size ? 4u : 0u) +
                      (b->vector.data != NULL ? 4u : 0u) + b->key.size + b->model_version.size + b->metadata.size + b->vector.size);
}

static uint8_t *put(uint8_t *at, fr_span span)
{
    if (span.size != 0) memcpy(at, span.data, span.size);
    return at + span.size;
}

void fr_blob_write(uint8_t *at, const fr_blob *b)
{
    *at = (uint8_t)((b->key_is_int ? KEY_IS_INT : 0) | (b->source_time_ms != FR_TIME_NONE ? HAS_TIME : 0) |
                    (b->model_version.size ? HAS_MODEL : 0) | (b->metadata.size ? HAS_METADATA : 0) |
                    (b->vector.data != NULL ? HAS_VECTOR : 0));
    uint8_t flags = *at++;
    fr_store_le16(at, (uint16_t)b->key.size), at += 2;
    if (flags & HAS_TIME) fr_store_le64(at, (uint64_t)b->source_time_ms), at += 8;
    if (flags & HAS_MODEL) fr_store_le16(at, (uint16_t)b->model_version.size), at += 2;
    if (flags & HAS_METADATA) fr_store_le32(at, (uint32_t)b->metadata.size), at += 4;
    if (flags & HAS_VECTOR) fr_store_le32(at, (uint32_t)b->vector.size), at += 4;
    put(put(put(put(at, b->key), b->model_version), b->metadata), b->vector);
}

uint32_t fr_blob_read(const uint8_t *start, fr_blob *b)
{
    const uint8_t *at = start;
    uint8_t flags = *at++;
    *b = (fr_blob){.key_is_int = flags & KEY_IS_INT, .source_time_ms = FR_TIME_NONE};
    b->key.size = fr_load_le16(at), at += 2;
    if (flags & HAS_TIME) b->source_time_ms = (int64_t)fr_load_le64(at), at += 8;
    if (flags & HAS_MODEL) b->model_version.size = fr_load_le16(at), at += 2;
    if (flags & HAS_METADATA) b->metadata.size = fr_load_le32(at), at += 4;
    if (flags & HAS_VECTOR) b->vector.size = fr_load_le32(at), at += 4;
    b->key.data = at, at += b->key.size;
    b->model_version.data = at, at += b->model_version.size;
    b->metadata.data = at, at += b->metadata.size;
    if (flags & HAS_VECTOR) b->vector.data = at, at += b->vector.size;
    return (uint32_t)(at - start);
}

bool fr_blob_check(const uint8_t *at, uint32_t room, fr_blob *b)
{
    if (room < 3 || (at[0] & ~FLAGS) != 0) return false;
    uint32_t fixed = 3u + (at[0] & HAS_TIME ? 8 : 0) + (at[0] & HAS_MODEL ? 2 : 0) + (at[0] & HAS_METADATA ? 4 : 0) +
                     (at[0] & HAS_VECTOR ? 4 : 0);
    if (room < fixed) return false;
    fr_blob_read(at, b);
    return b->key.size >= 1 && b->key.size <= FR_KEY_BYTES_MAX &&
           (uint64_t)fixed + b->key.size + b->model_version.size + b->metadata.size + b->vector.size <= room;
}

/* fuzz_index.c: the file of an index of its own (index/alone_file.c). The input is the file; first its checksums are put right, so that the
 * fuzzer gets behind them. A file that opens must answer searches, take writes and be saved again: all of it without a wrong access. */
#include "api/base.h"
#include "api/freshet.h"
#include "simd/simd.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_BYTES_MAX (1u << 17)
#define HEADER 48u
#define END    32u

/* Version 1: chunks behind each other, {id u64, size u64, crc u32, zero u32, bytes}. */
static void mend_old(uint8_t *file, size_t size)
{
    for (size_t at = HEADER; at + 24 <= size;) {
        uint64_t bytes = fr_load_le64(file + at + 8);
        if (bytes > size - at - 24) return;
        fr_store_le32(file + at + 16, fr_simd_crc32c(0, file + at + 24, (size_t)bytes));
        at += 24 + (size_t)bytes;
    }
}

/* Version 2: a list of {id, at, size, crc, zero} in front of the end {magic, list_at, count, list_crc, crc}. */
static void mend_new(uint8_t *file, size_t size)
{
    uint8_t *end = file + size - END;
    uint64_t list = fr_load_le64(end + 8), count = fr_load_le64(end + 16), room = size - END;
    if (list <= room && count <= (room - list) / 32) {
        for (uint64_t i = 0; i < count; i++) {
            uint8_t *place = file + list + i * 32;
            uint64_t at = fr_load_le64(place + 8), bytes = fr_load_le64(place + 16);
            if (at <= size && bytes <= size - at) fr_store_le32(place + 24, fr_simd_crc32c(0, file + at, (size_t)bytes));
        }
        fr_store_le32(end + 24, fr_simd_crc32c(0, file + list, (size_t)count * 32));
    }
    fr_store_le32(end + 28, fr_simd_crc32c(0, end, 28));
}

static void use(fr_index *index)
{
    enum { K = 5 };
    fr_index_options o;
    int64_t ids[K], some[] = {0, 1, 7, 1000000};
    float distances[K];
    bool present[4];
    uint64_t removed;
    fr_index_settings(index, &o);
    float *vectors = fr_zalloc(FR_MEM_TEST, 4 * sizeof *vectors * o.dimension);
    FR_ASSERT(vectors != NULL && o.dimension > 0 && o.dimension <= FR_DIMENSION_BITS_MAX);
    (void)!fr_index_search_many(index, vectors, 1, K, 20, 1, ids, distances, NULL);
    (void)!fr_index_get(index, some, 4, vectors, present);
    memset(vectors, 0, 4 * sizeof *vectors * o.dimension);
    (void)!fr_index_add(index, some, vectors, 3, 1, NULL);
    (void)!fr_index_search_many(index, vectors, 1, K, 20, 1, ids, distances, NULL);
    (void)!fr_index_remove(index, some + 1, 3, &removed);
    (void)!fr_index_search_many(index, vectors, 1, K, 20, 1, ids, distances, NULL);
    (void)fr_index_size(index);
    fr_free(FR_MEM_TEST, vectors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEADER + END || size > FILE_BYTES_MAX) return 0;
    fr_note_level((fr_level)-1);
    uint8_t *copy = fr_alloc(FR_MEM_TEST, size);
    memcpy(copy, data, size);
    fr_store_le32(copy + 40, fr_simd_crc32c(0, copy, 40));
    if (fr_load_le32(copy + 8) < 2) mend_old(copy, size);
    else mend_new(copy, size);
    static int file = -1;
    static char path[64], saved[64];
    if (file < 0) {
        file = memfd_create("index", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        snprintf(saved, sizeof saved, "/dev/shm/fuzz_index.%d", (int)getpid());
    }
    FR_ASSERT(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, copy, size, 0) == (ssize_t)size);
    fr_free(FR_MEM_TEST, copy);
    fr_index *index = NULL, *again = NULL;
    if (fr_index_open_file(path, &index, NULL) != FR_OK) return 0;
    use(index);
    if (data[size - 1] % 8 == 0 && fr_index_save_file(index, saved, NULL) == FR_OK) { /* what was loaded and used can be loaded again */
        FR_ASSERT(fr_index_open_file(saved, &again, NULL) == FR_OK && fr_index_size(again) == fr_index_size(index));
        fr_index_free(again);
        unlink(saved);
    }
    fr_index_free(index);
    return 0;
}

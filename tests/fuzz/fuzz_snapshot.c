/* fuzz_snapshot.c: the files beside a log. First byte: 0 a manifest, 1 the producers' state; the rest: the file, with its checksum put right. */
#include "server/engine/engine.h"
#include "simd/simd.h"
#include "tests/sim/io_sim.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void manifest(const uint8_t *data, size_t size)
{
    io_sim *sim = io_sim_create(1);
    fr_io *io = io_sim_io(sim);
    fr_file *file;
    fr_manifest *m = NULL;
    FR_ASSERT(io->open(io, "m", FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &file, NULL) == FR_OK);
    FR_ASSERT(size == 0 || io->write(io, file, 0, data, size, NULL) == FR_OK);
    io->close(io, file);
    if (fr_manifest_read(io, "m", &m, NULL) == FR_OK) {
        for (uint32_t i = 0; i < m->count; i++) FR_ASSERT(fr_manifest_find(m, m->chunks[i].id) == &m->chunks[i]);
        fr_manifest_free(m);
    }
    io_sim_free(sim);
}

static void producers(const uint8_t *data, size_t size)
{
    fr_producers *one = NULL;
    fr_offset at = 0;
    uint8_t *again;
    size_t again_size;
    if (fr_producers_load(data, size, &one, &at, NULL) != FR_OK) return;
    FR_ASSERT(fr_producers_save(one, at, &again, &again_size) == FR_OK);
    fr_free(FR_MEM_LOG, again);
    fr_producers_free(one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1u << 16) return 0;
    fr_note_level((fr_level)-1);
    size_t rest = size - 1;
    uint8_t *copy = fr_alloc(FR_MEM_TEST, FR_MAX(rest, (size_t)1));
    if (rest != 0) memcpy(copy, data + 1, rest);
    if (rest >= 4) fr_store_le32(copy + rest - 4, fr_simd_crc32c(0, copy, rest - 4));
    if (data[0] % 2 == 0) manifest(copy, rest);
    else producers(copy, rest);
    fr_free(FR_MEM_TEST, copy);
    return 0;
}

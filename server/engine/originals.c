/* originals.c: original vectors on disk: DIR/snap/<id>-<partition>/originals, the file of one shard's table, and the chunk files of
 * the snapshot that the table was opened from, read where they lie. Derived state: created anew by the first write after a start,
 * never synced, removed at close; what it holds is in the log and the snapshot. */
#include "server/engine/engine.h"

#include <stdio.h>

#define CHUNK_FILES_MAX 64u /* as many generations as one manifest may name before the next snapshot is a full one */

struct fr_originals {
    fr_vector_store store;
    fr_shard *shard;
    uint32_t index;
    uint8_t build;
    _Atomic(fr_file *) files[1 + CHUNK_FILES_MAX]; /* 0: own */
    uint64_t generations[1 + CHUNK_FILES_MAX];
    uint32_t count;
};

/* One file a table: "originals", or with the vector field's number and the build. */
static fr_code own_path(const fr_originals *o, char *path, size_t size)
{
    char dir[FR_PATH_MAX];
    FR_TRY(fr_engine_shard_path(o->shard, "snap", dir));
    int length = o->index == 0 && o->build == 0 ? snprintf(path, size, "%s/originals", dir)
                                                : snprintf(path, size, "%s/originals-%u-%u", dir, o->index, o->build);
    return length < 0 || (size_t)length >= size ? FR_ERR_INVALID : FR_OK;
}

static fr_code create_file(fr_originals *o)
{
    char dir[FR_PATH_MAX], path[FR_PATH_MAX + 32];
    fr_io *io = o->shard->collection->db->io;
    fr_file *file = NULL;
    FR_TRY(fr_engine_shard_path(o->shard, "snap", dir));
    FR_TRY(own_path(o, path, sizeof path));
    FR_TRY(io->make_dir(io, dir, NULL));
    fr_code code = io->remove(io, path, NULL); /* of an earlier life */
    if (code != FR_OK && code != FR_ERR_NOT_FOUND) return code;
    FR_TRY(io->open(io, path, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE | FR_OPEN_RANDOM, &file, NULL));
    atomic_store_explicit(&o->files[0], file, memory_order_release);
    return FR_OK;
}

static fr_code originals_write(fr_vector_store *store, uint64_t at, const void *data, size_t size)
{
    fr_originals *o = store->user;
    fr_io *io = o->shard->collection->db->io;
    if (atomic_load_explicit(&o->files[0], memory_order_relaxed) == NULL) FR_TRY(create_file(o));
    return io->write(io, o->files[0], at, data, size, NULL);
}

static fr_code originals_read(fr_vector_store *store, fr_read_ring *ring, const fr_vector_read *reads, uint32_t count)
{
    fr_originals *o = store->user;
    fr_io_read batch[FR_VECTOR_READS_MAX];
    FR_ASSERT(count <= FR_VECTOR_READS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        fr_file *file = atomic_load_explicit(&o->files[reads[i].file], memory_order_acquire);
        batch[i] = (fr_io_read){.file = file, .at = reads[i].at, .data = reads[i].to, .size = reads[i].size};
    }
    return fr_io_read_many(o->shard->collection->db->io, ring, batch, count);
}

fr_originals *fr_originals_create(fr_shard *shard, uint32_t index, uint8_t build)
{
    fr_originals *o = fr_zalloc(FR_MEM_ENGINE, sizeof *o);
    if (o == NULL) return NULL;
    o->shard = shard;
    o->index = index;
    o->build = build;
    o->store = (fr_vector_store){.write = originals_write, .read = originals_read, .user = o};
    return o;
}

fr_vector_store *fr_originals_store(fr_originals *o) { return &o->store; }

bool fr_originals_attach(fr_originals *o, const char *path, uint64_t generation, uint32_t *number_out)
{
    fr_io *io = o->shard->collection->db->io;
    for (uint32_t i = 1; i <= o->count; i++)
        if (o->generations[i] == generation) {
            *number_out = i;
            return true;
        }
    fr_file *file = NULL;
    if (o->count == CHUNK_FILES_MAX || io->open(io, path, FR_OPEN_READ | FR_OPEN_RANDOM, &file, NULL) != FR_OK) return false;
    *number_out = ++o->count;
    o->generations[o->count] = generation;
    atomic_store_explicit(&o->files[o->count], file, memory_order_release);
    return true;
}

void fr_originals_free(fr_originals *o)
{
    if (o == NULL) return;
    fr_io *io = o->shard->collection->db->io;
    char path[FR_PATH_MAX + 32];
    for (uint32_t i = 0; i <= o->count; i++) io->close(io, o->files[i]);
    if (o->files[0] != NULL && own_path(o, path, sizeof path) == FR_OK) (void)!io->remove(io, path, NULL);
    fr_free(FR_MEM_ENGINE, o);
}

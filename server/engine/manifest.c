/* manifest.c: what a snapshot consists of: two alternating files MANIFEST-0 and MANIFEST-1 per shard; byte table in
 * README.md. A manifest is believed only whole: magic, version, sizes, order of chunks, checksum over everything. */
#include "server/engine/engine.h"

#include "simd/simd.h"

#include <stdio.h>

static const char magic[8] = {'F', 'R', 'S', 'N', 'A', 'P', 'M', 'F'};
#define MANIFEST_VERSION 1u
#define HEAD             80u
#define ENTRY            40u
#define CHUNKS_MAX       (1u << 24)

void fr_manifest_free(fr_manifest *manifest)
{
    if (manifest == NULL) return;
    fr_free(FR_MEM_ENGINE, manifest->chunks);
    fr_free(FR_MEM_ENGINE, manifest);
}

const fr_chunk_ref *fr_manifest_find(const fr_manifest *manifest, uint64_t id)
{
    uint32_t low = 0, high = manifest->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (manifest->chunks[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return low < manifest->count && manifest->chunks[low].id == id ? &manifest->chunks[low] : NULL;
}

static uint8_t *encode(const fr_manifest *m, size_t *size_out)
{
    size_t size = HEAD + (size_t)m->count * ENTRY + 4;
    uint8_t *bytes = fr_zalloc(FR_MEM_ENGINE, size);
    if (bytes == NULL) return NULL;
    memcpy(bytes, magic, sizeof magic);
    fr_store_le32(bytes + 8, MANIFEST_VERSION);
    fr_store_le32(bytes + 12, m->count);
    fr_store_le64(bytes + 16, m->generation);
    fr_store_le64(bytes + 24, (uint64_t)m->at);
    fr_store_le64(bytes + 32, (uint64_t)m->created_ms);
    fr_store_le64(bytes + 40, m->log_records);
    fr_store_le64(bytes + 48, m->compacted_bytes);
    fr_store_le32(bytes + 56, m->dimension);
    memcpy(bytes + 60, m->builds, sizeof m->builds);
    uint8_t *at = bytes + HEAD;
    for (uint32_t i = 0; i < m->count; i++, at += ENTRY) {
        const fr_chunk_ref *c = &m->chunks[i];
        fr_store_le64(at, c->id);
        fr_store_le64(at + 8, c->generation);
        fr_store_le64(at + 16, c->position);
        fr_store_le64(at + 24, c->size);
        fr_store_le32(at + 32, c->crc32c);
    }
    fr_store_le32(at, fr_simd_crc32c(0, bytes, size - 4));
    *size_out = size;
    return bytes;
}

static fr_code write_file(fr_io *io, const char *path, const uint8_t *bytes, size_t size, fr_err *err)
{
    fr_file *file = NULL;
    fr_code code = io->remove(io, path, NULL); /* left behind by a crash */
    if (code != FR_OK && code != FR_ERR_NOT_FOUND) return fr_fail(err, code, NULL, "cannot remove %s", path);
    FR_TRY(io->open(io, path, FR_OPEN_READ | FR_OPEN_WRITE | FR_OPEN_CREATE, &file, err));
    code = io->write(io, file, 0, bytes, size, err);
    if (code == FR_OK) code = io->sync(io, file, err);
    io->close(io, file);
    return code;
}

fr_code fr_manifest_write(fr_io *io, const char *dir, const fr_manifest *m, fr_err *err)
{
    char temporary[FR_PATH_MAX + 32], path[FR_PATH_MAX + 32];
    size_t size = 0;
    uint8_t *bytes = encode(m, &size);
    if (bytes == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a manifest");
    snprintf(temporary, sizeof temporary, "%s/MANIFEST.tmp", dir);
    snprintf(path, sizeof path, "%s/MANIFEST-%u", dir, (unsigned)(m->generation & 1u));
    fr_code code = write_file(io, temporary, bytes, size, err);
    fr_free(FR_MEM_ENGINE, bytes);
    if (code == FR_OK) code = io->rename(io, temporary, path, err);
    if (code == FR_OK) code = io->sync_dir(io, dir, err);
    return code;
}

static fr_code decode(const char *path, const uint8_t *bytes, size_t size, fr_manifest *m, fr_err *err)
{
    if (size < HEAD + 4 || memcmp(bytes, magic, sizeof magic) != 0)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s is not a manifest", path);
    uint32_t version = fr_load_le32(bytes + 8), count = fr_load_le32(bytes + 12);
    /* The checksum at the end belongs to every version, so that a turned bit is not taken for the future. */
    if (fr_load_le32(bytes + size - 4) != fr_simd_crc32c(0, bytes, size - 4))
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: the checksum is wrong", path);
    if (version > MANIFEST_VERSION)
        return fr_fail(err, FR_ERR_VERSION, NULL, "%s has format %u, this program reads up to %u", path, version,
                       MANIFEST_VERSION);
    if (count > CHUNKS_MAX || size != HEAD + (size_t)count * ENTRY + 4)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: the size is wrong", path);
    m->generation = fr_load_le64(bytes + 16);
    m->at = (fr_offset)fr_load_le64(bytes + 24);
    m->created_ms = (int64_t)fr_load_le64(bytes + 32);
    m->log_records = fr_load_le64(bytes + 40);
    m->compacted_bytes = fr_load_le64(bytes + 48);
    m->dimension = fr_load_le32(bytes + 56);
    memcpy(m->builds, bytes + 60, sizeof m->builds);
    m->chunks = fr_alloc(FR_MEM_ENGINE, FR_MAX(count, 1u) * sizeof *m->chunks);
    if (m->chunks == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a manifest");
    m->capacity = count;
    const uint8_t *at = bytes + HEAD;
    for (uint32_t i = 0; i < count; i++, at += ENTRY) {
        fr_chunk_ref *c = &m->chunks[m->count++];
        *c = (fr_chunk_ref){fr_load_le64(at), fr_load_le64(at + 8), fr_load_le64(at + 16), fr_load_le64(at + 24),
                            fr_load_le32(at + 32)};
        bool fine = (c->position & 4095u) == 0 && c->size < (1ull << 40) && c->position < (1ull << 60) &&
                    c->generation <= m->generation && (i == 0 || m->chunks[i - 1].id < c->id);
        if (!fine) return fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: entry %u makes no sense", path, i);
    }
    return m->at >= -1 ? FR_OK
                       : fr_fail(err, FR_ERR_CORRUPT, NULL, "%s: offset %lld makes no sense", path, (long long)m->at);
}

fr_code fr_manifest_read(fr_io *io, const char *path, fr_manifest **out, fr_err *err)
{
    fr_file *file = NULL;
    uint64_t size = 0;
    size_t got = 0;
    uint8_t *bytes = NULL;
    *out = NULL;
    FR_TRY(io->open(io, path, FR_OPEN_READ, &file, err));
    fr_code code = io->size(io, file, &size, err);
    if (code == FR_OK && size > HEAD + (uint64_t)CHUNKS_MAX * ENTRY + 4)
        code = fr_fail(err, FR_ERR_CORRUPT, NULL, "%s is too large", path);
    if (code == FR_OK && (bytes = fr_alloc(FR_MEM_ENGINE, size)) == NULL)
        code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a manifest");
    if (code == FR_OK) code = io->read(io, file, 0, bytes, size, &got, err);
    io->close(io, file);
    fr_manifest *m = code == FR_OK ? fr_zalloc(FR_MEM_ENGINE, sizeof *m) : NULL;
    if (code == FR_OK && m == NULL) code = fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for a manifest");
    if (code == FR_OK) code = decode(path, bytes, got, m, err);
    fr_free(FR_MEM_ENGINE, bytes);
    if (code == FR_OK) *out = m;
    else fr_manifest_free(m);
    return code;
}

fr_code fr_manifest_load_all(fr_io *io, const char *dir, fr_manifest *found[2], uint32_t *count_out, uint32_t *bad_out,
                             fr_err *err)
{
    *count_out = *bad_out = 0;
    found[0] = found[1] = NULL;
    for (uint32_t slot = 0; slot < 2; slot++) {
        char path[FR_PATH_MAX + 32];
        fr_err why = {0};
        snprintf(path, sizeof path, "%s/MANIFEST-%u", dir, slot);
        fr_manifest *m;
        fr_code code = fr_manifest_read(io, path, &m, &why);
        if (code == FR_ERR_NOT_FOUND) continue;
        if (code == FR_ERR_VERSION || code == FR_ERR_NO_MEMORY) {
            for (uint32_t i = 0; i < *count_out; i++) fr_manifest_free(found[i]);
            *count_out = 0;
            return fr_fail(err, code, why.field, "%s", why.text);
        }
        if (code != FR_OK) {
            fr_note(FR_NOTE_WARN, "event=bad_manifest text=\"%s\"", why.text);
            ++*bad_out;
            continue;
        }
        found[(*count_out)++] = m;
    }
    if (*count_out == 2 && found[1]->generation > found[0]->generation) {
        fr_manifest *newer = found[1];
        found[1] = found[0];
        found[0] = newer;
    }
    return FR_OK;
}

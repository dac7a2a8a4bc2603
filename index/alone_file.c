/* alone_file.c: an index in a file. Version 2: header, the chunks' bytes, a list of the chunks, an end of 32 bytes. Version 1, still
 * read: header, then {id u64, size u64, crc32c u32, zero u32, bytes} per chunk, the last one with id 2^64-1 and no bytes.
 * Invariants: every chunk's checksum is checked before a byte of it is used. The bytes of a chunk of ALIGN_FROM bytes or more begin at
 * a multiple of 4,096 (version 2), so that they can be mapped where the table wants them. A file is replaced by rename, never
 * written again: what is mapped stays as it is. */
#include "index/alone_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAGIC 0x5844494646525446ull /* "FTRFFIDX" */
#define END_MAGIC 0x444e454646525446ull  /* "FTRFFEND" */
#define FILE_VERSION 2u
#define END_ID UINT64_MAX
#define PAGE 4096u
#define ALIGN_FROM (16u << 10)
#define CHECK_FROM (256u << 10) /* bytes of a file whose checksums two threads take */
#define PATH_SHOWN 100u

typedef struct fr_file_header {
    uint64_t magic;
    uint32_t version, dimension, metric, codes, m, ef_construction;
    int64_t at;
    uint32_t crc, zero;
} fr_file_header;
_Static_assert(sizeof(fr_file_header) == 48, "48 bytes");

typedef struct fr_file_chunk { /* version 1 */
    uint64_t id, size;
    uint32_t crc, zero;
} fr_file_chunk;

typedef struct fr_file_place { /* an entry of version 2's list */
    uint64_t id, at, size;
    uint32_t crc;
    _Atomic uint32_t checked; /* in memory, as below; 0 in the file */
} fr_file_place;
enum { UNCHECKED, TAKEN, GOOD, BAD };
_Static_assert(sizeof(fr_file_place) == 32, "32 bytes");

typedef struct fr_file_end {
    uint64_t magic, list_at, count;
    uint32_t list_crc, crc;
} fr_file_end;
_Static_assert(sizeof(fr_file_end) == 32, "32 bytes");

typedef struct fr_file_list {
    fr_file_place *places;
    size_t count, capacity;
} fr_file_list;

static fr_code add_place(fr_file_list *list, const fr_file_place *place, fr_err *err)
{
    if (list->count == list->capacity) {
        size_t capacity = FR_MAX((size_t)64, list->capacity * 2);
        fr_file_place *more = fr_realloc(FR_MEM_ROWS, list->places, capacity * sizeof *more);
        if (more == NULL) return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "no memory for the list of an index's chunks");
        list->places = more;
        list->capacity = capacity;
    }
    list->places[list->count++] = *place;
    return FR_OK;
}

/* What went wrong, with the path before it: of a long path its end, so that the reason is not cut off. */
static fr_code fail_at(fr_err *err, fr_code code, const char *verb, const char *path, const char *reason)
{
    size_t size = strlen(path), cut = size > PATH_SHOWN ? size - PATH_SHOWN : 0;
    return fr_fail(err, code, "path", "cannot %s %s%s: %s", verb, cut != 0 ? "..." : "", path + cut, reason);
}

static const char *kind_of(const struct stat *is) { return S_ISDIR(is->st_mode) ? "it is a directory" : "it is not a regular file"; }

/* ==== saving ==== */

typedef struct fr_file_sink {
    const char *path;
    FILE *out;
    uint64_t at;
    fr_file_list list;
} fr_file_sink;

static fr_code put_bytes(fr_file_sink *file, const void *data, size_t size, fr_err *err)
{
    file->at += size;
    if (fwrite(data, 1, size, file->out) == size) return FR_OK;
    return fail_at(err, errno == ENOSPC ? FR_ERR_DISK_FULL : FR_ERR_IO, "write", file->path, strerror(errno));
}

static fr_code file_chunk(fr_sink *sink, uint64_t id, const void *data, size_t size, fr_err *err)
{
    static const uint8_t zeros[PAGE];
    fr_file_sink *file = sink->user;
    if (size >= ALIGN_FROM && file->at % PAGE != 0) FR_TRY(put_bytes(file, zeros, PAGE - file->at % PAGE, err));
    fr_file_place place = {.id = id, .at = file->at, .size = size, .crc = fr_simd_crc32c(0, data, size)};
    FR_TRY(add_place(&file->list, &place, err));
    return put_bytes(file, data, size, err);
}

static fr_code put_list(fr_file_sink *file, fr_err *err)
{
    size_t size = file->list.count * sizeof *file->list.places;
    fr_file_end end = {.magic = END_MAGIC, .list_at = file->at, .count = file->list.count, .list_crc = fr_simd_crc32c(0, file->list.places, size)};
    end.crc = fr_simd_crc32c(0, &end, offsetof(fr_file_end, crc));
    FR_TRY(put_bytes(file, file->list.places, size, err));
    return put_bytes(file, &end, sizeof end, err);
}

static fr_code file_keep(fr_sink *sink, uint64_t id, fr_err *err)
{
    (void)sink, (void)id;
    return fr_fail(err, FR_ERR_INTERNAL, NULL, "a full save keeps nothing");
}

fr_code fr_index_save_file(fr_index *index, const char *path, fr_err *err)
{
    static _Atomic uint32_t saves; /* two saves to one path at once: each its own file, and the last rename holds */
    char temporary[4096];
    uint32_t number = atomic_fetch_add_explicit(&saves, 1, memory_order_relaxed);
    if (snprintf(temporary, sizeof temporary, "%s.%d.%u.tmp", path, (int)getpid(), number) >= (int)sizeof temporary)
        return fr_fail(err, FR_ERR_INVALID, "path", "path is too long");
    struct stat is;
    if (stat(path, &is) == 0 && !S_ISREG(is.st_mode)) return fail_at(err, FR_ERR_IO, "replace", path, kind_of(&is)); /* a device, say: rename would */
    fr_file_sink file = {.path = temporary, .out = fopen(temporary, "wb")};
    if (file.out == NULL) return fail_at(err, errno == ENOENT ? FR_ERR_NOT_FOUND : FR_ERR_IO, "create", temporary, strerror(errno));
    const fr_table_options *o = fr_table_settings(index->table);
    pthread_mutex_lock(&index->writer);
    fr_index_link_waiting(index, 1); /* opening it is to be quick */
    fr_offset at = index->next_offset - 1;
    uint32_t kinds = o->codes | (uint32_t)o->profile << 8 | (uint32_t)o->vectors << 16 | (uint32_t)o->type << 24;
    fr_file_header header = {.magic = FILE_MAGIC, .version = FILE_VERSION, .dimension = o->dimension, .metric = o->metric,
                             .codes = kinds, .m = o->m, .ef_construction = o->ef_construction, .at = at};
    header.crc = fr_simd_crc32c(0, &header, offsetof(fr_file_header, crc));
    fr_sink sink = {.chunk = file_chunk, .keep = file_keep, .user = &file};
    fr_code code = put_bytes(&file, &header, sizeof header, err);
    if (code == FR_OK) code = fr_table_save_begin(index->table, at, true, err);
    if (code == FR_OK) {
        code = fr_table_save(index->table, &sink, err);
        fr_table_save_end(index->table, code == FR_OK);
    }
    pthread_mutex_unlock(&index->writer);
    if (code == FR_OK) code = put_list(&file, err);
    if (fflush(file.out) != 0 || fdatasync(fileno(file.out)) != 0)
        code = code != FR_OK ? code : fail_at(err, FR_ERR_IO, "write", temporary, strerror(errno));
    fclose(file.out);
    fr_free(FR_MEM_ROWS, file.list.places);
    if (code == FR_OK && rename(temporary, path) != 0)
        code = fail_at(err, FR_ERR_IO, "rename a temporary file to", path, strerror(errno));
    if (code != FR_OK) unlink(temporary);
    return code;
}

/* ==== opening ==== */

/* A file being loaded: where its chunks are, and its bytes, mapped. */
typedef struct fr_file_source {
    int fd; /* -1: not open */
    uint8_t *bytes;
    uint64_t size;
    fr_file_list list;
    size_t next; /* chunks are mostly asked for in file order */
    fr_vector_store *store;
    bool attached; /* the store reads originals from the file, too */
    pthread_t checker; /* takes checksums from the last chunk on, while the table is loaded from the first */
    bool checks;
    _Atomic bool stop_checking;
} fr_file_source;

static fr_file_place *find_place(fr_file_source *file, uint64_t id)
{
    for (size_t i = 0; i < file->list.count; i++) {
        fr_file_place *place = &file->list.places[(file->next + i) % file->list.count];
        if (place->id != id) continue;
        file->next = (size_t)(place - file->list.places) + 1;
        return place;
    }
    return NULL;
}

/* False: somebody else takes it, or did. */
static bool take_checksum(fr_file_place *place, const void *bytes)
{
    uint32_t state = UNCHECKED;
    if (!atomic_compare_exchange_strong(&place->checked, &state, TAKEN)) return false;
    atomic_store(&place->checked, fr_simd_crc32c(0, bytes, place->size) == place->crc ? GOOD : BAD);
    return true;
}

static fr_code check_place(fr_file_place *place, const void *bytes, fr_err *err)
{
    if (!take_checksum(place, bytes))
        while (atomic_load(&place->checked) == TAKEN) sched_yield();
    if (atomic_load(&place->checked) == GOOD) return FR_OK;
    return fr_fail(err, FR_ERR_CORRUPT, NULL, "checksum of the chunk at byte %llu is wrong", (unsigned long long)place->at);
}

static void *check_from_behind(void *argument)
{
    fr_file_source *file = argument;
    for (size_t i = file->list.count; i > 0 && !atomic_load_explicit(&file->stop_checking, memory_order_relaxed); i--)
        take_checksum(&file->list.places[i - 1], file->bytes + file->list.places[i - 1].at);
    return NULL;
}

static fr_code file_find(fr_source *source, uint64_t id, void **data_out, size_t *size_out, fr_err *err)
{
    fr_file_source *file = source->user;
    fr_file_place *place = find_place(file, id);
    if (place == NULL) return FR_ERR_NOT_FOUND;
    *data_out = file->bytes + place->at;
    *size_out = place->size;
    return check_place(place, *data_out, err);
}

/* Most of the file, and of no use before the rows are judged. */
static bool checked_late(uint64_t id)
{
    uint64_t kind = id >> 32;
    return kind == FR_CHUNK_CODES || kind == FR_CHUNK_CST || kind == FR_CHUNK_LINKS || kind == FR_CHUNK_FINE;
}

static fr_code file_check(fr_source *source, fr_err *err)
{
    fr_file_source *file = source->user;
    for (size_t i = 0; i < file->list.count; i++) FR_TRY(check_place(&file->list.places[i], file->bytes + file->list.places[i].at, err));
    return FR_OK;
}

/* One mapping for all that lie side by side. Its pages are the file's, as those that the checksums are taken of. */
static fr_code file_over(fr_source *source, uint64_t first, uint32_t count, void *to, size_t size, uint32_t *done_out, fr_err *err)
{
    fr_file_source *file = source->user;
    fr_file_place *place = find_place(file, first);
    *done_out = 0;
    if (place == NULL || place->size != size || place->at % PAGE != 0 || size < PAGE) return FR_OK;
    size_t left = file->list.count - (size_t)(place - file->list.places), n = 1;
    while (n < FR_MIN(left, (size_t)count) && place[n].id == first + n && place[n].size == size && place[n].at == place->at + n * size) n++;
    size_t whole = n * size / PAGE * PAGE;
    if (mmap(to, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file->fd, (off_t)place->at) != to)
        return fr_fail(err, FR_ERR_NO_MEMORY, NULL, "cannot map the chunks at byte %llu: %s", (unsigned long long)place->at, strerror(errno));
    memcpy((uint8_t *)to + whole, file->bytes + place->at + whole, n * size - whole);
    for (size_t i = 0; i < n && !checked_late(first); i++) FR_TRY(check_place(&place[i], (uint8_t *)to + i * size, err));
    file->next = (size_t)(place - file->list.places) + n;
    *done_out = (uint32_t)n;
    return FR_OK;
}

/* Originals of a file stay in it. */
static bool file_place(fr_source *source, uint64_t id, uint32_t *file_out, uint64_t *at_out)
{
    fr_file_source *file = source->user;
    const fr_file_place *place = find_place(file, id);
    file->attached = file->attached || fr_alone_store_attach(file->store, file->fd);
    if (place == NULL || !file->attached) return false;
    *file_out = FR_ALONE_FILE_ATTACHED;
    *at_out = place->at;
    return true;
}

static fr_code list_chunks_1(fr_file_source *file, fr_err *err)
{
    for (uint64_t at = sizeof(fr_file_header); at + sizeof(fr_file_chunk) <= file->size;) {
        fr_file_chunk head;
        memcpy(&head, file->bytes + at, sizeof head);
        at += sizeof head;
        if (head.id == END_ID) return FR_OK;
        if (head.size > file->size - at) break;
        fr_file_place place = {.id = head.id, .at = at, .size = head.size, .crc = head.crc};
        FR_TRY(add_place(&file->list, &place, err));
        at += head.size;
    }
    return fr_fail(err, FR_ERR_CORRUPT, NULL, "the file is cut off at byte %llu", (unsigned long long)file->size);
}

static fr_code list_chunks(fr_file_source *file, fr_err *err)
{
    fr_file_end end;
    fr_file_place place;
    if (file->size < sizeof(fr_file_header) + sizeof end)
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "the file is cut off at byte %llu", (unsigned long long)file->size);
    memcpy(&end, file->bytes + file->size - sizeof end, sizeof end);
    uint64_t list_end = file->size - sizeof end;
    if (end.magic != END_MAGIC || end.crc != fr_simd_crc32c(0, &end, offsetof(fr_file_end, crc)) || end.list_at > list_end ||
        end.count > (list_end - end.list_at) / sizeof place || end.list_crc != fr_simd_crc32c(0, file->bytes + end.list_at, end.count * sizeof place))
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "the file is cut off, or its end damaged, at byte %llu", (unsigned long long)file->size);
    for (uint64_t i = 0; i < end.count; i++) {
        memcpy(&place, file->bytes + end.list_at + i * sizeof place, sizeof place);
        if (place.at > file->size || place.size > file->size - place.at)
            return fr_fail(err, FR_ERR_CORRUPT, NULL, "chunk %llu lies outside of the file", (unsigned long long)i);
        atomic_store(&place.checked, UNCHECKED);
        FR_TRY(add_place(&file->list, &place, err));
    }
    return FR_OK;
}

static fr_code open_source(const char *path, fr_file_source *file, fr_file_header *header, fr_err *err)
{
    struct stat is;
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* of a pipe it would wait for a writer */
    if (file->fd < 0 || fstat(file->fd, &is) != 0)
        return fr_fail(err, errno == ENOENT ? FR_ERR_NOT_FOUND : FR_ERR_IO, NULL, "%s", strerror(errno));
    if (!S_ISREG(is.st_mode)) return fr_fail(err, FR_ERR_IO, NULL, "%s", kind_of(&is));
    (void)fcntl(file->fd, F_SETFL, O_RDONLY); /* io_uring would answer EAGAIN for pages that are not in memory */
    if (is.st_size == 0) return fr_fail(err, FR_ERR_CORRUPT, NULL, "the file is empty");
    if (is.st_size < (off_t)sizeof *header) return fr_fail(err, FR_ERR_CORRUPT, NULL, "%lld bytes are too few for an index", (long long)is.st_size);
    size_t size = (size_t)is.st_size;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file->fd, 0);
    if (bytes == MAP_FAILED) return fr_fail(err, FR_ERR_IO, NULL, "it cannot be mapped: %s", strerror(errno));
    file->bytes = bytes;
    file->size = size;
    (void)madvise(bytes, size, MADV_WILLNEED); /* all of it is wanted, and soon */
    memcpy(header, bytes, sizeof *header);
    if (header->magic != FILE_MAGIC || header->crc != fr_simd_crc32c(0, header, offsetof(fr_file_header, crc)))
        return fr_fail(err, FR_ERR_CORRUPT, NULL, "it is not a freshet index");
    if (header->version > FILE_VERSION)
        return fr_fail(err, FR_ERR_VERSION, NULL, "it has format %u, this freshet reads up to %u", header->version, FILE_VERSION);
    return header->version < 2 ? list_chunks_1(file, err) : list_chunks(file, err);
}

static void *settle_behind(void *argument)
{
    fr_index *index = argument;
    if (index->opened != NULL) munmap(index->opened, index->opened_size);
    while (!atomic_load_explicit(&index->stop_settling, memory_order_acquire) && fr_table_settle_step(index->table)) {}
    return NULL;
}

void fr_index_settle_stop(fr_index *index)
{
    atomic_store_explicit(&index->stop_settling, true, memory_order_release);
    if (index->settles) pthread_join(index->settler, NULL);
    index->settles = false;
}

static fr_code load_index(fr_index *index, fr_file_source *file, const fr_file_header *header, fr_err *err)
{
    fr_table_options options = {.dimension = header->dimension, .metric = (fr_metric)header->metric, .codes = (fr_codes)(header->codes & 255),
                                .profile = (fr_profile)(header->codes >> 8 & 255), .vectors = (fr_vectors_at)(header->codes >> 16 & 255),
                                .type = (fr_type)(header->codes >> 24),
                                .m = header->m, .ef_construction = header->ef_construction, .seed = 42, .id_type = FR_ID_INT64};
    options.store = file->store = index->store = fr_alone_store_create(NULL);
    file->checks = file->size >= CHECK_FROM && pthread_create(&file->checker, NULL, check_from_behind, file) == 0;
    fr_source source = {.chunk = file_find, .over = file_over, .check = file_check, .place = file->store != NULL ? file_place : NULL, .user = file};
    bool keeps;
    FR_TRY(fr_table_load(&options, &source, header->at, &index->table, &keeps, err));
    index->next_offset = header->at + 1;
    while (atomic_load(&index->table->ring_tail) != atomic_load(&index->table->ring_low)) fr_table_link_step(index->table);
    return FR_OK;
}

fr_code fr_index_open_file(const char *path, fr_index **index_out, fr_err *err)
{
    fr_file_source file = {.fd = -1};
    fr_file_header header = {0};
    fr_err why = {0};
    fr_index *index = fr_index_new();
    fr_code code = index != NULL ? open_source(path, &file, &header, &why) : fr_fail(&why, FR_ERR_NO_MEMORY, NULL, "no memory for an index");
    if (code == FR_OK) code = load_index(index, &file, &header, &why);
    atomic_store(&file.stop_checking, true);
    if (file.checks) pthread_join(file.checker, NULL);
    if (code == FR_OK) {
        index->opened = file.bytes;
        index->opened_size = file.size;
        index->settles = pthread_create(&index->settler, NULL, settle_behind, index) == 0; /* else whoever writes first does it */
        *index_out = index;
    } else {
        fr_index_free(index);
        fail_at(err, code, "open", path, why.text[0] != 0 ? why.text : fr_strcode(code));
    }
    bool keeps = code == FR_OK && index->settles;
    if (file.bytes != NULL && !keeps) munmap(file.bytes, file.size);
    if (file.fd >= 0) close(file.fd);
    fr_free(FR_MEM_ROWS, file.list.places);
    return code;
}

/* io_sim.c: files in memory: what the program sees (now), what is on disk (disk), and the steps between (pending).
 *
 * A file is two images and a list of steps since its last sync: sector writes (512 B, with their whole new content) and
 * size changes. A directory is two lists of names and the steps between. A power cut builds the new disk image from the
 * old one and a random choice of steps; a sync makes disk equal to now. Single-threaded use gives the same run for the
 * same seed. Source of the method: sqlite src/test6.c.
 */
#include "tests/sim/io_sim.h"

#include <pthread.h>
#include <stdio.h>

enum { SECTOR = 512 };

typedef struct image {
    uint8_t *bytes; /* `have` of them; zeroes up to size follow */
    uint64_t have, size;
} image;

typedef struct node node;
typedef struct entry {
    char *name;
    node *node;
} entry;
typedef struct names {
    entry *items;
    uint32_t count, capacity;
} names;

typedef enum step_kind { STEP_SECTOR, STEP_RESIZE, STEP_LINK, STEP_UNLINK, STEP_RENAME } step_kind;
typedef struct step {
    step_kind kind;
    uint64_t number; /* sector, or size */
    uint8_t *data;   /* STEP_SECTOR */
    char *name, *to;
    node *node;
} step;

struct node {
    node *next;
    bool dir, reached;
    uint32_t handles;
    uint64_t lock_epoch; /* 0 = free */
    image now, disk;
    names names_now, names_disk;
    step *steps;
    uint32_t step_count, step_capacity;
};

struct fr_file {
    io_sim *sim;
    node *node;
    uint64_t epoch;
    bool is_lock, can_write;
};

struct io_sim {
    fr_io io; /* first: fr_io * is io_sim * */
    pthread_mutex_t mutex;
    node *root, *nodes;
    uint64_t epoch, operations, random_state, capacity, used;
    uint64_t cut_at, cut_seed, fail_at, fail_times, fail_sync_at;
    fr_code fail_code;
    bool down;
    int64_t now_ms, mono_us;
};

/* ---- memory: a failing-allocator test aims at the program, not at its disk ---- */

static void *take(void *old, size_t size)
{
    void *memory = fr_realloc(FR_MEM_TEST, old, size ? size : 1);
    if (!memory) memory = fr_realloc(FR_MEM_TEST, old, size ? size : 1); /* an injected failure happens once */
    FR_ASSERT(memory);
    return memory;
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(take(NULL, size), text, size);
}

static uint64_t draw(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return fr_mix64(*state);
}

/* ---- images ---- */

static void image_reach(image *im, uint64_t have)
{
    if (have <= im->have) return;
    im->bytes = take(im->bytes, have);
    memset(im->bytes + im->have, 0, have - im->have);
    im->have = have;
}

static void image_resize(image *im, uint64_t size)
{
    if (size < im->have) memset(im->bytes + size, 0, im->have - size);
    im->size = size;
}

static void image_put(image *im, uint64_t at, const void *data, uint64_t size)
{
    if (at >= im->size || size == 0) return;
    size = FR_MIN(size, im->size - at);
    image_reach(im, at + size);
    memcpy(im->bytes + at, data, size);
}

static void image_get(const image *im, uint64_t at, void *data, uint64_t size)
{
    uint64_t there = at < im->have ? FR_MIN(size, im->have - at) : 0;
    if (there) memcpy(data, im->bytes + at, there);
    memset((uint8_t *)data + there, 0, size - there);
}

static void image_copy(image *to, const image *from)
{
    image_reach(to, from->have);
    if (from->have) memcpy(to->bytes, from->bytes, from->have);
    if (to->have > from->have) memset(to->bytes + from->have, 0, to->have - from->have);
    to->size = from->size;
}

/* ---- names ---- */

static node *names_find(const names *list, const char *name)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) return list->items[i].node;
    return NULL;
}

static void names_remove(names *list, const char *name)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) != 0) continue;
        fr_free(FR_MEM_TEST, list->items[i].name);
        memmove(&list->items[i], &list->items[i + 1], (list->count - i - 1) * sizeof list->items[0]);
        list->count--;
        return;
    }
}

static void names_put(names *list, const char *name, node *target)
{
    names_remove(list, name);
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 8;
        list->items = take(list->items, list->capacity * sizeof list->items[0]);
    }
    list->items[list->count++] = (entry){copy_text(name), target};
}

static void names_clear(names *list)
{
    for (uint32_t i = 0; i < list->count; i++) fr_free(FR_MEM_TEST, list->items[i].name);
    list->count = 0;
}

static void names_copy(names *to, const names *from)
{
    names_clear(to);
    for (uint32_t i = 0; i < from->count; i++) names_put(to, from->items[i].name, from->items[i].node);
}

/* ---- steps ---- */

static step *add_step(node *n, step_kind kind)
{
    if (n->step_count == n->step_capacity) {
        n->step_capacity = n->step_capacity * 2 + 16;
        n->steps = take(n->steps, n->step_capacity * sizeof n->steps[0]);
    }
    n->steps[n->step_count] = (step){.kind = kind};
    return &n->steps[n->step_count++];
}

static void clear_steps(node *n)
{
    for (uint32_t i = 0; i < n->step_count; i++) {
        fr_free(FR_MEM_TEST, n->steps[i].data);
        fr_free(FR_MEM_TEST, n->steps[i].name);
        fr_free(FR_MEM_TEST, n->steps[i].to);
    }
    n->step_count = 0;
}

static node *new_node(io_sim *sim, bool dir)
{
    node *n = take(NULL, sizeof *n);
    *n = (node){.dir = dir, .next = sim->nodes};
    sim->nodes = n;
    return n;
}

static void free_node(node *n)
{
    clear_steps(n);
    names_clear(&n->names_now);
    names_clear(&n->names_disk);
    fr_free(FR_MEM_TEST, n->names_now.items);
    fr_free(FR_MEM_TEST, n->names_disk.items);
    fr_free(FR_MEM_TEST, n->steps);
    fr_free(FR_MEM_TEST, n->now.bytes);
    fr_free(FR_MEM_TEST, n->disk.bytes);
    fr_free(FR_MEM_TEST, n);
}

static void reach(node *n)
{
    if (n->reached) return;
    n->reached = true;
    for (uint32_t i = 0; i < n->names_now.count; i++) reach(n->names_now.items[i].node);
    for (uint32_t i = 0; i < n->names_disk.count; i++) reach(n->names_disk.items[i].node);
    for (uint32_t i = 0; i < n->step_count; i++)
        if (n->steps[i].node) reach(n->steps[i].node);
}

static void collect(io_sim *sim)
{
    for (node *n = sim->nodes; n; n = n->next) n->reached = false;
    reach(sim->root);
    for (node **link = &sim->nodes; *link;) {
        node *n = *link;
        if (n->reached || n->handles) {
            link = &n->next;
            continue;
        }
        *link = n->next;
        free_node(n);
    }
}

/* ---- the power cut ---- */

/* How likely a step survives, in 1/256: all, none, or something between. */
static uint32_t draw_mood(uint64_t *seed)
{
    static const uint32_t moods[] = {256, 0, 128, 128, 230, 26};
    return moods[draw(seed) % FR_COUNT_OF(moods)];
}

static void cut_file(node *n, uint64_t *seed)
{
    uint32_t mood = draw_mood(seed), resizes = 0;
    for (uint32_t i = 0; i < n->step_count; i++) resizes += n->steps[i].kind == STEP_RESIZE;
    uint64_t resizes_kept = mood == 256 ? resizes : draw(seed) % (resizes + 1); /* sizes change in order */
    for (uint32_t i = 0; i < n->step_count; i++) {
        step *s = &n->steps[i];
        if (s->kind == STEP_RESIZE) {
            if (resizes_kept == 0) continue;
            resizes_kept--;
            image_resize(&n->disk, s->number);
            continue;
        }
        uint64_t fate = draw(seed);
        if (fate % 256 >= mood) continue;
        uint64_t at = s->number * SECTOR, from = 0, to = SECTOR;
        if (mood != 256 && (fate >> 8) % 8 == 0) { /* torn: only its front or its back */
            uint64_t split = (fate >> 16) % SECTOR;
            if ((fate >> 32) & 1) from = split;
            else to = split;
        }
        image_put(&n->disk, at + from, s->data + from, to - from);
    }
}

static void cut_dir(node *n, uint64_t *seed)
{
    uint32_t mood = draw_mood(seed);
    bool in_order = draw(seed) & 1; /* a journal loses the last steps, other file systems any */
    uint64_t prefix = draw(seed) % (n->step_count + 1);
    for (uint32_t i = 0; i < n->step_count; i++) {
        step *s = &n->steps[i];
        uint64_t fate = draw(seed);
        if (in_order ? i >= prefix : fate % 256 >= mood) continue;
        if (s->kind == STEP_LINK) names_put(&n->names_disk, s->name, s->node);
        if (s->kind == STEP_UNLINK && names_find(&n->names_disk, s->name) == s->node)
            names_remove(&n->names_disk, s->name);
        if (s->kind == STEP_RENAME) {
            if (names_find(&n->names_disk, s->name) == s->node) names_remove(&n->names_disk, s->name);
            names_put(&n->names_disk, s->to, s->node);
        }
    }
}

static void power_cut(io_sim *sim, uint64_t seed)
{
    seed = fr_mix64(seed + 1);
    for (node *n = sim->nodes; n; n = n->next) {
        if (n->dir) cut_dir(n, &seed);
        else cut_file(n, &seed);
        clear_steps(n);
    }
    sim->used = 0;
    for (node *n = sim->nodes; n; n = n->next) {
        image_copy(&n->now, &n->disk);
        names_copy(&n->names_now, &n->names_disk);
        n->lock_epoch = 0;
    }
    collect(sim);
    for (node *n = sim->nodes; n; n = n->next) sim->used += n->dir || !n->reached ? 0 : n->now.size;
    sim->down = true;
    sim->epoch++;
    sim->cut_at = 0;
}

/* ---- every operation begins here ---- */

static fr_code begin(io_sim *sim, bool may_fill, bool *cut_after, fr_err *err)
{
    *cut_after = false;
    if (sim->down) return fr_fail(err, FR_ERR_IO, NULL, "simulated: the machine is down");
    sim->operations++;
    if (sim->cut_at && --sim->cut_at == 0) {
        if (draw(&sim->cut_seed) & 1) {
            *cut_after = true;
            return FR_OK;
        }
        power_cut(sim, draw(&sim->cut_seed));
        return fr_fail(err, FR_ERR_IO, NULL, "simulated: power cut");
    }
    if (sim->fail_at > 1) {
        sim->fail_at--;
    } else if (sim->fail_at == 1 && sim->fail_times > 0) {
        if (sim->fail_code == FR_ERR_DISK_FULL && !may_fill) return FR_OK;
        sim->fail_times--;
        return fr_fail(err, sim->fail_code, NULL, "simulated fault");
    }
    return FR_OK;
}

static fr_code finish(io_sim *sim, bool cut_after, fr_code code, fr_err *err)
{
    if (!cut_after) return code;
    power_cut(sim, draw(&sim->cut_seed));
    return fr_fail(err, FR_ERR_IO, NULL, "simulated: power cut");
}

#define SIM(io) ((io_sim *)(io))
#define ENTER(io, may_fill)                                                                                            \
    io_sim *sim = SIM(io);                                                                                             \
    bool cut_after;                                                                                                    \
    pthread_mutex_lock(&sim->mutex);                                                                                   \
    fr_code code = begin(sim, may_fill, &cut_after, err)
#define LEAVE()                                                                                                        \
    do {                                                                                                               \
        code = finish(sim, cut_after, code, err);                                                                      \
        pthread_mutex_unlock(&sim->mutex);                                                                             \
        return code;                                                                                                   \
    } while (0)

static fr_code alive(const io_sim *sim, const fr_file *file, fr_err *err)
{
    if (file->epoch == sim->epoch) return FR_OK;
    return fr_fail(err, FR_ERR_IO, NULL, "simulated: a handle from before the crash");
}

/* Walk a path. *dir_out is the parent, *name_out the last part (in buffer), *node_out what it names (NULL: nothing). */
static fr_code resolve(io_sim *sim, const char *path, char buffer[4096], node **dir_out, const char **name_out,
                       node **node_out, fr_err *err)
{
    FR_ASSERT(strlen(path) < 4096);
    memcpy(buffer, path, strlen(path) + 1);
    node *dir = NULL, *at = sim->root;
    const char *name = "";
    for (char *rest = buffer, *part; (part = strtok_r(rest, "/", &rest));) {
        if (strcmp(part, ".") == 0) continue;
        if (!at || !at->dir) return fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: no such directory", path);
        dir = at;
        name = part;
        at = names_find(&at->names_now, part);
    }
    *dir_out = dir;
    *name_out = name;
    *node_out = at;
    return FR_OK;
}

/* ---- the operations ---- */

static void link_name(node *dir, const char *name, node *target)
{
    names_put(&dir->names_now, name, target);
    step *s = add_step(dir, STEP_LINK);
    s->name = copy_text(name);
    s->node = target;
}

static fr_file *new_handle(io_sim *sim, node *n, bool is_lock, bool can_write)
{
    fr_file *file = take(NULL, sizeof *file);
    *file = (fr_file){sim, n, sim->epoch, is_lock, can_write};
    n->handles++;
    return file;
}

static fr_code sim_open(fr_io *io, const char *path, int flags, fr_file **file_out, fr_err *err)
{
    ENTER(io, (flags & FR_OPEN_CREATE) != 0);
    char buffer[4096];
    node *dir, *found;
    const char *name;
    if (!code) code = resolve(sim, path, buffer, &dir, &name, &found, err);
    if (!code && found && (flags & FR_OPEN_CREATE)) code = fr_fail(err, FR_ERR_EXISTS, NULL, "%s exists", path);
    else if (!code && found && found->dir) code = fr_fail(err, FR_ERR_IO, NULL, "%s is a directory", path);
    else if (!code && !found && !(flags & FR_OPEN_CREATE))
        code = fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: no such file", path);
    if (!code && !found) {
        found = new_node(sim, false);
        link_name(dir, name, found);
    }
    if (!code && !cut_after) *file_out = new_handle(sim, found, false, (flags & FR_OPEN_WRITE) != 0);
    LEAVE();
}

static void sim_close(fr_io *io, fr_file *file)
{
    if (!file) return;
    io_sim *sim = SIM(io);
    pthread_mutex_lock(&sim->mutex);
    file->node->handles--;
    if (file->is_lock && file->node->lock_epoch == file->epoch) file->node->lock_epoch = 0;
    fr_free(FR_MEM_TEST, file);
    pthread_mutex_unlock(&sim->mutex);
}

static fr_code sim_size(fr_io *io, fr_file *file, uint64_t *size_out, fr_err *err)
{
    io_sim *sim = SIM(io);
    pthread_mutex_lock(&sim->mutex);
    fr_code code = sim->down ? fr_fail(err, FR_ERR_IO, NULL, "simulated: the machine is down") : alive(sim, file, err);
    *size_out = file->node->now.size;
    pthread_mutex_unlock(&sim->mutex);
    return code;
}

static fr_code sim_read(fr_io *io, fr_file *file, uint64_t at, void *data, size_t size, size_t *got_out, fr_err *err)
{
    ENTER(io, false);
    if (!code) code = alive(sim, file, err);
    if (!code) {
        const image *now = &file->node->now;
        *got_out = at < now->size ? (size_t)FR_MIN((uint64_t)size, now->size - at) : 0;
        image_get(now, at, data, *got_out);
    }
    LEAVE();
}

static bool fits(const io_sim *sim, const node *n, uint64_t size)
{
    return size <= n->now.size || !sim->capacity || sim->used + (size - n->now.size) <= sim->capacity;
}

static void resize(io_sim *sim, node *n, uint64_t size)
{
    sim->used += size - n->now.size;
    image_resize(&n->now, size);
    add_step(n, STEP_RESIZE)->number = size;
}

static void put(io_sim *sim, node *n, uint64_t at, const void *data, uint64_t size)
{
    if (size == 0) return;
    if (at + size > n->now.size) resize(sim, n, at + size);
    image_put(&n->now, at, data, size);
    for (uint64_t sector = at / SECTOR; sector <= (at + size - 1) / SECTOR; sector++) {
        step *s = add_step(n, STEP_SECTOR);
        s->number = sector;
        s->data = take(NULL, SECTOR);
        image_get(&n->now, sector * SECTOR, s->data, SECTOR);
    }
}

static fr_code sim_write(fr_io *io, fr_file *file, uint64_t at, const void *data, size_t size, fr_err *err)
{
    ENTER(io, true);
    bool half = code == FR_ERR_DISK_FULL;
    if (!code || half) {
        fr_code dead = alive(sim, file, err);
        if (dead) code = dead, half = false;
    }
    FR_ASSERT(code || file->can_write);
    if (!code && !fits(sim, file->node, at + size)) {
        code = fr_fail(err, FR_ERR_DISK_FULL, NULL, "simulated: the disk is full");
        half = true;
    }
    if (!code) put(sim, file->node, at, data, size);
    else if (half && fits(sim, file->node, at + size / 2)) put(sim, file->node, at, data, size / 2);
    LEAVE();
}

static void make_durable(node *n)
{
    uint64_t least = n->disk.size;
    for (uint32_t i = 0; i < n->step_count; i++)
        if (n->steps[i].kind == STEP_RESIZE) least = FR_MIN(least, n->steps[i].number);
    image_resize(&n->disk, least);
    image_resize(&n->disk, n->now.size);
    for (uint32_t i = 0; i < n->step_count; i++) {
        if (n->steps[i].kind != STEP_SECTOR) continue;
        uint8_t sector[SECTOR];
        image_get(&n->now, n->steps[i].number * SECTOR, sector, SECTOR);
        image_put(&n->disk, n->steps[i].number * SECTOR, sector, SECTOR);
    }
    clear_steps(n);
}

static fr_code sim_sync(fr_io *io, fr_file *file, fr_err *err)
{
    ENTER(io, false);
    if (!code) code = alive(sim, file, err);
    if (!code && sim->fail_sync_at && --sim->fail_sync_at == 0)
        code = fr_fail(err, FR_ERR_IO, NULL, "simulated: sync fails");
    if (!code && !cut_after) make_durable(file->node);
    else if (code && !sim->down && file->epoch == sim->epoch)
        clear_steps(file->node); /* pages are marked clean, and never written */
    LEAVE();
}

static fr_code sim_allocate(fr_io *io, fr_file *file, uint64_t size, fr_err *err)
{
    ENTER(io, true);
    if (!code) code = alive(sim, file, err);
    if (!code && !fits(sim, file->node, size))
        code = fr_fail(err, FR_ERR_DISK_FULL, NULL, "simulated: the disk is full");
    if (!code && size > file->node->now.size) resize(sim, file->node, size);
    LEAVE();
}

static fr_code sim_truncate(fr_io *io, fr_file *file, uint64_t size, fr_err *err)
{
    ENTER(io, false);
    if (!code) code = alive(sim, file, err);
    if (!code && size != file->node->now.size) resize(sim, file->node, size);
    LEAVE();
}

static fr_code sim_map(fr_io *io, fr_file *file, uint64_t at, size_t size, fr_io_map *map_out, fr_err *err)
{
    ENTER(io, false);
    if (!code) code = alive(sim, file, err);
    if (!code) {
        void *data = fr_alloc_aligned(FR_MEM_TEST, 4096, size ? size : 1);
        if (!data) data = fr_alloc_aligned(FR_MEM_TEST, 4096, size ? size : 1);
        FR_ASSERT(data);
        image_get(&file->node->now, at, data, size);
        *map_out = (fr_io_map){.data = data, .size = size};
    }
    if (cut_after && !code) fr_free(FR_MEM_TEST, map_out->data);
    LEAVE();
}

static void sim_unmap(fr_io *io, fr_io_map *map)
{
    (void)io;
    fr_free(FR_MEM_TEST, map->data);
    *map = (fr_io_map){0};
}

static fr_code sim_map_over(fr_io *io, fr_file *file, uint64_t at, size_t size, void *to, fr_err *err)
{
    ENTER(io, false);
    if (!code) code = alive(sim, file, err);
    if (!code) image_get(&file->node->now, at, to, size);
    LEAVE();
}

static fr_code sim_make_dir(fr_io *io, const char *path, fr_err *err)
{
    ENTER(io, true);
    char buffer[4096];
    node *dir, *found;
    const char *name;
    if (!code) code = resolve(sim, path, buffer, &dir, &name, &found, err);
    if (!code && !found) link_name(dir, name, new_node(sim, true));
    LEAVE();
}

static fr_code sim_sync_dir(fr_io *io, const char *path, fr_err *err)
{
    ENTER(io, false);
    char buffer[4096];
    node *dir, *found = NULL;
    const char *name;
    if (!code) code = resolve(sim, path, buffer, &dir, &name, &found, err);
    if (!code && (!found || !found->dir)) code = fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: no such directory", path);
    if (!code && !cut_after) {
        names_copy(&found->names_disk, &found->names_now);
        clear_steps(found);
    }
    LEAVE();
}

static bool exists(io_sim *sim, const char *path)
{
    char buffer[4096];
    node *dir, *found = NULL;
    const char *name;
    return resolve(sim, path, buffer, &dir, &name, &found, NULL) == FR_OK && found;
}

static fr_code sim_rename(fr_io *io, const char *from, const char *to, fr_err *err)
{
    ENTER(io, !exists(sim, to)); /* a name that is there already needs no space */
    char from_buffer[4096], to_buffer[4096];
    node *from_dir, *to_dir, *found, *replaced;
    const char *from_name, *to_name;
    if (!code) code = resolve(sim, from, from_buffer, &from_dir, &from_name, &found, err);
    if (!code) code = resolve(sim, to, to_buffer, &to_dir, &to_name, &replaced, err);
    if (!code && !found) code = fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: no such file", from);
    if (!code && from_dir != to_dir)
        code = fr_fail(err, FR_ERR_UNSUPPORTED, NULL, "simulated: rename between directories");
    if (!code) {
        if (replaced) sim->used -= replaced->now.size;
        names_remove(&from_dir->names_now, from_name);
        names_put(&from_dir->names_now, to_name, found);
        step *s = add_step(from_dir, STEP_RENAME);
        s->name = copy_text(from_name);
        s->to = copy_text(to_name);
        s->node = found;
    }
    LEAVE();
}

static fr_code sim_remove(fr_io *io, const char *path, fr_err *err)
{
    ENTER(io, false);
    char buffer[4096];
    node *dir, *found;
    const char *name;
    if (!code) code = resolve(sim, path, buffer, &dir, &name, &found, err);
    if (!code && (!found || !dir)) code = fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: no such file", path);
    if (!code && found->dir && found->names_now.count) code = fr_fail(err, FR_ERR_IO, NULL, "%s is not empty", path);
    if (!code) {
        sim->used -= found->now.size;
        names_remove(&dir->names_now, name);
        step *s = add_step(dir, STEP_UNLINK);
        s->name = copy_text(name);
        s->node = found;
    }
    LEAVE();
}

static fr_code sim_list(fr_io *io, const char *path, void (*each)(void *user, const char *name), void *user,
                        fr_err *err)
{
    ENTER(io, false);
    char buffer[4096];
    node *dir, *found = NULL;
    const char *name;
    if (!code) code = resolve(sim, path, buffer, &dir, &name, &found, err);
    if (!code && (!found || !found->dir)) code = fr_fail(err, FR_ERR_NOT_FOUND, NULL, "%s: no such directory", path);
    for (uint32_t i = 0; !code && i < found->names_now.count; i++) each(user, found->names_now.items[i].name);
    LEAVE();
}

static fr_code sim_free_bytes(fr_io *io, const char *path, uint64_t *bytes_out, fr_err *err)
{
    (void)path;
    ENTER(io, false);
    if (!code) *bytes_out = sim->capacity ? sim->capacity - FR_MIN(sim->used, sim->capacity) : (uint64_t)1 << 40;
    LEAVE();
}

static fr_code sim_lock(fr_io *io, const char *path, fr_file **file_out, fr_err *err)
{
    ENTER(io, true);
    char buffer[4096];
    node *dir, *found;
    const char *name;
    if (!code) code = resolve(sim, path, buffer, &dir, &name, &found, err);
    if (!code && !found) {
        found = new_node(sim, false);
        link_name(dir, name, found);
    }
    if (!code && found->lock_epoch == sim->epoch) code = fr_fail(err, FR_ERR_LOCKED, NULL, "%s is held", path);
    if (!code && !cut_after) {
        found->lock_epoch = sim->epoch;
        *file_out = new_handle(sim, found, true, true);
    }
    LEAVE();
}

static int64_t sim_now_ms(fr_io *io) { return SIM(io)->now_ms; }
static int64_t sim_mono_us(fr_io *io) { return SIM(io)->mono_us; }
static void sim_sleep_ms(fr_io *io, int64_t ms) { io_sim_advance(SIM(io), FR_MAX(ms, (int64_t)0)); }

static uint64_t sim_random(fr_io *io)
{
    io_sim *sim = SIM(io);
    pthread_mutex_lock(&sim->mutex);
    uint64_t value = draw(&sim->random_state);
    pthread_mutex_unlock(&sim->mutex);
    return value;
}

/* ---- the test's side ---- */

io_sim *io_sim_create(uint64_t seed)
{
    io_sim *sim = take(NULL, sizeof *sim);
    *sim = (io_sim){.io = {.open = sim_open,
                           .close = sim_close,
                           .size = sim_size,
                           .read = sim_read,
                           .write = sim_write,
                           .sync = sim_sync,
                           .allocate = sim_allocate,
                           .truncate = sim_truncate,
                           .map = sim_map,
                           .unmap = sim_unmap,
                           .map_over = sim_map_over,
                           .make_dir = sim_make_dir,
                           .sync_dir = sim_sync_dir,
                           .rename = sim_rename,
                           .remove = sim_remove,
                           .list = sim_list,
                           .free_bytes = sim_free_bytes,
                           .lock = sim_lock,
                           .now_ms = sim_now_ms,
                           .mono_us = sim_mono_us,
                           .random = sim_random,
                           .sleep_ms = sim_sleep_ms},
                    .epoch = 1,
                    .random_state = fr_mix64(seed),
                    .now_ms = 1700000000000,
                    .mono_us = 1000000};
    pthread_mutex_init(&sim->mutex, NULL);
    sim->root = new_node(sim, true);
    return sim;
}

void io_sim_free(io_sim *sim)
{
    if (!sim) return;
    for (node *n = sim->nodes, *next; n; n = next) {
        next = n->next;
        FR_ASSERT(n->handles == 0);
        free_node(n);
    }
    pthread_mutex_destroy(&sim->mutex);
    fr_free(FR_MEM_TEST, sim);
}

fr_io *io_sim_io(io_sim *sim) { return &sim->io; }
bool io_sim_is_down(const io_sim *sim) { return sim->down; }
uint64_t io_sim_operations(const io_sim *sim) { return sim->operations; }
void io_sim_power_cut(io_sim *sim, uint64_t seed) { power_cut(sim, seed); }

void io_sim_kill(io_sim *sim)
{
    for (node *n = sim->nodes; n; n = n->next) n->lock_epoch = 0;
    sim->down = true;
    sim->epoch++;
    sim->cut_at = 0;
}

void io_sim_restart(io_sim *sim)
{
    sim->down = false;
    sim->cut_at = sim->fail_at = sim->fail_times = sim->fail_sync_at = 0;
}

void io_sim_cut_at(io_sim *sim, uint64_t nth, uint64_t seed)
{
    sim->cut_at = nth;
    sim->cut_seed = fr_mix64(seed);
}

void io_sim_fail_at(io_sim *sim, uint64_t nth, uint64_t times, fr_code code)
{
    sim->fail_at = nth;
    sim->fail_times = times;
    sim->fail_code = code;
}

void io_sim_fail_sync_at(io_sim *sim, uint64_t nth) { sim->fail_sync_at = nth; }
void io_sim_set_capacity(io_sim *sim, uint64_t bytes) { sim->capacity = bytes; }
void io_sim_set_time(io_sim *sim, int64_t now_ms) { sim->now_ms = now_ms; }

void io_sim_advance(io_sim *sim, int64_t ms)
{
    sim->now_ms += ms;
    sim->mono_us += ms * 1000;
}

static node *find(io_sim *sim, const char *path, node **dir_out, char buffer[4096], const char **name_out)
{
    node *found = NULL;
    return resolve(sim, path, buffer, dir_out, name_out, &found, NULL) == FR_OK ? found : NULL;
}

bool io_sim_flip(io_sim *sim, const char *path, uint64_t byte, unsigned bit)
{
    char buffer[4096];
    const char *name;
    node *dir, *n = find(sim, path, &dir, buffer, &name);
    if (!n || byte >= n->now.size) return false;
    image *images[] = {&n->now, &n->disk};
    for (int i = 0; i < 2; i++) {
        uint8_t value;
        image_get(images[i], byte, &value, 1);
        value ^= (uint8_t)(1u << bit);
        image_put(images[i], byte, &value, 1);
    }
    return true;
}

int io_sim_byte(io_sim *sim, const char *path, uint64_t byte)
{
    char buffer[4096];
    const char *name;
    uint8_t value = 0;
    node *dir, *n = find(sim, path, &dir, buffer, &name);
    if (!n || byte >= n->now.size) return -1;
    image_get(&n->now, byte, &value, 1);
    return value;
}

bool io_sim_cut_file(io_sim *sim, const char *path, uint64_t size)
{
    char buffer[4096];
    const char *name;
    node *dir, *n = find(sim, path, &dir, buffer, &name);
    if (!n) return false;
    sim->used += size - n->now.size;
    image_resize(&n->now, size);
    image_resize(&n->disk, size);
    return true;
}

bool io_sim_delete(io_sim *sim, const char *path)
{
    char buffer[4096];
    const char *name;
    node *dir, *n = find(sim, path, &dir, buffer, &name);
    if (!n || !dir) return false;
    sim->used -= n->now.size;
    names_remove(&dir->names_now, name);
    names_remove(&dir->names_disk, name);
    return true;
}

bool io_sim_file_size(io_sim *sim, const char *path, uint64_t *size_out)
{
    char buffer[4096];
    const char *name;
    node *dir, *n = find(sim, path, &dir, buffer, &name);
    if (n) *size_out = n->now.size;
    return n != NULL;
}

static void list_below(const node *dir, const char *path, void (*each)(void *user, const char *path, uint64_t size),
                       void *user)
{
    for (uint32_t i = 0; i < dir->names_now.count; i++) {
        const entry *e = &dir->names_now.items[i];
        char child[4096];
        snprintf(child, sizeof child, "%.2000s/%.250s", path, e->name);
        if (e->node->dir) list_below(e->node, child, each, user);
        else each(user, child, e->node->now.size);
    }
}

void io_sim_list(io_sim *sim, const char *path, void (*each)(void *user, const char *path, uint64_t size), void *user)
{
    char buffer[4096];
    const char *name;
    node *dir, *n = find(sim, path, &dir, buffer, &name);
    if (n && n->dir) list_below(n, path, each, user);
}

static void clone_dir(io_sim *to, node *target, const node *source)
{
    for (uint32_t i = 0; i < source->names_now.count; i++) {
        const entry *e = &source->names_now.items[i];
        node *copy = new_node(to, e->node->dir);
        image_copy(&copy->now, &e->node->now);
        image_copy(&copy->disk, &e->node->now);
        names_put(&target->names_now, e->name, copy);
        names_put(&target->names_disk, e->name, copy);
        if (copy->dir) clone_dir(to, copy, e->node);
    }
}

io_sim *io_sim_clone(io_sim *sim)
{
    io_sim *copy = io_sim_create(0);
    copy->random_state = sim->random_state;
    copy->capacity = sim->capacity;
    copy->used = sim->used;
    copy->now_ms = sim->now_ms;
    copy->mono_us = sim->mono_us;
    clone_dir(copy, copy->root, sim->root);
    return copy;
}

static uint64_t hash_dir(const node *dir)
{
    uint64_t sum = 0; /* of unordered names */
    for (uint32_t i = 0; i < dir->names_now.count; i++) {
        const entry *e = &dir->names_now.items[i];
        uint64_t h = fr_hash(e->name, strlen(e->name), e->node->now.size);
        uint64_t used = e->node->now.have;
        while (used && e->node->now.bytes[used - 1] == 0) used--;
        h ^= e->node->dir ? hash_dir(e->node) : fr_hash(used ? (const char *)e->node->now.bytes : "", used, h);
        sum += fr_mix64(h);
    }
    return sum;
}

uint64_t io_sim_hash(const io_sim *sim) { return hash_dir(sim->root); }

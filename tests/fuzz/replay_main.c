/* replay_main.c: runs a fuzz target over files without a fuzzer, so that gcc builds replay the corpora in ctest.
 *
 *   replay_<target> [--mutate ROUNDS] [--seed N] FOLDER_OR_FILE...
 *
 * With --mutate each file is also run ROUNDS times with a few random edits: a poor man's fuzzer, the same each time for one
 * seed. The last input is kept in a file named by --keep, so that a crash leaves it behind. */
#include "api/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX ((size_t)1 << 20)

static struct {
    uint64_t rounds, seed, inputs, files;
    const char *keep;
} options = {.seed = 1};

static uint64_t next_random(void)
{
    options.seed += 0x9e3779b97f4a7c15u;
    return fr_mix64(options.seed);
}

/* An exact heap copy: the sanitizer then sees every read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = fr_alloc(FR_MEM_TEST, size);
    FR_ASSERT(copy != NULL);
    if (size != 0) memcpy(copy, data, size);
    if (options.keep != NULL) {
        FILE *file = fopen(options.keep, "wb");
        FR_ASSERT(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    }
    LLVMFuzzerTestOneInput(copy, size);
    options.inputs++;
    fr_free(FR_MEM_TEST, copy);
}

/* One edit: flip, overwrite, insert, remove, repeat a piece, cut. data has room for INPUT_BYTES_MAX. */
static size_t mutate(uint8_t *data, size_t size)
{
    size_t at = size ? next_random() % size : 0, length = next_random() % 16 + 1;
    length = FR_MIN(length, size - at);
    switch (next_random() % 6) {
    case 0:
        if (size) data[at] ^= (uint8_t)(1u << next_random() % 8);
        return size;
    case 1:
        if (size) data[at] = (uint8_t)next_random();
        return size;
    case 2:
        if (size == INPUT_BYTES_MAX) return size;
        memmove(data + at + 1, data + at, size - at);
        data[at] = (uint8_t)next_random();
        return size + 1;
    case 3: memmove(data + at, data + at + length, size - at - length); return size - length;
    case 4:
        if (size + length > INPUT_BYTES_MAX) return size;
        memmove(data + at + length, data + at, size - at);
        return size + length;
    default: return at;
    }
}

static void run_file(const char *path)
{
    static uint8_t original[INPUT_BYTES_MAX], edited[INPUT_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    size_t size = fread(original, 1, sizeof original, file);
    fclose(file);
    run(original, size);
    for (uint64_t i = 0; i < options.rounds; i++) {
        memcpy(edited, original, size);
        size_t edited_size = size;
        for (uint64_t edits = next_random() % 4 + 1; edits > 0; edits--) edited_size = mutate(edited, edited_size);
        run(edited, edited_size);
    }
    options.files++;
}

static void run_path(const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
        run_file(path);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort); /* one order on every machine */
    if (count < 0) {
        fprintf(stderr, "%s: no such folder\n", path);
        exit(2);
    }
    for (int i = 0; i < count; i++) {
        char name[4096];
        if (entries[i]->d_name[0] != '.' && snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name) < (int)sizeof name)
            run_file(name);
        free(entries[i]); /* scandir's memory is the C library's */
    }
    free(entries);
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        bool more = i + 1 < count;
        if (more && strcmp(arguments[i], "--mutate") == 0) options.rounds = strtoull(arguments[++i], NULL, 10);
        else if (more && strcmp(arguments[i], "--seed") == 0) options.seed = strtoull(arguments[++i], NULL, 10);
        else if (more && strcmp(arguments[i], "--keep") == 0) options.keep = arguments[++i];
        else run_path(arguments[i]);
    }
    printf("%llu files, %llu inputs\n", (unsigned long long)options.files, (unsigned long long)options.inputs);
    return options.files > 0 ? 0 : 1; /* an empty corpus is a mistake */
}

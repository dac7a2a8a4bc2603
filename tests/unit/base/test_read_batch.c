/* test_read_batch.c: reads through the ring and one after the other give the same bytes and the same errors. */
#include "api/read_batch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 300000u
#define READS 300u /* more than one submit takes */

static int make_file(void)
{
    char path[] = "/var/tmp/freshet-read-batch-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    uint8_t *bytes = malloc(SIZE);
    for (uint32_t i = 0; i < SIZE; i++) bytes[i] = (uint8_t)(fr_mix64(i) >> 9);
    assert_int_equal(write(fd, bytes, SIZE), SIZE);
    free(bytes);
    return fd;
}

static void lay_out(fr_file_read *reads, int fd, uint8_t *room, uint64_t seed)
{
    for (uint32_t i = 0; i < READS; i++) {
        uint64_t mix = fr_mix64(seed * 7919 + i);
        uint32_t size = 1 + (uint32_t)(mix % 3000);
        reads[i] = (fr_file_read){.at = (mix >> 20) % (SIZE - size), .to = room + (size_t)i * 3000, .size = size, .fd = fd};
    }
}

static void the_same_both_ways(void **state)
{
    (void)state;
    int fd = make_file();
    fr_file_read reads[2][READS];
    uint8_t *room[2] = {calloc(READS, 3000), calloc(READS, 3000)};
    fr_read_ring *ring = fr_read_ring_create(), *refused = fr_read_ring_create();
    fr_read_ring_refuse(refused);
    for (uint32_t count = 1; count <= READS; count += count < 4 ? 1 : 37) {
        lay_out(reads[0], fd, room[0], count);
        lay_out(reads[1], fd, room[1], count);
        assert_int_equal(fr_read_batch(ring, reads[0], count), FR_OK);
        assert_int_equal(fr_read_batch(count % 2 == 0 ? refused : NULL, reads[1], count), FR_OK);
        assert_memory_equal(room[0], room[1], READS * 3000);
    }
    assert_int_equal(fr_read_ring_submits(refused), 0);
    if (fr_read_ring_submits(ring) == 0) print_message("the ring is refused here: only pread was tested\n");
    fr_read_ring_free(ring);
    fr_read_ring_free(refused);
    free(room[0]);
    free(room[1]);
    close(fd);
}

static void ends_and_bad_files_are_errors(void **state)
{
    (void)state;
    int fd = make_file();
    fr_read_ring *ring = fr_read_ring_create();
    uint8_t room[4][64];
    for (uint32_t way = 0; way < 2; way++) {
        fr_read_ring *use = way == 0 ? ring : NULL;
        fr_file_read reads[4];
        for (uint32_t i = 0; i < 4; i++) reads[i] = (fr_file_read){.at = i * 1000, .to = room[i], .size = 64, .fd = fd};
        assert_int_equal(fr_read_batch(use, reads, 4), FR_OK);
        reads[2].at = SIZE - 63; /* one byte is missing */
        assert_int_equal(fr_read_batch(use, reads, 4), FR_ERR_IO);
        reads[2].at = SIZE - 64;
        assert_int_equal(fr_read_batch(use, reads, 4), FR_OK);
        reads[1].fd = -1;
        assert_int_equal(fr_read_batch(use, reads, 4), FR_ERR_IO);
        reads[1].fd = fd;
        assert_int_equal(fr_read_batch(use, reads, 4), FR_OK); /* the ring goes on after errors */
    }
    fr_read_ring_free(ring);
    fr_read_ring_free(NULL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_both_ways), cmocka_unit_test(ends_and_bad_files_are_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

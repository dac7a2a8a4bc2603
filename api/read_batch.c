/* read_batch.c: see read_batch.h. A read that the ring gives back short or failed is finished by pread, which then decides. */
#include "api/read_batch.h"

#include <errno.h>
#include <liburing.h>
#include <sched.h>
#include <unistd.h>

struct fr_read_ring {
    struct io_uring ring;
    bool ready, refused;
    uint64_t submits;
};

fr_read_ring *fr_read_ring_create(void) { return fr_zalloc(FR_MEM_SEARCH, sizeof(fr_read_ring)); }

void fr_read_ring_refuse(fr_read_ring *r)
{
    if (r->ready) io_uring_queue_exit(&r->ring);
    r->ready = false;
    r->refused = true;
}

void fr_read_ring_free(fr_read_ring *r)
{
    if (r == NULL) return;
    if (r->ready) io_uring_queue_exit(&r->ring);
    fr_free(FR_MEM_SEARCH, r);
}

uint64_t fr_read_ring_submits(const fr_read_ring *r) { return r->submits; }

static fr_code read_plain(const fr_file_read *read, size_t got)
{
    while (got < read->size) {
        ssize_t n = pread(read->fd, (char *)read->to + got, read->size - got, (off_t)(read->at + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return FR_ERR_IO;
        got += (size_t)n;
    }
    return FR_OK;
}

static bool prepare(fr_read_ring *r)
{
    if (r->ready) return true;
    if (r->refused) return false;
    r->ready = io_uring_queue_init(FR_READ_BATCH_MAX, &r->ring, 0) == 0;
    r->refused = !r->ready; /* too old a kernel, a sandbox, or a limit: it is not asked again */
    return r->ready;
}

/* Results that have come; those that need it are finished. */
static uint32_t reap(fr_read_ring *r, const fr_file_read *reads, fr_code *code)
{
    struct io_uring_cqe *cqe;
    uint32_t seen = 0;
    for (; io_uring_peek_cqe(&r->ring, &cqe) == 0; seen++) {
        const fr_file_read *read = &reads[io_uring_cqe_get_data64(cqe)];
        int result = cqe->res;
        io_uring_cqe_seen(&r->ring, cqe);
        if (result == (int)read->size) continue;
        if (result == -EINVAL || result == -EOPNOTSUPP) r->refused = true; /* before Linux 5.6 */
        fr_code one = read_plain(read, result > 0 ? (size_t)result : 0);
        if (one != FR_OK) *code = one;
    }
    return seen;
}

/* False: the kernel took none of them. All that it took have come back when this returns: the caller's memory is its own again. */
static bool submit(fr_read_ring *r, const fr_file_read *reads, uint32_t count, fr_code *code)
{
    for (uint32_t i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);
        FR_ASSERT(sqe != NULL);
        io_uring_prep_read(sqe, reads[i].fd, reads[i].to, reads[i].size, reads[i].at);
        io_uring_sqe_set_data64(sqe, i);
    }
    uint32_t taken = 0;
    for (uint32_t done = 0; done < count;) {
        int n = io_uring_submit_and_wait(&r->ring, count - done);
        if (n > 0) taken += (uint32_t)n;
        if (n < 0 && n != -EINTR && taken == 0) return false;
        done += reap(r, reads, code);
        if (n < 0) sched_yield();
    }
    r->submits++;
    return true;
}

fr_code fr_read_batch(fr_read_ring *r, const fr_file_read *reads, uint32_t count)
{
    fr_code code = FR_OK;
    while (count != 0 && code == FR_OK) {
        uint32_t part = FR_MIN(count, FR_READ_BATCH_MAX);
        bool done = part > 1 && r != NULL && prepare(r) && submit(r, reads, part, &code);
        if (!done && part > 1 && r != NULL && !r->refused) fr_read_ring_refuse(r);
        for (uint32_t i = 0; i < part && !done && code == FR_OK; i++) code = read_plain(&reads[i], 0);
        if (r != NULL && r->ready && r->refused) fr_read_ring_refuse(r);
        reads += part, count -= part;
    }
    return code;
}

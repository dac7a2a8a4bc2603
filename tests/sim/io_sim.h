/* io_sim.h: an fr_io over memory with power cuts and faults. What may be lost, and how: tests/sim/README.md. */
#ifndef FR_IO_SIM_H
#define FR_IO_SIM_H

#include "log/io.h"

typedef struct io_sim io_sim;

io_sim *io_sim_create(uint64_t seed); /* an empty disk with a root directory */
void io_sim_free(io_sim *sim);        /* every handle must be closed */
fr_io *io_sim_io(io_sim *sim);

/* The power goes: what was not synced is kept, dropped or torn as the seed says. Every operation then fails with IO,
 * until restart; handles from before stay dead for ever and only take close. */
void io_sim_power_cut(io_sim *sim, uint64_t seed);
/* The process dies (kill -9): nothing is lost, but handles die as with a power cut. */
void io_sim_kill(io_sim *sim);
void io_sim_restart(io_sim *sim);
bool io_sim_is_down(const io_sim *sim);

/* Operations are numbered from 1 at creation; size, close, clocks and random do not count. */
uint64_t io_sim_operations(const io_sim *sim);
/* The nth operation from now (1 = the next) cuts the power, before or after its effect as the seed says; 0 = never. */
void io_sim_cut_at(io_sim *sim, uint64_t nth, uint64_t seed);
/* From the nth operation on, `times` of them fail. DISK_FULL hits only write, allocate, make_dir, open to create and
 * rename to a new name, and leaves a write half done; IO hits all. A failed sync loses what it should have written,
 * though reads still show it. */
void io_sim_fail_at(io_sim *sim, uint64_t nth, uint64_t times, fr_code code);
void io_sim_fail_sync_at(io_sim *sim, uint64_t nth);   /* the nth sync of a file fails, once */
void io_sim_set_capacity(io_sim *sim, uint64_t bytes); /* of all files; 0 = no limit */

void io_sim_set_time(io_sim *sim, int64_t now_ms);
void io_sim_advance(io_sim *sim, int64_t ms); /* both clocks */

/* For tests that damage files behind the program's back; they change disk and memory at once. */
bool io_sim_flip(io_sim *sim, const char *path, uint64_t byte, unsigned bit);
int io_sim_byte(io_sim *sim, const char *path, uint64_t byte); /* -1: there is none */
bool io_sim_cut_file(io_sim *sim, const char *path, uint64_t size);
bool io_sim_delete(io_sim *sim, const char *path);
bool io_sim_file_size(io_sim *sim, const char *path, uint64_t *size_out);
void io_sim_list(io_sim *sim, const char *dir, void (*each)(void *user, const char *path, uint64_t size),
                 void *user);            /* all below */
io_sim *io_sim_clone(io_sim *sim);       /* an independent copy of the files; no handles, power on, no faults */
uint64_t io_sim_hash(const io_sim *sim); /* of all names and bytes: the same seed must give the same run */

#endif

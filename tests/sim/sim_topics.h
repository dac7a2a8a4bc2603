/* sim_topics.h: producers, transactions and plain topics in the simulation. */
#ifndef FR_SIM_TOPICS_H
#define FR_SIM_TOPICS_H

#include "server/engine/engine.h"
#include "tests/sim/io_sim.h"

typedef struct sim_topics sim_topics;

/* random: the world's dice; broken: says what is wrong and ends the run. */
typedef struct sim_host {
    void *world;
    uint32_t (*below)(void *world, uint32_t bound);
    void (*broken)(void *world, const char *text);
    io_sim *sim;
} sim_host;

sim_topics *sim_topics_create(const sim_host *host, fr_db *db);
void sim_topics_free(sim_topics *topics);
void sim_topics_step(sim_topics *topics, fr_db *db);   /* one write of a producer, or one step of a transaction */
void sim_topics_forget(sim_topics *topics);            /* a day has passed: producers may be forgotten */
void sim_topics_recover(sim_topics *topics, fr_db *db); /* after a restart: retries, the coordinator's decision; then a check */
void sim_topics_check(sim_topics *topics, fr_db *db);

#endif

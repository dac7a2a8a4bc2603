/* sim_fields.h: schemas, partial records, truncates, alters, databases and access in the simulation. */
#ifndef FR_SIM_FIELDS_H
#define FR_SIM_FIELDS_H

#include "tests/sim/sim_topics.h"

typedef struct sim_fields sim_fields;

sim_fields *sim_fields_create(const sim_host *host, fr_db *db);
void sim_fields_free(sim_fields *fields);
void sim_fields_step(sim_fields *fields, fr_db *db);  /* one write, answered or not */
void sim_fields_check(sim_fields *fields, fr_db *db); /* also after a restart: it settles what was not answered */

#endif

/* sasl.h: Kafka's SASL mechanisms over the catalog's users, and what the Kafka door asks besides. */
#ifndef FR_SASL_H
#define FR_SASL_H

#include "api/kafka/kafka.h"
#include "server/daemon/door_access.h"

void fr_sasl_init(fr_kafka_sasl *sasl, fr_door_access *access);

#endif

/* kafka_json.h: a stored record of a collection as the JSON text that Kafka consumers get. */
#ifndef FR_KAFKA_JSON_H
#define FR_KAFKA_JSON_H

#include "api/kafka/kafka.h"

/* {"vector":[..],"metadata":{..},"timestamp":..,"model_version":".."} with the collection's names. Any thread. */
fr_code fr_kafka_json_out(const fr_json_map *names, const fr_record *record, fr_kafka_out *out);

#endif

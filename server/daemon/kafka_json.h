/* kafka_json.h: a collection's records as JSON text: what Kafka consumers get, and what producers may send. */
#ifndef FR_KAFKA_JSON_H
#define FR_KAFKA_JSON_H

#include "api/kafka/kafka.h"

/* {"vector":[..],"metadata":{..},"timestamp":..,"model_version":".."} with the collection's names. Any thread. */
fr_code fr_kafka_json_out(const fr_json_map *names, const fr_record *record, fr_kafka_out *out);

/* The other way: fr_options.parse_json. A pure function of its arguments; keys that nobody named are not looked at. */
fr_code fr_kafka_json_in(const fr_json_map *names, fr_span key, fr_span value, fr_batch *event_out, fr_err *err);

#endif

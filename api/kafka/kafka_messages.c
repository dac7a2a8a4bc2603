/* kafka_messages.c: the tables of Kafka's messages.
 * Written by scripts/kafka_messages.py from Apache Kafka's message definitions: change the script, not this file.
 * Columns: name, type, array, first and last version, nullable from, tagged from, tag, child, default. */
#include "api/kafka/kafka_messages.h"

#include <stddef.h>

#define F(member, type, many, first, last, nullable, tagged, tag, child, number) \
    {#member, FR_KAFKA_##type, many, first, last, nullable, tagged, tag, offsetof(S, member), child, number}
#define SHAPE(name) \
    const fr_kafka_shape fr_kafka_##name##_shape = {#name, name##_fields, FR_COUNT_OF(name##_fields), sizeof(fr_kafka_##name)}
#define SHAPE_EMPTY(name) const fr_kafka_shape fr_kafka_##name##_shape = {#name, NULL, 0, sizeof(fr_kafka_##name)}

#define S fr_kafka_PartitionProduceData
static const fr_kafka_field PartitionProduceData_fields[] = {
    F(index, INT32, 0, 0, 11, 127, 127, 0, NULL, 0),
    F(records, RECORDS, 0, 0, 11, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(PartitionProduceData);

#define S fr_kafka_TopicProduceData
static const fr_kafka_field TopicProduceData_fields[] = {
    F(name, STRING, 0, 0, 11, 127, 127, 0, NULL, 0),
    F(partitionData, STRUCT, 1, 0, 11, 127, 127, 0, &fr_kafka_PartitionProduceData_shape, 0),
};
#undef S
SHAPE(TopicProduceData);

#define S fr_kafka_ProduceRequest
static const fr_kafka_field ProduceRequest_fields[] = {
    F(transactionalId, STRING, 0, 3, 11, 3, 127, 0, NULL, 1),
    F(acks, INT16, 0, 0, 11, 127, 127, 0, NULL, 0),
    F(timeoutMs, INT32, 0, 0, 11, 127, 127, 0, NULL, 0),
    F(topicData, STRUCT, 1, 0, 11, 127, 127, 0, &fr_kafka_TopicProduceData_shape, 0),
};
#undef S
SHAPE(ProduceRequest);

const fr_kafka_message fr_kafka_ProduceRequest_message = {0, true, 3, 11, 9, &fr_kafka_ProduceRequest_shape};

#define S fr_kafka_BatchIndexAndErrorMessage
static const fr_kafka_field BatchIndexAndErrorMessage_fields[] = {
    F(batchIndex, INT32, 0, 8, 11, 127, 127, 0, NULL, 0),
    F(batchIndexErrorMessage, STRING, 0, 8, 11, 8, 127, 0, NULL, 1),
};
#undef S
SHAPE(BatchIndexAndErrorMessage);

#define S fr_kafka_ProduceResponse_LeaderIdAndEpoch
static const fr_kafka_field ProduceResponse_LeaderIdAndEpoch_fields[] = {
    F(leaderId, INT32, 0, 10, 11, 127, 127, 0, NULL, -1),
    F(leaderEpoch, INT32, 0, 10, 11, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(ProduceResponse_LeaderIdAndEpoch);

#define S fr_kafka_PartitionProduceResponse
static const fr_kafka_field PartitionProduceResponse_fields[] = {
    F(index, INT32, 0, 0, 11, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 11, 127, 127, 0, NULL, 0),
    F(baseOffset, INT64, 0, 0, 11, 127, 127, 0, NULL, 0),
    F(logAppendTimeMs, INT64, 0, 2, 11, 127, 127, 0, NULL, -1),
    F(logStartOffset, INT64, 0, 5, 11, 127, 127, 0, NULL, -1),
    F(recordErrors, STRUCT, 1, 8, 11, 127, 127, 0, &fr_kafka_BatchIndexAndErrorMessage_shape, 0),
    F(errorMessage, STRING, 0, 8, 11, 8, 127, 0, NULL, 1),
    F(currentLeader, STRUCT, 0, 10, 11, 127, 10, 0, &fr_kafka_ProduceResponse_LeaderIdAndEpoch_shape, 0),
};
#undef S
SHAPE(PartitionProduceResponse);

#define S fr_kafka_TopicProduceResponse
static const fr_kafka_field TopicProduceResponse_fields[] = {
    F(name, STRING, 0, 0, 11, 127, 127, 0, NULL, 0),
    F(partitionResponses, STRUCT, 1, 0, 11, 127, 127, 0, &fr_kafka_PartitionProduceResponse_shape, 0),
};
#undef S
SHAPE(TopicProduceResponse);

#define S fr_kafka_ProduceResponse_NodeEndpoint
static const fr_kafka_field ProduceResponse_NodeEndpoint_fields[] = {
    F(nodeId, INT32, 0, 10, 11, 127, 127, 0, NULL, 0),
    F(host, STRING, 0, 10, 11, 127, 127, 0, NULL, 0),
    F(port, INT32, 0, 10, 11, 127, 127, 0, NULL, 0),
    F(rack, STRING, 0, 10, 11, 10, 127, 0, NULL, 1),
};
#undef S
SHAPE(ProduceResponse_NodeEndpoint);

#define S fr_kafka_ProduceResponse
static const fr_kafka_field ProduceResponse_fields[] = {
    F(responses, STRUCT, 1, 0, 11, 127, 127, 0, &fr_kafka_TopicProduceResponse_shape, 0),
    F(throttleTimeMs, INT32, 0, 1, 11, 127, 127, 0, NULL, 0),
    F(nodeEndpoints, STRUCT, 1, 10, 11, 127, 10, 0, &fr_kafka_ProduceResponse_NodeEndpoint_shape, 0),
};
#undef S
SHAPE(ProduceResponse);

const fr_kafka_message fr_kafka_ProduceResponse_message = {0, false, 3, 11, 9, &fr_kafka_ProduceResponse_shape};

#define S fr_kafka_ReplicaState
static const fr_kafka_field ReplicaState_fields[] = {
    F(replicaId, INT32, 0, 15, 16, 127, 127, 0, NULL, -1),
    F(replicaEpoch, INT64, 0, 15, 16, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(ReplicaState);

#define S fr_kafka_FetchPartition
static const fr_kafka_field FetchPartition_fields[] = {
    F(partition, INT32, 0, 0, 16, 127, 127, 0, NULL, 0),
    F(currentLeaderEpoch, INT32, 0, 9, 16, 127, 127, 0, NULL, -1),
    F(fetchOffset, INT64, 0, 0, 16, 127, 127, 0, NULL, 0),
    F(lastFetchedEpoch, INT32, 0, 12, 16, 127, 127, 0, NULL, -1),
    F(logStartOffset, INT64, 0, 5, 16, 127, 127, 0, NULL, -1),
    F(partitionMaxBytes, INT32, 0, 0, 16, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(FetchPartition);

#define S fr_kafka_FetchTopic
static const fr_kafka_field FetchTopic_fields[] = {
    F(topic, STRING, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(topicId, UUID, 0, 13, 16, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 16, 127, 127, 0, &fr_kafka_FetchPartition_shape, 0),
};
#undef S
SHAPE(FetchTopic);

#define S fr_kafka_ForgottenTopic
static const fr_kafka_field ForgottenTopic_fields[] = {
    F(topic, STRING, 0, 7, 12, 127, 127, 0, NULL, 0),
    F(topicId, UUID, 0, 13, 16, 127, 127, 0, NULL, 0),
    F(partitions, INT32, 1, 7, 16, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ForgottenTopic);

#define S fr_kafka_FetchRequest
static const fr_kafka_field FetchRequest_fields[] = {
    F(clusterId, STRING, 0, 12, 16, 12, 12, 0, NULL, 1),
    F(replicaId, INT32, 0, 0, 14, 127, 127, 0, NULL, -1),
    F(replicaState, STRUCT, 0, 15, 16, 127, 15, 1, &fr_kafka_ReplicaState_shape, 0),
    F(maxWaitMs, INT32, 0, 0, 16, 127, 127, 0, NULL, 0),
    F(minBytes, INT32, 0, 0, 16, 127, 127, 0, NULL, 0),
    F(maxBytes, INT32, 0, 3, 16, 127, 127, 0, NULL, 2147483647),
    F(isolationLevel, INT8, 0, 4, 16, 127, 127, 0, NULL, 0),
    F(sessionId, INT32, 0, 7, 16, 127, 127, 0, NULL, 0),
    F(sessionEpoch, INT32, 0, 7, 16, 127, 127, 0, NULL, -1),
    F(topics, STRUCT, 1, 0, 16, 127, 127, 0, &fr_kafka_FetchTopic_shape, 0),
    F(forgottenTopicsData, STRUCT, 1, 7, 16, 127, 127, 0, &fr_kafka_ForgottenTopic_shape, 0),
    F(rackId, STRING, 0, 11, 16, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(FetchRequest);

const fr_kafka_message fr_kafka_FetchRequest_message = {1, true, 4, 16, 12, &fr_kafka_FetchRequest_shape};

#define S fr_kafka_FetchResponse_EpochEndOffset
static const fr_kafka_field FetchResponse_EpochEndOffset_fields[] = {
    F(epoch, INT32, 0, 12, 16, 127, 127, 0, NULL, -1),
    F(endOffset, INT64, 0, 12, 16, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(FetchResponse_EpochEndOffset);

#define S fr_kafka_FetchResponse_LeaderIdAndEpoch
static const fr_kafka_field FetchResponse_LeaderIdAndEpoch_fields[] = {
    F(leaderId, INT32, 0, 12, 16, 127, 127, 0, NULL, -1),
    F(leaderEpoch, INT32, 0, 12, 16, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(FetchResponse_LeaderIdAndEpoch);

#define S fr_kafka_SnapshotId
static const fr_kafka_field SnapshotId_fields[] = {
    F(endOffset, INT64, 0, 0, 16, 127, 127, 0, NULL, -1),
    F(epoch, INT32, 0, 0, 16, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(SnapshotId);

#define S fr_kafka_AbortedTransaction
static const fr_kafka_field AbortedTransaction_fields[] = {
    F(producerId, INT64, 0, 4, 16, 127, 127, 0, NULL, 0),
    F(firstOffset, INT64, 0, 4, 16, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(AbortedTransaction);

#define S fr_kafka_PartitionData
static const fr_kafka_field PartitionData_fields[] = {
    F(partitionIndex, INT32, 0, 0, 16, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 16, 127, 127, 0, NULL, 0),
    F(highWatermark, INT64, 0, 0, 16, 127, 127, 0, NULL, 0),
    F(lastStableOffset, INT64, 0, 4, 16, 127, 127, 0, NULL, -1),
    F(logStartOffset, INT64, 0, 5, 16, 127, 127, 0, NULL, -1),
    F(divergingEpoch, STRUCT, 0, 12, 16, 127, 12, 0, &fr_kafka_FetchResponse_EpochEndOffset_shape, 0),
    F(currentLeader, STRUCT, 0, 12, 16, 127, 12, 1, &fr_kafka_FetchResponse_LeaderIdAndEpoch_shape, 0),
    F(snapshotId, STRUCT, 0, 12, 16, 127, 12, 2, &fr_kafka_SnapshotId_shape, 0),
    F(abortedTransactions, STRUCT, 1, 4, 16, 4, 127, 0, &fr_kafka_AbortedTransaction_shape, 0),
    F(preferredReadReplica, INT32, 0, 11, 16, 127, 127, 0, NULL, -1),
    F(records, RECORDS, 0, 0, 16, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(PartitionData);

#define S fr_kafka_FetchableTopicResponse
static const fr_kafka_field FetchableTopicResponse_fields[] = {
    F(topic, STRING, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(topicId, UUID, 0, 13, 16, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 16, 127, 127, 0, &fr_kafka_PartitionData_shape, 0),
};
#undef S
SHAPE(FetchableTopicResponse);

#define S fr_kafka_FetchResponse_NodeEndpoint
static const fr_kafka_field FetchResponse_NodeEndpoint_fields[] = {
    F(nodeId, INT32, 0, 16, 16, 127, 127, 0, NULL, 0),
    F(host, STRING, 0, 16, 16, 127, 127, 0, NULL, 0),
    F(port, INT32, 0, 16, 16, 127, 127, 0, NULL, 0),
    F(rack, STRING, 0, 16, 16, 16, 127, 0, NULL, 1),
};
#undef S
SHAPE(FetchResponse_NodeEndpoint);

#define S fr_kafka_FetchResponse
static const fr_kafka_field FetchResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 1, 16, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 7, 16, 127, 127, 0, NULL, 0),
    F(sessionId, INT32, 0, 7, 16, 127, 127, 0, NULL, 0),
    F(responses, STRUCT, 1, 0, 16, 127, 127, 0, &fr_kafka_FetchableTopicResponse_shape, 0),
    F(nodeEndpoints, STRUCT, 1, 16, 16, 127, 16, 0, &fr_kafka_FetchResponse_NodeEndpoint_shape, 0),
};
#undef S
SHAPE(FetchResponse);

const fr_kafka_message fr_kafka_FetchResponse_message = {1, false, 4, 16, 12, &fr_kafka_FetchResponse_shape};

#define S fr_kafka_ListOffsetsPartition
static const fr_kafka_field ListOffsetsPartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(currentLeaderEpoch, INT32, 0, 4, 9, 127, 127, 0, NULL, -1),
    F(timestamp, INT64, 0, 0, 9, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ListOffsetsPartition);

#define S fr_kafka_ListOffsetsTopic
static const fr_kafka_field ListOffsetsTopic_fields[] = {
    F(name, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_ListOffsetsPartition_shape, 0),
};
#undef S
SHAPE(ListOffsetsTopic);

#define S fr_kafka_ListOffsetsRequest
static const fr_kafka_field ListOffsetsRequest_fields[] = {
    F(replicaId, INT32, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(isolationLevel, INT8, 0, 2, 9, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_ListOffsetsTopic_shape, 0),
};
#undef S
SHAPE(ListOffsetsRequest);

const fr_kafka_message fr_kafka_ListOffsetsRequest_message = {2, true, 1, 9, 6, &fr_kafka_ListOffsetsRequest_shape};

#define S fr_kafka_ListOffsetsPartitionResponse
static const fr_kafka_field ListOffsetsPartitionResponse_fields[] = {
    F(partitionIndex, INT32, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(timestamp, INT64, 0, 1, 9, 127, 127, 0, NULL, -1),
    F(offset, INT64, 0, 1, 9, 127, 127, 0, NULL, -1),
    F(leaderEpoch, INT32, 0, 4, 9, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(ListOffsetsPartitionResponse);

#define S fr_kafka_ListOffsetsTopicResponse
static const fr_kafka_field ListOffsetsTopicResponse_fields[] = {
    F(name, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_ListOffsetsPartitionResponse_shape, 0),
};
#undef S
SHAPE(ListOffsetsTopicResponse);

#define S fr_kafka_ListOffsetsResponse
static const fr_kafka_field ListOffsetsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 2, 9, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_ListOffsetsTopicResponse_shape, 0),
};
#undef S
SHAPE(ListOffsetsResponse);

const fr_kafka_message fr_kafka_ListOffsetsResponse_message = {2, false, 1, 9, 6, &fr_kafka_ListOffsetsResponse_shape};

#define S fr_kafka_MetadataRequestTopic
static const fr_kafka_field MetadataRequestTopic_fields[] = {
    F(topicId, UUID, 0, 10, 12, 127, 127, 0, NULL, 0),
    F(name, STRING, 0, 0, 12, 10, 127, 0, NULL, 0),
};
#undef S
SHAPE(MetadataRequestTopic);

#define S fr_kafka_MetadataRequest
static const fr_kafka_field MetadataRequest_fields[] = {
    F(topics, STRUCT, 1, 0, 12, 1, 127, 0, &fr_kafka_MetadataRequestTopic_shape, 0),
    F(allowAutoTopicCreation, BOOL, 0, 4, 12, 127, 127, 0, NULL, 1),
    F(includeClusterAuthorizedOperations, BOOL, 0, 8, 10, 127, 127, 0, NULL, 0),
    F(includeTopicAuthorizedOperations, BOOL, 0, 8, 12, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(MetadataRequest);

const fr_kafka_message fr_kafka_MetadataRequest_message = {3, true, 0, 12, 9, &fr_kafka_MetadataRequest_shape};

#define S fr_kafka_MetadataResponseBroker
static const fr_kafka_field MetadataResponseBroker_fields[] = {
    F(nodeId, INT32, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(host, STRING, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(port, INT32, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(rack, STRING, 0, 1, 12, 1, 127, 0, NULL, 1),
};
#undef S
SHAPE(MetadataResponseBroker);

#define S fr_kafka_MetadataResponsePartition
static const fr_kafka_field MetadataResponsePartition_fields[] = {
    F(errorCode, INT16, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(partitionIndex, INT32, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(leaderId, INT32, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(leaderEpoch, INT32, 0, 7, 12, 127, 127, 0, NULL, -1),
    F(replicaNodes, INT32, 1, 0, 12, 127, 127, 0, NULL, 0),
    F(isrNodes, INT32, 1, 0, 12, 127, 127, 0, NULL, 0),
    F(offlineReplicas, INT32, 1, 5, 12, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(MetadataResponsePartition);

#define S fr_kafka_MetadataResponseTopic
static const fr_kafka_field MetadataResponseTopic_fields[] = {
    F(errorCode, INT16, 0, 0, 12, 127, 127, 0, NULL, 0),
    F(name, STRING, 0, 0, 12, 12, 127, 0, NULL, 0),
    F(topicId, UUID, 0, 10, 12, 127, 127, 0, NULL, 0),
    F(isInternal, BOOL, 0, 1, 12, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 12, 127, 127, 0, &fr_kafka_MetadataResponsePartition_shape, 0),
    F(topicAuthorizedOperations, INT32, 0, 8, 12, 127, 127, 0, NULL, -2147483648),
};
#undef S
SHAPE(MetadataResponseTopic);

#define S fr_kafka_MetadataResponse
static const fr_kafka_field MetadataResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 3, 12, 127, 127, 0, NULL, 0),
    F(brokers, STRUCT, 1, 0, 12, 127, 127, 0, &fr_kafka_MetadataResponseBroker_shape, 0),
    F(clusterId, STRING, 0, 2, 12, 2, 127, 0, NULL, 1),
    F(controllerId, INT32, 0, 1, 12, 127, 127, 0, NULL, -1),
    F(topics, STRUCT, 1, 0, 12, 127, 127, 0, &fr_kafka_MetadataResponseTopic_shape, 0),
    F(clusterAuthorizedOperations, INT32, 0, 8, 10, 127, 127, 0, NULL, -2147483648),
};
#undef S
SHAPE(MetadataResponse);

const fr_kafka_message fr_kafka_MetadataResponse_message = {3, false, 0, 12, 9, &fr_kafka_MetadataResponse_shape};

#define S fr_kafka_OffsetCommitRequestPartition
static const fr_kafka_field OffsetCommitRequestPartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(committedOffset, INT64, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(committedLeaderEpoch, INT32, 0, 6, 9, 127, 127, 0, NULL, -1),
    F(committedMetadata, STRING, 0, 0, 9, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetCommitRequestPartition);

#define S fr_kafka_OffsetCommitRequestTopic
static const fr_kafka_field OffsetCommitRequestTopic_fields[] = {
    F(name, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_OffsetCommitRequestPartition_shape, 0),
};
#undef S
SHAPE(OffsetCommitRequestTopic);

#define S fr_kafka_OffsetCommitRequest
static const fr_kafka_field OffsetCommitRequest_fields[] = {
    F(groupId, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(generationIdOrMemberEpoch, INT32, 0, 1, 9, 127, 127, 0, NULL, -1),
    F(memberId, STRING, 0, 1, 9, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 7, 9, 7, 127, 0, NULL, 1),
    F(retentionTimeMs, INT64, 0, 2, 4, 127, 127, 0, NULL, -1),
    F(topics, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_OffsetCommitRequestTopic_shape, 0),
};
#undef S
SHAPE(OffsetCommitRequest);

const fr_kafka_message fr_kafka_OffsetCommitRequest_message = {8, true, 2, 9, 8, &fr_kafka_OffsetCommitRequest_shape};

#define S fr_kafka_OffsetCommitResponsePartition
static const fr_kafka_field OffsetCommitResponsePartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 9, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetCommitResponsePartition);

#define S fr_kafka_OffsetCommitResponseTopic
static const fr_kafka_field OffsetCommitResponseTopic_fields[] = {
    F(name, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_OffsetCommitResponsePartition_shape, 0),
};
#undef S
SHAPE(OffsetCommitResponseTopic);

#define S fr_kafka_OffsetCommitResponse
static const fr_kafka_field OffsetCommitResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 3, 9, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_OffsetCommitResponseTopic_shape, 0),
};
#undef S
SHAPE(OffsetCommitResponse);

const fr_kafka_message fr_kafka_OffsetCommitResponse_message = {8, false, 2, 9, 8, &fr_kafka_OffsetCommitResponse_shape};

#define S fr_kafka_OffsetFetchRequestTopic
static const fr_kafka_field OffsetFetchRequestTopic_fields[] = {
    F(name, STRING, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(partitionIndexes, INT32, 1, 0, 7, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetFetchRequestTopic);

#define S fr_kafka_OffsetFetchRequestTopics
static const fr_kafka_field OffsetFetchRequestTopics_fields[] = {
    F(name, STRING, 0, 8, 9, 127, 127, 0, NULL, 0),
    F(partitionIndexes, INT32, 1, 8, 9, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetFetchRequestTopics);

#define S fr_kafka_OffsetFetchRequestGroup
static const fr_kafka_field OffsetFetchRequestGroup_fields[] = {
    F(groupId, STRING, 0, 8, 9, 127, 127, 0, NULL, 0),
    F(memberId, STRING, 0, 9, 9, 9, 127, 0, NULL, 1),
    F(memberEpoch, INT32, 0, 9, 9, 127, 127, 0, NULL, -1),
    F(topics, STRUCT, 1, 8, 9, 8, 127, 0, &fr_kafka_OffsetFetchRequestTopics_shape, 0),
};
#undef S
SHAPE(OffsetFetchRequestGroup);

#define S fr_kafka_OffsetFetchRequest
static const fr_kafka_field OffsetFetchRequest_fields[] = {
    F(groupId, STRING, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 7, 2, 127, 0, &fr_kafka_OffsetFetchRequestTopic_shape, 0),
    F(groups, STRUCT, 1, 8, 9, 127, 127, 0, &fr_kafka_OffsetFetchRequestGroup_shape, 0),
    F(requireStable, BOOL, 0, 7, 9, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetFetchRequest);

const fr_kafka_message fr_kafka_OffsetFetchRequest_message = {9, true, 1, 9, 6, &fr_kafka_OffsetFetchRequest_shape};

#define S fr_kafka_OffsetFetchResponsePartition
static const fr_kafka_field OffsetFetchResponsePartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(committedOffset, INT64, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(committedLeaderEpoch, INT32, 0, 5, 7, 127, 127, 0, NULL, -1),
    F(metadata, STRING, 0, 0, 7, 0, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 7, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetFetchResponsePartition);

#define S fr_kafka_OffsetFetchResponseTopic
static const fr_kafka_field OffsetFetchResponseTopic_fields[] = {
    F(name, STRING, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 7, 127, 127, 0, &fr_kafka_OffsetFetchResponsePartition_shape, 0),
};
#undef S
SHAPE(OffsetFetchResponseTopic);

#define S fr_kafka_OffsetFetchResponsePartitions
static const fr_kafka_field OffsetFetchResponsePartitions_fields[] = {
    F(partitionIndex, INT32, 0, 8, 9, 127, 127, 0, NULL, 0),
    F(committedOffset, INT64, 0, 8, 9, 127, 127, 0, NULL, 0),
    F(committedLeaderEpoch, INT32, 0, 8, 9, 127, 127, 0, NULL, -1),
    F(metadata, STRING, 0, 8, 9, 8, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 8, 9, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetFetchResponsePartitions);

#define S fr_kafka_OffsetFetchResponseTopics
static const fr_kafka_field OffsetFetchResponseTopics_fields[] = {
    F(name, STRING, 0, 8, 9, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 8, 9, 127, 127, 0, &fr_kafka_OffsetFetchResponsePartitions_shape, 0),
};
#undef S
SHAPE(OffsetFetchResponseTopics);

#define S fr_kafka_OffsetFetchResponseGroup
static const fr_kafka_field OffsetFetchResponseGroup_fields[] = {
    F(groupId, STRING, 0, 8, 9, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 8, 9, 127, 127, 0, &fr_kafka_OffsetFetchResponseTopics_shape, 0),
    F(errorCode, INT16, 0, 8, 9, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetFetchResponseGroup);

#define S fr_kafka_OffsetFetchResponse
static const fr_kafka_field OffsetFetchResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 3, 9, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 7, 127, 127, 0, &fr_kafka_OffsetFetchResponseTopic_shape, 0),
    F(errorCode, INT16, 0, 2, 7, 127, 127, 0, NULL, 0),
    F(groups, STRUCT, 1, 8, 9, 127, 127, 0, &fr_kafka_OffsetFetchResponseGroup_shape, 0),
};
#undef S
SHAPE(OffsetFetchResponse);

const fr_kafka_message fr_kafka_OffsetFetchResponse_message = {9, false, 1, 9, 6, &fr_kafka_OffsetFetchResponse_shape};

#define S fr_kafka_FindCoordinatorRequest
static const fr_kafka_field FindCoordinatorRequest_fields[] = {
    F(key, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(keyType, INT8, 0, 1, 4, 127, 127, 0, NULL, 0),
    F(coordinatorKeys, STRING, 1, 4, 4, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(FindCoordinatorRequest);

const fr_kafka_message fr_kafka_FindCoordinatorRequest_message = {10, true, 0, 4, 3, &fr_kafka_FindCoordinatorRequest_shape};

#define S fr_kafka_Coordinator
static const fr_kafka_field Coordinator_fields[] = {
    F(key, STRING, 0, 4, 4, 127, 127, 0, NULL, 0),
    F(nodeId, INT32, 0, 4, 4, 127, 127, 0, NULL, 0),
    F(host, STRING, 0, 4, 4, 127, 127, 0, NULL, 0),
    F(port, INT32, 0, 4, 4, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 4, 4, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 4, 4, 4, 127, 0, NULL, 0),
};
#undef S
SHAPE(Coordinator);

#define S fr_kafka_FindCoordinatorResponse
static const fr_kafka_field FindCoordinatorResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 1, 4, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 1, 3, 1, 127, 0, NULL, 0),
    F(nodeId, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(host, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(port, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(coordinators, STRUCT, 1, 4, 4, 127, 127, 0, &fr_kafka_Coordinator_shape, 0),
};
#undef S
SHAPE(FindCoordinatorResponse);

const fr_kafka_message fr_kafka_FindCoordinatorResponse_message = {10, false, 0, 4, 3, &fr_kafka_FindCoordinatorResponse_shape};

#define S fr_kafka_JoinGroupRequestProtocol
static const fr_kafka_field JoinGroupRequestProtocol_fields[] = {
    F(name, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(metadata, BYTES, 0, 0, 9, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(JoinGroupRequestProtocol);

#define S fr_kafka_JoinGroupRequest
static const fr_kafka_field JoinGroupRequest_fields[] = {
    F(groupId, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(sessionTimeoutMs, INT32, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(rebalanceTimeoutMs, INT32, 0, 1, 9, 127, 127, 0, NULL, -1),
    F(memberId, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 5, 9, 5, 127, 0, NULL, 1),
    F(protocolType, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(protocols, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_JoinGroupRequestProtocol_shape, 0),
    F(reason, STRING, 0, 8, 9, 8, 127, 0, NULL, 1),
};
#undef S
SHAPE(JoinGroupRequest);

const fr_kafka_message fr_kafka_JoinGroupRequest_message = {11, true, 0, 9, 6, &fr_kafka_JoinGroupRequest_shape};

#define S fr_kafka_JoinGroupResponseMember
static const fr_kafka_field JoinGroupResponseMember_fields[] = {
    F(memberId, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 5, 9, 5, 127, 0, NULL, 1),
    F(metadata, BYTES, 0, 0, 9, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(JoinGroupResponseMember);

#define S fr_kafka_JoinGroupResponse
static const fr_kafka_field JoinGroupResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 2, 9, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(generationId, INT32, 0, 0, 9, 127, 127, 0, NULL, -1),
    F(protocolType, STRING, 0, 7, 9, 7, 127, 0, NULL, 1),
    F(protocolName, STRING, 0, 0, 9, 7, 127, 0, NULL, 0),
    F(leader, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(skipAssignment, BOOL, 0, 9, 9, 127, 127, 0, NULL, 0),
    F(memberId, STRING, 0, 0, 9, 127, 127, 0, NULL, 0),
    F(members, STRUCT, 1, 0, 9, 127, 127, 0, &fr_kafka_JoinGroupResponseMember_shape, 0),
};
#undef S
SHAPE(JoinGroupResponse);

const fr_kafka_message fr_kafka_JoinGroupResponse_message = {11, false, 0, 9, 6, &fr_kafka_JoinGroupResponse_shape};

#define S fr_kafka_HeartbeatRequest
static const fr_kafka_field HeartbeatRequest_fields[] = {
    F(groupId, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(generationId, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(memberId, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 3, 4, 3, 127, 0, NULL, 1),
};
#undef S
SHAPE(HeartbeatRequest);

const fr_kafka_message fr_kafka_HeartbeatRequest_message = {12, true, 0, 4, 4, &fr_kafka_HeartbeatRequest_shape};

#define S fr_kafka_HeartbeatResponse
static const fr_kafka_field HeartbeatResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 1, 4, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 4, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(HeartbeatResponse);

const fr_kafka_message fr_kafka_HeartbeatResponse_message = {12, false, 0, 4, 4, &fr_kafka_HeartbeatResponse_shape};

#define S fr_kafka_MemberIdentity
static const fr_kafka_field MemberIdentity_fields[] = {
    F(memberId, STRING, 0, 3, 5, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 3, 5, 3, 127, 0, NULL, 1),
    F(reason, STRING, 0, 5, 5, 5, 127, 0, NULL, 1),
};
#undef S
SHAPE(MemberIdentity);

#define S fr_kafka_LeaveGroupRequest
static const fr_kafka_field LeaveGroupRequest_fields[] = {
    F(groupId, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(memberId, STRING, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(members, STRUCT, 1, 3, 5, 127, 127, 0, &fr_kafka_MemberIdentity_shape, 0),
};
#undef S
SHAPE(LeaveGroupRequest);

const fr_kafka_message fr_kafka_LeaveGroupRequest_message = {13, true, 0, 5, 4, &fr_kafka_LeaveGroupRequest_shape};

#define S fr_kafka_MemberResponse
static const fr_kafka_field MemberResponse_fields[] = {
    F(memberId, STRING, 0, 3, 5, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 3, 5, 3, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 3, 5, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(MemberResponse);

#define S fr_kafka_LeaveGroupResponse
static const fr_kafka_field LeaveGroupResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 1, 5, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(members, STRUCT, 1, 3, 5, 127, 127, 0, &fr_kafka_MemberResponse_shape, 0),
};
#undef S
SHAPE(LeaveGroupResponse);

const fr_kafka_message fr_kafka_LeaveGroupResponse_message = {13, false, 0, 5, 4, &fr_kafka_LeaveGroupResponse_shape};

#define S fr_kafka_SyncGroupRequestAssignment
static const fr_kafka_field SyncGroupRequestAssignment_fields[] = {
    F(memberId, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(assignment, BYTES, 0, 0, 5, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(SyncGroupRequestAssignment);

#define S fr_kafka_SyncGroupRequest
static const fr_kafka_field SyncGroupRequest_fields[] = {
    F(groupId, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(generationId, INT32, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(memberId, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 3, 5, 3, 127, 0, NULL, 1),
    F(protocolType, STRING, 0, 5, 5, 5, 127, 0, NULL, 1),
    F(protocolName, STRING, 0, 5, 5, 5, 127, 0, NULL, 1),
    F(assignments, STRUCT, 1, 0, 5, 127, 127, 0, &fr_kafka_SyncGroupRequestAssignment_shape, 0),
};
#undef S
SHAPE(SyncGroupRequest);

const fr_kafka_message fr_kafka_SyncGroupRequest_message = {14, true, 0, 5, 4, &fr_kafka_SyncGroupRequest_shape};

#define S fr_kafka_SyncGroupResponse
static const fr_kafka_field SyncGroupResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 1, 5, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(protocolType, STRING, 0, 5, 5, 5, 127, 0, NULL, 1),
    F(protocolName, STRING, 0, 5, 5, 5, 127, 0, NULL, 1),
    F(assignment, BYTES, 0, 0, 5, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(SyncGroupResponse);

const fr_kafka_message fr_kafka_SyncGroupResponse_message = {14, false, 0, 5, 4, &fr_kafka_SyncGroupResponse_shape};

#define S fr_kafka_DescribeGroupsRequest
static const fr_kafka_field DescribeGroupsRequest_fields[] = {
    F(groups, STRING, 1, 0, 5, 127, 127, 0, NULL, 0),
    F(includeAuthorizedOperations, BOOL, 0, 3, 5, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeGroupsRequest);

const fr_kafka_message fr_kafka_DescribeGroupsRequest_message = {15, true, 0, 5, 5, &fr_kafka_DescribeGroupsRequest_shape};

#define S fr_kafka_DescribedGroupMember
static const fr_kafka_field DescribedGroupMember_fields[] = {
    F(memberId, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 4, 5, 4, 127, 0, NULL, 1),
    F(clientId, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(clientHost, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(memberMetadata, BYTES, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(memberAssignment, BYTES, 0, 0, 5, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribedGroupMember);

#define S fr_kafka_DescribedGroup
static const fr_kafka_field DescribedGroup_fields[] = {
    F(errorCode, INT16, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(groupId, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(groupState, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(protocolType, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(protocolData, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(members, STRUCT, 1, 0, 5, 127, 127, 0, &fr_kafka_DescribedGroupMember_shape, 0),
    F(authorizedOperations, INT32, 0, 3, 5, 127, 127, 0, NULL, -2147483648),
};
#undef S
SHAPE(DescribedGroup);

#define S fr_kafka_DescribeGroupsResponse
static const fr_kafka_field DescribeGroupsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 1, 5, 127, 127, 0, NULL, 0),
    F(groups, STRUCT, 1, 0, 5, 127, 127, 0, &fr_kafka_DescribedGroup_shape, 0),
};
#undef S
SHAPE(DescribeGroupsResponse);

const fr_kafka_message fr_kafka_DescribeGroupsResponse_message = {15, false, 0, 5, 5, &fr_kafka_DescribeGroupsResponse_shape};

#define S fr_kafka_ListGroupsRequest
static const fr_kafka_field ListGroupsRequest_fields[] = {
    F(statesFilter, STRING, 1, 4, 5, 127, 127, 0, NULL, 0),
    F(typesFilter, STRING, 1, 5, 5, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ListGroupsRequest);

const fr_kafka_message fr_kafka_ListGroupsRequest_message = {16, true, 0, 5, 3, &fr_kafka_ListGroupsRequest_shape};

#define S fr_kafka_ListedGroup
static const fr_kafka_field ListedGroup_fields[] = {
    F(groupId, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(protocolType, STRING, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(groupState, STRING, 0, 4, 5, 127, 127, 0, NULL, 0),
    F(groupType, STRING, 0, 5, 5, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ListedGroup);

#define S fr_kafka_ListGroupsResponse
static const fr_kafka_field ListGroupsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 1, 5, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 5, 127, 127, 0, NULL, 0),
    F(groups, STRUCT, 1, 0, 5, 127, 127, 0, &fr_kafka_ListedGroup_shape, 0),
};
#undef S
SHAPE(ListGroupsResponse);

const fr_kafka_message fr_kafka_ListGroupsResponse_message = {16, false, 0, 5, 3, &fr_kafka_ListGroupsResponse_shape};

#define S fr_kafka_SaslHandshakeRequest
static const fr_kafka_field SaslHandshakeRequest_fields[] = {
    F(mechanism, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(SaslHandshakeRequest);

const fr_kafka_message fr_kafka_SaslHandshakeRequest_message = {17, true, 0, 1, 127, &fr_kafka_SaslHandshakeRequest_shape};

#define S fr_kafka_SaslHandshakeResponse
static const fr_kafka_field SaslHandshakeResponse_fields[] = {
    F(errorCode, INT16, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(mechanisms, STRING, 1, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(SaslHandshakeResponse);

const fr_kafka_message fr_kafka_SaslHandshakeResponse_message = {17, false, 0, 1, 127, &fr_kafka_SaslHandshakeResponse_shape};

#define S fr_kafka_ApiVersionsRequest
static const fr_kafka_field ApiVersionsRequest_fields[] = {
    F(clientSoftwareName, STRING, 0, 3, 3, 127, 127, 0, NULL, 0),
    F(clientSoftwareVersion, STRING, 0, 3, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ApiVersionsRequest);

const fr_kafka_message fr_kafka_ApiVersionsRequest_message = {18, true, 0, 3, 3, &fr_kafka_ApiVersionsRequest_shape};

#define S fr_kafka_ApiVersion
static const fr_kafka_field ApiVersion_fields[] = {
    F(apiKey, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(minVersion, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(maxVersion, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ApiVersion);

#define S fr_kafka_SupportedFeatureKey
static const fr_kafka_field SupportedFeatureKey_fields[] = {
    F(name, STRING, 0, 3, 3, 127, 127, 0, NULL, 0),
    F(minVersion, INT16, 0, 3, 3, 127, 127, 0, NULL, 0),
    F(maxVersion, INT16, 0, 3, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(SupportedFeatureKey);

#define S fr_kafka_FinalizedFeatureKey
static const fr_kafka_field FinalizedFeatureKey_fields[] = {
    F(name, STRING, 0, 3, 3, 127, 127, 0, NULL, 0),
    F(maxVersionLevel, INT16, 0, 3, 3, 127, 127, 0, NULL, 0),
    F(minVersionLevel, INT16, 0, 3, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(FinalizedFeatureKey);

#define S fr_kafka_ApiVersionsResponse
static const fr_kafka_field ApiVersionsResponse_fields[] = {
    F(errorCode, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(apiKeys, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_ApiVersion_shape, 0),
    F(throttleTimeMs, INT32, 0, 1, 3, 127, 127, 0, NULL, 0),
    F(supportedFeatures, STRUCT, 1, 3, 3, 127, 3, 0, &fr_kafka_SupportedFeatureKey_shape, 0),
    F(finalizedFeaturesEpoch, INT64, 0, 3, 3, 127, 3, 1, NULL, -1),
    F(finalizedFeatures, STRUCT, 1, 3, 3, 127, 3, 2, &fr_kafka_FinalizedFeatureKey_shape, 0),
    F(zkMigrationReady, BOOL, 0, 3, 3, 127, 3, 3, NULL, 0),
};
#undef S
SHAPE(ApiVersionsResponse);

const fr_kafka_message fr_kafka_ApiVersionsResponse_message = {18, false, 0, 3, 3, &fr_kafka_ApiVersionsResponse_shape};

#define S fr_kafka_CreatableReplicaAssignment
static const fr_kafka_field CreatableReplicaAssignment_fields[] = {
    F(partitionIndex, INT32, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(brokerIds, INT32, 1, 0, 7, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(CreatableReplicaAssignment);

#define S fr_kafka_CreatableTopicConfig
static const fr_kafka_field CreatableTopicConfig_fields[] = {
    F(name, STRING, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(value, STRING, 0, 0, 7, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(CreatableTopicConfig);

#define S fr_kafka_CreatableTopic
static const fr_kafka_field CreatableTopic_fields[] = {
    F(name, STRING, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(numPartitions, INT32, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(replicationFactor, INT16, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(assignments, STRUCT, 1, 0, 7, 127, 127, 0, &fr_kafka_CreatableReplicaAssignment_shape, 0),
    F(configs, STRUCT, 1, 0, 7, 127, 127, 0, &fr_kafka_CreatableTopicConfig_shape, 0),
};
#undef S
SHAPE(CreatableTopic);

#define S fr_kafka_CreateTopicsRequest
static const fr_kafka_field CreateTopicsRequest_fields[] = {
    F(topics, STRUCT, 1, 0, 7, 127, 127, 0, &fr_kafka_CreatableTopic_shape, 0),
    F(timeoutMs, INT32, 0, 0, 7, 127, 127, 0, NULL, 60000),
    F(validateOnly, BOOL, 0, 1, 7, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(CreateTopicsRequest);

const fr_kafka_message fr_kafka_CreateTopicsRequest_message = {19, true, 2, 7, 5, &fr_kafka_CreateTopicsRequest_shape};

#define S fr_kafka_CreatableTopicConfigs
static const fr_kafka_field CreatableTopicConfigs_fields[] = {
    F(name, STRING, 0, 5, 7, 127, 127, 0, NULL, 0),
    F(value, STRING, 0, 5, 7, 5, 127, 0, NULL, 0),
    F(readOnly, BOOL, 0, 5, 7, 127, 127, 0, NULL, 0),
    F(configSource, INT8, 0, 5, 7, 127, 127, 0, NULL, -1),
    F(isSensitive, BOOL, 0, 5, 7, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(CreatableTopicConfigs);

#define S fr_kafka_CreatableTopicResult
static const fr_kafka_field CreatableTopicResult_fields[] = {
    F(name, STRING, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(topicId, UUID, 0, 7, 7, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 7, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 1, 7, 0, 127, 0, NULL, 0),
    F(topicConfigErrorCode, INT16, 0, 5, 7, 127, 5, 0, NULL, 0),
    F(numPartitions, INT32, 0, 5, 7, 127, 127, 0, NULL, -1),
    F(replicationFactor, INT16, 0, 5, 7, 127, 127, 0, NULL, -1),
    F(configs, STRUCT, 1, 5, 7, 5, 127, 0, &fr_kafka_CreatableTopicConfigs_shape, 0),
};
#undef S
SHAPE(CreatableTopicResult);

#define S fr_kafka_CreateTopicsResponse
static const fr_kafka_field CreateTopicsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 2, 7, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 7, 127, 127, 0, &fr_kafka_CreatableTopicResult_shape, 0),
};
#undef S
SHAPE(CreateTopicsResponse);

const fr_kafka_message fr_kafka_CreateTopicsResponse_message = {19, false, 2, 7, 5, &fr_kafka_CreateTopicsResponse_shape};

#define S fr_kafka_DeleteTopicState
static const fr_kafka_field DeleteTopicState_fields[] = {
    F(name, STRING, 0, 6, 6, 6, 127, 0, NULL, 1),
    F(topicId, UUID, 0, 6, 6, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DeleteTopicState);

#define S fr_kafka_DeleteTopicsRequest
static const fr_kafka_field DeleteTopicsRequest_fields[] = {
    F(topics, STRUCT, 1, 6, 6, 127, 127, 0, &fr_kafka_DeleteTopicState_shape, 0),
    F(topicNames, STRING, 1, 0, 5, 127, 127, 0, NULL, 0),
    F(timeoutMs, INT32, 0, 0, 6, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DeleteTopicsRequest);

const fr_kafka_message fr_kafka_DeleteTopicsRequest_message = {20, true, 1, 6, 4, &fr_kafka_DeleteTopicsRequest_shape};

#define S fr_kafka_DeletableTopicResult
static const fr_kafka_field DeletableTopicResult_fields[] = {
    F(name, STRING, 0, 0, 6, 6, 127, 0, NULL, 0),
    F(topicId, UUID, 0, 6, 6, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 6, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 5, 6, 5, 127, 0, NULL, 1),
};
#undef S
SHAPE(DeletableTopicResult);

#define S fr_kafka_DeleteTopicsResponse
static const fr_kafka_field DeleteTopicsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 1, 6, 127, 127, 0, NULL, 0),
    F(responses, STRUCT, 1, 0, 6, 127, 127, 0, &fr_kafka_DeletableTopicResult_shape, 0),
};
#undef S
SHAPE(DeleteTopicsResponse);

const fr_kafka_message fr_kafka_DeleteTopicsResponse_message = {20, false, 1, 6, 4, &fr_kafka_DeleteTopicsResponse_shape};

#define S fr_kafka_DeleteRecordsPartition
static const fr_kafka_field DeleteRecordsPartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(offset, INT64, 0, 0, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DeleteRecordsPartition);

#define S fr_kafka_DeleteRecordsTopic
static const fr_kafka_field DeleteRecordsTopic_fields[] = {
    F(name, STRING, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 2, 127, 127, 0, &fr_kafka_DeleteRecordsPartition_shape, 0),
};
#undef S
SHAPE(DeleteRecordsTopic);

#define S fr_kafka_DeleteRecordsRequest
static const fr_kafka_field DeleteRecordsRequest_fields[] = {
    F(topics, STRUCT, 1, 0, 2, 127, 127, 0, &fr_kafka_DeleteRecordsTopic_shape, 0),
    F(timeoutMs, INT32, 0, 0, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DeleteRecordsRequest);

const fr_kafka_message fr_kafka_DeleteRecordsRequest_message = {21, true, 0, 2, 2, &fr_kafka_DeleteRecordsRequest_shape};

#define S fr_kafka_DeleteRecordsPartitionResult
static const fr_kafka_field DeleteRecordsPartitionResult_fields[] = {
    F(partitionIndex, INT32, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(lowWatermark, INT64, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DeleteRecordsPartitionResult);

#define S fr_kafka_DeleteRecordsTopicResult
static const fr_kafka_field DeleteRecordsTopicResult_fields[] = {
    F(name, STRING, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 2, 127, 127, 0, &fr_kafka_DeleteRecordsPartitionResult_shape, 0),
};
#undef S
SHAPE(DeleteRecordsTopicResult);

#define S fr_kafka_DeleteRecordsResponse
static const fr_kafka_field DeleteRecordsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 2, 127, 127, 0, &fr_kafka_DeleteRecordsTopicResult_shape, 0),
};
#undef S
SHAPE(DeleteRecordsResponse);

const fr_kafka_message fr_kafka_DeleteRecordsResponse_message = {21, false, 0, 2, 2, &fr_kafka_DeleteRecordsResponse_shape};

#define S fr_kafka_InitProducerIdRequest
static const fr_kafka_field InitProducerIdRequest_fields[] = {
    F(transactionalId, STRING, 0, 0, 4, 0, 127, 0, NULL, 0),
    F(transactionTimeoutMs, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(producerId, INT64, 0, 3, 4, 127, 127, 0, NULL, -1),
    F(producerEpoch, INT16, 0, 3, 4, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(InitProducerIdRequest);

const fr_kafka_message fr_kafka_InitProducerIdRequest_message = {22, true, 0, 4, 2, &fr_kafka_InitProducerIdRequest_shape};

#define S fr_kafka_InitProducerIdResponse
static const fr_kafka_field InitProducerIdResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(producerId, INT64, 0, 0, 4, 127, 127, 0, NULL, -1),
    F(producerEpoch, INT16, 0, 0, 4, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(InitProducerIdResponse);

const fr_kafka_message fr_kafka_InitProducerIdResponse_message = {22, false, 0, 4, 2, &fr_kafka_InitProducerIdResponse_shape};

#define S fr_kafka_OffsetForLeaderPartition
static const fr_kafka_field OffsetForLeaderPartition_fields[] = {
    F(partition, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(currentLeaderEpoch, INT32, 0, 2, 4, 127, 127, 0, NULL, -1),
    F(leaderEpoch, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetForLeaderPartition);

#define S fr_kafka_OffsetForLeaderTopic
static const fr_kafka_field OffsetForLeaderTopic_fields[] = {
    F(topic, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_OffsetForLeaderPartition_shape, 0),
};
#undef S
SHAPE(OffsetForLeaderTopic);

#define S fr_kafka_OffsetForLeaderEpochRequest
static const fr_kafka_field OffsetForLeaderEpochRequest_fields[] = {
    F(replicaId, INT32, 0, 3, 4, 127, 127, 0, NULL, -2),
    F(topics, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_OffsetForLeaderTopic_shape, 0),
};
#undef S
SHAPE(OffsetForLeaderEpochRequest);

const fr_kafka_message fr_kafka_OffsetForLeaderEpochRequest_message = {23, true, 2, 4, 4, &fr_kafka_OffsetForLeaderEpochRequest_shape};

#define S fr_kafka_OffsetForLeaderEpochResponse_EpochEndOffset
static const fr_kafka_field OffsetForLeaderEpochResponse_EpochEndOffset_fields[] = {
    F(errorCode, INT16, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(partition, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(leaderEpoch, INT32, 0, 1, 4, 127, 127, 0, NULL, -1),
    F(endOffset, INT64, 0, 0, 4, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(OffsetForLeaderEpochResponse_EpochEndOffset);

#define S fr_kafka_OffsetForLeaderTopicResult
static const fr_kafka_field OffsetForLeaderTopicResult_fields[] = {
    F(topic, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_OffsetForLeaderEpochResponse_EpochEndOffset_shape, 0),
};
#undef S
SHAPE(OffsetForLeaderTopicResult);

#define S fr_kafka_OffsetForLeaderEpochResponse
static const fr_kafka_field OffsetForLeaderEpochResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 2, 4, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_OffsetForLeaderTopicResult_shape, 0),
};
#undef S
SHAPE(OffsetForLeaderEpochResponse);

const fr_kafka_message fr_kafka_OffsetForLeaderEpochResponse_message = {23, false, 2, 4, 4, &fr_kafka_OffsetForLeaderEpochResponse_shape};

#define S fr_kafka_AddPartitionsToTxnTopic
static const fr_kafka_field AddPartitionsToTxnTopic_fields[] = {
    F(name, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(partitions, INT32, 1, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(AddPartitionsToTxnTopic);

#define S fr_kafka_AddPartitionsToTxnRequest
static const fr_kafka_field AddPartitionsToTxnRequest_fields[] = {
    F(v3AndBelowTransactionalId, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(v3AndBelowProducerId, INT64, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(v3AndBelowProducerEpoch, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(v3AndBelowTopics, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_AddPartitionsToTxnTopic_shape, 0),
};
#undef S
SHAPE(AddPartitionsToTxnRequest);

const fr_kafka_message fr_kafka_AddPartitionsToTxnRequest_message = {24, true, 0, 3, 3, &fr_kafka_AddPartitionsToTxnRequest_shape};

#define S fr_kafka_AddPartitionsToTxnPartitionResult
static const fr_kafka_field AddPartitionsToTxnPartitionResult_fields[] = {
    F(partitionIndex, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(partitionErrorCode, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(AddPartitionsToTxnPartitionResult);

#define S fr_kafka_AddPartitionsToTxnTopicResult
static const fr_kafka_field AddPartitionsToTxnTopicResult_fields[] = {
    F(name, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(resultsByPartition, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_AddPartitionsToTxnPartitionResult_shape, 0),
};
#undef S
SHAPE(AddPartitionsToTxnTopicResult);

#define S fr_kafka_AddPartitionsToTxnResponse
static const fr_kafka_field AddPartitionsToTxnResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(resultsByTopicV3AndBelow, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_AddPartitionsToTxnTopicResult_shape, 0),
};
#undef S
SHAPE(AddPartitionsToTxnResponse);

const fr_kafka_message fr_kafka_AddPartitionsToTxnResponse_message = {24, false, 0, 3, 3, &fr_kafka_AddPartitionsToTxnResponse_shape};

#define S fr_kafka_AddOffsetsToTxnRequest
static const fr_kafka_field AddOffsetsToTxnRequest_fields[] = {
    F(transactionalId, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(producerId, INT64, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(producerEpoch, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(groupId, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(AddOffsetsToTxnRequest);

const fr_kafka_message fr_kafka_AddOffsetsToTxnRequest_message = {25, true, 0, 3, 3, &fr_kafka_AddOffsetsToTxnRequest_shape};

#define S fr_kafka_AddOffsetsToTxnResponse
static const fr_kafka_field AddOffsetsToTxnResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(AddOffsetsToTxnResponse);

const fr_kafka_message fr_kafka_AddOffsetsToTxnResponse_message = {25, false, 0, 3, 3, &fr_kafka_AddOffsetsToTxnResponse_shape};

#define S fr_kafka_EndTxnRequest
static const fr_kafka_field EndTxnRequest_fields[] = {
    F(transactionalId, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(producerId, INT64, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(producerEpoch, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(committed, BOOL, 0, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(EndTxnRequest);

const fr_kafka_message fr_kafka_EndTxnRequest_message = {26, true, 0, 3, 3, &fr_kafka_EndTxnRequest_shape};

#define S fr_kafka_EndTxnResponse
static const fr_kafka_field EndTxnResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(EndTxnResponse);

const fr_kafka_message fr_kafka_EndTxnResponse_message = {26, false, 0, 3, 3, &fr_kafka_EndTxnResponse_shape};

#define S fr_kafka_TxnOffsetCommitRequestPartition
static const fr_kafka_field TxnOffsetCommitRequestPartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(committedOffset, INT64, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(committedLeaderEpoch, INT32, 0, 2, 3, 127, 127, 0, NULL, -1),
    F(committedMetadata, STRING, 0, 0, 3, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(TxnOffsetCommitRequestPartition);

#define S fr_kafka_TxnOffsetCommitRequestTopic
static const fr_kafka_field TxnOffsetCommitRequestTopic_fields[] = {
    F(name, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_TxnOffsetCommitRequestPartition_shape, 0),
};
#undef S
SHAPE(TxnOffsetCommitRequestTopic);

#define S fr_kafka_TxnOffsetCommitRequest
static const fr_kafka_field TxnOffsetCommitRequest_fields[] = {
    F(transactionalId, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(groupId, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(producerId, INT64, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(producerEpoch, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(generationId, INT32, 0, 3, 3, 127, 127, 0, NULL, -1),
    F(memberId, STRING, 0, 3, 3, 127, 127, 0, NULL, 0),
    F(groupInstanceId, STRING, 0, 3, 3, 3, 127, 0, NULL, 1),
    F(topics, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_TxnOffsetCommitRequestTopic_shape, 0),
};
#undef S
SHAPE(TxnOffsetCommitRequest);

const fr_kafka_message fr_kafka_TxnOffsetCommitRequest_message = {28, true, 0, 3, 3, &fr_kafka_TxnOffsetCommitRequest_shape};

#define S fr_kafka_TxnOffsetCommitResponsePartition
static const fr_kafka_field TxnOffsetCommitResponsePartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(TxnOffsetCommitResponsePartition);

#define S fr_kafka_TxnOffsetCommitResponseTopic
static const fr_kafka_field TxnOffsetCommitResponseTopic_fields[] = {
    F(name, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_TxnOffsetCommitResponsePartition_shape, 0),
};
#undef S
SHAPE(TxnOffsetCommitResponseTopic);

#define S fr_kafka_TxnOffsetCommitResponse
static const fr_kafka_field TxnOffsetCommitResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_TxnOffsetCommitResponseTopic_shape, 0),
};
#undef S
SHAPE(TxnOffsetCommitResponse);

const fr_kafka_message fr_kafka_TxnOffsetCommitResponse_message = {28, false, 0, 3, 3, &fr_kafka_TxnOffsetCommitResponse_shape};

#define S fr_kafka_DescribeConfigsResource
static const fr_kafka_field DescribeConfigsResource_fields[] = {
    F(resourceType, INT8, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(resourceName, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(configurationKeys, STRING, 1, 0, 4, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeConfigsResource);

#define S fr_kafka_DescribeConfigsRequest
static const fr_kafka_field DescribeConfigsRequest_fields[] = {
    F(resources, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_DescribeConfigsResource_shape, 0),
    F(includeSynonyms, BOOL, 0, 1, 4, 127, 127, 0, NULL, 0),
    F(includeDocumentation, BOOL, 0, 3, 4, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeConfigsRequest);

const fr_kafka_message fr_kafka_DescribeConfigsRequest_message = {32, true, 1, 4, 4, &fr_kafka_DescribeConfigsRequest_shape};

#define S fr_kafka_DescribeConfigsSynonym
static const fr_kafka_field DescribeConfigsSynonym_fields[] = {
    F(name, STRING, 0, 1, 4, 127, 127, 0, NULL, 0),
    F(value, STRING, 0, 1, 4, 0, 127, 0, NULL, 0),
    F(source, INT8, 0, 1, 4, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeConfigsSynonym);

#define S fr_kafka_DescribeConfigsResourceResult
static const fr_kafka_field DescribeConfigsResourceResult_fields[] = {
    F(name, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(value, STRING, 0, 0, 4, 0, 127, 0, NULL, 0),
    F(readOnly, BOOL, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(configSource, INT8, 0, 1, 4, 127, 127, 0, NULL, -1),
    F(isSensitive, BOOL, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(synonyms, STRUCT, 1, 1, 4, 127, 127, 0, &fr_kafka_DescribeConfigsSynonym_shape, 0),
    F(configType, INT8, 0, 3, 4, 127, 127, 0, NULL, 0),
    F(documentation, STRING, 0, 3, 4, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeConfigsResourceResult);

#define S fr_kafka_DescribeConfigsResult
static const fr_kafka_field DescribeConfigsResult_fields[] = {
    F(errorCode, INT16, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 4, 0, 127, 0, NULL, 0),
    F(resourceType, INT8, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(resourceName, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(configs, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_DescribeConfigsResourceResult_shape, 0),
};
#undef S
SHAPE(DescribeConfigsResult);

#define S fr_kafka_DescribeConfigsResponse
static const fr_kafka_field DescribeConfigsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(results, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_DescribeConfigsResult_shape, 0),
};
#undef S
SHAPE(DescribeConfigsResponse);

const fr_kafka_message fr_kafka_DescribeConfigsResponse_message = {32, false, 1, 4, 4, &fr_kafka_DescribeConfigsResponse_shape};

#define S fr_kafka_AlterConfigsRequest_AlterableConfig
static const fr_kafka_field AlterConfigsRequest_AlterableConfig_fields[] = {
    F(name, STRING, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(value, STRING, 0, 0, 2, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(AlterConfigsRequest_AlterableConfig);

#define S fr_kafka_AlterConfigsRequest_AlterConfigsResource
static const fr_kafka_field AlterConfigsRequest_AlterConfigsResource_fields[] = {
    F(resourceType, INT8, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(resourceName, STRING, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(configs, STRUCT, 1, 0, 2, 127, 127, 0, &fr_kafka_AlterConfigsRequest_AlterableConfig_shape, 0),
};
#undef S
SHAPE(AlterConfigsRequest_AlterConfigsResource);

#define S fr_kafka_AlterConfigsRequest
static const fr_kafka_field AlterConfigsRequest_fields[] = {
    F(resources, STRUCT, 1, 0, 2, 127, 127, 0, &fr_kafka_AlterConfigsRequest_AlterConfigsResource_shape, 0),
    F(validateOnly, BOOL, 0, 0, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(AlterConfigsRequest);

const fr_kafka_message fr_kafka_AlterConfigsRequest_message = {33, true, 0, 2, 2, &fr_kafka_AlterConfigsRequest_shape};

#define S fr_kafka_AlterConfigsResponse_AlterConfigsResourceResponse
static const fr_kafka_field AlterConfigsResponse_AlterConfigsResourceResponse_fields[] = {
    F(errorCode, INT16, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 2, 0, 127, 0, NULL, 0),
    F(resourceType, INT8, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(resourceName, STRING, 0, 0, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(AlterConfigsResponse_AlterConfigsResourceResponse);

#define S fr_kafka_AlterConfigsResponse
static const fr_kafka_field AlterConfigsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(responses, STRUCT, 1, 0, 2, 127, 127, 0, &fr_kafka_AlterConfigsResponse_AlterConfigsResourceResponse_shape, 0),
};
#undef S
SHAPE(AlterConfigsResponse);

const fr_kafka_message fr_kafka_AlterConfigsResponse_message = {33, false, 0, 2, 2, &fr_kafka_AlterConfigsResponse_shape};

#define S fr_kafka_SaslAuthenticateRequest
static const fr_kafka_field SaslAuthenticateRequest_fields[] = {
    F(authBytes, BYTES, 0, 0, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(SaslAuthenticateRequest);

const fr_kafka_message fr_kafka_SaslAuthenticateRequest_message = {36, true, 0, 2, 2, &fr_kafka_SaslAuthenticateRequest_shape};

#define S fr_kafka_SaslAuthenticateResponse
static const fr_kafka_field SaslAuthenticateResponse_fields[] = {
    F(errorCode, INT16, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 2, 0, 127, 0, NULL, 0),
    F(authBytes, BYTES, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(sessionLifetimeMs, INT64, 0, 1, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(SaslAuthenticateResponse);

const fr_kafka_message fr_kafka_SaslAuthenticateResponse_message = {36, false, 0, 2, 2, &fr_kafka_SaslAuthenticateResponse_shape};

#define S fr_kafka_CreatePartitionsAssignment
static const fr_kafka_field CreatePartitionsAssignment_fields[] = {
    F(brokerIds, INT32, 1, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(CreatePartitionsAssignment);

#define S fr_kafka_CreatePartitionsTopic
static const fr_kafka_field CreatePartitionsTopic_fields[] = {
    F(name, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(count, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(assignments, STRUCT, 1, 0, 3, 0, 127, 0, &fr_kafka_CreatePartitionsAssignment_shape, 0),
};
#undef S
SHAPE(CreatePartitionsTopic);

#define S fr_kafka_CreatePartitionsRequest
static const fr_kafka_field CreatePartitionsRequest_fields[] = {
    F(topics, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_CreatePartitionsTopic_shape, 0),
    F(timeoutMs, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(validateOnly, BOOL, 0, 0, 3, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(CreatePartitionsRequest);

const fr_kafka_message fr_kafka_CreatePartitionsRequest_message = {37, true, 0, 3, 2, &fr_kafka_CreatePartitionsRequest_shape};

#define S fr_kafka_CreatePartitionsTopicResult
static const fr_kafka_field CreatePartitionsTopicResult_fields[] = {
    F(name, STRING, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 3, 0, 127, 0, NULL, 1),
};
#undef S
SHAPE(CreatePartitionsTopicResult);

#define S fr_kafka_CreatePartitionsResponse
static const fr_kafka_field CreatePartitionsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 3, 127, 127, 0, NULL, 0),
    F(results, STRUCT, 1, 0, 3, 127, 127, 0, &fr_kafka_CreatePartitionsTopicResult_shape, 0),
};
#undef S
SHAPE(CreatePartitionsResponse);

const fr_kafka_message fr_kafka_CreatePartitionsResponse_message = {37, false, 0, 3, 2, &fr_kafka_CreatePartitionsResponse_shape};

#define S fr_kafka_DeleteGroupsRequest
static const fr_kafka_field DeleteGroupsRequest_fields[] = {
    F(groupsNames, STRING, 1, 0, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DeleteGroupsRequest);

const fr_kafka_message fr_kafka_DeleteGroupsRequest_message = {42, true, 0, 2, 2, &fr_kafka_DeleteGroupsRequest_shape};

#define S fr_kafka_DeletableGroupResult
static const fr_kafka_field DeletableGroupResult_fields[] = {
    F(groupId, STRING, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 2, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DeletableGroupResult);

#define S fr_kafka_DeleteGroupsResponse
static const fr_kafka_field DeleteGroupsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 2, 127, 127, 0, NULL, 0),
    F(results, STRUCT, 1, 0, 2, 127, 127, 0, &fr_kafka_DeletableGroupResult_shape, 0),
};
#undef S
SHAPE(DeleteGroupsResponse);

const fr_kafka_message fr_kafka_DeleteGroupsResponse_message = {42, false, 0, 2, 2, &fr_kafka_DeleteGroupsResponse_shape};

#define S fr_kafka_IncrementalAlterConfigsRequest_AlterableConfig
static const fr_kafka_field IncrementalAlterConfigsRequest_AlterableConfig_fields[] = {
    F(name, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(configOperation, INT8, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(value, STRING, 0, 0, 1, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(IncrementalAlterConfigsRequest_AlterableConfig);

#define S fr_kafka_IncrementalAlterConfigsRequest_AlterConfigsResource
static const fr_kafka_field IncrementalAlterConfigsRequest_AlterConfigsResource_fields[] = {
    F(resourceType, INT8, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(resourceName, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(configs, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_IncrementalAlterConfigsRequest_AlterableConfig_shape, 0),
};
#undef S
SHAPE(IncrementalAlterConfigsRequest_AlterConfigsResource);

#define S fr_kafka_IncrementalAlterConfigsRequest
static const fr_kafka_field IncrementalAlterConfigsRequest_fields[] = {
    F(resources, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_IncrementalAlterConfigsRequest_AlterConfigsResource_shape, 0),
    F(validateOnly, BOOL, 0, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(IncrementalAlterConfigsRequest);

const fr_kafka_message fr_kafka_IncrementalAlterConfigsRequest_message = {44, true, 0, 1, 1, &fr_kafka_IncrementalAlterConfigsRequest_shape};

#define S fr_kafka_IncrementalAlterConfigsResponse_AlterConfigsResourceResponse
static const fr_kafka_field IncrementalAlterConfigsResponse_AlterConfigsResourceResponse_fields[] = {
    F(errorCode, INT16, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 1, 0, 127, 0, NULL, 0),
    F(resourceType, INT8, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(resourceName, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(IncrementalAlterConfigsResponse_AlterConfigsResourceResponse);

#define S fr_kafka_IncrementalAlterConfigsResponse
static const fr_kafka_field IncrementalAlterConfigsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(responses, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_IncrementalAlterConfigsResponse_AlterConfigsResourceResponse_shape, 0),
};
#undef S
SHAPE(IncrementalAlterConfigsResponse);

const fr_kafka_message fr_kafka_IncrementalAlterConfigsResponse_message = {44, false, 0, 1, 1, &fr_kafka_IncrementalAlterConfigsResponse_shape};

#define S fr_kafka_OffsetDeleteRequestPartition
static const fr_kafka_field OffsetDeleteRequestPartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetDeleteRequestPartition);

#define S fr_kafka_OffsetDeleteRequestTopic
static const fr_kafka_field OffsetDeleteRequestTopic_fields[] = {
    F(name, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_OffsetDeleteRequestPartition_shape, 0),
};
#undef S
SHAPE(OffsetDeleteRequestTopic);

#define S fr_kafka_OffsetDeleteRequest
static const fr_kafka_field OffsetDeleteRequest_fields[] = {
    F(groupId, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_OffsetDeleteRequestTopic_shape, 0),
};
#undef S
SHAPE(OffsetDeleteRequest);

const fr_kafka_message fr_kafka_OffsetDeleteRequest_message = {47, true, 0, 0, 127, &fr_kafka_OffsetDeleteRequest_shape};

#define S fr_kafka_OffsetDeleteResponsePartition
static const fr_kafka_field OffsetDeleteResponsePartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 0, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OffsetDeleteResponsePartition);

#define S fr_kafka_OffsetDeleteResponseTopic
static const fr_kafka_field OffsetDeleteResponseTopic_fields[] = {
    F(name, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_OffsetDeleteResponsePartition_shape, 0),
};
#undef S
SHAPE(OffsetDeleteResponseTopic);

#define S fr_kafka_OffsetDeleteResponse
static const fr_kafka_field OffsetDeleteResponse_fields[] = {
    F(errorCode, INT16, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(throttleTimeMs, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_OffsetDeleteResponseTopic_shape, 0),
};
#undef S
SHAPE(OffsetDeleteResponse);

const fr_kafka_message fr_kafka_OffsetDeleteResponse_message = {47, false, 0, 0, 127, &fr_kafka_OffsetDeleteResponse_shape};

#define S fr_kafka_DescribeClusterRequest
static const fr_kafka_field DescribeClusterRequest_fields[] = {
    F(includeClusterAuthorizedOperations, BOOL, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(endpointType, INT8, 0, 1, 1, 127, 127, 0, NULL, 1),
};
#undef S
SHAPE(DescribeClusterRequest);

const fr_kafka_message fr_kafka_DescribeClusterRequest_message = {60, true, 0, 1, 0, &fr_kafka_DescribeClusterRequest_shape};

#define S fr_kafka_DescribeClusterBroker
static const fr_kafka_field DescribeClusterBroker_fields[] = {
    F(brokerId, INT32, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(host, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(port, INT32, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(rack, STRING, 0, 0, 1, 0, 127, 0, NULL, 1),
};
#undef S
SHAPE(DescribeClusterBroker);

#define S fr_kafka_DescribeClusterResponse
static const fr_kafka_field DescribeClusterResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 1, 0, 127, 0, NULL, 1),
    F(endpointType, INT8, 0, 1, 1, 127, 127, 0, NULL, 1),
    F(clusterId, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(controllerId, INT32, 0, 0, 1, 127, 127, 0, NULL, -1),
    F(brokers, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_DescribeClusterBroker_shape, 0),
    F(clusterAuthorizedOperations, INT32, 0, 0, 1, 127, 127, 0, NULL, -2147483648),
};
#undef S
SHAPE(DescribeClusterResponse);

const fr_kafka_message fr_kafka_DescribeClusterResponse_message = {60, false, 0, 1, 0, &fr_kafka_DescribeClusterResponse_shape};

#define S fr_kafka_DescribableLogDirTopic
static const fr_kafka_field DescribableLogDirTopic_fields[] = {
    F(topic, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(partitions, INT32, 1, 0, 4, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribableLogDirTopic);

#define S fr_kafka_DescribeLogDirsRequest
static const fr_kafka_field DescribeLogDirsRequest_fields[] = {
    F(topics, STRUCT, 1, 0, 4, 0, 127, 0, &fr_kafka_DescribableLogDirTopic_shape, 0),
};
#undef S
SHAPE(DescribeLogDirsRequest);

const fr_kafka_message fr_kafka_DescribeLogDirsRequest_message = {35, true, 1, 4, 2, &fr_kafka_DescribeLogDirsRequest_shape};

#define S fr_kafka_DescribeLogDirsPartition
static const fr_kafka_field DescribeLogDirsPartition_fields[] = {
    F(partitionIndex, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(partitionSize, INT64, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(offsetLag, INT64, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(isFutureKey, BOOL, 0, 0, 4, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeLogDirsPartition);

#define S fr_kafka_DescribeLogDirsTopic
static const fr_kafka_field DescribeLogDirsTopic_fields[] = {
    F(name, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_DescribeLogDirsPartition_shape, 0),
};
#undef S
SHAPE(DescribeLogDirsTopic);

#define S fr_kafka_DescribeLogDirsResult
static const fr_kafka_field DescribeLogDirsResult_fields[] = {
    F(errorCode, INT16, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(logDir, STRING, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_DescribeLogDirsTopic_shape, 0),
    F(totalBytes, INT64, 0, 4, 4, 127, 127, 0, NULL, -1),
    F(usableBytes, INT64, 0, 4, 4, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(DescribeLogDirsResult);

#define S fr_kafka_DescribeLogDirsResponse
static const fr_kafka_field DescribeLogDirsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 4, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 3, 4, 127, 127, 0, NULL, 0),
    F(results, STRUCT, 1, 0, 4, 127, 127, 0, &fr_kafka_DescribeLogDirsResult_shape, 0),
};
#undef S
SHAPE(DescribeLogDirsResponse);

const fr_kafka_message fr_kafka_DescribeLogDirsResponse_message = {35, false, 1, 4, 2, &fr_kafka_DescribeLogDirsResponse_shape};

#define S fr_kafka_ListPartitionReassignmentsTopics
static const fr_kafka_field ListPartitionReassignmentsTopics_fields[] = {
    F(name, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(partitionIndexes, INT32, 1, 0, 0, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ListPartitionReassignmentsTopics);

#define S fr_kafka_ListPartitionReassignmentsRequest
static const fr_kafka_field ListPartitionReassignmentsRequest_fields[] = {
    F(timeoutMs, INT32, 0, 0, 0, 127, 127, 0, NULL, 60000),
    F(topics, STRUCT, 1, 0, 0, 0, 127, 0, &fr_kafka_ListPartitionReassignmentsTopics_shape, 1),
};
#undef S
SHAPE(ListPartitionReassignmentsRequest);

const fr_kafka_message fr_kafka_ListPartitionReassignmentsRequest_message = {46, true, 0, 0, 0, &fr_kafka_ListPartitionReassignmentsRequest_shape};

#define S fr_kafka_OngoingPartitionReassignment
static const fr_kafka_field OngoingPartitionReassignment_fields[] = {
    F(partitionIndex, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(replicas, INT32, 1, 0, 0, 127, 127, 0, NULL, 0),
    F(addingReplicas, INT32, 1, 0, 0, 127, 127, 0, NULL, 0),
    F(removingReplicas, INT32, 1, 0, 0, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OngoingPartitionReassignment);

#define S fr_kafka_OngoingTopicReassignment
static const fr_kafka_field OngoingTopicReassignment_fields[] = {
    F(name, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_OngoingPartitionReassignment_shape, 0),
};
#undef S
SHAPE(OngoingTopicReassignment);

#define S fr_kafka_ListPartitionReassignmentsResponse
static const fr_kafka_field ListPartitionReassignmentsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 0, 0, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_OngoingTopicReassignment_shape, 0),
};
#undef S
SHAPE(ListPartitionReassignmentsResponse);

const fr_kafka_message fr_kafka_ListPartitionReassignmentsResponse_message = {46, false, 0, 0, 0, &fr_kafka_ListPartitionReassignmentsResponse_shape};

#define S fr_kafka_ComponentData
static const fr_kafka_field ComponentData_fields[] = {
    F(entityType, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(matchType, INT8, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(match, STRING, 0, 0, 1, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(ComponentData);

#define S fr_kafka_DescribeClientQuotasRequest
static const fr_kafka_field DescribeClientQuotasRequest_fields[] = {
    F(components, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_ComponentData_shape, 0),
    F(strict, BOOL, 0, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeClientQuotasRequest);

const fr_kafka_message fr_kafka_DescribeClientQuotasRequest_message = {48, true, 0, 1, 1, &fr_kafka_DescribeClientQuotasRequest_shape};

#define S fr_kafka_DescribeClientQuotasResponse_EntityData
static const fr_kafka_field DescribeClientQuotasResponse_EntityData_fields[] = {
    F(entityType, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(entityName, STRING, 0, 0, 1, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeClientQuotasResponse_EntityData);

#define S fr_kafka_ValueData
static const fr_kafka_field ValueData_fields[] = {
    F(key, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(value, FLOAT64, 0, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ValueData);

#define S fr_kafka_DescribeClientQuotasResponse_EntryData
static const fr_kafka_field DescribeClientQuotasResponse_EntryData_fields[] = {
    F(entity, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_DescribeClientQuotasResponse_EntityData_shape, 0),
    F(values, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_ValueData_shape, 0),
};
#undef S
SHAPE(DescribeClientQuotasResponse_EntryData);

#define S fr_kafka_DescribeClientQuotasResponse
static const fr_kafka_field DescribeClientQuotasResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 1, 0, 127, 0, NULL, 0),
    F(entries, STRUCT, 1, 0, 1, 0, 127, 0, &fr_kafka_DescribeClientQuotasResponse_EntryData_shape, 0),
};
#undef S
SHAPE(DescribeClientQuotasResponse);

const fr_kafka_message fr_kafka_DescribeClientQuotasResponse_message = {48, false, 0, 1, 1, &fr_kafka_DescribeClientQuotasResponse_shape};

#define S fr_kafka_AlterClientQuotasRequest_EntityData
static const fr_kafka_field AlterClientQuotasRequest_EntityData_fields[] = {
    F(entityType, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(entityName, STRING, 0, 0, 1, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(AlterClientQuotasRequest_EntityData);

#define S fr_kafka_OpData
static const fr_kafka_field OpData_fields[] = {
    F(key, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(value, FLOAT64, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(remove, BOOL, 0, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(OpData);

#define S fr_kafka_AlterClientQuotasRequest_EntryData
static const fr_kafka_field AlterClientQuotasRequest_EntryData_fields[] = {
    F(entity, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_AlterClientQuotasRequest_EntityData_shape, 0),
    F(ops, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_OpData_shape, 0),
};
#undef S
SHAPE(AlterClientQuotasRequest_EntryData);

#define S fr_kafka_AlterClientQuotasRequest
static const fr_kafka_field AlterClientQuotasRequest_fields[] = {
    F(entries, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_AlterClientQuotasRequest_EntryData_shape, 0),
    F(validateOnly, BOOL, 0, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(AlterClientQuotasRequest);

const fr_kafka_message fr_kafka_AlterClientQuotasRequest_message = {49, true, 0, 1, 1, &fr_kafka_AlterClientQuotasRequest_shape};

#define S fr_kafka_AlterClientQuotasResponse_EntityData
static const fr_kafka_field AlterClientQuotasResponse_EntityData_fields[] = {
    F(entityType, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(entityName, STRING, 0, 0, 1, 0, 127, 0, NULL, 0),
};
#undef S
SHAPE(AlterClientQuotasResponse_EntityData);

#define S fr_kafka_AlterClientQuotasResponse_EntryData
static const fr_kafka_field AlterClientQuotasResponse_EntryData_fields[] = {
    F(errorCode, INT16, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 1, 0, 127, 0, NULL, 0),
    F(entity, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_AlterClientQuotasResponse_EntityData_shape, 0),
};
#undef S
SHAPE(AlterClientQuotasResponse_EntryData);

#define S fr_kafka_AlterClientQuotasResponse
static const fr_kafka_field AlterClientQuotasResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(entries, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_AlterClientQuotasResponse_EntryData_shape, 0),
};
#undef S
SHAPE(AlterClientQuotasResponse);

const fr_kafka_message fr_kafka_AlterClientQuotasResponse_message = {49, false, 0, 1, 1, &fr_kafka_AlterClientQuotasResponse_shape};

#define S fr_kafka_TopicRequest
static const fr_kafka_field TopicRequest_fields[] = {
    F(name, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(partitionIndexes, INT32, 1, 0, 0, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(TopicRequest);

#define S fr_kafka_DescribeProducersRequest
static const fr_kafka_field DescribeProducersRequest_fields[] = {
    F(topics, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_TopicRequest_shape, 0),
};
#undef S
SHAPE(DescribeProducersRequest);

const fr_kafka_message fr_kafka_DescribeProducersRequest_message = {61, true, 0, 0, 0, &fr_kafka_DescribeProducersRequest_shape};

#define S fr_kafka_ProducerState
static const fr_kafka_field ProducerState_fields[] = {
    F(producerId, INT64, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(producerEpoch, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(lastSequence, INT32, 0, 0, 0, 127, 127, 0, NULL, -1),
    F(lastTimestamp, INT64, 0, 0, 0, 127, 127, 0, NULL, -1),
    F(coordinatorEpoch, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(currentTxnStartOffset, INT64, 0, 0, 0, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(ProducerState);

#define S fr_kafka_PartitionResponse
static const fr_kafka_field PartitionResponse_fields[] = {
    F(partitionIndex, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(errorMessage, STRING, 0, 0, 0, 0, 127, 0, NULL, 1),
    F(activeProducers, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_ProducerState_shape, 0),
};
#undef S
SHAPE(PartitionResponse);

#define S fr_kafka_TopicResponse
static const fr_kafka_field TopicResponse_fields[] = {
    F(name, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(partitions, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_PartitionResponse_shape, 0),
};
#undef S
SHAPE(TopicResponse);

#define S fr_kafka_DescribeProducersResponse
static const fr_kafka_field DescribeProducersResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_TopicResponse_shape, 0),
};
#undef S
SHAPE(DescribeProducersResponse);

const fr_kafka_message fr_kafka_DescribeProducersResponse_message = {61, false, 0, 0, 0, &fr_kafka_DescribeProducersResponse_shape};

#define S fr_kafka_DescribeTransactionsRequest
static const fr_kafka_field DescribeTransactionsRequest_fields[] = {
    F(transactionalIds, STRING, 1, 0, 0, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(DescribeTransactionsRequest);

const fr_kafka_message fr_kafka_DescribeTransactionsRequest_message = {65, true, 0, 0, 0, &fr_kafka_DescribeTransactionsRequest_shape};

#define S fr_kafka_TopicData
static const fr_kafka_field TopicData_fields[] = {
    F(topic, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(partitions, INT32, 1, 0, 0, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(TopicData);

#define S fr_kafka_DescribeTransactionsResponse_TransactionState
static const fr_kafka_field DescribeTransactionsResponse_TransactionState_fields[] = {
    F(errorCode, INT16, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(transactionalId, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(transactionState, STRING, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(transactionTimeoutMs, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(transactionStartTimeMs, INT64, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(producerId, INT64, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(producerEpoch, INT16, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(topics, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_TopicData_shape, 0),
};
#undef S
SHAPE(DescribeTransactionsResponse_TransactionState);

#define S fr_kafka_DescribeTransactionsResponse
static const fr_kafka_field DescribeTransactionsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 0, 127, 127, 0, NULL, 0),
    F(transactionStates, STRUCT, 1, 0, 0, 127, 127, 0, &fr_kafka_DescribeTransactionsResponse_TransactionState_shape, 0),
};
#undef S
SHAPE(DescribeTransactionsResponse);

const fr_kafka_message fr_kafka_DescribeTransactionsResponse_message = {65, false, 0, 0, 0, &fr_kafka_DescribeTransactionsResponse_shape};

#define S fr_kafka_ListTransactionsRequest
static const fr_kafka_field ListTransactionsRequest_fields[] = {
    F(stateFilters, STRING, 1, 0, 1, 127, 127, 0, NULL, 0),
    F(producerIdFilters, INT64, 1, 0, 1, 127, 127, 0, NULL, 0),
    F(durationFilter, INT64, 0, 1, 1, 127, 127, 0, NULL, -1),
};
#undef S
SHAPE(ListTransactionsRequest);

const fr_kafka_message fr_kafka_ListTransactionsRequest_message = {66, true, 0, 1, 0, &fr_kafka_ListTransactionsRequest_shape};

#define S fr_kafka_ListTransactionsResponse_TransactionState
static const fr_kafka_field ListTransactionsResponse_TransactionState_fields[] = {
    F(transactionalId, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(producerId, INT64, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(transactionState, STRING, 0, 0, 1, 127, 127, 0, NULL, 0),
};
#undef S
SHAPE(ListTransactionsResponse_TransactionState);

#define S fr_kafka_ListTransactionsResponse
static const fr_kafka_field ListTransactionsResponse_fields[] = {
    F(throttleTimeMs, INT32, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(errorCode, INT16, 0, 0, 1, 127, 127, 0, NULL, 0),
    F(unknownStateFilters, STRING, 1, 0, 1, 127, 127, 0, NULL, 0),
    F(transactionStates, STRUCT, 1, 0, 1, 127, 127, 0, &fr_kafka_ListTransactionsResponse_TransactionState_shape, 0),
};
#undef S
SHAPE(ListTransactionsResponse);

const fr_kafka_message fr_kafka_ListTransactionsResponse_message = {66, false, 0, 1, 0, &fr_kafka_ListTransactionsResponse_shape};

const fr_kafka_pair fr_kafka_pairs[] = {
    {0, &fr_kafka_ProduceRequest_message, &fr_kafka_ProduceResponse_message},
    {1, &fr_kafka_FetchRequest_message, &fr_kafka_FetchResponse_message},
    {2, &fr_kafka_ListOffsetsRequest_message, &fr_kafka_ListOffsetsResponse_message},
    {3, &fr_kafka_MetadataRequest_message, &fr_kafka_MetadataResponse_message},
    {8, &fr_kafka_OffsetCommitRequest_message, &fr_kafka_OffsetCommitResponse_message},
    {9, &fr_kafka_OffsetFetchRequest_message, &fr_kafka_OffsetFetchResponse_message},
    {10, &fr_kafka_FindCoordinatorRequest_message, &fr_kafka_FindCoordinatorResponse_message},
    {11, &fr_kafka_JoinGroupRequest_message, &fr_kafka_JoinGroupResponse_message},
    {12, &fr_kafka_HeartbeatRequest_message, &fr_kafka_HeartbeatResponse_message},
    {13, &fr_kafka_LeaveGroupRequest_message, &fr_kafka_LeaveGroupResponse_message},
    {14, &fr_kafka_SyncGroupRequest_message, &fr_kafka_SyncGroupResponse_message},
    {15, &fr_kafka_DescribeGroupsRequest_message, &fr_kafka_DescribeGroupsResponse_message},
    {16, &fr_kafka_ListGroupsRequest_message, &fr_kafka_ListGroupsResponse_message},
    {17, &fr_kafka_SaslHandshakeRequest_message, &fr_kafka_SaslHandshakeResponse_message},
    {18, &fr_kafka_ApiVersionsRequest_message, &fr_kafka_ApiVersionsResponse_message},
    {19, &fr_kafka_CreateTopicsRequest_message, &fr_kafka_CreateTopicsResponse_message},
    {20, &fr_kafka_DeleteTopicsRequest_message, &fr_kafka_DeleteTopicsResponse_message},
    {21, &fr_kafka_DeleteRecordsRequest_message, &fr_kafka_DeleteRecordsResponse_message},
    {22, &fr_kafka_InitProducerIdRequest_message, &fr_kafka_InitProducerIdResponse_message},
    {23, &fr_kafka_OffsetForLeaderEpochRequest_message, &fr_kafka_OffsetForLeaderEpochResponse_message},
    {24, &fr_kafka_AddPartitionsToTxnRequest_message, &fr_kafka_AddPartitionsToTxnResponse_message},
    {25, &fr_kafka_AddOffsetsToTxnRequest_message, &fr_kafka_AddOffsetsToTxnResponse_message},
    {26, &fr_kafka_EndTxnRequest_message, &fr_kafka_EndTxnResponse_message},
    {28, &fr_kafka_TxnOffsetCommitRequest_message, &fr_kafka_TxnOffsetCommitResponse_message},
    {32, &fr_kafka_DescribeConfigsRequest_message, &fr_kafka_DescribeConfigsResponse_message},
    {33, &fr_kafka_AlterConfigsRequest_message, &fr_kafka_AlterConfigsResponse_message},
    {36, &fr_kafka_SaslAuthenticateRequest_message, &fr_kafka_SaslAuthenticateResponse_message},
    {37, &fr_kafka_CreatePartitionsRequest_message, &fr_kafka_CreatePartitionsResponse_message},
    {42, &fr_kafka_DeleteGroupsRequest_message, &fr_kafka_DeleteGroupsResponse_message},
    {44, &fr_kafka_IncrementalAlterConfigsRequest_message, &fr_kafka_IncrementalAlterConfigsResponse_message},
    {47, &fr_kafka_OffsetDeleteRequest_message, &fr_kafka_OffsetDeleteResponse_message},
    {60, &fr_kafka_DescribeClusterRequest_message, &fr_kafka_DescribeClusterResponse_message},
    {35, &fr_kafka_DescribeLogDirsRequest_message, &fr_kafka_DescribeLogDirsResponse_message},
    {46, &fr_kafka_ListPartitionReassignmentsRequest_message, &fr_kafka_ListPartitionReassignmentsResponse_message},
    {48, &fr_kafka_DescribeClientQuotasRequest_message, &fr_kafka_DescribeClientQuotasResponse_message},
    {49, &fr_kafka_AlterClientQuotasRequest_message, &fr_kafka_AlterClientQuotasResponse_message},
    {61, &fr_kafka_DescribeProducersRequest_message, &fr_kafka_DescribeProducersResponse_message},
    {65, &fr_kafka_DescribeTransactionsRequest_message, &fr_kafka_DescribeTransactionsResponse_message},
    {66, &fr_kafka_ListTransactionsRequest_message, &fr_kafka_ListTransactionsResponse_message},
};
const size_t fr_kafka_pair_count = FR_COUNT_OF(fr_kafka_pairs);

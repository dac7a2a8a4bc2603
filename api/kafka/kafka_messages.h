/* kafka_messages.h: Kafka's messages as structs; fields keep Kafka's spelling.
 * Written by scripts/kafka_messages.py from Apache Kafka's message definitions: change the script, not this file. */
#ifndef FR_KAFKA_MESSAGES_H
#define FR_KAFKA_MESSAGES_H

#include "api/kafka/kafka_codec.h"

typedef struct fr_kafka_PartitionProduceData {
    int32_t index;
    fr_kafka_records records;
} fr_kafka_PartitionProduceData;
extern const fr_kafka_shape fr_kafka_PartitionProduceData_shape;

typedef struct fr_kafka_TopicProduceData {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_PartitionProduceData) partitionData;
} fr_kafka_TopicProduceData;
extern const fr_kafka_shape fr_kafka_TopicProduceData_shape;

typedef struct fr_kafka_ProduceRequest {
    fr_span transactionalId;
    int16_t acks;
    int32_t timeoutMs;
    FR_KAFKA_LIST(fr_kafka_TopicProduceData) topicData;
} fr_kafka_ProduceRequest;
extern const fr_kafka_shape fr_kafka_ProduceRequest_shape;

extern const fr_kafka_message fr_kafka_ProduceRequest_message;

typedef struct fr_kafka_BatchIndexAndErrorMessage {
    int32_t batchIndex;
    fr_span batchIndexErrorMessage;
} fr_kafka_BatchIndexAndErrorMessage;
extern const fr_kafka_shape fr_kafka_BatchIndexAndErrorMessage_shape;

typedef struct fr_kafka_ProduceResponse_LeaderIdAndEpoch {
    int32_t leaderId;
    int32_t leaderEpoch;
} fr_kafka_ProduceResponse_LeaderIdAndEpoch;
extern const fr_kafka_shape fr_kafka_ProduceResponse_LeaderIdAndEpoch_shape;

typedef struct fr_kafka_PartitionProduceResponse {
    int32_t index;
    int16_t errorCode;
    int64_t baseOffset;
    int64_t logAppendTimeMs;
    int64_t logStartOffset;
    FR_KAFKA_LIST(fr_kafka_BatchIndexAndErrorMessage) recordErrors;
    fr_span errorMessage;
    fr_kafka_ProduceResponse_LeaderIdAndEpoch currentLeader;
} fr_kafka_PartitionProduceResponse;
extern const fr_kafka_shape fr_kafka_PartitionProduceResponse_shape;

typedef struct fr_kafka_TopicProduceResponse {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_PartitionProduceResponse) partitionResponses;
} fr_kafka_TopicProduceResponse;
extern const fr_kafka_shape fr_kafka_TopicProduceResponse_shape;

typedef struct fr_kafka_ProduceResponse_NodeEndpoint {
    int32_t nodeId;
    fr_span host;
    int32_t port;
    fr_span rack;
} fr_kafka_ProduceResponse_NodeEndpoint;
extern const fr_kafka_shape fr_kafka_ProduceResponse_NodeEndpoint_shape;

typedef struct fr_kafka_ProduceResponse {
    FR_KAFKA_LIST(fr_kafka_TopicProduceResponse) responses;
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_ProduceResponse_NodeEndpoint) nodeEndpoints;
} fr_kafka_ProduceResponse;
extern const fr_kafka_shape fr_kafka_ProduceResponse_shape;

extern const fr_kafka_message fr_kafka_ProduceResponse_message;

typedef struct fr_kafka_ReplicaState {
    int32_t replicaId;
    int64_t replicaEpoch;
} fr_kafka_ReplicaState;
extern const fr_kafka_shape fr_kafka_ReplicaState_shape;

typedef struct fr_kafka_FetchPartition {
    int32_t partition;
    int32_t currentLeaderEpoch;
    int64_t fetchOffset;
    int32_t lastFetchedEpoch;
    int64_t logStartOffset;
    int32_t partitionMaxBytes;
} fr_kafka_FetchPartition;
extern const fr_kafka_shape fr_kafka_FetchPartition_shape;

typedef struct fr_kafka_FetchTopic {
    fr_span topic;
    fr_kafka_uuid topicId;
    FR_KAFKA_LIST(fr_kafka_FetchPartition) partitions;
} fr_kafka_FetchTopic;
extern const fr_kafka_shape fr_kafka_FetchTopic_shape;

typedef struct fr_kafka_ForgottenTopic {
    fr_span topic;
    fr_kafka_uuid topicId;
    FR_KAFKA_LIST(int32_t) partitions;
} fr_kafka_ForgottenTopic;
extern const fr_kafka_shape fr_kafka_ForgottenTopic_shape;

typedef struct fr_kafka_FetchRequest {
    fr_span clusterId;
    int32_t replicaId;
    fr_kafka_ReplicaState replicaState;
    int32_t maxWaitMs;
    int32_t minBytes;
    int32_t maxBytes;
    int8_t isolationLevel;
    int32_t sessionId;
    int32_t sessionEpoch;
    FR_KAFKA_LIST(fr_kafka_FetchTopic) topics;
    FR_KAFKA_LIST(fr_kafka_ForgottenTopic) forgottenTopicsData;
    fr_span rackId;
} fr_kafka_FetchRequest;
extern const fr_kafka_shape fr_kafka_FetchRequest_shape;

extern const fr_kafka_message fr_kafka_FetchRequest_message;

typedef struct fr_kafka_FetchResponse_EpochEndOffset {
    int32_t epoch;
    int64_t endOffset;
} fr_kafka_FetchResponse_EpochEndOffset;
extern const fr_kafka_shape fr_kafka_FetchResponse_EpochEndOffset_shape;

typedef struct fr_kafka_FetchResponse_LeaderIdAndEpoch {
    int32_t leaderId;
    int32_t leaderEpoch;
} fr_kafka_FetchResponse_LeaderIdAndEpoch;
extern const fr_kafka_shape fr_kafka_FetchResponse_LeaderIdAndEpoch_shape;

typedef struct fr_kafka_SnapshotId {
    int64_t endOffset;
    int32_t epoch;
} fr_kafka_SnapshotId;
extern const fr_kafka_shape fr_kafka_SnapshotId_shape;

typedef struct fr_kafka_AbortedTransaction {
    int64_t producerId;
    int64_t firstOffset;
} fr_kafka_AbortedTransaction;
extern const fr_kafka_shape fr_kafka_AbortedTransaction_shape;

typedef struct fr_kafka_PartitionData {
    int32_t partitionIndex;
    int16_t errorCode;
    int64_t highWatermark;
    int64_t lastStableOffset;
    int64_t logStartOffset;
    fr_kafka_FetchResponse_EpochEndOffset divergingEpoch;
    fr_kafka_FetchResponse_LeaderIdAndEpoch currentLeader;
    fr_kafka_SnapshotId snapshotId;
    FR_KAFKA_LIST(fr_kafka_AbortedTransaction) abortedTransactions;
    int32_t preferredReadReplica;
    fr_kafka_records records;
} fr_kafka_PartitionData;
extern const fr_kafka_shape fr_kafka_PartitionData_shape;

typedef struct fr_kafka_FetchableTopicResponse {
    fr_span topic;
    fr_kafka_uuid topicId;
    FR_KAFKA_LIST(fr_kafka_PartitionData) partitions;
} fr_kafka_FetchableTopicResponse;
extern const fr_kafka_shape fr_kafka_FetchableTopicResponse_shape;

typedef struct fr_kafka_FetchResponse_NodeEndpoint {
    int32_t nodeId;
    fr_span host;
    int32_t port;
    fr_span rack;
} fr_kafka_FetchResponse_NodeEndpoint;
extern const fr_kafka_shape fr_kafka_FetchResponse_NodeEndpoint_shape;

typedef struct fr_kafka_FetchResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    int32_t sessionId;
    FR_KAFKA_LIST(fr_kafka_FetchableTopicResponse) responses;
    FR_KAFKA_LIST(fr_kafka_FetchResponse_NodeEndpoint) nodeEndpoints;
} fr_kafka_FetchResponse;
extern const fr_kafka_shape fr_kafka_FetchResponse_shape;

extern const fr_kafka_message fr_kafka_FetchResponse_message;

typedef struct fr_kafka_ListOffsetsPartition {
    int32_t partitionIndex;
    int32_t currentLeaderEpoch;
    int64_t timestamp;
} fr_kafka_ListOffsetsPartition;
extern const fr_kafka_shape fr_kafka_ListOffsetsPartition_shape;

typedef struct fr_kafka_ListOffsetsTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_ListOffsetsPartition) partitions;
} fr_kafka_ListOffsetsTopic;
extern const fr_kafka_shape fr_kafka_ListOffsetsTopic_shape;

typedef struct fr_kafka_ListOffsetsRequest {
    int32_t replicaId;
    int8_t isolationLevel;
    FR_KAFKA_LIST(fr_kafka_ListOffsetsTopic) topics;
} fr_kafka_ListOffsetsRequest;
extern const fr_kafka_shape fr_kafka_ListOffsetsRequest_shape;

extern const fr_kafka_message fr_kafka_ListOffsetsRequest_message;

typedef struct fr_kafka_ListOffsetsPartitionResponse {
    int32_t partitionIndex;
    int16_t errorCode;
    int64_t timestamp;
    int64_t offset;
    int32_t leaderEpoch;
} fr_kafka_ListOffsetsPartitionResponse;
extern const fr_kafka_shape fr_kafka_ListOffsetsPartitionResponse_shape;

typedef struct fr_kafka_ListOffsetsTopicResponse {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_ListOffsetsPartitionResponse) partitions;
} fr_kafka_ListOffsetsTopicResponse;
extern const fr_kafka_shape fr_kafka_ListOffsetsTopicResponse_shape;

typedef struct fr_kafka_ListOffsetsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_ListOffsetsTopicResponse) topics;
} fr_kafka_ListOffsetsResponse;
extern const fr_kafka_shape fr_kafka_ListOffsetsResponse_shape;

extern const fr_kafka_message fr_kafka_ListOffsetsResponse_message;

typedef struct fr_kafka_MetadataRequestTopic {
    fr_kafka_uuid topicId;
    fr_span name;
} fr_kafka_MetadataRequestTopic;
extern const fr_kafka_shape fr_kafka_MetadataRequestTopic_shape;

typedef struct fr_kafka_MetadataRequest {
    FR_KAFKA_LIST(fr_kafka_MetadataRequestTopic) topics;
    bool allowAutoTopicCreation;
    bool includeClusterAuthorizedOperations;
    bool includeTopicAuthorizedOperations;
} fr_kafka_MetadataRequest;
extern const fr_kafka_shape fr_kafka_MetadataRequest_shape;

extern const fr_kafka_message fr_kafka_MetadataRequest_message;

typedef struct fr_kafka_MetadataResponseBroker {
    int32_t nodeId;
    fr_span host;
    int32_t port;
    fr_span rack;
} fr_kafka_MetadataResponseBroker;
extern const fr_kafka_shape fr_kafka_MetadataResponseBroker_shape;

typedef struct fr_kafka_MetadataResponsePartition {
    int16_t errorCode;
    int32_t partitionIndex;
    int32_t leaderId;
    int32_t leaderEpoch;
    FR_KAFKA_LIST(int32_t) replicaNodes;
    FR_KAFKA_LIST(int32_t) isrNodes;
    FR_KAFKA_LIST(int32_t) offlineReplicas;
} fr_kafka_MetadataResponsePartition;
extern const fr_kafka_shape fr_kafka_MetadataResponsePartition_shape;

typedef struct fr_kafka_MetadataResponseTopic {
    int16_t errorCode;
    fr_span name;
    fr_kafka_uuid topicId;
    bool isInternal;
    FR_KAFKA_LIST(fr_kafka_MetadataResponsePartition) partitions;
    int32_t topicAuthorizedOperations;
} fr_kafka_MetadataResponseTopic;
extern const fr_kafka_shape fr_kafka_MetadataResponseTopic_shape;

typedef struct fr_kafka_MetadataResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_MetadataResponseBroker) brokers;
    fr_span clusterId;
    int32_t controllerId;
    FR_KAFKA_LIST(fr_kafka_MetadataResponseTopic) topics;
    int32_t clusterAuthorizedOperations;
} fr_kafka_MetadataResponse;
extern const fr_kafka_shape fr_kafka_MetadataResponse_shape;

extern const fr_kafka_message fr_kafka_MetadataResponse_message;

typedef struct fr_kafka_OffsetCommitRequestPartition {
    int32_t partitionIndex;
    int64_t committedOffset;
    int32_t committedLeaderEpoch;
    fr_span committedMetadata;
} fr_kafka_OffsetCommitRequestPartition;
extern const fr_kafka_shape fr_kafka_OffsetCommitRequestPartition_shape;

typedef struct fr_kafka_OffsetCommitRequestTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_OffsetCommitRequestPartition) partitions;
} fr_kafka_OffsetCommitRequestTopic;
extern const fr_kafka_shape fr_kafka_OffsetCommitRequestTopic_shape;

typedef struct fr_kafka_OffsetCommitRequest {
    fr_span groupId;
    int32_t generationIdOrMemberEpoch;
    fr_span memberId;
    fr_span groupInstanceId;
    int64_t retentionTimeMs;
    FR_KAFKA_LIST(fr_kafka_OffsetCommitRequestTopic) topics;
} fr_kafka_OffsetCommitRequest;
extern const fr_kafka_shape fr_kafka_OffsetCommitRequest_shape;

extern const fr_kafka_message fr_kafka_OffsetCommitRequest_message;

typedef struct fr_kafka_OffsetCommitResponsePartition {
    int32_t partitionIndex;
    int16_t errorCode;
} fr_kafka_OffsetCommitResponsePartition;
extern const fr_kafka_shape fr_kafka_OffsetCommitResponsePartition_shape;

typedef struct fr_kafka_OffsetCommitResponseTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_OffsetCommitResponsePartition) partitions;
} fr_kafka_OffsetCommitResponseTopic;
extern const fr_kafka_shape fr_kafka_OffsetCommitResponseTopic_shape;

typedef struct fr_kafka_OffsetCommitResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_OffsetCommitResponseTopic) topics;
} fr_kafka_OffsetCommitResponse;
extern const fr_kafka_shape fr_kafka_OffsetCommitResponse_shape;

extern const fr_kafka_message fr_kafka_OffsetCommitResponse_message;

typedef struct fr_kafka_OffsetFetchRequestTopic {
    fr_span name;
    FR_KAFKA_LIST(int32_t) partitionIndexes;
} fr_kafka_OffsetFetchRequestTopic;
extern const fr_kafka_shape fr_kafka_OffsetFetchRequestTopic_shape;

typedef struct fr_kafka_OffsetFetchRequestTopics {
    fr_span name;
    FR_KAFKA_LIST(int32_t) partitionIndexes;
} fr_kafka_OffsetFetchRequestTopics;
extern const fr_kafka_shape fr_kafka_OffsetFetchRequestTopics_shape;

typedef struct fr_kafka_OffsetFetchRequestGroup {
    fr_span groupId;
    fr_span memberId;
    int32_t memberEpoch;
    FR_KAFKA_LIST(fr_kafka_OffsetFetchRequestTopics) topics;
} fr_kafka_OffsetFetchRequestGroup;
extern const fr_kafka_shape fr_kafka_OffsetFetchRequestGroup_shape;

typedef struct fr_kafka_OffsetFetchRequest {
    fr_span groupId;
    FR_KAFKA_LIST(fr_kafka_OffsetFetchRequestTopic) topics;
    FR_KAFKA_LIST(fr_kafka_OffsetFetchRequestGroup) groups;
    bool requireStable;
} fr_kafka_OffsetFetchRequest;
extern const fr_kafka_shape fr_kafka_OffsetFetchRequest_shape;

extern const fr_kafka_message fr_kafka_OffsetFetchRequest_message;

typedef struct fr_kafka_OffsetFetchResponsePartition {
    int32_t partitionIndex;
    int64_t committedOffset;
    int32_t committedLeaderEpoch;
    fr_span metadata;
    int16_t errorCode;
} fr_kafka_OffsetFetchResponsePartition;
extern const fr_kafka_shape fr_kafka_OffsetFetchResponsePartition_shape;

typedef struct fr_kafka_OffsetFetchResponseTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_OffsetFetchResponsePartition) partitions;
} fr_kafka_OffsetFetchResponseTopic;
extern const fr_kafka_shape fr_kafka_OffsetFetchResponseTopic_shape;

typedef struct fr_kafka_OffsetFetchResponsePartitions {
    int32_t partitionIndex;
    int64_t committedOffset;
    int32_t committedLeaderEpoch;
    fr_span metadata;
    int16_t errorCode;
} fr_kafka_OffsetFetchResponsePartitions;
extern const fr_kafka_shape fr_kafka_OffsetFetchResponsePartitions_shape;

typedef struct fr_kafka_OffsetFetchResponseTopics {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_OffsetFetchResponsePartitions) partitions;
} fr_kafka_OffsetFetchResponseTopics;
extern const fr_kafka_shape fr_kafka_OffsetFetchResponseTopics_shape;

typedef struct fr_kafka_OffsetFetchResponseGroup {
    fr_span groupId;
    FR_KAFKA_LIST(fr_kafka_OffsetFetchResponseTopics) topics;
    int16_t errorCode;
} fr_kafka_OffsetFetchResponseGroup;
extern const fr_kafka_shape fr_kafka_OffsetFetchResponseGroup_shape;

typedef struct fr_kafka_OffsetFetchResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_OffsetFetchResponseTopic) topics;
    int16_t errorCode;
    FR_KAFKA_LIST(fr_kafka_OffsetFetchResponseGroup) groups;
} fr_kafka_OffsetFetchResponse;
extern const fr_kafka_shape fr_kafka_OffsetFetchResponse_shape;

extern const fr_kafka_message fr_kafka_OffsetFetchResponse_message;

typedef struct fr_kafka_FindCoordinatorRequest {
    fr_span key;
    int8_t keyType;
    FR_KAFKA_LIST(fr_span) coordinatorKeys;
} fr_kafka_FindCoordinatorRequest;
extern const fr_kafka_shape fr_kafka_FindCoordinatorRequest_shape;

extern const fr_kafka_message fr_kafka_FindCoordinatorRequest_message;

typedef struct fr_kafka_Coordinator {
    fr_span key;
    int32_t nodeId;
    fr_span host;
    int32_t port;
    int16_t errorCode;
    fr_span errorMessage;
} fr_kafka_Coordinator;
extern const fr_kafka_shape fr_kafka_Coordinator_shape;

typedef struct fr_kafka_FindCoordinatorResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    fr_span errorMessage;
    int32_t nodeId;
    fr_span host;
    int32_t port;
    FR_KAFKA_LIST(fr_kafka_Coordinator) coordinators;
} fr_kafka_FindCoordinatorResponse;
extern const fr_kafka_shape fr_kafka_FindCoordinatorResponse_shape;

extern const fr_kafka_message fr_kafka_FindCoordinatorResponse_message;

typedef struct fr_kafka_JoinGroupRequestProtocol {
    fr_span name;
    fr_span metadata;
} fr_kafka_JoinGroupRequestProtocol;
extern const fr_kafka_shape fr_kafka_JoinGroupRequestProtocol_shape;

typedef struct fr_kafka_JoinGroupRequest {
    fr_span groupId;
    int32_t sessionTimeoutMs;
    int32_t rebalanceTimeoutMs;
    fr_span memberId;
    fr_span groupInstanceId;
    fr_span protocolType;
    FR_KAFKA_LIST(fr_kafka_JoinGroupRequestProtocol) protocols;
    fr_span reason;
} fr_kafka_JoinGroupRequest;
extern const fr_kafka_shape fr_kafka_JoinGroupRequest_shape;

extern const fr_kafka_message fr_kafka_JoinGroupRequest_message;

typedef struct fr_kafka_JoinGroupResponseMember {
    fr_span memberId;
    fr_span groupInstanceId;
    fr_span metadata;
} fr_kafka_JoinGroupResponseMember;
extern const fr_kafka_shape fr_kafka_JoinGroupResponseMember_shape;

typedef struct fr_kafka_JoinGroupResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    int32_t generationId;
    fr_span protocolType;
    fr_span protocolName;
    fr_span leader;
    bool skipAssignment;
    fr_span memberId;
    FR_KAFKA_LIST(fr_kafka_JoinGroupResponseMember) members;
} fr_kafka_JoinGroupResponse;
extern const fr_kafka_shape fr_kafka_JoinGroupResponse_shape;

extern const fr_kafka_message fr_kafka_JoinGroupResponse_message;

typedef struct fr_kafka_HeartbeatRequest {
    fr_span groupId;
    int32_t generationId;
    fr_span memberId;
    fr_span groupInstanceId;
} fr_kafka_HeartbeatRequest;
extern const fr_kafka_shape fr_kafka_HeartbeatRequest_shape;

extern const fr_kafka_message fr_kafka_HeartbeatRequest_message;

typedef struct fr_kafka_HeartbeatResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
} fr_kafka_HeartbeatResponse;
extern const fr_kafka_shape fr_kafka_HeartbeatResponse_shape;

extern const fr_kafka_message fr_kafka_HeartbeatResponse_message;

typedef struct fr_kafka_MemberIdentity {
    fr_span memberId;
    fr_span groupInstanceId;
    fr_span reason;
} fr_kafka_MemberIdentity;
extern const fr_kafka_shape fr_kafka_MemberIdentity_shape;

typedef struct fr_kafka_LeaveGroupRequest {
    fr_span groupId;
    fr_span memberId;
    FR_KAFKA_LIST(fr_kafka_MemberIdentity) members;
} fr_kafka_LeaveGroupRequest;
extern const fr_kafka_shape fr_kafka_LeaveGroupRequest_shape;

extern const fr_kafka_message fr_kafka_LeaveGroupRequest_message;

typedef struct fr_kafka_MemberResponse {
    fr_span memberId;
    fr_span groupInstanceId;
    int16_t errorCode;
} fr_kafka_MemberResponse;
extern const fr_kafka_shape fr_kafka_MemberResponse_shape;

typedef struct fr_kafka_LeaveGroupResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    FR_KAFKA_LIST(fr_kafka_MemberResponse) members;
} fr_kafka_LeaveGroupResponse;
extern const fr_kafka_shape fr_kafka_LeaveGroupResponse_shape;

extern const fr_kafka_message fr_kafka_LeaveGroupResponse_message;

typedef struct fr_kafka_SyncGroupRequestAssignment {
    fr_span memberId;
    fr_span assignment;
} fr_kafka_SyncGroupRequestAssignment;
extern const fr_kafka_shape fr_kafka_SyncGroupRequestAssignment_shape;

typedef struct fr_kafka_SyncGroupRequest {
    fr_span groupId;
    int32_t generationId;
    fr_span memberId;
    fr_span groupInstanceId;
    fr_span protocolType;
    fr_span protocolName;
    FR_KAFKA_LIST(fr_kafka_SyncGroupRequestAssignment) assignments;
} fr_kafka_SyncGroupRequest;
extern const fr_kafka_shape fr_kafka_SyncGroupRequest_shape;

extern const fr_kafka_message fr_kafka_SyncGroupRequest_message;

typedef struct fr_kafka_SyncGroupResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    fr_span protocolType;
    fr_span protocolName;
    fr_span assignment;
} fr_kafka_SyncGroupResponse;
extern const fr_kafka_shape fr_kafka_SyncGroupResponse_shape;

extern const fr_kafka_message fr_kafka_SyncGroupResponse_message;

typedef struct fr_kafka_DescribeGroupsRequest {
    FR_KAFKA_LIST(fr_span) groups;
    bool includeAuthorizedOperations;
} fr_kafka_DescribeGroupsRequest;
extern const fr_kafka_shape fr_kafka_DescribeGroupsRequest_shape;

extern const fr_kafka_message fr_kafka_DescribeGroupsRequest_message;

typedef struct fr_kafka_DescribedGroupMember {
    fr_span memberId;
    fr_span groupInstanceId;
    fr_span clientId;
    fr_span clientHost;
    fr_span memberMetadata;
    fr_span memberAssignment;
} fr_kafka_DescribedGroupMember;
extern const fr_kafka_shape fr_kafka_DescribedGroupMember_shape;

typedef struct fr_kafka_DescribedGroup {
    int16_t errorCode;
    fr_span groupId;
    fr_span groupState;
    fr_span protocolType;
    fr_span protocolData;
    FR_KAFKA_LIST(fr_kafka_DescribedGroupMember) members;
    int32_t authorizedOperations;
} fr_kafka_DescribedGroup;
extern const fr_kafka_shape fr_kafka_DescribedGroup_shape;

typedef struct fr_kafka_DescribeGroupsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_DescribedGroup) groups;
} fr_kafka_DescribeGroupsResponse;
extern const fr_kafka_shape fr_kafka_DescribeGroupsResponse_shape;

extern const fr_kafka_message fr_kafka_DescribeGroupsResponse_message;

typedef struct fr_kafka_ListGroupsRequest {
    FR_KAFKA_LIST(fr_span) statesFilter;
    FR_KAFKA_LIST(fr_span) typesFilter;
} fr_kafka_ListGroupsRequest;
extern const fr_kafka_shape fr_kafka_ListGroupsRequest_shape;

extern const fr_kafka_message fr_kafka_ListGroupsRequest_message;

typedef struct fr_kafka_ListedGroup {
    fr_span groupId;
    fr_span protocolType;
    fr_span groupState;
    fr_span groupType;
} fr_kafka_ListedGroup;
extern const fr_kafka_shape fr_kafka_ListedGroup_shape;

typedef struct fr_kafka_ListGroupsResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    FR_KAFKA_LIST(fr_kafka_ListedGroup) groups;
} fr_kafka_ListGroupsResponse;
extern const fr_kafka_shape fr_kafka_ListGroupsResponse_shape;

extern const fr_kafka_message fr_kafka_ListGroupsResponse_message;

typedef struct fr_kafka_SaslHandshakeRequest {
    fr_span mechanism;
} fr_kafka_SaslHandshakeRequest;
extern const fr_kafka_shape fr_kafka_SaslHandshakeRequest_shape;

extern const fr_kafka_message fr_kafka_SaslHandshakeRequest_message;

typedef struct fr_kafka_SaslHandshakeResponse {
    int16_t errorCode;
    FR_KAFKA_LIST(fr_span) mechanisms;
} fr_kafka_SaslHandshakeResponse;
extern const fr_kafka_shape fr_kafka_SaslHandshakeResponse_shape;

extern const fr_kafka_message fr_kafka_SaslHandshakeResponse_message;

typedef struct fr_kafka_ApiVersionsRequest {
    fr_span clientSoftwareName;
    fr_span clientSoftwareVersion;
} fr_kafka_ApiVersionsRequest;
extern const fr_kafka_shape fr_kafka_ApiVersionsRequest_shape;

extern const fr_kafka_message fr_kafka_ApiVersionsRequest_message;

typedef struct fr_kafka_ApiVersion {
    int16_t apiKey;
    int16_t minVersion;
    int16_t maxVersion;
} fr_kafka_ApiVersion;
extern const fr_kafka_shape fr_kafka_ApiVersion_shape;

typedef struct fr_kafka_SupportedFeatureKey {
    fr_span name;
    int16_t minVersion;
    int16_t maxVersion;
} fr_kafka_SupportedFeatureKey;
extern const fr_kafka_shape fr_kafka_SupportedFeatureKey_shape;

typedef struct fr_kafka_FinalizedFeatureKey {
    fr_span name;
    int16_t maxVersionLevel;
    int16_t minVersionLevel;
} fr_kafka_FinalizedFeatureKey;
extern const fr_kafka_shape fr_kafka_FinalizedFeatureKey_shape;

typedef struct fr_kafka_ApiVersionsResponse {
    int16_t errorCode;
    FR_KAFKA_LIST(fr_kafka_ApiVersion) apiKeys;
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_SupportedFeatureKey) supportedFeatures;
    int64_t finalizedFeaturesEpoch;
    FR_KAFKA_LIST(fr_kafka_FinalizedFeatureKey) finalizedFeatures;
    bool zkMigrationReady;
} fr_kafka_ApiVersionsResponse;
extern const fr_kafka_shape fr_kafka_ApiVersionsResponse_shape;

extern const fr_kafka_message fr_kafka_ApiVersionsResponse_message;

typedef struct fr_kafka_CreatableReplicaAssignment {
    int32_t partitionIndex;
    FR_KAFKA_LIST(int32_t) brokerIds;
} fr_kafka_CreatableReplicaAssignment;
extern const fr_kafka_shape fr_kafka_CreatableReplicaAssignment_shape;

typedef struct fr_kafka_CreatableTopicConfig {
    fr_span name;
    fr_span value;
} fr_kafka_CreatableTopicConfig;
extern const fr_kafka_shape fr_kafka_CreatableTopicConfig_shape;

typedef struct fr_kafka_CreatableTopic {
    fr_span name;
    int32_t numPartitions;
    int16_t replicationFactor;
    FR_KAFKA_LIST(fr_kafka_CreatableReplicaAssignment) assignments;
    FR_KAFKA_LIST(fr_kafka_CreatableTopicConfig) configs;
} fr_kafka_CreatableTopic;
extern const fr_kafka_shape fr_kafka_CreatableTopic_shape;

typedef struct fr_kafka_CreateTopicsRequest {
    FR_KAFKA_LIST(fr_kafka_CreatableTopic) topics;
    int32_t timeoutMs;
    bool validateOnly;
} fr_kafka_CreateTopicsRequest;
extern const fr_kafka_shape fr_kafka_CreateTopicsRequest_shape;

extern const fr_kafka_message fr_kafka_CreateTopicsRequest_message;

typedef struct fr_kafka_CreatableTopicConfigs {
    fr_span name;
    fr_span value;
    bool readOnly;
    int8_t configSource;
    bool isSensitive;
} fr_kafka_CreatableTopicConfigs;
extern const fr_kafka_shape fr_kafka_CreatableTopicConfigs_shape;

typedef struct fr_kafka_CreatableTopicResult {
    fr_span name;
    fr_kafka_uuid topicId;
    int16_t errorCode;
    fr_span errorMessage;
    int16_t topicConfigErrorCode;
    int32_t numPartitions;
    int16_t replicationFactor;
    FR_KAFKA_LIST(fr_kafka_CreatableTopicConfigs) configs;
} fr_kafka_CreatableTopicResult;
extern const fr_kafka_shape fr_kafka_CreatableTopicResult_shape;

typedef struct fr_kafka_CreateTopicsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_CreatableTopicResult) topics;
} fr_kafka_CreateTopicsResponse;
extern const fr_kafka_shape fr_kafka_CreateTopicsResponse_shape;

extern const fr_kafka_message fr_kafka_CreateTopicsResponse_message;

typedef struct fr_kafka_DeleteTopicState {
    fr_span name;
    fr_kafka_uuid topicId;
} fr_kafka_DeleteTopicState;
extern const fr_kafka_shape fr_kafka_DeleteTopicState_shape;

typedef struct fr_kafka_DeleteTopicsRequest {
    FR_KAFKA_LIST(fr_kafka_DeleteTopicState) topics;
    FR_KAFKA_LIST(fr_span) topicNames;
    int32_t timeoutMs;
} fr_kafka_DeleteTopicsRequest;
extern const fr_kafka_shape fr_kafka_DeleteTopicsRequest_shape;

extern const fr_kafka_message fr_kafka_DeleteTopicsRequest_message;

typedef struct fr_kafka_DeletableTopicResult {
    fr_span name;
    fr_kafka_uuid topicId;
    int16_t errorCode;
    fr_span errorMessage;
} fr_kafka_DeletableTopicResult;
extern const fr_kafka_shape fr_kafka_DeletableTopicResult_shape;

typedef struct fr_kafka_DeleteTopicsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_DeletableTopicResult) responses;
} fr_kafka_DeleteTopicsResponse;
extern const fr_kafka_shape fr_kafka_DeleteTopicsResponse_shape;

extern const fr_kafka_message fr_kafka_DeleteTopicsResponse_message;

typedef struct fr_kafka_DeleteRecordsPartition {
    int32_t partitionIndex;
    int64_t offset;
} fr_kafka_DeleteRecordsPartition;
extern const fr_kafka_shape fr_kafka_DeleteRecordsPartition_shape;

typedef struct fr_kafka_DeleteRecordsTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_DeleteRecordsPartition) partitions;
} fr_kafka_DeleteRecordsTopic;
extern const fr_kafka_shape fr_kafka_DeleteRecordsTopic_shape;

typedef struct fr_kafka_DeleteRecordsRequest {
    FR_KAFKA_LIST(fr_kafka_DeleteRecordsTopic) topics;
    int32_t timeoutMs;
} fr_kafka_DeleteRecordsRequest;
extern const fr_kafka_shape fr_kafka_DeleteRecordsRequest_shape;

extern const fr_kafka_message fr_kafka_DeleteRecordsRequest_message;

typedef struct fr_kafka_DeleteRecordsPartitionResult {
    int32_t partitionIndex;
    int64_t lowWatermark;
    int16_t errorCode;
} fr_kafka_DeleteRecordsPartitionResult;
extern const fr_kafka_shape fr_kafka_DeleteRecordsPartitionResult_shape;

typedef struct fr_kafka_DeleteRecordsTopicResult {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_DeleteRecordsPartitionResult) partitions;
} fr_kafka_DeleteRecordsTopicResult;
extern const fr_kafka_shape fr_kafka_DeleteRecordsTopicResult_shape;

typedef struct fr_kafka_DeleteRecordsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_DeleteRecordsTopicResult) topics;
} fr_kafka_DeleteRecordsResponse;
extern const fr_kafka_shape fr_kafka_DeleteRecordsResponse_shape;

extern const fr_kafka_message fr_kafka_DeleteRecordsResponse_message;

typedef struct fr_kafka_InitProducerIdRequest {
    fr_span transactionalId;
    int32_t transactionTimeoutMs;
    int64_t producerId;
    int16_t producerEpoch;
} fr_kafka_InitProducerIdRequest;
extern const fr_kafka_shape fr_kafka_InitProducerIdRequest_shape;

extern const fr_kafka_message fr_kafka_InitProducerIdRequest_message;

typedef struct fr_kafka_InitProducerIdResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    int64_t producerId;
    int16_t producerEpoch;
} fr_kafka_InitProducerIdResponse;
extern const fr_kafka_shape fr_kafka_InitProducerIdResponse_shape;

extern const fr_kafka_message fr_kafka_InitProducerIdResponse_message;

typedef struct fr_kafka_OffsetForLeaderPartition {
    int32_t partition;
    int32_t currentLeaderEpoch;
    int32_t leaderEpoch;
} fr_kafka_OffsetForLeaderPartition;
extern const fr_kafka_shape fr_kafka_OffsetForLeaderPartition_shape;

typedef struct fr_kafka_OffsetForLeaderTopic {
    fr_span topic;
    FR_KAFKA_LIST(fr_kafka_OffsetForLeaderPartition) partitions;
} fr_kafka_OffsetForLeaderTopic;
extern const fr_kafka_shape fr_kafka_OffsetForLeaderTopic_shape;

typedef struct fr_kafka_OffsetForLeaderEpochRequest {
    int32_t replicaId;
    FR_KAFKA_LIST(fr_kafka_OffsetForLeaderTopic) topics;
} fr_kafka_OffsetForLeaderEpochRequest;
extern const fr_kafka_shape fr_kafka_OffsetForLeaderEpochRequest_shape;

extern const fr_kafka_message fr_kafka_OffsetForLeaderEpochRequest_message;

typedef struct fr_kafka_OffsetForLeaderEpochResponse_EpochEndOffset {
    int16_t errorCode;
    int32_t partition;
    int32_t leaderEpoch;
    int64_t endOffset;
} fr_kafka_OffsetForLeaderEpochResponse_EpochEndOffset;
extern const fr_kafka_shape fr_kafka_OffsetForLeaderEpochResponse_EpochEndOffset_shape;

typedef struct fr_kafka_OffsetForLeaderTopicResult {
    fr_span topic;
    FR_KAFKA_LIST(fr_kafka_OffsetForLeaderEpochResponse_EpochEndOffset) partitions;
} fr_kafka_OffsetForLeaderTopicResult;
extern const fr_kafka_shape fr_kafka_OffsetForLeaderTopicResult_shape;

typedef struct fr_kafka_OffsetForLeaderEpochResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_OffsetForLeaderTopicResult) topics;
} fr_kafka_OffsetForLeaderEpochResponse;
extern const fr_kafka_shape fr_kafka_OffsetForLeaderEpochResponse_shape;

extern const fr_kafka_message fr_kafka_OffsetForLeaderEpochResponse_message;

typedef struct fr_kafka_AddPartitionsToTxnTopic {
    fr_span name;
    FR_KAFKA_LIST(int32_t) partitions;
} fr_kafka_AddPartitionsToTxnTopic;
extern const fr_kafka_shape fr_kafka_AddPartitionsToTxnTopic_shape;

typedef struct fr_kafka_AddPartitionsToTxnRequest {
    fr_span v3AndBelowTransactionalId;
    int64_t v3AndBelowProducerId;
    int16_t v3AndBelowProducerEpoch;
    FR_KAFKA_LIST(fr_kafka_AddPartitionsToTxnTopic) v3AndBelowTopics;
} fr_kafka_AddPartitionsToTxnRequest;
extern const fr_kafka_shape fr_kafka_AddPartitionsToTxnRequest_shape;

extern const fr_kafka_message fr_kafka_AddPartitionsToTxnRequest_message;

typedef struct fr_kafka_AddPartitionsToTxnPartitionResult {
    int32_t partitionIndex;
    int16_t partitionErrorCode;
} fr_kafka_AddPartitionsToTxnPartitionResult;
extern const fr_kafka_shape fr_kafka_AddPartitionsToTxnPartitionResult_shape;

typedef struct fr_kafka_AddPartitionsToTxnTopicResult {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_AddPartitionsToTxnPartitionResult) resultsByPartition;
} fr_kafka_AddPartitionsToTxnTopicResult;
extern const fr_kafka_shape fr_kafka_AddPartitionsToTxnTopicResult_shape;

typedef struct fr_kafka_AddPartitionsToTxnResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_AddPartitionsToTxnTopicResult) resultsByTopicV3AndBelow;
} fr_kafka_AddPartitionsToTxnResponse;
extern const fr_kafka_shape fr_kafka_AddPartitionsToTxnResponse_shape;

extern const fr_kafka_message fr_kafka_AddPartitionsToTxnResponse_message;

typedef struct fr_kafka_AddOffsetsToTxnRequest {
    fr_span transactionalId;
    int64_t producerId;
    int16_t producerEpoch;
    fr_span groupId;
} fr_kafka_AddOffsetsToTxnRequest;
extern const fr_kafka_shape fr_kafka_AddOffsetsToTxnRequest_shape;

extern const fr_kafka_message fr_kafka_AddOffsetsToTxnRequest_message;

typedef struct fr_kafka_AddOffsetsToTxnResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
} fr_kafka_AddOffsetsToTxnResponse;
extern const fr_kafka_shape fr_kafka_AddOffsetsToTxnResponse_shape;

extern const fr_kafka_message fr_kafka_AddOffsetsToTxnResponse_message;

typedef struct fr_kafka_EndTxnRequest {
    fr_span transactionalId;
    int64_t producerId;
    int16_t producerEpoch;
    bool committed;
} fr_kafka_EndTxnRequest;
extern const fr_kafka_shape fr_kafka_EndTxnRequest_shape;

extern const fr_kafka_message fr_kafka_EndTxnRequest_message;

typedef struct fr_kafka_EndTxnResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
} fr_kafka_EndTxnResponse;
extern const fr_kafka_shape fr_kafka_EndTxnResponse_shape;

extern const fr_kafka_message fr_kafka_EndTxnResponse_message;

typedef struct fr_kafka_TxnOffsetCommitRequestPartition {
    int32_t partitionIndex;
    int64_t committedOffset;
    int32_t committedLeaderEpoch;
    fr_span committedMetadata;
} fr_kafka_TxnOffsetCommitRequestPartition;
extern const fr_kafka_shape fr_kafka_TxnOffsetCommitRequestPartition_shape;

typedef struct fr_kafka_TxnOffsetCommitRequestTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_TxnOffsetCommitRequestPartition) partitions;
} fr_kafka_TxnOffsetCommitRequestTopic;
extern const fr_kafka_shape fr_kafka_TxnOffsetCommitRequestTopic_shape;

typedef struct fr_kafka_TxnOffsetCommitRequest {
    fr_span transactionalId;
    fr_span groupId;
    int64_t producerId;
    int16_t producerEpoch;
    int32_t generationId;
    fr_span memberId;
    fr_span groupInstanceId;
    FR_KAFKA_LIST(fr_kafka_TxnOffsetCommitRequestTopic) topics;
} fr_kafka_TxnOffsetCommitRequest;
extern const fr_kafka_shape fr_kafka_TxnOffsetCommitRequest_shape;

extern const fr_kafka_message fr_kafka_TxnOffsetCommitRequest_message;

typedef struct fr_kafka_TxnOffsetCommitResponsePartition {
    int32_t partitionIndex;
    int16_t errorCode;
} fr_kafka_TxnOffsetCommitResponsePartition;
extern const fr_kafka_shape fr_kafka_TxnOffsetCommitResponsePartition_shape;

typedef struct fr_kafka_TxnOffsetCommitResponseTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_TxnOffsetCommitResponsePartition) partitions;
} fr_kafka_TxnOffsetCommitResponseTopic;
extern const fr_kafka_shape fr_kafka_TxnOffsetCommitResponseTopic_shape;

typedef struct fr_kafka_TxnOffsetCommitResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_TxnOffsetCommitResponseTopic) topics;
} fr_kafka_TxnOffsetCommitResponse;
extern const fr_kafka_shape fr_kafka_TxnOffsetCommitResponse_shape;

extern const fr_kafka_message fr_kafka_TxnOffsetCommitResponse_message;

typedef struct fr_kafka_DescribeConfigsResource {
    int8_t resourceType;
    fr_span resourceName;
    FR_KAFKA_LIST(fr_span) configurationKeys;
} fr_kafka_DescribeConfigsResource;
extern const fr_kafka_shape fr_kafka_DescribeConfigsResource_shape;

typedef struct fr_kafka_DescribeConfigsRequest {
    FR_KAFKA_LIST(fr_kafka_DescribeConfigsResource) resources;
    bool includeSynonyms;
    bool includeDocumentation;
} fr_kafka_DescribeConfigsRequest;
extern const fr_kafka_shape fr_kafka_DescribeConfigsRequest_shape;

extern const fr_kafka_message fr_kafka_DescribeConfigsRequest_message;

typedef struct fr_kafka_DescribeConfigsSynonym {
    fr_span name;
    fr_span value;
    int8_t source;
} fr_kafka_DescribeConfigsSynonym;
extern const fr_kafka_shape fr_kafka_DescribeConfigsSynonym_shape;

typedef struct fr_kafka_DescribeConfigsResourceResult {
    fr_span name;
    fr_span value;
    bool readOnly;
    int8_t configSource;
    bool isSensitive;
    FR_KAFKA_LIST(fr_kafka_DescribeConfigsSynonym) synonyms;
    int8_t configType;
    fr_span documentation;
} fr_kafka_DescribeConfigsResourceResult;
extern const fr_kafka_shape fr_kafka_DescribeConfigsResourceResult_shape;

typedef struct fr_kafka_DescribeConfigsResult {
    int16_t errorCode;
    fr_span errorMessage;
    int8_t resourceType;
    fr_span resourceName;
    FR_KAFKA_LIST(fr_kafka_DescribeConfigsResourceResult) configs;
} fr_kafka_DescribeConfigsResult;
extern const fr_kafka_shape fr_kafka_DescribeConfigsResult_shape;

typedef struct fr_kafka_DescribeConfigsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_DescribeConfigsResult) results;
} fr_kafka_DescribeConfigsResponse;
extern const fr_kafka_shape fr_kafka_DescribeConfigsResponse_shape;

extern const fr_kafka_message fr_kafka_DescribeConfigsResponse_message;

typedef struct fr_kafka_AlterConfigsRequest_AlterableConfig {
    fr_span name;
    fr_span value;
} fr_kafka_AlterConfigsRequest_AlterableConfig;
extern const fr_kafka_shape fr_kafka_AlterConfigsRequest_AlterableConfig_shape;

typedef struct fr_kafka_AlterConfigsRequest_AlterConfigsResource {
    int8_t resourceType;
    fr_span resourceName;
    FR_KAFKA_LIST(fr_kafka_AlterConfigsRequest_AlterableConfig) configs;
} fr_kafka_AlterConfigsRequest_AlterConfigsResource;
extern const fr_kafka_shape fr_kafka_AlterConfigsRequest_AlterConfigsResource_shape;

typedef struct fr_kafka_AlterConfigsRequest {
    FR_KAFKA_LIST(fr_kafka_AlterConfigsRequest_AlterConfigsResource) resources;
    bool validateOnly;
} fr_kafka_AlterConfigsRequest;
extern const fr_kafka_shape fr_kafka_AlterConfigsRequest_shape;

extern const fr_kafka_message fr_kafka_AlterConfigsRequest_message;

typedef struct fr_kafka_AlterConfigsResponse_AlterConfigsResourceResponse {
    int16_t errorCode;
    fr_span errorMessage;
    int8_t resourceType;
    fr_span resourceName;
} fr_kafka_AlterConfigsResponse_AlterConfigsResourceResponse;
extern const fr_kafka_shape fr_kafka_AlterConfigsResponse_AlterConfigsResourceResponse_shape;

typedef struct fr_kafka_AlterConfigsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_AlterConfigsResponse_AlterConfigsResourceResponse) responses;
} fr_kafka_AlterConfigsResponse;
extern const fr_kafka_shape fr_kafka_AlterConfigsResponse_shape;

extern const fr_kafka_message fr_kafka_AlterConfigsResponse_message;

typedef struct fr_kafka_SaslAuthenticateRequest {
    fr_span authBytes;
} fr_kafka_SaslAuthenticateRequest;
extern const fr_kafka_shape fr_kafka_SaslAuthenticateRequest_shape;

extern const fr_kafka_message fr_kafka_SaslAuthenticateRequest_message;

typedef struct fr_kafka_SaslAuthenticateResponse {
    int16_t errorCode;
    fr_span errorMessage;
    fr_span authBytes;
    int64_t sessionLifetimeMs;
} fr_kafka_SaslAuthenticateResponse;
extern const fr_kafka_shape fr_kafka_SaslAuthenticateResponse_shape;

extern const fr_kafka_message fr_kafka_SaslAuthenticateResponse_message;

typedef struct fr_kafka_CreatePartitionsAssignment {
    FR_KAFKA_LIST(int32_t) brokerIds;
} fr_kafka_CreatePartitionsAssignment;
extern const fr_kafka_shape fr_kafka_CreatePartitionsAssignment_shape;

typedef struct fr_kafka_CreatePartitionsTopic {
    fr_span name;
    int32_t count;
    FR_KAFKA_LIST(fr_kafka_CreatePartitionsAssignment) assignments;
} fr_kafka_CreatePartitionsTopic;
extern const fr_kafka_shape fr_kafka_CreatePartitionsTopic_shape;

typedef struct fr_kafka_CreatePartitionsRequest {
    FR_KAFKA_LIST(fr_kafka_CreatePartitionsTopic) topics;
    int32_t timeoutMs;
    bool validateOnly;
} fr_kafka_CreatePartitionsRequest;
extern const fr_kafka_shape fr_kafka_CreatePartitionsRequest_shape;

extern const fr_kafka_message fr_kafka_CreatePartitionsRequest_message;

typedef struct fr_kafka_CreatePartitionsTopicResult {
    fr_span name;
    int16_t errorCode;
    fr_span errorMessage;
} fr_kafka_CreatePartitionsTopicResult;
extern const fr_kafka_shape fr_kafka_CreatePartitionsTopicResult_shape;

typedef struct fr_kafka_CreatePartitionsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_CreatePartitionsTopicResult) results;
} fr_kafka_CreatePartitionsResponse;
extern const fr_kafka_shape fr_kafka_CreatePartitionsResponse_shape;

extern const fr_kafka_message fr_kafka_CreatePartitionsResponse_message;

typedef struct fr_kafka_DeleteGroupsRequest {
    FR_KAFKA_LIST(fr_span) groupsNames;
} fr_kafka_DeleteGroupsRequest;
extern const fr_kafka_shape fr_kafka_DeleteGroupsRequest_shape;

extern const fr_kafka_message fr_kafka_DeleteGroupsRequest_message;

typedef struct fr_kafka_DeletableGroupResult {
    fr_span groupId;
    int16_t errorCode;
} fr_kafka_DeletableGroupResult;
extern const fr_kafka_shape fr_kafka_DeletableGroupResult_shape;

typedef struct fr_kafka_DeleteGroupsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_DeletableGroupResult) results;
} fr_kafka_DeleteGroupsResponse;
extern const fr_kafka_shape fr_kafka_DeleteGroupsResponse_shape;

extern const fr_kafka_message fr_kafka_DeleteGroupsResponse_message;

typedef struct fr_kafka_IncrementalAlterConfigsRequest_AlterableConfig {
    fr_span name;
    int8_t configOperation;
    fr_span value;
} fr_kafka_IncrementalAlterConfigsRequest_AlterableConfig;
extern const fr_kafka_shape fr_kafka_IncrementalAlterConfigsRequest_AlterableConfig_shape;

typedef struct fr_kafka_IncrementalAlterConfigsRequest_AlterConfigsResource {
    int8_t resourceType;
    fr_span resourceName;
    FR_KAFKA_LIST(fr_kafka_IncrementalAlterConfigsRequest_AlterableConfig) configs;
} fr_kafka_IncrementalAlterConfigsRequest_AlterConfigsResource;
extern const fr_kafka_shape fr_kafka_IncrementalAlterConfigsRequest_AlterConfigsResource_shape;

typedef struct fr_kafka_IncrementalAlterConfigsRequest {
    FR_KAFKA_LIST(fr_kafka_IncrementalAlterConfigsRequest_AlterConfigsResource) resources;
    bool validateOnly;
} fr_kafka_IncrementalAlterConfigsRequest;
extern const fr_kafka_shape fr_kafka_IncrementalAlterConfigsRequest_shape;

extern const fr_kafka_message fr_kafka_IncrementalAlterConfigsRequest_message;

typedef struct fr_kafka_IncrementalAlterConfigsResponse_AlterConfigsResourceResponse {
    int16_t errorCode;
    fr_span errorMessage;
    int8_t resourceType;
    fr_span resourceName;
} fr_kafka_IncrementalAlterConfigsResponse_AlterConfigsResourceResponse;
extern const fr_kafka_shape fr_kafka_IncrementalAlterConfigsResponse_AlterConfigsResourceResponse_shape;

typedef struct fr_kafka_IncrementalAlterConfigsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_IncrementalAlterConfigsResponse_AlterConfigsResourceResponse) responses;
} fr_kafka_IncrementalAlterConfigsResponse;
extern const fr_kafka_shape fr_kafka_IncrementalAlterConfigsResponse_shape;

extern const fr_kafka_message fr_kafka_IncrementalAlterConfigsResponse_message;

typedef struct fr_kafka_OffsetDeleteRequestPartition {
    int32_t partitionIndex;
} fr_kafka_OffsetDeleteRequestPartition;
extern const fr_kafka_shape fr_kafka_OffsetDeleteRequestPartition_shape;

typedef struct fr_kafka_OffsetDeleteRequestTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_OffsetDeleteRequestPartition) partitions;
} fr_kafka_OffsetDeleteRequestTopic;
extern const fr_kafka_shape fr_kafka_OffsetDeleteRequestTopic_shape;

typedef struct fr_kafka_OffsetDeleteRequest {
    fr_span groupId;
    FR_KAFKA_LIST(fr_kafka_OffsetDeleteRequestTopic) topics;
} fr_kafka_OffsetDeleteRequest;
extern const fr_kafka_shape fr_kafka_OffsetDeleteRequest_shape;

extern const fr_kafka_message fr_kafka_OffsetDeleteRequest_message;

typedef struct fr_kafka_OffsetDeleteResponsePartition {
    int32_t partitionIndex;
    int16_t errorCode;
} fr_kafka_OffsetDeleteResponsePartition;
extern const fr_kafka_shape fr_kafka_OffsetDeleteResponsePartition_shape;

typedef struct fr_kafka_OffsetDeleteResponseTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_OffsetDeleteResponsePartition) partitions;
} fr_kafka_OffsetDeleteResponseTopic;
extern const fr_kafka_shape fr_kafka_OffsetDeleteResponseTopic_shape;

typedef struct fr_kafka_OffsetDeleteResponse {
    int16_t errorCode;
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_OffsetDeleteResponseTopic) topics;
} fr_kafka_OffsetDeleteResponse;
extern const fr_kafka_shape fr_kafka_OffsetDeleteResponse_shape;

extern const fr_kafka_message fr_kafka_OffsetDeleteResponse_message;

typedef struct fr_kafka_DescribeClusterRequest {
    bool includeClusterAuthorizedOperations;
    int8_t endpointType;
} fr_kafka_DescribeClusterRequest;
extern const fr_kafka_shape fr_kafka_DescribeClusterRequest_shape;

extern const fr_kafka_message fr_kafka_DescribeClusterRequest_message;

typedef struct fr_kafka_DescribeClusterBroker {
    int32_t brokerId;
    fr_span host;
    int32_t port;
    fr_span rack;
} fr_kafka_DescribeClusterBroker;
extern const fr_kafka_shape fr_kafka_DescribeClusterBroker_shape;

typedef struct fr_kafka_DescribeClusterResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    fr_span errorMessage;
    int8_t endpointType;
    fr_span clusterId;
    int32_t controllerId;
    FR_KAFKA_LIST(fr_kafka_DescribeClusterBroker) brokers;
    int32_t clusterAuthorizedOperations;
} fr_kafka_DescribeClusterResponse;
extern const fr_kafka_shape fr_kafka_DescribeClusterResponse_shape;

extern const fr_kafka_message fr_kafka_DescribeClusterResponse_message;

typedef struct fr_kafka_DescribableLogDirTopic {
    fr_span topic;
    FR_KAFKA_LIST(int32_t) partitions;
} fr_kafka_DescribableLogDirTopic;
extern const fr_kafka_shape fr_kafka_DescribableLogDirTopic_shape;

typedef struct fr_kafka_DescribeLogDirsRequest {
    FR_KAFKA_LIST(fr_kafka_DescribableLogDirTopic) topics;
} fr_kafka_DescribeLogDirsRequest;
extern const fr_kafka_shape fr_kafka_DescribeLogDirsRequest_shape;

extern const fr_kafka_message fr_kafka_DescribeLogDirsRequest_message;

typedef struct fr_kafka_DescribeLogDirsPartition {
    int32_t partitionIndex;
    int64_t partitionSize;
    int64_t offsetLag;
    bool isFutureKey;
} fr_kafka_DescribeLogDirsPartition;
extern const fr_kafka_shape fr_kafka_DescribeLogDirsPartition_shape;

typedef struct fr_kafka_DescribeLogDirsTopic {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_DescribeLogDirsPartition) partitions;
} fr_kafka_DescribeLogDirsTopic;
extern const fr_kafka_shape fr_kafka_DescribeLogDirsTopic_shape;

typedef struct fr_kafka_DescribeLogDirsResult {
    int16_t errorCode;
    fr_span logDir;
    FR_KAFKA_LIST(fr_kafka_DescribeLogDirsTopic) topics;
    int64_t totalBytes;
    int64_t usableBytes;
} fr_kafka_DescribeLogDirsResult;
extern const fr_kafka_shape fr_kafka_DescribeLogDirsResult_shape;

typedef struct fr_kafka_DescribeLogDirsResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    FR_KAFKA_LIST(fr_kafka_DescribeLogDirsResult) results;
} fr_kafka_DescribeLogDirsResponse;
extern const fr_kafka_shape fr_kafka_DescribeLogDirsResponse_shape;

extern const fr_kafka_message fr_kafka_DescribeLogDirsResponse_message;

typedef struct fr_kafka_ListPartitionReassignmentsTopics {
    fr_span name;
    FR_KAFKA_LIST(int32_t) partitionIndexes;
} fr_kafka_ListPartitionReassignmentsTopics;
extern const fr_kafka_shape fr_kafka_ListPartitionReassignmentsTopics_shape;

typedef struct fr_kafka_ListPartitionReassignmentsRequest {
    int32_t timeoutMs;
    FR_KAFKA_LIST(fr_kafka_ListPartitionReassignmentsTopics) topics;
} fr_kafka_ListPartitionReassignmentsRequest;
extern const fr_kafka_shape fr_kafka_ListPartitionReassignmentsRequest_shape;

extern const fr_kafka_message fr_kafka_ListPartitionReassignmentsRequest_message;

typedef struct fr_kafka_OngoingPartitionReassignment {
    int32_t partitionIndex;
    FR_KAFKA_LIST(int32_t) replicas;
    FR_KAFKA_LIST(int32_t) addingReplicas;
    FR_KAFKA_LIST(int32_t) removingReplicas;
} fr_kafka_OngoingPartitionReassignment;
extern const fr_kafka_shape fr_kafka_OngoingPartitionReassignment_shape;

typedef struct fr_kafka_OngoingTopicReassignment {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_OngoingPartitionReassignment) partitions;
} fr_kafka_OngoingTopicReassignment;
extern const fr_kafka_shape fr_kafka_OngoingTopicReassignment_shape;

typedef struct fr_kafka_ListPartitionReassignmentsResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    fr_span errorMessage;
    FR_KAFKA_LIST(fr_kafka_OngoingTopicReassignment) topics;
} fr_kafka_ListPartitionReassignmentsResponse;
extern const fr_kafka_shape fr_kafka_ListPartitionReassignmentsResponse_shape;

extern const fr_kafka_message fr_kafka_ListPartitionReassignmentsResponse_message;

typedef struct fr_kafka_ComponentData {
    fr_span entityType;
    int8_t matchType;
    fr_span match;
} fr_kafka_ComponentData;
extern const fr_kafka_shape fr_kafka_ComponentData_shape;

typedef struct fr_kafka_DescribeClientQuotasRequest {
    FR_KAFKA_LIST(fr_kafka_ComponentData) components;
    bool strict;
} fr_kafka_DescribeClientQuotasRequest;
extern const fr_kafka_shape fr_kafka_DescribeClientQuotasRequest_shape;

extern const fr_kafka_message fr_kafka_DescribeClientQuotasRequest_message;

typedef struct fr_kafka_DescribeClientQuotasResponse_EntityData {
    fr_span entityType;
    fr_span entityName;
} fr_kafka_DescribeClientQuotasResponse_EntityData;
extern const fr_kafka_shape fr_kafka_DescribeClientQuotasResponse_EntityData_shape;

typedef struct fr_kafka_ValueData {
    fr_span key;
    double value;
} fr_kafka_ValueData;
extern const fr_kafka_shape fr_kafka_ValueData_shape;

typedef struct fr_kafka_DescribeClientQuotasResponse_EntryData {
    FR_KAFKA_LIST(fr_kafka_DescribeClientQuotasResponse_EntityData) entity;
    FR_KAFKA_LIST(fr_kafka_ValueData) values;
} fr_kafka_DescribeClientQuotasResponse_EntryData;
extern const fr_kafka_shape fr_kafka_DescribeClientQuotasResponse_EntryData_shape;

typedef struct fr_kafka_DescribeClientQuotasResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    fr_span errorMessage;
    FR_KAFKA_LIST(fr_kafka_DescribeClientQuotasResponse_EntryData) entries;
} fr_kafka_DescribeClientQuotasResponse;
extern const fr_kafka_shape fr_kafka_DescribeClientQuotasResponse_shape;

extern const fr_kafka_message fr_kafka_DescribeClientQuotasResponse_message;

typedef struct fr_kafka_AlterClientQuotasRequest_EntityData {
    fr_span entityType;
    fr_span entityName;
} fr_kafka_AlterClientQuotasRequest_EntityData;
extern const fr_kafka_shape fr_kafka_AlterClientQuotasRequest_EntityData_shape;

typedef struct fr_kafka_OpData {
    fr_span key;
    double value;
    bool remove;
} fr_kafka_OpData;
extern const fr_kafka_shape fr_kafka_OpData_shape;

typedef struct fr_kafka_AlterClientQuotasRequest_EntryData {
    FR_KAFKA_LIST(fr_kafka_AlterClientQuotasRequest_EntityData) entity;
    FR_KAFKA_LIST(fr_kafka_OpData) ops;
} fr_kafka_AlterClientQuotasRequest_EntryData;
extern const fr_kafka_shape fr_kafka_AlterClientQuotasRequest_EntryData_shape;

typedef struct fr_kafka_AlterClientQuotasRequest {
    FR_KAFKA_LIST(fr_kafka_AlterClientQuotasRequest_EntryData) entries;
    bool validateOnly;
} fr_kafka_AlterClientQuotasRequest;
extern const fr_kafka_shape fr_kafka_AlterClientQuotasRequest_shape;

extern const fr_kafka_message fr_kafka_AlterClientQuotasRequest_message;

typedef struct fr_kafka_AlterClientQuotasResponse_EntityData {
    fr_span entityType;
    fr_span entityName;
} fr_kafka_AlterClientQuotasResponse_EntityData;
extern const fr_kafka_shape fr_kafka_AlterClientQuotasResponse_EntityData_shape;

typedef struct fr_kafka_AlterClientQuotasResponse_EntryData {
    int16_t errorCode;
    fr_span errorMessage;
    FR_KAFKA_LIST(fr_kafka_AlterClientQuotasResponse_EntityData) entity;
} fr_kafka_AlterClientQuotasResponse_EntryData;
extern const fr_kafka_shape fr_kafka_AlterClientQuotasResponse_EntryData_shape;

typedef struct fr_kafka_AlterClientQuotasResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_AlterClientQuotasResponse_EntryData) entries;
} fr_kafka_AlterClientQuotasResponse;
extern const fr_kafka_shape fr_kafka_AlterClientQuotasResponse_shape;

extern const fr_kafka_message fr_kafka_AlterClientQuotasResponse_message;

typedef struct fr_kafka_TopicRequest {
    fr_span name;
    FR_KAFKA_LIST(int32_t) partitionIndexes;
} fr_kafka_TopicRequest;
extern const fr_kafka_shape fr_kafka_TopicRequest_shape;

typedef struct fr_kafka_DescribeProducersRequest {
    FR_KAFKA_LIST(fr_kafka_TopicRequest) topics;
} fr_kafka_DescribeProducersRequest;
extern const fr_kafka_shape fr_kafka_DescribeProducersRequest_shape;

extern const fr_kafka_message fr_kafka_DescribeProducersRequest_message;

typedef struct fr_kafka_ProducerState {
    int64_t producerId;
    int32_t producerEpoch;
    int32_t lastSequence;
    int64_t lastTimestamp;
    int32_t coordinatorEpoch;
    int64_t currentTxnStartOffset;
} fr_kafka_ProducerState;
extern const fr_kafka_shape fr_kafka_ProducerState_shape;

typedef struct fr_kafka_PartitionResponse {
    int32_t partitionIndex;
    int16_t errorCode;
    fr_span errorMessage;
    FR_KAFKA_LIST(fr_kafka_ProducerState) activeProducers;
} fr_kafka_PartitionResponse;
extern const fr_kafka_shape fr_kafka_PartitionResponse_shape;

typedef struct fr_kafka_TopicResponse {
    fr_span name;
    FR_KAFKA_LIST(fr_kafka_PartitionResponse) partitions;
} fr_kafka_TopicResponse;
extern const fr_kafka_shape fr_kafka_TopicResponse_shape;

typedef struct fr_kafka_DescribeProducersResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_TopicResponse) topics;
} fr_kafka_DescribeProducersResponse;
extern const fr_kafka_shape fr_kafka_DescribeProducersResponse_shape;

extern const fr_kafka_message fr_kafka_DescribeProducersResponse_message;

typedef struct fr_kafka_DescribeTransactionsRequest {
    FR_KAFKA_LIST(fr_span) transactionalIds;
} fr_kafka_DescribeTransactionsRequest;
extern const fr_kafka_shape fr_kafka_DescribeTransactionsRequest_shape;

extern const fr_kafka_message fr_kafka_DescribeTransactionsRequest_message;

typedef struct fr_kafka_TopicData {
    fr_span topic;
    FR_KAFKA_LIST(int32_t) partitions;
} fr_kafka_TopicData;
extern const fr_kafka_shape fr_kafka_TopicData_shape;

typedef struct fr_kafka_DescribeTransactionsResponse_TransactionState {
    int16_t errorCode;
    fr_span transactionalId;
    fr_span transactionState;
    int32_t transactionTimeoutMs;
    int64_t transactionStartTimeMs;
    int64_t producerId;
    int16_t producerEpoch;
    FR_KAFKA_LIST(fr_kafka_TopicData) topics;
} fr_kafka_DescribeTransactionsResponse_TransactionState;
extern const fr_kafka_shape fr_kafka_DescribeTransactionsResponse_TransactionState_shape;

typedef struct fr_kafka_DescribeTransactionsResponse {
    int32_t throttleTimeMs;
    FR_KAFKA_LIST(fr_kafka_DescribeTransactionsResponse_TransactionState) transactionStates;
} fr_kafka_DescribeTransactionsResponse;
extern const fr_kafka_shape fr_kafka_DescribeTransactionsResponse_shape;

extern const fr_kafka_message fr_kafka_DescribeTransactionsResponse_message;

typedef struct fr_kafka_ListTransactionsRequest {
    FR_KAFKA_LIST(fr_span) stateFilters;
    FR_KAFKA_LIST(int64_t) producerIdFilters;
    int64_t durationFilter;
} fr_kafka_ListTransactionsRequest;
extern const fr_kafka_shape fr_kafka_ListTransactionsRequest_shape;

extern const fr_kafka_message fr_kafka_ListTransactionsRequest_message;

typedef struct fr_kafka_ListTransactionsResponse_TransactionState {
    fr_span transactionalId;
    int64_t producerId;
    fr_span transactionState;
} fr_kafka_ListTransactionsResponse_TransactionState;
extern const fr_kafka_shape fr_kafka_ListTransactionsResponse_TransactionState_shape;

typedef struct fr_kafka_ListTransactionsResponse {
    int32_t throttleTimeMs;
    int16_t errorCode;
    FR_KAFKA_LIST(fr_span) unknownStateFilters;
    FR_KAFKA_LIST(fr_kafka_ListTransactionsResponse_TransactionState) transactionStates;
} fr_kafka_ListTransactionsResponse;
extern const fr_kafka_shape fr_kafka_ListTransactionsResponse_shape;

extern const fr_kafka_message fr_kafka_ListTransactionsResponse_message;

/* Every API of the tables, by key. */
typedef struct fr_kafka_pair {
    int16_t key;
    const fr_kafka_message *request, *response;
} fr_kafka_pair;
extern const fr_kafka_pair fr_kafka_pairs[];
extern const size_t fr_kafka_pair_count;

#endif

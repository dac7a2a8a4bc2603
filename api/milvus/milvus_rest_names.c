/* milvus_rest_names.c: REST's partitions, aliases and databases. */
#include "api/milvus/milvus_rest_private.h"

/* ---- partitions ---- */

fr_milvus_next fr_milvus_rest_on_partitions(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("ShowPartitions", fr_milvus_rest_request(rest, "ShowPartitions"));
    const Milvus__ShowPartitionsResponse *reply = rest->call.reply;
    return fr_milvus_rest_list_out(rest, reply->partition_names, reply->n_partition_names);
}

fr_milvus_next fr_milvus_rest_on_partition_has(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__HasPartitionRequest, "HasPartition");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    FR_MILVUS_REST_RUN("HasPartition", in);
    return fr_milvus_rest_one_flag(rest, "has", ((const Milvus__BoolResponse *)rest->call.reply)->value);
}

fr_milvus_next fr_milvus_rest_on_partition_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__CreatePartitionRequest, "CreatePartition");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    FR_MILVUS_REST_RUN("CreatePartition", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_partition_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__DropPartitionRequest, "DropPartition");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    FR_MILVUS_REST_RUN("DropPartition", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_partition_stats(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    if (!worker->searcher) return FR_MILVUS_SEARCHER;
    FR_MILVUS_REST_REQUEST(in, Milvus__GetPartitionStatisticsRequest, "GetPartitionStatistics");
    in->partition_name = fr_milvus_rest_text(rest, rest->root, "partitionName");
    FR_MILVUS_REST_RUN("GetPartitionStatistics", in);
    const Milvus__GetPartitionStatisticsResponse *reply = rest->call.reply;
    return fr_milvus_rest_count_out(rest, reply->stats, reply->n_stats);
}

fr_milvus_next fr_milvus_rest_on_partitions_load(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__LoadPartitionsRequest, "LoadPartitions");
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    FR_MILVUS_REST_RUN("LoadPartitions", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_partitions_release(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__ReleasePartitionsRequest, "ReleasePartitions");
    in->partition_names = fr_milvus_rest_texts(rest, rest->root, "partitionNames", &in->n_partition_names);
    FR_MILVUS_REST_RUN("ReleasePartitions", in);
    return fr_milvus_rest_empty(rest);
}

/* ---- aliases ---- */

fr_milvus_next fr_milvus_rest_on_aliases(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("ListAliases", fr_milvus_rest_request(rest, "ListAliases"));
    const Milvus__ListAliasesResponse *reply = rest->call.reply;
    return fr_milvus_rest_list_out(rest, reply->aliases, reply->n_aliases);
}

fr_milvus_next fr_milvus_rest_on_alias_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__DescribeAliasRequest, "DescribeAlias");
    in->alias = fr_milvus_rest_text(rest, rest->root, "aliasName");
    FR_MILVUS_REST_RUN("DescribeAlias", in);
    const Milvus__DescribeAliasResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_text_out(rest, "dbName", reply->db_name);
    fr_milvus_rest_text_out(rest, "collectionName", reply->collection);
    fr_milvus_rest_text_out(rest, "aliasName", reply->alias);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

fr_milvus_next fr_milvus_rest_on_alias_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__CreateAliasRequest, "CreateAlias");
    in->alias = fr_milvus_rest_text(rest, rest->root, "aliasName");
    FR_MILVUS_REST_RUN("CreateAlias", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_alias_alter(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__AlterAliasRequest, "AlterAlias");
    in->alias = fr_milvus_rest_text(rest, rest->root, "aliasName");
    FR_MILVUS_REST_RUN("AlterAlias", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_alias_drop(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__DropAliasRequest, "DropAlias");
    in->alias = fr_milvus_rest_text(rest, rest->root, "aliasName");
    FR_MILVUS_REST_RUN("DropAlias", in);
    return fr_milvus_rest_empty(rest);
}

/* ---- databases ---- */

fr_milvus_next fr_milvus_rest_on_databases(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("ListDatabases", fr_milvus_rest_request(rest, "ListDatabases"));
    const Milvus__ListDatabasesResponse *reply = rest->call.reply;
    return fr_milvus_rest_list_out(rest, reply->db_names, reply->n_db_names);
}

fr_milvus_next fr_milvus_rest_on_database_create(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__CreateDatabaseRequest, "CreateDatabase");
    in->properties = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "properties"), &in->n_properties);
    FR_MILVUS_REST_RUN("CreateDatabase", in);
    return fr_milvus_rest_empty(rest);
}

fr_milvus_next fr_milvus_rest_on_database_describe(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_RUN("DescribeDatabase", fr_milvus_rest_request(rest, "DescribeDatabase"));
    const Milvus__DescribeDatabaseResponse *reply = rest->call.reply;
    fr_milvus_rest_begin(rest);
    fr_out_begin(&rest->out, '{');
    fr_milvus_rest_text_out(rest, "dbName", reply->db_name);
    fr_milvus_rest_int_out(rest, "dbID", reply->dbid);
    fr_out_key(&rest->out, "properties");
    fr_milvus_rest_pairs_out(rest, reply->properties, reply->n_properties);
    fr_out_end(&rest->out, '}');
    return fr_milvus_rest_end(rest);
}

fr_milvus_next fr_milvus_rest_on_database_alter(fr_milvus *door, fr_milvus_rest *rest, fr_milvus_worker *worker)
{
    FR_MILVUS_REST_REQUEST(in, Milvus__AlterDatabaseRequest, "AlterDatabase");
    in->properties = fr_milvus_rest_pairs(rest, fr_milvus_rest_get(rest, "properties"), &in->n_properties);
    in->delete_keys = fr_milvus_rest_texts(rest, rest->root, "propertyKeys", &in->n_delete_keys);
    FR_MILVUS_REST_RUN("AlterDatabase", in);
    return fr_milvus_rest_empty(rest);
}

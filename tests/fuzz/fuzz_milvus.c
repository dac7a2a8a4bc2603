/* Calls through the whole Milvus door over a real database: the first byte chooses the RPC (or REST's route), the rest is its message. */
#include "tests/unit/milvus/milvus_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static carried one;

static void close_all(void) { carried_close(&one); }

static void rest(uint8_t route, const uint8_t *data, size_t size)
{
    char path[128];
    char *body = fr_alloc(FR_MEM_TEST, size + 1);
    snprintf(path, sizeof path, "%s", fr_milvus_rest_routes[route % fr_milvus_rest_route_count].path);
    memcpy(body, data, size);
    body[size] = 0;
    carried_rest(&one, path, body);
    fr_free(FR_MEM_TEST, body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!one.db) {
        carried_open(&one);
        atexit(close_all);
    }
    char path[96];
    size_t count = fr_milvus_rpc_count();
    if (size < 1) return 0;
    if (data[0] >= count) {
        rest((uint8_t)(data[0] - count), data + 1, size - 1);
        return 0;
    }
    snprintf(path, sizeof path, "/milvus.proto.milvus.MilvusService/%s", fr_milvus_rpc_name(data[0]));
    carried_bytes(&one, path, data + 1, size - 1);
    return 0;
}

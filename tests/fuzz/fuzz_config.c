/* fuzz_config.c: a settings file. Every value that is taken lies within its bounds. */
#include "server/daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const fr_config_option options[] = {
    {"listen", FR_CONFIG_TEXT, "127.0.0.1:19530", 0, 0, NULL, "where"},
    {"level", FR_CONFIG_TEXT, "info", 0, 0, "error|warn|info", "notes"},
    {"threads", FR_CONFIG_INT, "0", 0, 1024, NULL, "threads"},
    {"memory-limit", FR_CONFIG_BYTES, "0", 0, INT64_MAX, NULL, "bytes"},
    {"quiet", FR_CONFIG_SWITCH, "false", 0, 1, NULL, "quiet"},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fr_config_value values[FR_COUNT_OF(options)] = {{.given = false}};
    fr_err err = {0};
    fr_code code = fr_config_file(options, values, FR_COUNT_OF(options), (const char *)data, size, &err);
    FR_ASSERT(code == FR_OK || err.text[0] != 0);
    for (size_t i = 0; i < FR_COUNT_OF(options); i++) {
        if (!values[i].given) continue;
        if (options[i].type == FR_CONFIG_INT || options[i].type == FR_CONFIG_BYTES)
            FR_ASSERT(values[i].number >= options[i].min && values[i].number <= options[i].max);
        FR_ASSERT(memchr(values[i].text, 0, sizeof values[i].text) != NULL);
    }
    return 0;
}

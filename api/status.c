/* status.c: the one table of codes, so that doors cannot disagree. Doors add their own number per code beside this. */
#include "api/base.h"

static const struct {
    const char *name;
    bool retriable;
} codes[FR_CODE_COUNT] = {
    [FR_OK] = {"ok", false},
    [FR_ERR_INVALID] = {"invalid_argument", false},
    [FR_ERR_NOT_FOUND] = {"not_found", false},
    [FR_ERR_EXISTS] = {"already_exists", false},
    [FR_ERR_TOO_LARGE] = {"too_large", false},
    [FR_ERR_BUSY] = {"busy", true},
    [FR_ERR_BEHIND] = {"behind", true},
    [FR_ERR_DISK_FULL] = {"disk_full", true},
    [FR_ERR_READ_ONLY] = {"read_only", false},
    [FR_ERR_CORRUPT] = {"corrupt", false},
    [FR_ERR_IO] = {"io_error", false},
    [FR_ERR_NO_MEMORY] = {"no_memory", true},
    [FR_ERR_CLOSED] = {"closed", true},
    [FR_ERR_LOCKED] = {"locked", false},
    [FR_ERR_VERSION] = {"newer_format", false},
    [FR_ERR_TIMEOUT] = {"timeout", true},
    [FR_ERR_UNSUPPORTED] = {"unsupported", false},
    [FR_ERR_INTERNAL] = {"internal", false},
    [FR_ERR_DENIED] = {"permission_denied", false},
    [FR_ERR_UNAUTHENTICATED] = {"unauthenticated", false},
};

const char *fr_strcode(fr_code code)
{
    return (unsigned)code < FR_CODE_COUNT ? codes[code].name : "unknown";
}

bool fr_code_retriable(fr_code code) { return (unsigned)code < FR_CODE_COUNT && codes[code].retriable; }

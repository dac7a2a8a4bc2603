/* headscan.c: mitigations against desync (RFC 9112 sections 2.2, 3.2, 5, 6.1, 6.3; RFC 9110 section 7.2).
 * Refused: bare LF, folded lines, Content-Length twice, Transfer-Encoding twice or with Content-Length or on HTTP/1.0, Host
 * missing or twice, a target that does not begin with '/', methods outside the list, heads over 32 KiB. */
#include "server/daemon/headscan.h"

#include <strings.h>

static fr_head refuse(int status, const char *reason) { return (fr_head){.status = status, .reason = reason}; }

/* The line that begins at `at`: its end (at CR) or NULL. *bare: the line ends in LF alone or holds a lone CR. */
static const char *line_end(const char *at, const char *end, bool *bare)
{
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    if (!feed) return NULL;
    *bare = feed == at || feed[-1] != '\r' || memchr(at, '\r', (size_t)(feed - at - 1)) != NULL;
    return *bare ? feed : feed - 1;
}

static bool name_is(const char *at, size_t size, const char *name) { return strlen(name) == size && strncasecmp(at, name, size) == 0; }

static bool method_known(const char *at, size_t size)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < FR_COUNT_OF(methods); i++)
        if (strlen(methods[i]) == size && memcmp(methods[i], at, size) == 0) return true;
    return false;
}

/* METHOD SP target SP HTTP/1.x */
static fr_head request_line(const char *at, const char *end, bool *old_out)
{
    const char *space = memchr(at, ' ', (size_t)(end - at));
    if (!space) return refuse(400, "the request line is broken");
    if (!method_known(at, (size_t)(space - at))) return refuse(501, "this method is not known");
    const char *target = space + 1;
    if (target == end || *target != '/') return refuse(400, "the target must begin with /");
    const char *version = memchr(target, ' ', (size_t)(end - target));
    if (!version || end - version != 9 || memcmp(version + 1, "HTTP/1.", 7) != 0) return refuse(400, "the request line is broken");
    if (version[8] != '0' && version[8] != '1') return refuse(505, "HTTP/1.0 and HTTP/1.1 are spoken here");
    *old_out = version[8] == '0';
    return (fr_head){.status = 0};
}

typedef struct counted {
    unsigned lengths, encodings, hosts;
} counted;

static fr_head verdict(const counted *seen, bool old)
{
    if (seen->lengths > 1) return refuse(400, "Content-Length is given twice");
    if (seen->encodings > 1) return refuse(400, "Transfer-Encoding is given twice");
    if (seen->encodings && seen->lengths) return refuse(400, "Content-Length and Transfer-Encoding are given both");
    if (seen->encodings && old) return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    if (seen->hosts > 1) return refuse(400, "Host is given twice");
    if (!seen->hosts && !old) return refuse(400, "Host is missing");
    return (fr_head){.chunked = seen->encodings > 0};
}

fr_head fr_head_scan(const char *data, size_t size)
{
    const char *at = data, *end = data + size;
    if (size >= 2 && at[0] == '\r' && at[1] == '\n') at += 2; /* one empty line before a request is allowed */
    bool bare = false, old = false, first = true;
    counted seen = {0};
    for (;;) {
        const char *stop = at < end ? line_end(at, end, &bare) : NULL;
        if (!stop || (size_t)(stop - data) > FR_HEAD_BYTES_MAX) return refuse(431, "the head is larger than 32768 bytes");
        if (bare) return refuse(400, "lines must end in CR LF");
        if (stop == at) break;
        if (first) {
            fr_head line = request_line(at, stop, &old);
            if (line.status) return line;
        } else {
            if (*at == ' ' || *at == '\t') return refuse(400, "folded header lines are not taken");
            const char *colon = memchr(at, ':', (size_t)(stop - at));
            if (!colon || colon == at || colon[-1] == ' ' || colon[-1] == '\t') return refuse(400, "a header line is broken");
            size_t name = (size_t)(colon - at);
            seen.lengths += name_is(at, name, "content-length");
            seen.encodings += name_is(at, name, "transfer-encoding");
            seen.hosts += name_is(at, name, "host");
        }
        first = false;
        at = stop + 2;
    }
    if (first) return refuse(400, "the request line is broken");
    fr_head head = verdict(&seen, old);
    head.size = (size_t)(at - data) + 2;
    return head;
}

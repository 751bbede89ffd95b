/*
 * One POST of HTTP/1.1 on a socket of its own, with a deadline for every step: looking up the name
 * is the one thing that the C library does not let us limit, and only this thread waits for it.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <http_parser.h>

#include "api/otlp/otlp_int.h"
#include "core/base/check.h"

#define SCHEME       "http://"
#define PORT_DEFAULT "4318"
#define PATH_DEFAULT "/v1/traces"

/* An answer's body says nothing that we need; one without end is no answer. */
#define ANSWER_BYTES_MAX (1024 * 1024)
#define READ_BYTES       4096
#define HEAD_BYTES       1024

nanos otlp_clock(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (nanos)t.tv_sec * NANOS_PER_S + (nanos)t.tv_nsec;
}

/* --- the endpoint ---------------------------------------------------------------------------- */

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 5 && text[digits] == '\0';
}

/* Of a path that goes into a request as it is. */
static bool is_clean(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7F) {
            return false;
        }
    }
    return true;
}

bool otlp_endpoint_parse(const char *text, struct otlp_endpoint *ret)
{
    struct otlp_endpoint e = {.port = PORT_DEFAULT, .path = PATH_DEFAULT};
    if (strncmp(text, SCHEME, strlen(SCHEME)) != 0 || !is_clean(text)) {
        return false;
    }
    text += strlen(SCHEME);
    size_t len = strcspn(text, "/");
    const char *path = text + len;
    if (len == 0 || len >= sizeof e.authority || strlen(path) >= sizeof e.path) {
        return false;
    }
    memcpy(e.authority, text, len);
    if (path[0] != '\0' && path[1] != '\0') {
        (void)snprintf(e.path, sizeof e.path, "%s", path);
    }
    bool has_bracket = e.authority[0] == '[';
    const char *host = e.authority + (has_bracket ? 1 : 0);
    size_t host_len = strcspn(host, has_bracket ? "]" : ":");
    const char *rest = host + host_len + (has_bracket && host[host_len] == ']' ? 1 : 0);
    if (host_len == 0 || host_len >= sizeof e.host || (has_bracket && host[host_len] != ']') ||
        (rest[0] != '\0' && (rest[0] != ':' || !is_port(rest + 1)))) {
        return false;
    }
    memcpy(e.host, host, host_len);
    if (rest[0] == ':') {
        (void)snprintf(e.port, sizeof e.port, "%.7s", rest + 1);
    }
    *ret = e;
    return true;
}

/* --- waiting --------------------------------------------------------------------------------- */

/* Until the descriptor is ready, the deadline, or the end of everything. */
static bool post_wait(const struct otlp_post *p, short events, nanos deadline)
{
    struct pollfd fds[] = {{.fd = p->fd, .events = events}, {.fd = p->end, .events = POLLIN}};
    for (;;) {
        nanos now = otlp_clock();
        nanos left = u64_sub_sat(deadline, now);
        if (left == 0) {
            return false;
        }
        int n = poll(fds, 2, (int)u64_min(left / NANOS_PER_MS + 1, 60000));
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0) {
            return fds[1].revents == 0 && fds[0].revents != 0;
        }
    }
}

void otlp_post_close(struct otlp_post *p)
{
    if (p->fd >= 0) {
        (void)close(p->fd);
        p->fd = -1;
    }
}

/* --- connecting ------------------------------------------------------------------------------ */

static bool post_connect_to(struct otlp_post *p, const struct addrinfo *at, nanos deadline)
{
    int error = 0;
    socklen_t len = sizeof error;
    p->fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0) {
        return false;
    }
    if (connect(p->fd, at->ai_addr, at->ai_addrlen) == 0) {
        return true;
    }
    bool is_connected = errno == EINPROGRESS && post_wait(p, POLLOUT, deadline) &&
                        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
    if (!is_connected) {
        otlp_post_close(p);
    }
    return is_connected;
}

static bool post_connect(struct otlp_post *p, const struct otlp_endpoint *to, nanos deadline)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (getaddrinfo(to->host, to->port, &hints, &list) != 0) {
        return false;
    }
    bool is_connected = false;
    for (const struct addrinfo *at = list; at != NULL && !is_connected; at = at->ai_next) {
        is_connected = post_connect_to(p, at, deadline);
    }
    freeaddrinfo(list);
    return is_connected;
}

/* --- the exchange ---------------------------------------------------------------------------- */

static bool post_send(const struct otlp_post *p, struct bytes bytes, nanos deadline)
{
    while (bytes.len > 0) {
        ssize_t n = send(p->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n > 0) {
            bytes.data += n;
            bytes.len -= (size_t)n;
        } else if ((errno != EAGAIN && errno != EINTR) || !post_wait(p, POLLOUT, deadline)) {
            return false;
        }
    }
    return true;
}

struct answer {
    bool is_whole;
    size_t bytes;
};

static int answer_on_complete(http_parser *parser)
{
    struct answer *a = parser->data;
    a->is_whole = true;
    return 0;
}

/* The status of the answer; 0: there is none that could be read. Sets *ret_stays if the connection
 * may be used again. */
static unsigned post_receive(const struct otlp_post *p, nanos deadline, bool *ret_stays)
{
    struct answer answer = {.is_whole = false};
    http_parser parser;
    http_parser_settings settings;
    char bytes[READ_BYTES];
    http_parser_init(&parser, HTTP_RESPONSE);
    http_parser_settings_init(&settings);
    settings.on_message_complete = answer_on_complete;
    parser.data = &answer;
    while (!answer.is_whole && answer.bytes < ANSWER_BYTES_MAX) {
        ssize_t n = recv(p->fd, bytes, sizeof bytes, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!post_wait(p, POLLIN, deadline)) {
                return 0;
            }
            continue;
        }
        size_t got = n > 0 ? (size_t)n : 0;
        size_t taken = http_parser_execute(&parser, &settings, bytes, got);
        answer.bytes += got;
        if (n <= 0 || taken != got || HTTP_PARSER_ERRNO(&parser) != HPE_OK) {
            break;
        }
    }
    *ret_stays = answer.is_whole && http_should_keep_alive(&parser);
    return answer.is_whole ? parser.status_code : 0;
}

static unsigned post_exchange(struct otlp_post *p, const struct otlp_endpoint *to,
                              struct bytes body, nanos deadline)
{
    char head[HEAD_BYTES];
    bool stays = false;
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                     "User-Agent: novacron\r\nContent-Length: %zu\r\n\r\n",
                     to->path, to->authority, body.len);
    CHECK(n > 0 && (size_t)n < sizeof head);
    unsigned status = 0;
    if (post_send(p, (struct bytes){(const uint8_t *)head, (size_t)n}, deadline) &&
        post_send(p, body, deadline)) {
        status = post_receive(p, deadline, &stays);
    }
    if (!stays) {
        otlp_post_close(p);
    }
    return status;
}

/* What the protocol says of statuses: these four may be tried again, other failures not. */
static enum otlp_outcome outcome_of(unsigned status)
{
    bool is_later = status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
    return status >= 200 && status < 300 ? OTLP_TAKEN : is_later ? OTLP_LATER : OTLP_REFUSED;
}

enum otlp_outcome otlp_post(struct otlp_post *p, const struct otlp_endpoint *to, struct bytes body,
                            nanos deadline)
{
    bool was_open = p->fd >= 0;
    unsigned status = 0;
    if (was_open || post_connect(p, to, deadline)) {
        status = post_exchange(p, to, body, deadline);
    }
    /* A connection that was kept may have ended meanwhile: that is no failure of a new one. */
    if (status == 0 && was_open && post_connect(p, to, deadline)) {
        status = post_exchange(p, to, body, deadline);
    }
    return outcome_of(status);
}

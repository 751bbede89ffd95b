#include "api/client/rpc_client_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DEFAULT 2379

static bool endpoint_parse_port(const char *text, uint16_t *ret)
{
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 5) {
        return false;
    }
    long port = strtol(text, NULL, 10);
    *ret = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

bool endpoint_parse(const char *text, bool tls_default, struct rpc_endpoint *ret)
{
    struct rpc_endpoint e = {.port = PORT_DEFAULT, .tls = tls_default};
    if (strncmp(text, "http://", 7) == 0) {
        e.tls = false;
        text += 7;
    } else if (strncmp(text, "https://", 8) == 0) {
        e.tls = true;
        text += 8;
    }
    size_t n = strcspn(text, "/");
    if (n == 0 || n >= sizeof e.authority || (text[n] == '/' && text[n + 1] != '\0')) {
        return false;
    }
    memcpy(e.authority, text, n);
    e.authority[n] = '\0';
    const char *host = e.authority;
    const char *end = NULL;
    if (host[0] == '[') {
        host++;
        end = strchr(host, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return false;
        }
    } else {
        end = host + strcspn(host, ":");
    }
    const char *port = end + (*end == ']' ? 1 : 0);
    size_t host_len = (size_t)(end - host);
    if (host_len == 0 || host_len >= sizeof e.host) {
        return false;
    }
    memcpy(e.host, host, host_len);
    e.host[host_len] = '\0';
    if (*port == ':' && !endpoint_parse_port(port + 1, &e.port)) {
        return false;
    }
    *ret = e;
    return true;
}

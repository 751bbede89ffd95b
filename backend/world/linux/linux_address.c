/* Names and addresses. Numeric addresses are parsed where they are used; names are looked up on
 * threads of libuv's, and remembered for those who send datagrams. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* Names that are remembered; datagrams to others are lost. Every member of the largest cluster has
 * room for its name. */
#define NAMES_MAX 512

/* After this a name is looked up again, while what it was goes on being used. */
#define NAME_LIFE (30 * NANOS_PER_S)

struct linux_name {
    struct linux_name *next;
    uv_getaddrinfo_t lookup;
    char host[WORLD_HOST_MAX_BYTES];
    union linux_address address;
    bool is_known;
    bool is_asked;
    nanos until;
};

struct linux_names {
    struct linux_name *first;
    size_t count;
};

bool linux_address_parse(const char *host, uint16_t port, union linux_address *ret)
{
    union linux_address a;

    memset(&a, 0, sizeof a);
    if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
    } else if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) == 1) {
        a.v6.sin6_family = AF_INET6;
    } else {
        return false;
    }
    linux_address_set_port(&a, port);
    *ret = a;
    return true;
}

void linux_address_print(const union linux_address *a, struct world_endpoint *ret)
{
    _Static_assert(WORLD_HOST_MAX_BYTES >= INET6_ADDRSTRLEN, "any address, printed");
    const void *bytes = &a->v4.sin_addr;
    int family = AF_INET;

    memset(ret, 0, sizeof *ret);
    if (a->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
        bytes = &a->v6.sin6_addr.s6_addr[12];
    } else if (a->any.sa_family == AF_INET6) {
        bytes = &a->v6.sin6_addr;
        family = AF_INET6;
    }
    CHECK(inet_ntop(family, bytes, ret->host, sizeof ret->host) != NULL);
    ret->port = linux_address_port(a);
}

socklen_t linux_address_length(const union linux_address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

uint16_t linux_address_port(const union linux_address *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

void linux_address_set_port(union linux_address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET6) {
        a->v6.sin6_port = htons(port);
    } else {
        a->v4.sin_port = htons(port);
    }
}

bool linux_address_is_loopback(const union linux_address *a)
{
    if (a->any.sa_family == AF_INET) {
        return ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    const struct in6_addr *v6 = &a->v6.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) ||
           (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET);
}

bool linux_address_fit(union linux_address *a, sa_family_t family)
{
    if (a->any.sa_family == family) {
        return true;
    }
    if (family != AF_INET6) {
        return false;
    }
    const struct sockaddr_in v4 = a->v4;
    memset(a, 0, sizeof *a);
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = v4.sin_port;
    a->v6.sin6_addr.s6_addr[10] = 0xff;
    a->v6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&a->v6.sin6_addr.s6_addr[12], &v4.sin_addr, sizeof v4.sin_addr);
    return true;
}

size_t linux_address_take(const struct addrinfo *found, uint16_t port, union linux_address *ret,
                          size_t max)
{
    size_t count = 0;

    for (const struct addrinfo *at = found; at != NULL && count < max; at = at->ai_next) {
        if ((at->ai_family == AF_INET || at->ai_family == AF_INET6) &&
            at->ai_addrlen <= sizeof ret[count]) {
            memset(&ret[count], 0, sizeof ret[count]);
            memcpy(&ret[count], at->ai_addr, at->ai_addrlen);
            linux_address_set_port(&ret[count], port);
            count++;
        }
    }
    return count;
}

static void name_found(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct linux_name *name = lookup->data;

    name->is_asked = false;
    name->until = linux_boottime() + NAME_LIFE;
    if (status == 0 && linux_address_take(found, 0, &name->address, 1) == 1) {
        name->is_known = true;
    }
    uv_freeaddrinfo(found);
}

static struct linux_name *name_find(struct linux_world *lw, const char *host)
{
    if (lw->names == NULL) {
        lw->names = mem_alloc_zero(sizeof *lw->names);
    }
    for (struct linux_name *name = lw->names->first; name != NULL; name = name->next) {
        if (strcmp(name->host, host) == 0) {
            return name;
        }
    }
    if (lw->names->count == NAMES_MAX) {
        return NULL;
    }
    struct linux_name *name = mem_alloc_zero(sizeof *name);
    (void)snprintf(name->host, sizeof name->host, "%s", host);
    name->next = lw->names->first;
    lw->names->first = name;
    lw->names->count++;
    return name;
}

bool linux_names_find(struct linux_world *lw, const struct world_endpoint *to,
                      union linux_address *ret)
{
    struct linux_name *name = name_find(lw, to->host);

    if (name == NULL) {
        return false;
    }
    if (!name->is_asked && name->until <= linux_boottime()) {
        const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
        name->lookup.data = name;
        name->is_asked =
            uv_getaddrinfo(&lw->loop, &name->lookup, name_found, name->host, NULL, &hints) == 0;
    }
    if (name->is_known) {
        *ret = name->address;
        linux_address_set_port(ret, to->port);
    }
    return name->is_known;
}

void linux_names_close(struct linux_world *lw)
{
    while (lw->names != NULL && lw->names->first != NULL) {
        struct linux_name *name = lw->names->first;
        lw->names->first = name->next;
        mem_free(name);
    }
    mem_free(lw->names);
    lw->names = NULL;
}

/* Datagrams: a socket a port. One system call sends one: those who send many in a turn do not exist
 * here (a membership protocol sends a few a second), so sendmmsg would have nothing to gather. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

/* Received in one turn, so that others get theirs. */
#define DATAGRAMS_PER_TURN 64

static struct linux_port **port_slot(struct linux_world *lw, uint16_t number)
{
    struct linux_port **at = &lw->ports;

    while (*at != NULL && (*at)->number != number) {
        at = &(*at)->next;
    }
    return at;
}

static void port_ready(uv_poll_t *poll, int status, int events)
{
    struct linux_port *port = poll->data;
    struct linux_world *lw = port->lw;
    uint8_t *buffer = linux_net_buffer(lw);

    (void)events;
    for (int i = 0; i < DATAGRAMS_PER_TURN && port->fd >= 0; i++) {
        union linux_address from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(port->fd, buffer, LINUX_READ_BYTES, MSG_DONTWAIT, &from.any, &length);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        /* Other errors are of datagrams that we sent, to where nobody listens. */
        if (n >= 0 && n <= WORLD_DATAGRAM_MAX_BYTES) {
            struct world_endpoint far;
            linux_address_print(&from, &far);
            lw->ran++;
            port->sink->received(port->sink, &far, (struct bytes){buffer, (size_t)n});
        }
    }
    if (status != 0 && port->fd >= 0) {
        CHECK(uv_poll_start(&port->poll, UV_READABLE, port_ready) == 0);
    }
}

enum err linux_datagram_open(void *self, uint16_t number, struct world_datagram_sink *sink)
{
    struct linux_world *lw = self;
    struct linux_port **at = port_slot(lw, number);

    if (*at != NULL) {
        return ERR_EXISTS;
    }
    int fd = linux_net_bind_datagrams(lw, number);
    if (fd < 0) {
        return linux_err(errno);
    }
    struct linux_port *port = mem_alloc_zero(sizeof *port);
    port->lw = lw;
    port->fd = fd;
    port->family = lw->bind.any.sa_family;
    port->number = number;
    port->sink = sink;
    *at = port;
    CHECK(uv_poll_init(&lw->loop, &port->poll, fd) == 0);
    port->poll.data = port;
    CHECK(uv_poll_start(&port->poll, UV_READABLE, port_ready) == 0);
    return OK;
}

static void port_let_go(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void port_drop(struct linux_port **at)
{
    struct linux_port *port = *at;

    *at = port->next;
    uv_close((uv_handle_t *)&port->poll, port_let_go);
    (void)close(port->fd);
    port->fd = -1;
}

void linux_datagram_close(void *self, uint16_t number)
{
    struct linux_port **at = port_slot(self, number);

    if (*at != NULL) {
        port_drop(at);
    }
}

void linux_datagram_send(void *self, uint16_t from_port, const struct world_endpoint *to,
                         struct bytes datagram)
{
    struct linux_world *lw = self;
    const struct linux_port *port = *port_slot(lw, from_port);
    union linux_address address;

    CHECK(datagram.len <= WORLD_DATAGRAM_MAX_BYTES);
    if (port == NULL) {
        return;
    }
    if ((linux_address_parse(to->host, to->port, &address) || linux_names_find(lw, to, &address)) &&
        linux_address_fit(&address, port->family)) {
        (void)sendto(port->fd, datagram.data, datagram.len, MSG_DONTWAIT | MSG_NOSIGNAL,
                     &address.any, linux_address_length(&address));
    }
}

void linux_datagrams_close(struct linux_world *lw)
{
    while (lw->ports != NULL) {
        port_drop(&lw->ports);
    }
}

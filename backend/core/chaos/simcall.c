/* Requests of several steps, with a deadline. */
#include "core/chaos/simcall_int.h"

static void deadline_fired(struct world_timer *timer)
{
    struct simcall *call = timer->owner;
    call->expired(call);
}

struct simcall *simcall_open(struct simcall **list, struct simhost *host, void *request,
                             nanos deadline, void (*expired)(struct simcall *call))
{
    struct simcall *call = mem_alloc_zero(sizeof *call);

    call->list = list;
    call->host = host;
    call->request = request;
    call->expired = expired;
    call->deadline.fire = deadline_fired;
    call->deadline.owner = call;
    while (*list != NULL) {
        list = &(*list)->next;
    }
    *list = call;
    if (deadline != NANOS_FOREVER) {
        world_timer_set(&host->world, &call->deadline, deadline);
    }
    return call;
}

static void call_stepped(void *arg)
{
    struct simcall *call = arg;

    call->has_event = false;
    if (call->request == NULL) {
        mem_free(call);
    } else {
        call->step(call);
    }
}

static void call_dropped(void *arg)
{
    struct simcall *call = arg;

    call->has_event = false;
    if (call->request == NULL) {
        mem_free(call);
    }
}

void simcall_after(struct simcall *call, nanos span, void (*step)(struct simcall *call))
{
    CHECK(!call->has_event && call->request != NULL);
    call->step = step;
    call->has_event = true;
    simworld_schedule(call->host->sim, call->host, u64_add_sat(call->host->sim->now, span),
                      call_stepped, call_dropped, call);
}

void simcall_close(struct simcall *call)
{
    struct simcall **at = call->list;

    while (*at != call) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = call->next;
    world_timer_cancel(&call->host->world, &call->deadline);
    call->request = NULL;
    if (!call->has_event) {
        mem_free(call);
    }
}

void simcall_forget(struct simcall **list)
{
    while (*list != NULL) {
        struct simcall *call = *list;
        *list = call->next;
        CHECK(!call->has_event && !call->deadline.is_set);
        mem_free(call);
    }
}

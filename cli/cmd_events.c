/* `novacron events` and `novacron incident`: what was decided, why, and how long it took. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <etcdserverpb.pb-c.h>

#include "api/pb_wire.h"
#include "cli/records.h"

enum { EVENTS_FOLLOW = REMOTE_OPTIONS, EVENTS_COUNT };

/* Fields of etcd's messages. */
enum { WATCH_CREATE = 1 };
enum { CREATE_KEY = 1, CREATE_END, CREATE_REVISION };

/* Unless told otherwise. */
#define EVENTS_SHOWN 50

/* Where the member is gone that one follows, the others are tried, for half a minute. */
#define FOLLOW_AGAIN_MS 250
#define FOLLOW_TRIES    120

static void print_wall(uint64_t wall_ms)
{
    const time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char text[32] = "";

    if (localtime_r(&seconds, &tm) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    }
    (void)printf("%s.%03u", text, (unsigned)(wall_ms % 1000));
}

static void event_print(const struct ha_event *event, bool is_json)
{
    if (is_json) {
        records_print(HA_EVENT, event, true);
        return;
    }
    print_wall(event->wall_ms);
    (void)printf("  %-16s %-12s %-16s %s\n", event->what,
                 event->host[0] != '\0' ? event->host : "-", event->vm[0] != '\0' ? event->vm : "-",
                 event->detail);
}

/* --- following -------------------------------------------------------------------------------- */

/* A watch, over the loss of the members that serve it. */
struct follow {
    struct remote *remote;
    uint64_t revision; /* up to which all was printed */
    unsigned failures; /* since anything was heard */
};

static bool event_arrived(void *ctx, struct bytes message)
{
    struct follow *f = ctx;
    const struct remote *r = f->remote;
    Etcdserverpb__WatchResponse *answer =
        etcdserverpb__watch_response__unpack(NULL, message.len, message.data);

    if (answer == NULL) {
        return false;
    }
    f->failures = 0;
    for (size_t i = 0; i < answer->n_events; i++) {
        const Mvccpb__KeyValue *kv = answer->events[i]->kv;
        f->revision = kv != NULL ? u64_max(f->revision, (uint64_t)kv->mod_revision) : f->revision;
        struct ha_event event;
        if (kv != NULL && kv->value.len > 0 &&
            ha_record_decode(HA_EVENT, (struct bytes){kv->value.data, kv->value.len}, &event,
                             NULL) == OK) {
            event_print(&event, r->json);
        }
    }
    (void)fflush(stdout);
    const bool goes_on = !answer->canceled;
    etcdserverpb__watch_response__free_unpacked(answer, NULL);
    return goes_on;
}

static enum cli_exit events_watch(struct follow *f)
{
    struct remote *r = f->remote;
    char from[HA_KEY_BYTES];
    char end[HA_KEY_BYTES];

    ha_key_folder(HA_EVENT, from);
    memcpy(end, from, sizeof end);
    end[strlen(end) - 1]++; /* '/' becomes the next character */
    buf_clear(&r->request);
    const size_t begun = pb_begin(&r->request, WATCH_CREATE);
    pb_put_text(&r->request, CREATE_KEY, from);
    pb_put_text(&r->request, CREATE_END, end);
    pb_put_varint(&r->request, CREATE_REVISION, f->revision + 1);
    pb_end(&r->request, begun);
    return remote_stream(r, "/etcdserverpb.Watch/Watch", event_arrived, f);
}

/* Until it is interrupted, or nobody has served it for too long. Each event is printed once. */
static enum cli_exit events_follow(struct remote *r, uint64_t revision)
{
    const struct timespec pause = {.tv_nsec = FOLLOW_AGAIN_MS * 1000000L};
    struct follow f = {.remote = r, .revision = revision};
    enum cli_exit e = CLI_OK;

    r->is_quiet = true;
    while ((e = events_watch(&f)) != CLI_OK && r->status == RPC_UNAVAILABLE &&
           f.failures++ < FOLLOW_TRIES) {
        (void)nanosleep(&pause, NULL);
    }
    r->is_quiet = false;
    return e == CLI_OK ? e : remote_failed(r, r->kept);
}

enum cli_exit cmd_events(const struct cli_call *call)
{
    const char *shown = call->options[EVENTS_COUNT];
    uint64_t count = EVENTS_SHOWN;
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "events", call);

    if (e != CLI_OK) {
        return e;
    }
    if (shown != NULL && !remote_number(shown, &count)) {
        e = remote_wrong(&r, "--count wants a number, and got", shown);
    } else {
        const size_t n = ha_view_count(&view, HA_EVENT);
        for (size_t i = n > count ? n - (size_t)count : 0; i < n; i++) {
            const struct ha_entry *entry = ha_view_at(&view, HA_EVENT, i);
            if (entry->record != NULL) {
                event_print(entry->record, r.json);
            }
        }
        (void)fflush(stdout);
        if (call->options[EVENTS_FOLLOW] != NULL) {
            e = events_follow(&r, view.revision);
        }
    }
    records_close(&r, &view);
    return e;
}

/* --- incidents -------------------------------------------------------------------------------- */

static void incident_print(const struct ha_incident *incident)
{
    (void)printf("%s  host %s, opened ", incident->id, incident->host);
    print_wall(incident->opened_wall_ms);
    (void)printf(", %s, trace %s\n", incident->is_closed ? "closed" : "OPEN", incident->trace);
    for (uint32_t i = 0; i < incident->n_steps; i++) {
        const struct ha_step *step = &incident->steps[i];
        const uint64_t before = i > 0 ? incident->steps[i - 1].at_ms : 0;
        (void)printf("  %4llu.%03u s  +%-8llu %-12s %-16s %s",
                     (unsigned long long)(step->at_ms / 1000), (unsigned)(step->at_ms % 1000),
                     (unsigned long long)(step->at_ms - before), step->what, step->who,
                     step->detail);
        if (step->epoch != 0) {
            (void)printf(", epoch %llu", (unsigned long long)step->epoch);
        }
        if (step->took_ms != 0) {
            (void)printf(", took %llu ms", (unsigned long long)step->took_ms);
        }
        (void)printf("\n");
    }
}

enum cli_exit cmd_incident_list(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "incident list", call);

    if (e != CLI_OK) {
        return e;
    }
    for (size_t i = 0; i < ha_view_count(&view, HA_INCIDENT); i++) {
        const struct ha_incident *incident = ha_view_at(&view, HA_INCIDENT, i)->record;
        if (incident == NULL) {
            continue;
        }
        e = incident->is_closed ? e : CLI_DAMAGED;
        if (r.json) {
            records_print(HA_INCIDENT, incident, true);
            continue;
        }
        const uint64_t took =
            incident->n_steps > 0 ? incident->steps[incident->n_steps - 1].at_ms : 0;
        print_wall(incident->opened_wall_ms);
        (void)printf("  %-24s %-16s %-6s %llu.%03u s\n", incident->id, incident->host,
                     incident->is_closed ? "closed" : "OPEN", (unsigned long long)(took / 1000),
                     (unsigned)(took % 1000));
    }
    records_close(&r, &view);
    return e;
}

enum cli_exit cmd_incident_show(const struct cli_call *call)
{
    struct remote r;
    struct ha_view view;
    enum cli_exit e = records_open(&r, &view, "incident show", call);

    if (e != CLI_OK) {
        return e;
    }
    const struct ha_entry *entry = records_get(&r, &view, HA_INCIDENT, call->arguments[0]);
    if (entry == NULL) {
        e = CLI_UNREADABLE;
    } else if (r.json) {
        records_print(HA_INCIDENT, entry->record, true);
    } else {
        incident_print(entry->record);
    }
    records_close(&r, &view);
    return e;
}

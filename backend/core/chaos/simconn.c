/* The life of connections, and the segments that their ends have under way. */
#include "core/chaos/simstream_int.h"

/* Buffers up to this size are kept for the next connection. */
#define KEPT_BYTES (64 * 1024)

/* Segments under way that fit without growing. */
#define SEGS_MIN 8

/* --- life ------------------------------------------------------------------------------------ */

static void end_init(struct world_stream *e, struct simconn *conn, struct simhost *host,
                     struct simhost *other)
{
    uint8_t *bytes = e->bytes;
    size_t cap = e->cap;
    struct simseg *segs = e->segs;
    size_t seg_cap = e->seg_cap;

    *e = (struct world_stream){.host = host,
                               .conn = conn,
                               .link = simlink_get(host, other),
                               .bytes = bytes,
                               .cap = cap,
                               .segs = segs,
                               .seg_cap = seg_cap};
    e->next = host->streams;
    e->at = &host->streams;
    if (e->next != NULL) {
        e->next->at = &e->next;
    }
    host->streams = e;
}

static void end_deinit(struct world_stream *e)
{
    *e->at = e->next;
    if (e->next != NULL) {
        e->next->at = e->at;
    }
    if (e->cap > KEPT_BYTES) {
        mem_free(e->bytes);
        e->bytes = NULL;
        e->cap = 0;
    }
}

static void conn_destroy(struct simconn *conn)
{
    for (size_t i = 0; i < COUNT_OF(conn->ends); i++) {
        mem_free(conn->ends[i].bytes);
        mem_free(conn->ends[i].segs);
        mem_free(conn->ends[i].lent);
    }
    mem_free(conn);
}

/* Gives it back if nothing is left of it. */
static void conn_release(struct simconn *conn)
{
    const struct world_stream *a = &conn->ends[0];
    const struct world_stream *b = &conn->ends[1];

    if (conn->events > 0 || a->state != END_GONE || b->state != END_GONE || a->seg_count > 0 ||
        b->seg_count > 0) {
        return;
    }
    struct simworld *sim = a->host->sim;
    end_deinit(&conn->ends[0]);
    end_deinit(&conn->ends[1]);
    conn->next = sim->conns;
    sim->conns = conn;
}

struct simconn *simconn_new(struct simhost *from, struct simhost *to)
{
    struct simworld *sim = from->sim;
    struct simconn *conn = sim->conns;

    if (conn == NULL) {
        conn = mem_alloc_zero(sizeof *conn);
    } else {
        sim->conns = conn->next;
    }
    conn->next = NULL;
    conn->events = 0;
    end_init(&conn->ends[0], conn, from, to);
    end_init(&conn->ends[1], conn, to, from);
    return conn;
}

void simend_event_over(void *arg)
{
    const struct world_stream *e = arg;

    CHECK(e->conn->events > 0);
    e->conn->events--;
    conn_release(e->conn);
}

void simend_post(struct world_stream *e, struct simhost *host, enum simevent_kind kind, nanos due,
                 void (*run)(void *))
{
    e->conn->events++;
    simworld_post(e->host->sim, host, kind, due, run, simend_event_over, e);
}

void simstreams_deinit(struct simworld *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        while (sim->hosts[i]->streams != NULL) {
            struct simconn *conn = sim->hosts[i]->streams->conn;
            end_deinit(&conn->ends[0]);
            end_deinit(&conn->ends[1]);
            conn_destroy(conn);
        }
    }
    while (sim->conns != NULL) {
        struct simconn *conn = sim->conns;
        sim->conns = conn->next;
        conn_destroy(conn);
    }
}

/* --- the ring of segments -------------------------------------------------------------------- */

void simend_add_seg(struct world_stream *e, struct simseg seg)
{
    if (e->seg_count == e->seg_cap) {
        size_t cap = e->seg_cap == 0 ? SEGS_MIN : 2 * e->seg_cap;
        struct simseg *segs = mem_realloc_array(NULL, cap, sizeof *segs);
        for (size_t i = 0; i < e->seg_count; i++) {
            segs[i] = *simend_seg(e, i);
        }
        mem_free(e->segs);
        e->segs = segs;
        e->seg_cap = cap;
        e->seg_first = 0;
    }
    e->seg_count++;
    *simend_seg(e, e->seg_count - 1) = seg;
}

void simend_recall(struct world_stream *e)
{
    for (size_t i = 0; i < e->seg_count; i++) {
        e->wants_opening |= simend_seg(e, i)->opens;
        e->wants_ending |= simend_seg(e, i)->ends;
    }
    e->seg_count = 0;
    e->flown = 0;
}

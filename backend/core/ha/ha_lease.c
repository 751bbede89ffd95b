#include "core/ha/ha_lease.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/ha/ha_proof.h"

/* A shorter gap between the clocks is none: they are not read at one instant. */
#define HA_SLEEP_MIN (20 * NANOS_PER_MS)

bool ha_renew_is_older(const struct ha_renew *renew, uint64_t boot, uint64_t number)
{
    return renew->boot == boot && renew->number < number;
}

const char *ha_refusal_text(enum ha_refusal refusal)
{
    switch (refusal) {
#define HA_REFUSAL_CASE(name, text)                                                                \
    case name:                                                                                     \
        return text;
        HA_REFUSAL_TABLE(HA_REFUSAL_CASE)
#undef HA_REFUSAL_CASE
    case HA_REFUSALS:
    default:
        return "unknown";
    }
}

/* --- notes --------------------------------------------------------------------------------------
 */

void ha_note_encode(const struct ha_note *note, struct buf *ret)
{
    buf_put_u8(ret, (uint8_t)note->kind);
    buf_put_u8(ret, HA_LEASE_VERSION);
    switch (note->kind) {
    case HA_NOTE_RENEW: {
        const struct ha_renew *r = &note->as.renew;
        buf_put_u64(ret, r->boot);
        buf_put_u64(ret, r->number);
        buf_put_u8(ret, (uint8_t)r->watchdog);
        buf_put_u32(ret, r->watchdog_ms);
        buf_put_u8(ret, r->has_slept);
        buf_put_bytes(ret, (struct bytes){(const uint8_t *)r->host, strlen(r->host)});
        break;
    }
    case HA_NOTE_GRANT: {
        const struct ha_grant *g = &note->as.grant;
        buf_put_u64(ret, g->boot);
        buf_put_u64(ret, g->number);
        buf_put_u64(ret, g->term);
        buf_put_u64(ret, g->revision);
        buf_put_u32(ret, g->lease_ms);
        break;
    }
    case HA_NOTE_REFUSE: {
        const struct ha_refuse *f = &note->as.refuse;
        buf_put_u64(ret, f->boot);
        buf_put_u64(ret, f->number);
        buf_put_u64(ret, f->term);
        buf_put_u8(ret, (uint8_t)f->why);
        break;
    }
    default:
        CHECK_UNREACHABLE("a note of another kind");
    }
}

static enum err ha_renew_decode(struct cursor *c, struct ha_renew *r)
{
    r->boot = cursor_u64(c);
    r->number = cursor_u64(c);
    uint8_t watchdog = cursor_u8(c);
    r->watchdog_ms = cursor_u32(c);
    uint8_t has_slept = cursor_u8(c);
    struct bytes host = cursor_bytes(c, HA_NAME_BYTES - 1);
    if (!cursor_done(c) || watchdog >= WORLD_WATCHDOG_STATES || has_slept > 1 ||
        !ha_name_is_valid(host)) {
        return ERR_CORRUPT;
    }
    r->watchdog = (enum world_watchdog)watchdog;
    r->has_slept = has_slept == 1;
    memcpy(r->host, host.data, host.len);
    return OK;
}

static enum err ha_grant_decode(struct cursor *c, struct ha_grant *g)
{
    g->boot = cursor_u64(c);
    g->number = cursor_u64(c);
    g->term = cursor_u64(c);
    g->revision = cursor_u64(c);
    g->lease_ms = cursor_u32(c);
    return cursor_done(c) ? OK : ERR_CORRUPT;
}

static enum err ha_refuse_decode(struct cursor *c, struct ha_refuse *f)
{
    f->boot = cursor_u64(c);
    f->number = cursor_u64(c);
    f->term = cursor_u64(c);
    uint8_t why = cursor_u8(c);
    if (!cursor_done(c) || why >= HA_REFUSALS) {
        return ERR_CORRUPT;
    }
    f->why = (enum ha_refusal)why;
    return OK;
}

enum err ha_note_decode(struct bytes bytes, struct ha_note *ret)
{
    struct ha_note note;
    struct cursor c;

    memset(&note, 0, sizeof(note));
    cursor_init(&c, bytes);
    uint8_t kind = cursor_u8(&c);
    uint8_t version = cursor_u8(&c);
    if (!cursor_ok(&c) || kind < HA_NOTE_RENEW || kind > HA_NOTE_REFUSE || version == 0) {
        return ERR_CORRUPT;
    }
    if (version > HA_LEASE_VERSION) {
        return ERR_UNSUPPORTED;
    }
    note.kind = (enum ha_note_kind)kind;
    if (note.kind == HA_NOTE_RENEW) {
        TRY(ha_renew_decode(&c, &note.as.renew));
    } else if (note.kind == HA_NOTE_GRANT) {
        TRY(ha_grant_decode(&c, &note.as.grant));
    } else {
        TRY(ha_refuse_decode(&c, &note.as.refuse));
    }
    *ret = note;
    return OK;
}

/* --- the lessee ---------------------------------------------------------------------------------
 */

void ha_lessee_init(struct ha_lessee *l, const char *host, uint64_t boot)
{
    memset(l, 0, sizeof(*l));
    ha_text_set(l->host, sizeof(l->host), host);
    l->boot = boot;
}

void ha_lessee_begin(struct ha_lessee *l, uint64_t boot)
{
    const struct ha_lessee before = *l;

    ha_lessee_init(l, before.host, boot);
    l->slept = before.slept;
    l->gap = before.gap;
    l->has_gap = before.has_gap;
}

void ha_lessee_clocks(struct ha_lessee *l, nanos now, nanos awake)
{
    nanos gap = now - awake; /* their origins differ: only its growth says anything */

    if (l->has_gap && (int64_t)(gap - l->gap) >= (int64_t)HA_SLEEP_MIN) {
        l->slept += gap - l->gap;
    }
    if (!l->has_gap || (int64_t)(gap - l->gap) > 0) {
        l->gap = gap;
    }
    l->has_gap = true;
}

void ha_lessee_renew(struct ha_lessee *l, nanos now, enum world_watchdog watchdog, nanos timeout,
                     struct ha_renew *ret)
{
    memset(ret, 0, sizeof(*ret));
    l->number++;
    l->renewed_at = now;
    l->sent[l->number % HA_RENEWALS_KEPT].number = l->number;
    l->sent[l->number % HA_RENEWALS_KEPT].noted = now;
    memcpy(ret->host, l->host, sizeof(ret->host));
    ret->boot = l->boot;
    ret->number = l->number;
    ret->has_slept = l->slept > 0;
    ret->watchdog = watchdog;
    ret->watchdog_ms = (uint32_t)((timeout + NANOS_PER_MS - 1) / NANOS_PER_MS);
}

/* Is it for the newest renewal that has an answer? */
static bool lessee_is_newest(struct ha_lessee *l, uint64_t number)
{
    if (number < l->answered) {
        return false;
    }
    l->answered = number;
    return true;
}

bool ha_lessee_granted(struct ha_lessee *l, const struct ha_grant *grant)
{
    uint64_t slot = grant->number % HA_RENEWALS_KEPT;

    if (grant->boot != l->boot || grant->number == 0 || l->sent[slot].number != grant->number) {
        return false;
    }
    nanos until = l->sent[slot].noted + (nanos)grant->lease_ms * NANOS_PER_MS;
    if (lessee_is_newest(l, grant->number)) {
        l->is_refused = false;
        l->lease = (nanos)grant->lease_ms * NANOS_PER_MS;
    }
    l->term = u64_max(l->term, grant->term);
    l->revision = u64_max(l->revision, grant->revision);
    if (until <= l->until) {
        return false;
    }
    l->until = until;
    return true;
}

void ha_lessee_refused(struct ha_lessee *l, const struct ha_refuse *refuse)
{
    if (refuse->boot == l->boot && refuse->term >= l->term && refuse->number <= l->number &&
        lessee_is_newest(l, refuse->number)) {
        l->term = refuse->term;
        l->is_refused = true;
        l->refusal = refuse->why;
    }
}

nanos ha_lessee_pace(const struct ha_lessee *l)
{
    nanos share = l->lease == 0 ? HA_RENEW_MAX : l->lease / HA_RENEW_SHARE;

    return u64_min(u64_max(share, HA_RENEW_MIN), HA_RENEW_MAX);
}

/* --- the lessor ---------------------------------------------------------------------------------
 */

void ha_lessor_init(struct ha_lessor *l)
{
    memset(l, 0, sizeof(*l));
}

void ha_lessor_deinit(struct ha_lessor *l)
{
    mem_free(l->rows);
    memset(l, 0, sizeof(*l));
}

/* Agents renew at once when somebody else leads, which may be before its term has begun here. Those
 * who did are heard, and their renewals wait, as if they had arrived now. */
void ha_lessor_begin(struct ha_lessor *l, uint64_t term, nanos now)
{
    size_t kept = 0;

    for (size_t i = 0; !l->leads && i < l->n; i++) {
        struct ha_lease_row *row = &l->rows[i];
        if (now - row->arrived_at < HA_RENEW_EARLY) {
            row->heard_at = now;
            row->arrived_at = now;
            l->rows[kept++] = *row;
        }
    }
    l->leads = true;
    l->term = term;
    l->since = now;
    l->n = kept;
    l->is_confirming = false;
}

void ha_lessor_end(struct ha_lessor *l)
{
    l->leads = false;
    l->n = 0;
    l->is_confirming = false;
}

/* The place of a name: its row, or where it belongs. */
static size_t ha_lessor_place(const struct ha_lessor *l, const char *host)
{
    size_t low = 0;
    size_t high = l->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(l->rows[middle].host, host) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct ha_lease_row *ha_lessor_find(const struct ha_lessor *l, const char *host)
{
    size_t at = ha_lessor_place(l, host);

    return at < l->n && strcmp(l->rows[at].host, host) == 0 ? &l->rows[at] : NULL;
}

nanos ha_lessor_granted(const struct ha_lessor *l, const char *host)
{
    const struct ha_lease_row *row = ha_lessor_find(l, host);

    return row != NULL && row->grants > 0 ? row->granted_at
           : MUTANT(HA_NO_TAKEOVER_WAIT)  ? 0
                                          : l->since;
}

nanos ha_lessor_heard(const struct ha_lessor *l, const char *host)
{
    const struct ha_lease_row *row = ha_lessor_find(l, host);

    return row != NULL ? u64_max(row->heard_at, l->since) : l->since;
}

static struct ha_lease_row *ha_lessor_row(struct ha_lessor *l, const char *host)
{
    size_t at = ha_lessor_place(l, host);

    if (at == l->n || strcmp(l->rows[at].host, host) != 0) {
        mem_grow((void **)&l->rows, &l->cap, l->n + 1, sizeof(*l->rows));
        memmove(&l->rows[at + 1], &l->rows[at], (l->n - at) * sizeof(*l->rows));
        memset(&l->rows[at], 0, sizeof(*l->rows));
        ha_text_set(l->rows[at].host, sizeof(l->rows[at].host), host);
        l->n++;
    }
    return &l->rows[at];
}

/* What a newer renewal does not attest any more, the one before is not believed either. */
static void renew_withdraw(struct ha_renew *before, const struct ha_renew *newer)
{
    if (newer->boot == before->boot) {
        before->has_slept = before->has_slept || newer->has_slept;
        before->watchdog = newer->watchdog < before->watchdog ? newer->watchdog : before->watchdog;
        before->watchdog_ms =
            newer->watchdog_ms > before->watchdog_ms ? newer->watchdog_ms : before->watchdog_ms;
    }
}

/* While one is being confirmed, a newer renewal of the same host is dropped, but for what it takes
 * back: the confirmation has begun before it arrived, and it would have to wait for the next. There
 * is one a pace. One that was doubled says the same, and only lets the leader wait for longer; an
 * older one does not even say that its host is there: it was sent before what was heard. */
void ha_lessor_arrived(struct ha_lessor *l, nanos now, node_id from, const struct ha_renew *renew)
{
    struct ha_lease_row *row = ha_lessor_row(l, renew->host);

    if (ha_renew_is_older(renew, row->heard_boot, row->heard_number)) {
        return;
    }
    row->heard_at = now;
    row->heard_boot = renew->boot;
    row->heard_number = renew->number;
    if (row->is_confirming) {
        renew_withdraw(&row->renewal, renew);
        return;
    }
    row->waits = true;
    row->arrived_at = now;
    row->member = from;
    row->renewal = *renew;
}

bool ha_lessor_wants_confirmation(const struct ha_lessor *l)
{
    bool wants = false;

    for (size_t i = 0; i < l->n && l->leads && !l->is_confirming; i++) {
        wants = wants || l->rows[i].waits;
    }
    return wants;
}

void ha_lessor_confirm_begun(struct ha_lessor *l)
{
    CHECK(l->leads && !l->is_confirming);
    l->is_confirming = true;
    for (size_t i = 0; i < l->n; i++) {
        l->rows[i].is_confirming = l->rows[i].waits;
    }
}

static void ha_lessor_judge(struct ha_lessor *l, struct ha_lease_row *row,
                            const struct ha_lessor_court *court)
{
    const struct ha_renew *renew = &row->renewal;
    enum ha_refusal refusal = HA_REFUSED_STRANGER;
    struct ha_note note;

    memset(&note, 0, sizeof(note));
    if (!court->judge(court->ctx, row->member, renew, &refusal)) {
        note.kind = HA_NOTE_REFUSE;
        note.as.refuse = (struct ha_refuse){
            .boot = renew->boot, .number = renew->number, .term = l->term, .why = refusal};
        court->answer(court->ctx, row->member, &note);
        return;
    }
    /* Before the answer leaves: from here on it may be relied upon. */
    const nanos passed = u64_sub_sat(row->arrived_at, row->granted_at);
    row->lease = u64_max(court->lease, ha_proof_lease_left(row->lease, passed, court->drift_ppm));
    row->granted_at = row->arrived_at;
    row->watchdog = renew->has_slept ? WORLD_WATCHDOG_NONE : renew->watchdog;
    row->watchdog_timeout = (nanos)renew->watchdog_ms * NANOS_PER_MS;
    row->boot = renew->boot;
    row->grants++;
    note.kind = HA_NOTE_GRANT;
    note.as.grant = (struct ha_grant){.boot = renew->boot,
                                      .number = renew->number,
                                      .term = l->term,
                                      .revision = court->revision,
                                      .lease_ms = (uint32_t)(court->lease / NANOS_PER_MS)};
    court->answer(court->ctx, row->member, &note);
}

void ha_lessor_confirm_over(struct ha_lessor *l, bool is_confirmed,
                            const struct ha_lessor_court *court)
{
    if (!l->leads || !l->is_confirming) {
        return; /* of an earlier term */
    }
    l->is_confirming = false;
    for (size_t i = 0; i < l->n; i++) {
        struct ha_lease_row *row = &l->rows[i];
        if (row->is_confirming) {
            row->is_confirming = false;
            row->waits = false;
            if (is_confirmed) {
                ha_lessor_judge(l, row, court);
            }
        }
    }
}

#include "core/ha/ha_session_wire.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/cursor.h"

static const uint8_t opening_bytes[HA_OPENING_BYTES] = {'N', 'C', 'A', 'G'};

/* How a change is marked. */
enum { CHANGE_PUT = 0, CHANGE_DELETE = 1 };

const char *ha_farewell_text(enum ha_farewell why)
{
    switch (why) {
#define HA_FAREWELL_CASE(name, number, text)                                                       \
    case name:                                                                                     \
        return text;
        HA_FAREWELL_TABLE(HA_FAREWELL_CASE)
#undef HA_FAREWELL_CASE
    case HA_FAREWELL_NONE:
    default:
        return "for a reason that this release does not know";
    }
}

/* --- writing ------------------------------------------------------------------------------------
 */

void ha_opening_encode(struct buf *b)
{
    buf_put(b, opening_bytes, sizeof(opening_bytes));
}

void ha_change_encode(const struct ha_change *change, struct buf *b)
{
    buf_put_u8(b, change->is_delete ? CHANGE_DELETE : CHANGE_PUT);
    buf_put_u64(b, (uint64_t)change->mod_revision);
    buf_put_bytes(b, change->key);
    if (!change->is_delete) {
        buf_put_u64(b, (uint64_t)change->create_revision);
        buf_put_bytes(b, change->value);
    }
}

static void wire_hello(const struct ha_hello *h, struct buf *b)
{
    buf_put_u16(b, h->version);
    buf_put_u64(b, h->cluster);
    buf_put_u32(b, h->lineage);
    buf_put_u64(b, h->revision);
    buf_put_u64(b, h->term);
    buf_put_bytes(b, (struct bytes){(const uint8_t *)h->host, strlen(h->host)});
}

static void wire_body(const struct ha_frame *f, struct buf *b)
{
    switch (f->kind) {
    case HA_FRAME_HELLO:
        wire_hello(&f->as.hello, b);
        break;
    case HA_FRAME_TXN:
        buf_put_u64(b, f->as.txn.number);
        buf_put(b, f->as.txn.body.data, f->as.txn.body.len);
        break;
    case HA_FRAME_RENEWAL:
    case HA_FRAME_ANSWER:
        buf_put(b, f->as.note.data, f->as.note.len);
        break;
    case HA_FRAME_TAKEN:
        buf_put_u64(b, f->as.taken);
        break;
    case HA_FRAME_WELCOME:
        buf_put_u32(b, f->as.welcome.lineage);
        buf_put_u8(b, f->as.welcome.goes_on);
        break;
    case HA_FRAME_REFUSED:
        buf_put_u16(b, (uint16_t)f->as.why);
        break;
    case HA_FRAME_CHANGES:
        buf_put(b, f->as.changes.data, f->as.changes.len);
        break;
    case HA_FRAME_REACHED:
        buf_put_u64(b, f->as.reached.revision);
        buf_put_u64(b, f->as.reached.term);
        buf_put_u64(b, f->as.reached.leader);
        break;
    case HA_FRAME_OUTCOME:
        buf_put_u64(b, f->as.outcome.number);
        buf_put_u8(b, (uint8_t)f->as.outcome.outcome);
        buf_put_u8(b, (uint8_t)f->as.outcome.error);
        buf_put_u64(b, (uint64_t)f->as.outcome.revision);
        break;
    default:
        CHECK_UNREACHABLE("a frame of no kind");
    }
}

void ha_frame_encode(const struct ha_frame *frame, struct buf *b)
{
    const size_t at = b->len;

    buf_put_u64(b, 0);
    buf_put_u8(b, (uint8_t)frame->kind);
    wire_body(frame, b);
    const size_t length = b->len - at - HA_FRAME_HEADER_BYTES;
    CHECK(length <= HA_FRAME_BYTES_MAX);
    buf_set_u32(b, at, (uint32_t)length);
    buf_set_u32(b, at + 4, crc32c(0, b->data + at + HA_FRAME_HEADER_BYTES, length));
}

/* --- reading ------------------------------------------------------------------------------------
 */

static struct bytes wire_rest(struct cursor *c)
{
    return cursor_take(c, cursor_left(c));
}

static enum err wire_ended(const struct cursor *c)
{
    return cursor_done(c) ? OK : ERR_CORRUPT;
}

static enum err wire_read_hello(struct cursor *c, struct ha_hello *h)
{
    memset(h, 0, sizeof(*h));
    h->version = cursor_u16(c);
    h->cluster = cursor_u64(c);
    if (!cursor_ok(c)) {
        return ERR_CORRUPT;
    }
    if (h->version != HA_SESSION_VERSION) {
        return OK;
    }
    h->lineage = cursor_u32(c);
    h->revision = cursor_u64(c);
    h->term = cursor_u64(c);
    struct bytes host = cursor_bytes(c, HA_NAME_BYTES - 1);
    TRY(wire_ended(c));
    if (h->revision > INT64_MAX || !ha_name_is_valid(host)) {
        return ERR_CORRUPT;
    }
    memcpy(h->host, host.data, host.len);
    return OK;
}

static bool wire_read_change(struct cursor *c, struct ha_change *ret)
{
    const uint8_t mark = cursor_u8(c);
    uint64_t created = 0;

    *ret = (struct ha_change){.is_delete = mark == CHANGE_DELETE};
    const uint64_t modified = cursor_u64(c);
    ret->key = cursor_bytes(c, HA_SESSION_KEY_MAX);
    if (mark == CHANGE_PUT) {
        created = cursor_u64(c);
        ret->value = cursor_bytes(c, HA_SESSION_VALUE_MAX);
    }
    ret->mod_revision = (int64_t)modified;
    ret->create_revision = (int64_t)created;
    return cursor_ok(c) && mark <= CHANGE_DELETE && ret->key.len > 0 && modified > 0 &&
           modified <= INT64_MAX && created <= modified && (mark == CHANGE_DELETE || created > 0);
}

static enum err wire_read_changes(struct bytes body, struct bytes *ret)
{
    struct ha_change ignored;
    struct cursor c;

    cursor_init(&c, body);
    if (body.len == 0) {
        return ERR_CORRUPT;
    }
    while (cursor_left(&c) > 0) {
        if (!wire_read_change(&c, &ignored)) {
            return ERR_CORRUPT;
        }
    }
    *ret = body;
    return wire_ended(&c);
}

bool ha_changes_next(struct bytes *rest, struct ha_change *ret)
{
    struct cursor c;

    if (rest->len == 0) {
        return false;
    }
    cursor_init(&c, *rest);
    const bool is_whole = wire_read_change(&c, ret);
    CHECK(is_whole);
    *rest = wire_rest(&c);
    return true;
}

static enum err wire_read_outcome(struct cursor *c, struct ha_outcome *o)
{
    o->number = cursor_u64(c);
    const uint8_t outcome = cursor_u8(c);
    const uint8_t error = cursor_u8(c);
    const uint64_t revision = cursor_u64(c);
    TRY(wire_ended(c));
    if (outcome > HA_TXN_UNKNOWN || error >= ERR_COUNT || revision > INT64_MAX) {
        return ERR_CORRUPT;
    }
    o->outcome = (enum ha_txn_outcome)outcome;
    o->error = (enum err)error;
    o->revision = (int64_t)revision;
    return OK;
}

static enum err wire_read_reached(struct cursor *c, struct ha_reached *r)
{
    r->revision = cursor_u64(c);
    r->term = cursor_u64(c);
    r->leader = cursor_u64(c);
    TRY(wire_ended(c));
    return r->revision <= INT64_MAX ? OK : ERR_CORRUPT;
}

static enum err wire_read_welcome(struct cursor *c, struct ha_welcome *w)
{
    w->lineage = cursor_u32(c);
    const uint8_t goes_on = cursor_u8(c);
    TRY(wire_ended(c));
    w->goes_on = goes_on == 1;
    return goes_on <= 1 ? OK : ERR_CORRUPT;
}

static enum err wire_read_note(struct cursor *c, struct bytes *ret)
{
    *ret = wire_rest(c);
    return ret->len <= HA_NOTE_BYTES_MAX && ha_note_is(*ret) ? OK : ERR_CORRUPT;
}

static enum err wire_read_txn(struct cursor *c, struct ha_frame *f)
{
    f->as.txn.number = cursor_u64(c);
    f->as.txn.body = wire_rest(c);
    return cursor_ok(c) && f->as.txn.body.len <= HA_SESSION_TXN_BYTES_MAX ? OK : ERR_CORRUPT;
}

enum err ha_frame_decode(struct bytes body, struct ha_frame *ret)
{
    struct ha_frame f = {.as.taken = 0};
    struct cursor c;
    enum err e = ERR_CORRUPT;

    cursor_init(&c, body);
    f.kind = (enum ha_frame_kind)cursor_u8(&c);
    switch (f.kind) {
    case HA_FRAME_HELLO:
        e = wire_read_hello(&c, &f.as.hello);
        break;
    case HA_FRAME_TXN:
        e = wire_read_txn(&c, &f);
        break;
    case HA_FRAME_RENEWAL:
    case HA_FRAME_ANSWER:
        e = wire_read_note(&c, &f.as.note);
        break;
    case HA_FRAME_TAKEN:
        f.as.taken = cursor_u64(&c);
        e = wire_ended(&c);
        break;
    case HA_FRAME_WELCOME:
        e = wire_read_welcome(&c, &f.as.welcome);
        break;
    case HA_FRAME_REFUSED:
        f.as.why = (enum ha_farewell)cursor_u16(&c);
        e = wire_ended(&c);
        break;
    case HA_FRAME_CHANGES:
        e = wire_read_changes(wire_rest(&c), &f.as.changes);
        break;
    case HA_FRAME_REACHED:
        e = wire_read_reached(&c, &f.as.reached);
        break;
    case HA_FRAME_OUTCOME:
        e = wire_read_outcome(&c, &f.as.outcome);
        break;
    default:
        break;
    }
    if (e == OK) {
        *ret = f;
    }
    return e;
}

/* --- what came ----------------------------------------------------------------------------------
 */

void ha_frames_init(struct ha_frames *f, bool expects_opening)
{
    *f = (struct ha_frames){.expects_opening = expects_opening};
    buf_init(&f->pending);
}

void ha_frames_deinit(struct ha_frames *f)
{
    buf_deinit(&f->pending);
}

void ha_frames_put(struct ha_frames *f, struct bytes bytes)
{
    if (f->at > 0) {
        memmove(f->pending.data, f->pending.data + f->at, f->pending.len - f->at);
        f->pending.len -= f->at;
        f->at = 0;
    }
    buf_put(&f->pending, bytes.data, bytes.len);
}

static enum err frames_opening(struct ha_frames *f)
{
    const size_t there = u64_min(f->pending.len - f->at, HA_OPENING_BYTES);

    if (there > 0 && memcmp(f->pending.data + f->at, opening_bytes, there) != 0) {
        return ERR_PROTOCOL;
    }
    if (there < HA_OPENING_BYTES) {
        return ERR_TRUNCATED;
    }
    f->at += HA_OPENING_BYTES;
    f->expects_opening = false;
    return OK;
}

enum err ha_frames_next(struct ha_frames *f, struct ha_frame *ret, size_t *ret_bytes)
{
    struct cursor c;

    if (f->expects_opening) {
        TRY(frames_opening(f));
    }
    if (f->pending.len - f->at < HA_FRAME_HEADER_BYTES) {
        return ERR_TRUNCATED;
    }
    cursor_init(&c, (struct bytes){f->pending.data + f->at, f->pending.len - f->at});
    const uint32_t length = cursor_u32(&c);
    const uint32_t crc = cursor_u32(&c);
    if (length == 0 || length > HA_FRAME_BYTES_MAX) {
        return ERR_PROTOCOL;
    }
    if (cursor_left(&c) < length) {
        return ERR_TRUNCATED;
    }
    const struct bytes body = cursor_take(&c, length);
    if (crc32c(0, body.data, body.len) != crc || ha_frame_decode(body, ret) != OK) {
        return ERR_PROTOCOL;
    }
    f->at += HA_FRAME_HEADER_BYTES + length;
    if (ret_bytes != NULL) {
        *ret_bytes = HA_FRAME_HEADER_BYTES + length;
    }
    return OK;
}

/*
 * The simulated disk, which shares pages, against the plainest one that keeps the contract: each
 * file is two whole arrays and a list of changes, each change a copy of its bytes.
 */
#include "core/chaos/simdisk.h"

#include "tests/support/test.h"

#include <string.h>

#define FILES          2
#define FILE_BYTES_MAX (40 * WORLD_SECTOR_BYTES)
#define CHANGES_MAX    64
#define STEPS          300

struct plain_change {
    enum { PLAIN_WRITE, PLAIN_GROW, PLAIN_CUT } kind;
    uint64_t offset;
    uint64_t length;
    bool in_limbo;
    bool is_over[FILE_BYTES_MAX]; /* of a write: what a later one replaced that is durable */
    uint8_t bytes[FILE_BYTES_MAX];
};

struct plain_image {
    uint8_t bytes[FILE_BYTES_MAX];
    uint64_t size;
};

struct plain_file {
    struct plain_image live;
    struct plain_image stable;
    struct plain_change changes[CHANGES_MAX];
    size_t change_count;
};

static void plain_resize(struct plain_image *image, uint64_t size)
{
    if (size < image->size) {
        memset(image->bytes + size, 0, (size_t)(image->size - size));
    }
    image->size = size;
}

/* The part of a change that lies in [from, to). */
static void plain_apply(struct plain_image *image, const struct plain_change *change, uint64_t from,
                        uint64_t to)
{
    if (change->kind == PLAIN_CUT) {
        plain_resize(image, change->length);
    } else if (change->kind == PLAIN_GROW) {
        plain_resize(image, u64_max(image->size, change->length));
    } else {
        uint64_t lo = u64_max(from, change->offset);
        uint64_t hi = u64_min(to, change->offset + change->length);
        image->size = u64_max(image->size, hi);
        memcpy(image->bytes + lo, change->bytes + (lo - change->offset), (size_t)(hi - lo));
    }
}

static void plain_change_live(struct plain_file *file, const struct plain_change *change)
{
    assert_true(file->change_count < CHANGES_MAX);
    file->changes[file->change_count++] = *change;
    plain_apply(&file->live, change, 0, FILE_BYTES_MAX);
}

/* Changes behind `upto` came after the sync was submitted. */
static void plain_settle(struct plain_file *file, size_t upto, bool is_good)
{
    size_t kept = 0;

    for (size_t i = 0; i < file->change_count; i++) {
        struct plain_change *change = &file->changes[i];
        if (i < upto && is_good && !change->in_limbo) {
            for (size_t k = 0; k < kept && change->kind == PLAIN_WRITE; k++) {
                memset(file->changes[k].is_over + change->offset, true, (size_t)change->length);
            }
            plain_apply(&file->stable, change, 0, FILE_BYTES_MAX);
            continue;
        }
        change->in_limbo |= i < upto && !is_good;
        file->changes[kept++] = *change;
    }
    file->change_count = kept;
}

static void plain_lose_power(struct plain_file *file, const bool *survives, uint64_t *asked)
{
    for (size_t i = 0; i < file->change_count; i++) {
        const struct plain_change *change = &file->changes[i];
        if (change->kind != PLAIN_WRITE && survives[(*asked)++]) {
            plain_apply(&file->stable, change, 0, 0);
        }
        uint64_t end = change->kind == PLAIN_WRITE ? change->offset + change->length : 0;
        for (uint64_t lo = change->offset; lo < end;) {
            uint64_t hi = lo;
            while (hi < end && !change->is_over[hi]) {
                hi++;
                if (hi % WORLD_SECTOR_BYTES == 0) {
                    break;
                }
            }
            if (hi > lo && survives[(*asked)++]) {
                plain_apply(&file->stable, change, lo, hi);
            }
            lo = hi > lo ? hi : lo + 1;
        }
    }
    file->change_count = 0;
    file->live = file->stable;
}

/* --- both ------------------------------------------------------------------------------------- */

static const char *const names[FILES] = {"one", "two"};

struct twins {
    struct simdisk *d;
    world_fd fd[FILES];
    struct plain_file *plain;
    struct prng prng;
    uint64_t last_cut; /* units of the largest power cut */
};

static struct world_file_request both_ask(struct simdisk *d, struct world_file_request request)
{
    simdisk_execute(d, &request);
    simdisk_settle(d, &request);
    return request;
}

static void twins_open(struct twins *t, uint32_t flags)
{
    for (size_t i = 0; i < FILES; i++) {
        struct world_file_request open = both_ask(
            t->d, (struct world_file_request){.op = WORLD_OPEN, .path = names[i], .flags = flags});
        assert_int_equal(open.result, OK);
        t->fd[i] = open.fd;
    }
}

static void twins_compare(const struct twins *t)
{
    struct buf content;

    buf_init(&content);
    for (size_t i = 0; i < FILES; i++) {
        assert_int_equal(simdisk_look(t->d, names[i], &content), OK);
        assert_int_equal(content.len, t->plain[i].live.size);
        assert_memory_equal(content.data, t->plain[i].live.bytes, content.len);
    }
    buf_deinit(&content);
}

static void twins_write(struct twins *t, size_t i)
{
    struct plain_change change = {.kind = PLAIN_WRITE};

    change.offset = prng_below(&t->prng, FILE_BYTES_MAX - 1);
    change.length = prng_range(&t->prng, 1, FILE_BYTES_MAX - change.offset);
    if (prng_chance(&t->prng, 3, 4)) {
        change.length = u64_min(change.length, prng_range(&t->prng, 1, 3000));
    }
    memset(change.bytes, (int)prng_range(&t->prng, 0, 255), (size_t)change.length);
    assert_int_equal(both_ask(t->d, (struct world_file_request){.op = WORLD_WRITE,
                                                                .fd = t->fd[i],
                                                                .buffer = change.bytes,
                                                                .offset = change.offset,
                                                                .length = change.length})
                         .result,
                     OK);
    plain_change_live(&t->plain[i], &change);
}

static void twins_resize(struct twins *t, size_t i)
{
    bool is_cut = prng_chance(&t->prng, 1, 2);
    struct plain_change change = {.kind = is_cut ? PLAIN_CUT : PLAIN_GROW};

    change.length = prng_below(&t->prng, FILE_BYTES_MAX);
    assert_int_equal(both_ask(t->d, (struct world_file_request){.op = is_cut ? WORLD_TRUNCATE
                                                                             : WORLD_PREALLOCATE,
                                                                .fd = t->fd[i],
                                                                .length = change.length})
                         .result,
                     OK);
    plain_change_live(&t->plain[i], &change);
}

/* A sync, which may fail, and during which more may be written. */
static void twins_sync(struct twins *t, size_t i)
{
    struct world_file_request sync = {.op = WORLD_SYNC, .fd = t->fd[i]};
    bool fails = prng_chance(&t->prng, 1, 8);
    size_t upto = t->plain[i].change_count;

    simdisk_fail(t->d, WORLD_SYNC, ERR_IO, fails);
    simdisk_execute(t->d, &sync);
    if (prng_chance(&t->prng, 1, 3)) {
        twins_write(t, i);
    }
    simdisk_settle(t->d, &sync);
    plain_settle(&t->plain[i], upto, !fails);
}

struct coins {
    bool survives[FILES * CHANGES_MAX * (FILE_BYTES_MAX / WORLD_SECTOR_BYTES + 1)];
};

static bool coin_says(void *ctx, uint64_t unit)
{
    const struct coins *coins = ctx;
    return coins->survives[unit];
}

/* The disk is cloned first, and it is the clone that lives on: it must not depend on the other. */
static void twins_lose_power(struct twins *t)
{
    static struct coins coins;
    struct simdisk *clone = simdisk_clone(t->d);
    uint64_t asked = 0;

    for (size_t i = 0; i < COUNT_OF(coins.survives); i++) {
        coins.survives[i] = prng_chance(&t->prng, 1, 2);
    }
    uint64_t units = simdisk_pending(clone);
    simdisk_cut_power(clone, coin_says, &coins);
    twins_compare(t);
    simdisk_free(t->d);
    t->d = clone;
    for (size_t i = 0; i < FILES; i++) {
        plain_lose_power(&t->plain[i], coins.survives, &asked);
    }
    assert_int_equal(asked, units);
    t->last_cut = u64_max(t->last_cut, units);
    assert_int_equal(simdisk_pending(t->d), 0);
    twins_open(t, WORLD_OPEN_WRITE);
}

static void twins_live(uint64_t seed)
{
    static struct plain_file plain[FILES];
    struct twins t = {.d = simdisk_new(1 << 20), .plain = plain};

    memset(plain, 0, sizeof plain);
    prng_init(&t.prng, seed);
    twins_open(&t, WORLD_OPEN_CREATE);
    (void)both_ask(t.d, (struct world_file_request){.op = WORLD_SYNC_DIR, .path = ""});
    for (unsigned step = 0; step < STEPS; step++) {
        size_t i = (size_t)prng_below(&t.prng, FILES);
        uint64_t what = prng_below(&t.prng, 16);
        if (what == 0 || plain[i].change_count + 2 > CHANGES_MAX) {
            twins_lose_power(&t);
        } else if (what < 7) {
            twins_sync(&t, i);
        } else if (what < 9) {
            twins_resize(&t, i);
        } else {
            twins_write(&t, i);
        }
        twins_compare(&t);
    }
    assert_true(t.last_cut > 0);
    simdisk_free(t.d);
}

static void is_as_the_plainest_disk_through_any_life(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);

    for (size_t round = 0; round < test_rounds(40); round++) {
        twins_live(prng_u64(&prng));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_as_the_plainest_disk_through_any_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

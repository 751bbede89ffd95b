/* Damage at rest to a simulated disk, at places which its generator chooses. */
#include "core/chaos/simdisk_int.h"

#include <string.h>

#include "core/base/check.h"

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path);
    size_t tail = strlen(end);
    return n > tail && memcmp(path + n - tail, end, tail) == 0;
}

/* Is that the last part of the path? */
static bool is_called(const char *path, const char *name)
{
    size_t parent = world_parent_length(path);
    return strcmp(parent == 0 ? path : path + parent + 1, name) == 0;
}

bool simdisk_is_in_class(const char *path, enum simdisk_class class)
{
    switch (class) {
    case SIMDISK_ANY:
        return true;
    case SIMDISK_LOG:
        return ends_with(path, ".wal");
    case SIMDISK_SNAPSHOT:
        return ends_with(path, ".snap") || ends_with(path, ".part");
    case SIMDISK_BOOT:
        return is_called(path, "boot");
    case SIMDISK_IDENTITY:
        return is_called(path, "identity");
    case SIMDISK_CLASSES:
        break;
    }
    CHECK_UNREACHABLE("no such class of files");
}

/* Does the page hold anything? */
static bool has_content(const struct simpage *page)
{
    return page != NULL && !simdisk_is_blank(page->bytes, SIMPAGE_BYTES);
}

static bool has_any_content(const struct simdisk_image *image)
{
    for (size_t i = 0; i < image->page_count; i++) {
        if (has_content(image->pages[i])) {
            return true;
        }
    }
    return false;
}

/* The nth of the sectors of a page that are not blank; SIMPAGE_BYTES: there are fewer. */
static size_t nth_sector(const struct simpage *page, size_t n)
{
    for (size_t at = 0; at < SIMPAGE_BYTES; at += WORLD_SECTOR_BYTES) {
        if (!simdisk_is_blank(page->bytes + at, WORLD_SECTOR_BYTES) && n-- == 0) {
            return at;
        }
    }
    return SIMPAGE_BYTES;
}

static uint64_t count_sectors(const struct simpage *page)
{
    uint64_t count = 0;

    for (size_t at = 0; at < SIMPAGE_BYTES; at += WORLD_SECTOR_BYTES) {
        count += !simdisk_is_blank(page->bytes + at, WORLD_SECTOR_BYTES);
    }
    return count;
}

/* Pages are drawn alike, whether they hold one sector or eight: a segment's header page and the
 * page at the end of the log are where damage hurts most. */
bool simdisk_pick_sector(struct simdisk *d, const struct simdisk_inode *inode, uint64_t *offset)
{
    const struct simdisk_image *image = &inode->stable;
    uint64_t count = 0;

    for (size_t i = 0; i < image->page_count; i++) {
        count += has_content(image->pages[i]);
    }
    if (count == 0) {
        return false;
    }
    uint64_t left = prng_below(&d->prng, count);
    size_t at = 0;
    while (!has_content(image->pages[at]) || left-- > 0) {
        at++;
    }
    const struct simpage *page = image->pages[at];
    size_t sector = nth_sector(page, (size_t)prng_below(&d->prng, count_sectors(page)));
    *offset = (uint64_t)at * SIMPAGE_BYTES + sector;
    return true;
}

/* The nth file of the class that has content; NULL: there are fewer. */
static const char *nth_file(const struct simdisk *d, enum simdisk_class class, uint64_t n)
{
    const char *path = NULL;

    for (size_t at = 0; (path = simdisk_name(d, at)) != NULL; at++) {
        if (simdisk_is_in_class(path, class) &&
            has_any_content(&simdisk_file_at(d, path)->stable) && n-- == 0) {
            return path;
        }
    }
    return NULL;
}

const char *simdisk_pick_file(struct simdisk *d, enum simdisk_class class)
{
    uint64_t count = 0;

    while (nth_file(d, class, count) != NULL) {
        count++;
    }
    return count == 0 ? NULL : nth_file(d, class, prng_below(&d->prng, count));
}

/* A bit of what is on the platter flips. The host sees it unless it has changed that byte since. */
static void rot_at(struct simdisk *d, struct simdisk_inode *inode, uint64_t offset)
{
    uint8_t mask = (uint8_t)(1U << prng_below(&d->prng, 8));
    uint8_t stable = 0;
    uint8_t live = 0;

    simdisk_image_read(&inode->stable, offset, &stable, 1);
    bool is_seen = offset < inode->live.size;
    if (is_seen) {
        simdisk_image_read(&inode->live, offset, &live, 1);
        is_seen = live == stable;
    }
    stable ^= mask;
    simdisk_image_write(&d->pool, &inode->stable, offset, &stable, 1);
    if (is_seen) {
        simdisk_image_write(&d->pool, &inode->live, offset, &stable, 1);
    }
}

enum err simdisk_harm(struct simdisk *d, enum simdisk_harm harm, enum simdisk_class class,
                      struct simdisk_spot *ret)
{
    const char *path = simdisk_pick_file(d, class);
    struct simdisk_spot spot = {.path = ""};

    if (path == NULL) {
        return ERR_NOT_FOUND;
    }
    memcpy(spot.path, path, strlen(path) + 1);
    struct simdisk_inode *inode = simdisk_file_at(d, path);
    CHECK(simdisk_pick_sector(d, inode, &spot.offset));
    uint64_t end = u64_min(spot.offset + WORLD_SECTOR_BYTES, inode->stable.size);
    switch (harm) {
    case SIMDISK_HARM_ROT:
        spot.offset += prng_below(&d->prng, end - spot.offset);
        rot_at(d, inode, spot.offset);
        break;
    case SIMDISK_HARM_SPOILED:
        TRY(simdisk_spoil(d, spot.path, spot.offset));
        break;
    case SIMDISK_HARM_CUT:
        spot.offset += prng_below(&d->prng, end - spot.offset);
        TRY(simdisk_cut(d, spot.path, spot.offset));
        break;
    case SIMDISK_HARM_VANISHED:
        TRY(simdisk_remove(d, spot.path));
        break;
    case SIMDISK_HARMS:
        CHECK_UNREACHABLE("no such harm");
    }
    *ret = spot;
    return OK;
}

void simdisk_wipe(struct simdisk *d)
{
    d->live.count = 0;
    d->stable.count = 0;
    d->name_change_count = 0;
    simdisk_collect(d);
}

/*
 * Any bytes as a manifest: it is refused with the line of what is wrong, or what comes of it is one
 * JSON object a document, which the decoder of its kind takes or refuses with a field that has a
 * line.
 */
#include "tests/fuzz/fuzz_target.h"

#include <jansson.h>

#include "cli/manifest.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"

static void check_document(const struct manifest_document *d)
{
    json_t *tree = json_loadb((const char *)d->json.data, d->json.len, JSON_ALLOW_NUL, NULL);
    void *record = mem_alloc_zero(ha_record_size(d->kind));
    struct buf why;

    buf_init(&why);
    ha_record_defaults(d->kind, record);
    if (ha_record_decode(d->kind, buf_view(&d->json), record, &why) != OK) {
        CHECK(why.len > 0 && manifest_line(d, say_end(&why)) >= d->line);
    } else {
        CHECK(json_is_object(tree));
    }
    json_decref(tree);
    buf_deinit(&why);
    mem_free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct manifest m = {0};
    struct buf why;

    buf_init(&why);
    if (manifest_read((struct bytes){bytes, n}, HA_KINDS, &m, &why) != OK) {
        CHECK(why.len > 0 && m.documents == NULL);
    }
    for (size_t i = 0; i < m.n; i++) {
        check_document(&m.documents[i]);
    }
    manifest_free(&m);
    buf_deinit(&why);
    return 0;
}

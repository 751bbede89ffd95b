#include "core/chaos/simmemory.h"

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/mem.h"

struct world_memory {
    uint8_t *bytes; /* owned */
    size_t length;
    uint32_t crc; /* once it is settled */
    bool is_settled;
};

static struct world_memory *simmemory_take(void *self, size_t bytes, uint8_t **ret)
{
    struct world_memory *m = mem_alloc(sizeof *m);

    (void)self;
    *m = (struct world_memory){.bytes = mem_alloc_zero(bytes), .length = bytes};
    *ret = m->bytes;
    return m;
}

static void simmemory_settle(struct world_memory *m)
{
    CHECK(!m->is_settled);
    m->is_settled = true;
    m->crc = crc32c(0, m->bytes, m->length);
}

static void simmemory_rest(struct world_memory *m)
{
    CHECK(m->is_settled);
}

static void simmemory_give(struct world_memory *m)
{
    CHECK(!m->is_settled || m->crc == crc32c(0, m->bytes, m->length));
    mem_free(m->bytes);
    mem_free(m);
}

const struct world_memory_ops simmemory_ops = {
    .take = simmemory_take,
    .settle = simmemory_settle,
    .rest = simmemory_rest,
    .give = simmemory_give,
};

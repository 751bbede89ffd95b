#include "core/chaos/simfile.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/chaos/simworld_int.h"

/* Labels of the generators that a host's disk has. */
#define DISK_CHILD    1
#define LATENCY_CHILD 2

#define MILLION 1000000U

struct simfile_speed simfile_speed_plain(void)
{
    const struct simfile_latency plain = {.base = SIMDISK_OP_LATENCY};
    const struct simfile_latency sync = {.base = SIMDISK_OP_LATENCY + SIMDISK_SYNC_LATENCY};

    return (struct simfile_speed){
        .of = {[SIMFILE_NAMES] = plain,
               [SIMFILE_READ] = plain,
               [SIMFILE_WRITE] = plain,
               [SIMFILE_SYNC] = sync},
        .bytes_per_s = SIMDISK_BYTE_RATE,
    };
}

void simfile_init(struct simhost *host)
{
    struct prng disk = prng_fork(&host->prng, DISK_CHILD);

    host->speed = simfile_speed_plain();
    host->latency_prng = prng_fork(&host->prng, LATENCY_CHILD);
    simdisk_seed(host->disk, &disk);
}

enum simfile_kind simfile_kind_of(enum world_file_op op)
{
    if (op == WORLD_SYNC || op == WORLD_SYNC_DIR) {
        return SIMFILE_SYNC;
    }
    if (op == WORLD_READ) {
        return SIMFILE_READ;
    }
    return op == WORLD_WRITE ? SIMFILE_WRITE : SIMFILE_NAMES;
}

struct simfile_speed simhost_speed(const struct simhost *host)
{
    return host->speed;
}

void simhost_set_speed(struct simhost *host, const struct simfile_speed *speed)
{
    CHECK(speed->bytes_per_s > 0);
    for (size_t kind = 0; kind < SIMFILE_KINDS; kind++) {
        CHECK(speed->of[kind].base > 0);
    }
    host->speed = *speed;
}

static nanos draw_latency(struct simhost *host, const struct simfile_latency *latency)
{
    nanos taken = latency->base;

    if (latency->spread > 0) {
        taken += prng_range(&host->latency_prng, 0, latency->spread);
    }
    if (latency->tail_ppm > 0 && prng_chance(&host->latency_prng, latency->tail_ppm, MILLION)) {
        taken += prng_range(&host->latency_prng, 0, latency->tail);
    }
    return taken;
}

static nanos latency_of(struct simhost *host, const struct world_file_request *request)
{
    enum simfile_kind kind = simfile_kind_of(request->op);
    nanos latency = draw_latency(host, &host->speed.of[kind]) + host->extra_operation;

    if (kind == SIMFILE_SYNC) {
        latency += host->extra_sync;
    } else if (kind != SIMFILE_NAMES) {
        latency += request->length * NANOS_PER_S / host->speed.bytes_per_s;
    }
    return latency;
}

static void file_completed(void *arg)
{
    struct world_file_request *request = arg;
    struct simhost *host = request->world;
    nanos stalled = host->stalled_until[request->lane];

    /* What waits for the end of a stall is scheduled for one time, so it keeps its order. */
    if (stalled > host->sim->now) {
        simworld_schedule(host->sim, host, stalled, file_completed, NULL, request);
        return;
    }
    simdisk_settle(host->disk, request);
    simworld_mix_file(host->sim, request);
    request->done(request);
}

static void sim_submit(void *self, struct world_file_request *request)
{
    struct simhost *host = self;

    CHECK(request->lane < WORLD_LANES && request->done != NULL);
    nanos latency = latency_of(host, request);
    simdisk_execute(host->disk, request);
    nanos begin = u64_max(host->lane_free[request->lane], host->sim->now);
    begin = u64_max(begin, host->stalled_until[request->lane]);
    host->lane_free[request->lane] = begin + latency;
    request->world = host;
    simworld_schedule(host->sim, host, begin + latency, file_completed, NULL, request);
}

const struct world_file_ops simfile_ops = {sim_submit};

void simhost_stall(struct simhost *host, enum world_lane lane, nanos until)
{
    CHECK(lane < WORLD_LANES);
    host->stalled_until[lane] = u64_max(host->stalled_until[lane], until);
}

void simhost_stall_disk(struct simhost *host, nanos until)
{
    for (size_t lane = 0; lane < WORLD_LANES; lane++) {
        simhost_stall(host, (enum world_lane)lane, until);
    }
}

void simhost_slow(struct simhost *host, nanos operation, nanos sync)
{
    host->extra_operation = operation;
    host->extra_sync = sync;
}

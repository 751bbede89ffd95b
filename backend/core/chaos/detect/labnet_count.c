#include <string.h>

#include "core/chaos/detect/labnet_int.h"

static uint64_t second_of(const struct labnet *net)
{
    return (net->now - net->counts_since) / NANOS_PER_S;
}

/* Closes the seconds before `second`. */
static void meter_turn(struct labmeter *meter, struct labnet_rates *rates, uint64_t second)
{
    if (meter->second >= second) {
        return;
    }
    uint64_t bucket = meter->bytes / LABNET_RATE_WIDTH_BYTES;
    rates->buckets[u64_min(bucket, LABNET_RATE_BUCKETS - 1)]++;
    rates->buckets[0] += second - meter->second - 1;
    rates->seconds += second - meter->second;
    rates->bytes += meter->bytes;
    rates->max_bytes = u64_max(rates->max_bytes, meter->bytes);
    meter->second = second;
    meter->bytes = 0;
}

void labnet_count_out(struct labnet *net, uint32_t id, uint64_t wire_bytes)
{
    struct labhost *host = &net->hosts[id];
    meter_turn(&host->meter_out, &net->rates_out, second_of(net));
    host->meter_out.bytes += wire_bytes;
}

void labnet_count_in(struct labnet *net, uint32_t id, uint64_t wire_bytes)
{
    struct labhost *host = &net->hosts[id];
    meter_turn(&host->meter_in, &net->rates_in, second_of(net));
    host->meter_in.bytes += wire_bytes;
}

const struct labnet_counts *labnet_counts_of(const struct labnet *net, uint32_t host)
{
    return &net->hosts[host].counts;
}

void labnet_rates(struct labnet *net, struct labnet_rates *ret_in, struct labnet_rates *ret_out)
{
    uint64_t second = second_of(net);
    for (uint32_t i = 0; i < net->options.hosts; i++) {
        meter_turn(&net->hosts[i].meter_in, &net->rates_in, second);
        meter_turn(&net->hosts[i].meter_out, &net->rates_out, second);
    }
    *ret_in = net->rates_in;
    *ret_out = net->rates_out;
}

void labnet_count_anew(struct labnet *net)
{
    net->counts_since = net->now;
    memset(&net->rates_in, 0, sizeof net->rates_in);
    memset(&net->rates_out, 0, sizeof net->rates_out);
    for (uint32_t i = 0; i < net->options.hosts; i++) {
        struct labhost *host = &net->hosts[i];
        host->counts = (struct labnet_counts){0};
        host->meter_in = (struct labmeter){0};
        host->meter_out = (struct labmeter){0};
    }
}

double labnet_rate_quantile(const struct labnet_rates *rates, double part)
{
    double wanted = part * (double)rates->seconds;
    uint64_t passed = 0;
    for (size_t b = 0; b + 1 < LABNET_RATE_BUCKETS; b++) {
        passed += rates->buckets[b];
        if ((double)passed >= wanted) {
            return (double)u64_min((b + 1) * LABNET_RATE_WIDTH_BYTES, rates->max_bytes);
        }
    }
    return (double)rates->max_bytes;
}

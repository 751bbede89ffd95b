/* A year of one machine: rates of failure times what each costs. Failures are independent, and rare
 * enough for the second of two to be counted alone: by how long the first one's repair takes. */
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/scenario/outage.h"

struct outage_rates outage_rates_default(void)
{
    return (struct outage_rates){
#define OUTAGE_RATE_DEFAULT(name, value, text) .name = (value),
        OUTAGE_RATE_TABLE(OUTAGE_RATE_DEFAULT)
#undef OUTAGE_RATE_DEFAULT
    };
}

static const struct {
    const char *name;
    const char *text;
} rate_rows[] = {
#define OUTAGE_RATE_ROW(name, value, text) {#name, text},
    OUTAGE_RATE_TABLE(OUTAGE_RATE_ROW)
#undef OUTAGE_RATE_ROW
};

_Static_assert(sizeof(struct outage_rates) == COUNT_OF(rate_rows) * sizeof(double),
               "the fields are the rows, in their order");

const char *outage_rate_name(size_t i)
{
    return i < COUNT_OF(rate_rows) ? rate_rows[i].name : NULL;
}

const char *outage_rate_text(size_t i)
{
    return i < COUNT_OF(rate_rows) ? rate_rows[i].text : NULL;
}

double *outage_rate_find(struct outage_rates *rates, const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT_OF(rate_rows); i++) {
        if (strlen(rate_rows[i].name) == length && memcmp(rate_rows[i].name, name, length) == 0) {
            return (double *)(void *)rates + i;
        }
    }
    return NULL;
}

const char *outage_rates_check(const struct outage_rates *rates)
{
    const double *values = (const double *)(const void *)rates;

    for (size_t i = 0; i < COUNT_OF(rate_rows); i++) {
        if (!(values[i] >= 0 && values[i] < 1e12)) {
            return "a number is negative, or out of range";
        }
    }
    if (rates->hosts < OUTAGE_HOSTS_MIN || rates->hosts > OUTAGE_HOSTS_MAX ||
        rates->hosts - (double)(uint32_t)rates->hosts > 0) {
        return "hosts: a whole number from 3 to 7";
    }
    if (rates->hang_share + rates->mains_share > 1) {
        return "hang_share and mains_share: together at most 1";
    }
    return NULL;
}

/* --- arithmetic ------------------------------------------------------------------------------- */

static double times_a_year(double mtbf_h)
{
    return mtbf_h > 0 ? HOURS_A_YEAR / mtbf_h : 0;
}

/* The share of time in which it is being repaired. */
static double share_down(double mtbf_h, double repair_h)
{
    return mtbf_h > 0 ? repair_h / (mtbf_h + repair_h) : 0;
}

/* At least k of n, each down for the share u of the time. */
static double at_least(uint32_t k, uint32_t n, double u)
{
    double sum = 0;

    for (uint32_t i = k; i <= n; i++) {
        double p = 1;
        for (uint32_t j = 0; j < n; j++) {
            p *= j < i ? u * (double)(n - j) / (double)(i - j) : 1 - u;
        }
        sum += p;
    }
    return sum;
}

static double cost_of(const struct outage_rates *r, const struct outage_mean *m)
{
    return m->mean_s + m->restarted * r->guest_boot_s;
}

static void cause_add(struct outage_sum *sum, const char *name, double times, double each_s)
{
    CHECK(sum->n < OUTAGE_CAUSES_MAX);
    sum->causes[sum->n++] = (struct outage_cause){
        .name = name, .times = times, .each_s = each_s, .minutes = times * each_s / 60};
    sum->minutes += times * each_s / 60;
}

/* A host that is off, with its devices as they may be just then. */
static double host_off(const struct outage_rates *r, const struct outage_mean *m)
{
    double controller = share_down(r->controller_mtbf_h, r->controller_repair_h);
    double both = controller * share_down(r->outlet_mtbf_h, r->outlet_repair_h);
    double led = 1 / r->hosts;

    return (1 - controller) * (led * cost_of(r, &m[OUTAGE_LEADER_OFF]) +
                               (1 - led) * cost_of(r, &m[OUTAGE_HOST_OFF])) +
           (controller - both) * cost_of(r, &m[OUTAGE_NO_CONTROLLER]) +
           both * cost_of(r, &m[OUTAGE_NO_DEVICE]);
}

static void add_quorum(const struct outage_rates *r, struct outage_sum *sum)
{
    double down = share_down(r->host_mtbf_h, r->host_repair_h) +
                  share_down(r->network_mtbf_h, r->network_repair_h) +
                  share_down(r->disk_mtbf_h, r->disk_repair_h);
    uint32_t n = (uint32_t)r->hosts;
    uint32_t lost = n - n / 2; /* so many down leave no majority */
    double share = at_least(lost, n, down < 1 ? down : 1);
    double repair_s = r->host_repair_h * 3600 / lost;

    cause_add(sum, "a majority of hosts at once",
              repair_s > 0 ? share * HOURS_A_YEAR * 3600 / repair_s : 0, repair_s);
}

void outage_year(const struct outage_rates *r, const struct outage_mean m[OUTAGE_KINDS],
                 struct outage_sum *ret)
{
    const double hosts_lost = times_a_year(r->host_mtbf_h);
    const double led = 1 / r->hosts;

    memset(ret, 0, sizeof *ret);
    cause_add(ret, "its host is lost", hosts_lost * (1 - r->hang_share - r->mains_share),
              host_off(r, m));
    cause_add(ret, "its host hangs", hosts_lost * r->hang_share, cost_of(r, &m[OUTAGE_HOST_HANGS]));
    cause_add(ret, "its host and controllers lose their mains", hosts_lost * r->mains_share,
              cost_of(r, &m[OUTAGE_NO_DEVICE]));
    cause_add(ret, "its host is cut off", times_a_year(r->network_mtbf_h),
              cost_of(r, &m[OUTAGE_NETWORK]));
    cause_add(ret, "the disk of its host's daemon", times_a_year(r->disk_mtbf_h),
              cost_of(r, &m[OUTAGE_DAEMON_GONE]));
    cause_add(ret, "its host's daemon crashes", times_a_year(r->daemon_mtbf_h),
              led * cost_of(r, &m[OUTAGE_LEADER_DAEMON]) +
                  (1 - led) * cost_of(r, &m[OUTAGE_DAEMON]));
    cause_add(ret, "its own process crashes", times_a_year(r->vm_mtbf_h),
              cost_of(r, &m[OUTAGE_VM_CRASH]));
    cause_add(ret, "another host is lost", hosts_lost * (r->hosts - 1),
              cost_of(r, &m[OUTAGE_OTHER_HOST]));
    add_quorum(r, ret);
    cause_add(ret, "the shared storage", times_a_year(r->storage_mtbf_h),
              r->storage_repair_h * 3600);
    ret->availability = 1 - ret->minutes / MINUTES_A_YEAR;
}

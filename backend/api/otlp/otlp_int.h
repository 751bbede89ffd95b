/* What the files of api/otlp share: where a collector is, and one POST to it. */
#ifndef NOVACRON_API_OTLP_OTLP_INT_H
#define NOVACRON_API_OTLP_OTLP_INT_H

#include "api/otlp/otlp_export.h"

#define OTLP_HOST_BYTES 256
#define OTLP_PATH_BYTES 256

struct otlp_endpoint {
    char host[OTLP_HOST_BYTES];
    char authority[OTLP_HOST_BYTES + 8];
    char path[OTLP_PATH_BYTES];
    char port[8];
};

bool otlp_endpoint_parse(const char *text, struct otlp_endpoint *ret);

/* A connection that is kept between two requests; blocking, for the exporter's thread alone. */
struct otlp_post {
    int fd;  /* -1: none */
    int end; /* a descriptor that becomes readable when all must end at once */
};

/* The answer to a POST. */
enum otlp_outcome {
    OTLP_TAKEN,
    OTLP_REFUSED, /* for what was sent: trying again does not help */
    OTLP_LATER    /* down, slow, overloaded, or no collector */
};

/* Sends `body` as JSON, until `deadline` of otlp_clock at the latest. */
enum otlp_outcome otlp_post(struct otlp_post *p, const struct otlp_endpoint *to, struct bytes body,
                            nanos deadline);
void otlp_post_close(struct otlp_post *p);

/* CLOCK_MONOTONIC. */
nanos otlp_clock(void);

#endif

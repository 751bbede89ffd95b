/* What to do about what a cluster answers: etcd's texts are for those who know them. */
#ifndef NOVACRON_CLI_HINT_H
#define NOVACRON_CLI_HINT_H

/* A sentence without its beginning, for behind "; "; NULL: there is nothing to say. */
const char *hint_for(const char *text);

#endif

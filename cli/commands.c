/* The table of `novacron`'s commands. */
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/member_file.h"
#include "cli/records.h"
#include "cli/remote.h"

/* What TAB offers for arguments and values of these names. */
static const struct cli_source sources[] = {
    {.value = "HOST", .ask = "host list"},
    {.value = "HOST_OR_MACHINE", .ask = "members"},
    {.value = "INCIDENT", .ask = "incident list"},
    {.value = "MACHINE", .ask = "vm list"},
    {.value = "ID", .ask = "member list"},
    {.value = "KEY", .ask = "kv get % --prefix --keys-only --serializable --limit 100"},
    {.value = "SHELL", .list = cli_completion_shells},
    {.value = NULL},
};

static enum cli_exit cmd_completion(const struct cli_call *call)
{
    return cli_completion_run(call, &cli_novacron, sources);
}

/* The founders of a cluster: as many as the command line takes. */
#define FOUNDERS                                                                                   \
    "NAME=HOST", "[NAME=HOST]", "[NAME=HOST]", "[NAME=HOST]", "[NAME=HOST]", "[NAME=HOST]",        \
        "[NAME=HOST]", "[NAME=HOST]", "[NAME=HOST]"

/* What is to be known of a member that joins. */
#define JOIN_OPTION_TABLE                                                                          \
    {"--dir", "DIR", "where the files go, in a folder NAME; here otherwise"},                      \
        {"--ca", "DIR", "the cluster's authority, which makes its certificate"},                   \
        {"--plaintext", NULL, "members have no certificates"},                                     \
        {"--learner", NULL, "it stays a learner until it is promoted by hand"},                    \
        {"--witness", NULL, "it votes, and holds no data"},                                        \
        {"--priority", "N", "whoever has the highest leads; 0: it never does; 100 otherwise"},     \
        {"--data-dir", "DIR", "on its host; " MEMBER_DATA_DIR " otherwise"},                       \
        {"--etc", "DIR", "on its host, for these files; " MEMBER_ETC " otherwise"},                \
        {"--timing", "PROFILE", "as on the others: lan, or stretch"},                              \
    {                                                                                              \
        "--health-keys", "FILE", "the cluster's; in the authority's folder, or DIR, otherwise"     \
    }

/* Of the members that are restored. */
#define CONFIGS                                                                                    \
    "CONFIG", "[CONFIG]", "[CONFIG]", "[CONFIG]", "[CONFIG]", "[CONFIG]", "[CONFIG]", "[CONFIG]",  \
        "[CONFIG]"

/* Of the survivors of a cluster: as many as anybody runs voters, and more. */
#define DATA_DIRS                                                                                  \
    "DATA_DIR", "[DATA_DIR]", "[DATA_DIR]", "[DATA_DIR]", "[DATA_DIR]", "[DATA_DIR]", "[DATA_DIR]"

/* Of commands that take manifests, and of those that wait for a machine. */
#define APPLY_OPTION_TABLE                                                                         \
    {"--file", "FILE", "or -f: the manifest, of one or more documents; - is the standard input"},  \
    {                                                                                              \
        "--dry-run", NULL, "check it, and write nothing"                                           \
    }
#define WAIT_OPTION                                                                                \
    {                                                                                              \
        "--wait", "SECONDS", "until it is so; exit status 1 where it is not by then"               \
    }

static const struct cli_command novacron_commands[] = {
    {
        .group = "cluster",
        .name = "status",
        .options = {REMOTE_OPTION_TABLE},
        .summary = "say how each of the endpoints is",
        .help =
            "One line for each of the endpoints: role, term, progress, priority; whether it is "
            "IMPAIRED, or,\nwith a witness, too few replicas are in sync: EXPOSED. Exit status: 0 "
            "all have a leader and\nnone of these, 1 one of them has not, or does not answer.",
        .run = cmd_cluster_status,
    },
    {
        .group = "cluster",
        .name = "init",
        .arguments = {"CLUSTER", FOUNDERS},
        .options =
            {{"--dir", "DIR",
              "where the files go, a folder for each member; made if missing; here otherwise"},
             {"--plaintext", NULL, "without certificates: where nobody else can listen"},
             {"--witness", "NAME", "this member votes, and holds no data"},
             {"--leader", "NAME", "this member leads whenever it can"},
             {"--data-dir", "DIR", "on each host; " MEMBER_DATA_DIR " otherwise"},
             {"--etc", "DIR", "on each host, for these files; " MEMBER_ETC " otherwise"},
             {"--timing", "PROFILE", "lan, or stretch for members up to 50 ms apart"},
             {"--json", NULL, "the folders of the members, as one JSON object"}},
        .summary = "write the configuration of a new cluster",
        .help = "CLUSTER is its name, each founder NAME=HOST, or NAME=HOST:PEER_PORT:CLIENT_PORT. "
                "Writes\nDIR/NAME/novacrond.yaml for each, checked as novacrond checks it; unless "
                "--plaintext, an\nauthority in DIR/ca, certificates beside the files, and one for "
                "`novacron` in DIR/admin;\nand health.keys, with which hosts watch each other. "
                "Nothing that exists is replaced.",
        .run = cmd_cluster_init,
    },
    {
        .group = "cluster",
        .name = "join",
        .arguments = {"NAME", "HOST"},
        .options = {REMOTE_OPTION_TABLE,
                    JOIN_OPTION_TABLE,
                    {"--agent", NULL, "it runs machines and does not vote: nothing is added"}},
        .summary = "let a new member in, and write its configuration",
        .help =
            "Asks the cluster who is there, adds the member as a learner that votes once it has "
            "caught\nup, and writes DIR/NAME/novacrond.yaml with everything in it, its id "
            "included. HOST is\nHOST, or HOST:PEER_PORT:CLIENT_PORT. The cluster is not changed "
            "before the file was checked.\nWith --agent the file is of a host that runs machines "
            "and does not vote, and the cluster is\nnot changed at all: declare the host with "
            "`novacron apply`.",
        .run = cmd_cluster_join,
    },
    {
        .group = "cluster",
        .name = "survivors",
        .arguments = {DATA_DIRS},
        .options = {{"--report", NULL, "a line for each, to be carried to another host"},
                    {"--json", NULL, "one JSON object"}},
        .summary = "say which of the stopped members is the newest",
        .help = "Reads the data_dir of each, or a file with the line that --report printed on its "
                "host, and\nsays how far its log goes and whether it is whole; is a majority left, "
                "and if not, which one\nto choose for `cluster recover`. Changes nothing. Exit "
                "status: 0 one is to be chosen, 1 none\nis, or a majority is left, 2 one cannot be "
                "read.",
        .run = cmd_cluster_survivors,
    },
    {
        .group = "cluster",
        .name = "recover",
        .arguments = {DATA_DIRS},
        .options = {{"--accept-data-loss", "CLUSTER",
                     "the cluster's id, as `cluster survivors` printed it: without it, nothing is "
                     "done"},
                    {"--json", NULL, "one JSON object"}},
        .summary = "go on with one member when a majority is lost for good",
        .help =
            "DATA_DIR is of the member that goes on alone, whose novacrond is stopped. The "
            "others are the\nsurvivors beside it, as for `cluster survivors`; it must be the "
            "newest of them. Says what may\nbe lost. With --accept-data-loss it leaves an order "
            "in DATA_DIR, which novacrond carries out\nat its next start, unless it hears a "
            "quorum. See docs/runbooks/quorum-lost.md.",
        .run = cmd_cluster_recover,
    },
    {
        .group = "member",
        .name = "list",
        .options = {REMOTE_OPTION_TABLE},
        .summary = "list who belongs to the cluster",
        .help = "Id, role, name, where peers and where clients reach each.",
        .run = cmd_member_list,
    },
    {
        .group = "member",
        .name = "add",
        .arguments = {"NAME", "PEER_URL"},
        .options = {REMOTE_OPTION_TABLE,
                    {"--learner", NULL, "it stays a learner until it is promoted by hand"},
                    {"--witness", NULL, "it votes, and holds no data"},
                    {"--priority", "N",
                     "whoever has the highest leads; 0: it never does; 100 otherwise"}},
        .summary = "let a new member in",
        .help = "It joins as a learner and is made a voter once it has caught up. Prints what "
                "belongs\ninto its configuration.",
        .run = cmd_member_add,
    },
    {
        .group = "member",
        .name = "promote",
        .arguments = {"ID"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "make a learner a voter",
        .help = "It must have caught up.",
        .run = cmd_member_promote,
    },
    {
        .group = "member",
        .name = "replace",
        .arguments = {"ID", "NAME", "HOST"},
        .options = {REMOTE_OPTION_TABLE, JOIN_OPTION_TABLE},
        .summary = "put a new member into the place of a dead one",
        .help = "Removes ID, and lets NAME at HOST in as `cluster join` does, which writes its "
                "configuration.\nWhere it fails in between, `cluster join` goes on from there.",
        .run = cmd_member_replace,
    },
    {
        .group = "member",
        .name = "demote",
        .arguments = {"ID"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "make a voter a learner",
        .help = "It keeps its data, and does not count any more. `member promote` takes it back.",
        .run = cmd_member_demote,
    },
    {
        .group = "member",
        .name = "update",
        .arguments = {"ID", "PEER_URL"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "say where a member is reached",
        .help = "The others reach it there from now on; it must listen there.",
        .run = cmd_member_update,
    },
    {
        .group = "member",
        .name = "priority",
        .arguments = {"ID", "PRIORITY"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "say who shall rather lead",
        .help =
            "From 0, which never leads by itself, to 255. A member of the highest priority takes "
            "the lead\nonce it has everything; 100 is usual.",
        .run = cmd_member_priority,
    },
    {
        .group = "member",
        .name = "remove",
        .arguments = {"ID"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "take a member out",
        .help = "Its vote counts no more at once. Stop it afterwards.",
        .run = cmd_member_remove,
    },
    {
        .group = "kv",
        .name = "get",
        .arguments = {"KEY"},
        .options = {REMOTE_OPTION_TABLE,
                    {"--prefix", NULL, "all keys that begin so"},
                    {"--rev", "N", "as it was at this revision"},
                    {"--limit", "N", "so many at most"},
                    {"--serializable", NULL, "what one member knows, though it may be out of date"},
                    {"--keys-only", NULL, "no values"}},
        .summary = "print keys and values",
        .help = "A line for the key, a line for its value.",
        .run = cmd_kv_get,
    },
    {
        .group = "kv",
        .name = "put",
        .arguments = {"KEY", "VALUE"},
        .options = {REMOTE_OPTION_TABLE, {"--lease", "LEASE", "that the key ends with"}},
        .summary = "set a key",
        .help = "Sets KEY to VALUE.",
        .run = cmd_kv_put,
    },
    {
        .group = "kv",
        .name = "del",
        .arguments = {"KEY"},
        .options = {REMOTE_OPTION_TABLE, {"--prefix", NULL, "all keys that begin so"}},
        .summary = "delete keys",
        .help = "Prints how many there were.",
        .run = cmd_kv_del,
    },
    {
        .group = "kv",
        .name = "watch",
        .arguments = {"KEY"},
        .options = {REMOTE_OPTION_TABLE,
                    {"--prefix", NULL, "all keys that begin so"},
                    {"--rev", "N", "from this revision on"},
                    {"--count", "N", "end after so many events"}},
        .summary = "print changes as they happen",
        .help = "Three lines for a PUT: that, the key, the value; two for a DELETE.",
        .run = cmd_kv_watch,
    },
    {
        .group = "kv",
        .name = "txn",
        .options = {REMOTE_OPTION_TABLE},
        .summary = "run a transaction",
        .help = "Reads a TxnRequest of etcd as JSON from standard input, keys and values in "
                "base64, as\nits gateway takes it. Prints the TxnResponse.",
        .run = cmd_kv_txn,
    },
    {
        .group = "snapshot",
        .name = "save",
        .arguments = {"FILE"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "back up the cluster",
        .help = "The state of one member as it is now, while writes go on. The file gets its name "
                "when it\nis whole, durable and verified.",
        .run = cmd_snapshot_save,
    },
    {
        .group = "snapshot",
        .name = "verify",
        .arguments = {"FILE"},
        .options = {{"--json", NULL, "one JSON object"}},
        .summary = "say whether a backup is whole",
        .help =
            "Checks the digest and every record. Exit status: 0 whole, 1 damaged, 2 unreadable.",
        .run = cmd_snapshot_verify,
    },
    {
        .group = "snapshot",
        .name = "restore",
        .arguments = {"FILE", CONFIGS},
        .options = {{"--into", "DIR", "data_dir of each in DIR/NAME, to be carried to its host"},
                    {"--json", NULL, "one JSON object for each member"}},
        .summary = "found a new cluster with a backup",
        .help = "Makes the data_dir of the members that the configurations are of, with the state "
                "of the backup;\nall members of the new cluster must begin so, with the same file. "
                "Refuses a directory that\nanything is in. Exit status: 0 done, 1 the backup is "
                "damaged, 2 something else was in the way.",
        .run = cmd_snapshot_restore,
    },
    {
        .name = "status",
        .options = {REMOTE_OPTION_TABLE},
        .summary = "say whether anything needs a person",
        .help = "Hosts, machines, what losses would be survived, open incidents, and a line for "
                "each thing that\nis not as it should be. Exit status: 0 all is well, 1 something "
                "is not, 2 nobody answers.",
        .run = cmd_status,
    },
    {
        .name = "apply",
        .options = {REMOTE_OPTION_TABLE, APPLY_OPTION_TABLE},
        .summary = "declare machines, hosts, devices, storages and settings",
        .help = "Each document of the file says its `kind`: vm, host, device, storage or settings "
                "(docs/manifests.md).\nAll of them are checked first, and written together or not "
                "at all.",
        .run = cmd_apply,
    },
    {
        .group = "vm",
        .name = "apply",
        .options = {REMOTE_OPTION_TABLE, APPLY_OPTION_TABLE},
        .summary = "declare machines",
        .help = "As `apply`, for machines alone; `kind` may be left out.",
        .run = cmd_vm_apply,
    },
    {
        .group = "vm",
        .name = "list",
        .options = {REMOTE_OPTION_TABLE},
        .summary = "list the machines, where each is, and why",
        .help = "Exit status: 0 each is as it is wanted, 1 one of them is not.",
        .run = cmd_vm_list,
    },
    {
        .group = "vm",
        .name = "show",
        .arguments = {"MACHINE"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "show all that is recorded of a machine",
        .help = "What is wanted of it, what the manager decided, and what its host reported.",
        .run = cmd_vm_show,
    },
    {
        .group = "vm",
        .name = "start",
        .arguments = {"MACHINE"},
        .options = {REMOTE_OPTION_TABLE, WAIT_OPTION},
        .summary = "want a machine to run; one that failed is tried anew",
        .help = "Its counted failures are forgiven.",
        .run = cmd_vm_start,
    },
    {
        .group = "vm",
        .name = "stop",
        .arguments = {"MACHINE"},
        .options = {REMOTE_OPTION_TABLE, WAIT_OPTION},
        .summary = "want a machine to stand still",
        .help = "In good order, by its power button; by force where it does not obey in time.",
        .run = cmd_vm_stop,
    },
    {
        .group = "vm",
        .name = "migrate",
        .arguments = {"MACHINE", "HOST"},
        .options = {REMOTE_OPTION_TABLE,
                    WAIT_OPTION,
                    {"--offline", NULL, "stop it here, and start it there"}},
        .summary = "move a machine to another host, while it runs",
        .help = "Refused, with 2 and the reason, where it does not fit there now. Where it cannot "
                "be moved, it\nstays and runs on, and `vm explain` says why.",
        .run = cmd_vm_migrate,
    },
    {
        .group = "vm",
        .name = "delete",
        .arguments = {"MACHINE"},
        .options = {REMOTE_OPTION_TABLE, WAIT_OPTION},
        .summary = "stop a machine, and forget it; its volume stays",
        .help = "It is stopped in good order first.",
        .run = cmd_vm_delete,
    },
    {
        .group = "vm",
        .name = "health",
        .arguments = {"MACHINE"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "show the ladder of a machine: what it is asked, and what it answers",
        .help = "From its process up, as its host has reported it last: each rung, what is asked, "
                "what was\nanswered, since when, and what follows where it fails. Exit status: 0 "
                "all that is asked of it is\nwell, 1 something is not, or not yet, 2 there is no "
                "such machine.",
        .run = cmd_vm_health,
    },
    {
        .group = "vm",
        .name = "explain",
        .arguments = {"MACHINE"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "say why a machine is where it is, or why it does not run",
        .help = "The answer, then the evidence for each host, then what would help.",
        .run = cmd_vm_explain,
    },
    {
        .group = "host",
        .name = "apply",
        .options = {REMOTE_OPTION_TABLE, APPLY_OPTION_TABLE},
        .summary = "declare hosts",
        .help = "As `apply`, for hosts alone; `kind` may be left out.",
        .run = cmd_host_apply,
    },
    {
        .group = "host",
        .name = "list",
        .options = {REMOTE_OPTION_TABLE},
        .summary = "list the hosts of machines, and what became of each",
        .help = "Exit status: 0 all are up, 1 one of them is not.",
        .run = cmd_host_list,
    },
    {
        .group = "host",
        .name = "show",
        .arguments = {"HOST"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "show all that is recorded of a host",
        .help = "Where it is lost: what is proved, and what would resolve it.",
        .run = cmd_host_show,
    },
    {
        .group = "host",
        .name = "fence",
        .arguments = {"HOST"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "switch a host off, whatever it does; its machines move",
        .help = "By its fence devices, and read back, as after a loss. Nothing takes it back.",
        .run = cmd_host_fence,
    },
    {
        .group = "host",
        .name = "confirm-off",
        .arguments = {"HOST"},
        .options = {REMOTE_OPTION_TABLE,
                    {"--reason", "TEXT", "how you know; it is recorded"},
                    {"--by", "NAME", "who you are; $USER otherwise"}},
        .summary = "give your word that a lost host is off",
        .help = "The last proof, where no device can give one: see it dark, or pull its plug, and "
                "only then.\nIf it runs on, two hosts write to one disk.",
        .run = cmd_host_confirm_off,
    },
    {
        .name = "events",
        .options = {REMOTE_OPTION_TABLE,
                    {"--follow", NULL, "and those that come, until it is interrupted"},
                    {"--count", "N", "the newest so many; 50 otherwise"}},
        .summary = "list what the manager decided, and why",
        .help = "The newest last.",
        .run = cmd_events,
    },
    {
        .group = "incident",
        .name = "list",
        .options = {REMOTE_OPTION_TABLE},
        .summary = "list losses of hosts, and how long each took",
        .help = "Exit status: 0 all are closed, 1 one is open.",
        .run = cmd_incident_list,
    },
    {
        .group = "incident",
        .name = "show",
        .arguments = {"INCIDENT"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "show the timeline of an incident",
        .help = "Each step with its time since the detection, and since the step before, in ms.",
        .run = cmd_incident_show,
    },
    {
        .name = "members",
        .options = {REMOTE_OPTION_TABLE},
        .summary = "list the hosts, and whether each lives",
        .help = "As gossip has it at the member that answers; VIEW is known to the leader alone. "
                "Exit status:\n0 nobody is dead, 1 somebody is.",
        .run = cmd_members,
    },
    {
        .name = "health",
        .arguments = {"HOST_OR_MACHINE"},
        .options = {REMOTE_OPTION_TABLE},
        .summary = "say how a host is, and draw how regularly it was heard; or how a machine is",
        .help = "A host has a name or an id of `members`. What the member that answers can tell: "
                "ask several,\nand you see what one of them does not. Where no host has the name, "
                "it is a machine's, as for\n`vm health`. Exit status: 0 it is well, 1 it is not, 2 "
                "there is none.",
        .run = cmd_health,
    },
    {
        .name = "top",
        .options = {REMOTE_OPTION_TABLE,
                    {"--once", NULL, "one frame, and no screen"},
                    {"--interval", "SECONDS", "between two frames, 1 otherwise"}},
        .summary = "show how all members are, each second",
        .help = "A screen of roles, lag, disks, rates and latencies, of every member of the "
                "cluster. q quits.\n"
                "With --json, one object a line. Where standard output is no terminal, as with "
                "--once.\n"
                "Exit status of --once: 0 all is well, 1 some member is not, 2 none answers.",
        .run = cmd_top,
    },
    {
        .group = "ca",
        .name = "init",
        .arguments = {"DIR"},
        .options = {{"--name", "NAME", "what the authority is called, for people"},
                    {"--days", "N", "how long it is valid, 3650 days otherwise"},
                    {"--json", NULL, "the names of the files, as one JSON object"}},
        .summary = "make the cluster's own certificate authority",
        .help = "Makes ca.crt and ca.key in DIR, which is made if it is missing.\n"
                "Do it once a cluster, off the members: ca.key lets anybody in.\n"
                "Nothing that exists is replaced.",
        .run = cmd_ca_init,
    },
    {
        .group = "ca",
        .name = "issue",
        .arguments = {"DIR", "NAME"},
        .options = {{"--host", "ADDRESS,...", "names and addresses at which it is reached"},
                    {"--days", "N", "how long it is valid, 730 days otherwise"},
                    {"--json", NULL, "the names of the files, as one JSON object"}},
        .summary = "make the certificate of a member",
        .help = "Makes NAME.crt and NAME.key in DIR, signed by the authority there. NAME is the "
                "member's\nname in the cluster's configuration: peers refuse a certificate that "
                "does not bear it.\nThe certificate ends with the authority's at the latest. "
                "Nothing that exists is replaced.",
        .run = cmd_ca_issue,
    },
    {
        .group = "wal",
        .name = "inspect",
        .arguments = {"DIR"},
        .options = {{"--json", NULL, "one JSON object a line"},
                    {"--snapshots", "DIR", "where the node's snapshots are"}},
        .summary = "list the records of a node's log",
        .help = "Lists every record of the log in DIR in its order, then what recovery would make "
                "of it.\n"
                "Reads only. The node should be stopped: the end of a log in use is in motion.",
        .run = cmd_wal_inspect,
    },
    {
        .group = "wal",
        .name = "verify",
        .arguments = {"DIR"},
        .options = {{"--json", NULL, "one JSON object"},
                    {"--snapshots", "DIR", "where the node's snapshots are"}},
        .summary = "say what recovery would make of a node's log",
        .help = "Checks every sector of the log in DIR and prints the verdict.\n"
                "Exit status: 0 clean, 1 damaged, 2 unreadable.\n"
                "Without --snapshots, the snapshot that the log names is taken to be whole.",
        .run = cmd_wal_verify,
    },
    {
        .name = "completion",
        .arguments = {"SHELL"},
        .summary = "print the completion of command lines for bash",
        .help = "Made from the same table as this help. For this shell, and for all to come:\n"
                "  source <(novacron completion bash)\n"
                "  novacron completion bash > ~/.local/share/bash-completion/completions/novacron",
        .run = cmd_completion,
    },
};

const struct cli_program cli_novacron = {
    .name = "novacron",
    .summary = "keeps virtual machines running through the loss of hosts",
    .commands = novacron_commands,
    .command_count = sizeof novacron_commands / sizeof novacron_commands[0],
};

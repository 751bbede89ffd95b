"""For each check of tidy_checks.py, a tree that it accepts, and what it must find where files are
added to that tree or replaced: (part of the message, {path: text})."""

HEADER = "/* One. */\n#ifndef NOVACRON_ONE_H\n#define NOVACRON_ONE_H\n#endif\n"
LONG_BODY = "    x++;\n" * 100


def core(text):
    return {"backend/core/base/one.c": text}


SAMPLES = {
    "check_includes": {
        "accepts": {
            "backend/core/base/one.h": "#include <stdint.h>\n",
            "backend/core/world/world.h": '#include "core/base/one.h"\n',
            "backend/core/consensus/quorum.h": '#include "core/base/one.h"\n',
            "backend/core/consensus/raft/raft_int.h": '#include "core/consensus/quorum.h"\n',
            "backend/core/consensus/raft/raft.c": '#include "core/consensus/raft/raft_int.h"\n',
            "backend/core/store/store.h": '#include "core/world/world.h"\n',
            "backend/core/ha/ha.c": '#include "core/store/store.h"\n',
            "backend/core/node/node.h": '#include "core/store/store.h"\n',
            "backend/core/chaos/sim.h": '#include "core/node/node.h"\n',
            "backend/core/chaos/oracle/o.h": '#include "core/consensus/raft/raft_int.h"\n',
            "backend/core/chaos/check/lin.h": '#include "core/base/one.h"\n',
            "backend/core/chaos/sim.c": '#include "core/chaos/check/lin.h"\n',
            "cli/command.h": "",
            "cli/sim/sim.c": '#include "cli/command.h"\n#include "core/chaos/check/lin.h"\n',
            "backend/core/base/crc.c": "#include <isa-l/crc.h>\n",
            "backend/world/linux/loop.c": '#include "core/world/world.h"\n#include <unistd.h>\n',
            "tests/core/test_sim.c": '#include "core/chaos/sim.h"\n#include <stdio.h>\n',
            "bench/bench.h": "",
            "bench/bench.c": '#include "bench/bench.h"\n',
        },
        "rejects": [
            ("point downward", core('#include "core/world/world.h"\n')),
            ("point downward", {"backend/core/store/a.c": '#include "core/node/node.h"\n'}),
            ("point downward", {"backend/core/store/a.c": '#include "core/ha/ha.h"\n',
                                 "backend/core/ha/ha.h": ""}),
            ("point downward", {"backend/core/consensus/paxos/a.c":
                                 '#include "core/consensus/raft/raft.h"\n',
                                 "backend/core/consensus/raft/raft.h": ""}),
            ("only the simulator", {"backend/core/node/a.c": '#include "core/chaos/sim.h"\n'}),
            ("only the simulator", {"backend/world/linux/a.c": '#include "core/chaos/sim.h"\n'}),
            ("only the simulator", {"backend/core/node/a.c":
                                     '#include "core/chaos/check/lin.h"\n'}),
            ("only the simulator", {"cli/a.c": '#include "core/chaos/sim.h"\n'}),
            ("point downward", {"backend/core/chaos/check/a.c": '#include "core/world/world.h"\n'}),
            ("private", {"backend/core/node/a.c": '#include "core/consensus/raft/raft_int.h"\n'}),
            ("private", {"backend/core/chaos/a.c": '#include "core/consensus/raft/raft_int.h"\n'}),
            ("only the simulator", {"backend/core/node/a.c": '#include "core/chaos/oracle/o.h"\n'}),
            ("not for the core", core("#include <stdio.h>\n")),
            ("not for the core", core("#include <stdlib.h>\n")),
            ("not for the core", core("  #  include <sys/socket.h>\n")),
            ("not a path", core('#include "one.h"\n')),
            ("no level", {"backend/elsewhere/a.c": ""
                          '#include "core/base/one.h"\n'}),
        ],
    },
    "check_own_header_first": {
        "accepts": {
            "backend/core/base/one.h": HEADER,
            "backend/core/base/one.c": '/* x */\n#include "core/base/one.h"\n#include <a.h>\n',
            "backend/core/base/alone.c": "#include <string.h>\n",
        },
        "rejects": [
            ("own header", core('#include <string.h>\n#include "core/base/one.h"\n')),
            ("own header", core("int x;\n")),
        ],
    },
    "check_function_names": {
        "accepts": {
            "a.c": "static int one(void)\n{\n    return 1;\n}\nint main(void)\n{\n}\n",
            "b.c": "/* int one(void) {} */\nint one(void);\nint main(void)\n{\n}\n",
            "backend/api/rpc.h": "int two(void);\n",
            "backend/api/two.c": "int two(void)\n{\n    return 2;\n}\n",
            "tests/api/fake_rpc.c": "int two(void)\n{\n    return 3;\n}\n",
        },
        "rejects": [
            ("one is also", {"c.c": "static int one(void)\n{\n    return 2;\n}\n"}),
            ("one is also", {"tests/api/fake_rpc.c": "int one(void)\n{\n    return 3;\n}\n"}),
            ("one is also", {"c.h": "static inline int one(void)\n{\n    return 2;\n}\n"}),
        ],
    },
    "check_file_names": {
        "accepts": {"a/one.c": "", "a/one.h": "", "a/meson.build": "", "b/meson.build": ""},
        "rejects": [
            ("file name too", {"b/one.c": ""}),
            ("says nothing", {"b/string_util.c": ""}),
        ],
    },
    "check_guards": {
        "accepts": {"a/one.h": HEADER},
        "rejects": [
            ("this guard too", {"a/two.h": HEADER}),
            ("is guarded", {"a/two.h": "#pragma once\n"}),
        ],
    },
    "check_sizes": {
        "accepts": {"a.c": "void f(void)\n{\n" + LONG_BODY[: 97 * 9] + "}\n"},
        "rejects": [
            ("103 lines", {"b.c": "void g(void)\n{\n" + LONG_BODY + "}\n"}),
            ("1001 lines", {"b.py": "\n" * 1001}),
        ],
    },
    "check_pretence": {
        "accepts": {"a.c": "/* XXH3 is a hash; hackers stubbornly write todo lists for nowhere */\n"},
        "rejects": [
            ("TODO", core("/* TODO: more */\n")),
            ("FIXME", core("// FIXME\n")),
            ("XXX", {"a.py": "# XXX\n"}),
            ("HACK", {"a.sh": "# HACK\n"}),
            ("Placeholder", core("/* Placeholder. */\n")),
            ("stub", core("int stub;\n")),
            ("not implemented", core('char *s = "not implemented";\n')),
            ("for now", core("/* enough for now */\n")),
            ("Simplified", core("/* Simplified: */\n")),
        ],
    },
    "check_banned_calls": {
        "accepts": {
            "backend/core/base/mem.c": "void *p = malloc(1);\n",
            "backend/core/base/one.c": "/* time(0), malloc(1) */\nmy_time(1); w->time(1); w.time(1);\n"
            'char *s = "rand()"; _Static_assert(1, "");\nstruct s { int time; };\n',
            "tests/a.c": "free(malloc(1)); printf(x); getenv(y); time(0); assert_true(1);\n",
        },
        "rejects": [
            ("strcpy", {"tests/b.c": "strcpy(a, b);\n"}),
            ("sprintf", {"tests/b.c": "sprintf (a, b);\n"}),
            ("assert", {"tests/b.c": "assert(a);\n"}),
            ("rand", {"tests/b.c": "x = rand();\n"}),
            ("malloc", core("x = malloc(1);\n")),
            ("time", core("x = time(NULL);\n")),
            ("getenv", core('x = getenv("HOME");\n')),
            ("qsort", core("qsort(a, b, c, d);\n")),
        ],
    },
    "check_braces": {
        "accepts": {
            "a.c": "if (a(b) &&\n    c) {\n} else if (d) {\n} else {\n}\n"
            "do {\n} while (0);\nfor (;;) {\n}\n/* if (a) b; */\n"
            "#define M(x) \\\n    do { \\\n        if (x) { \\\n        } \\\n    } while (0)\n"
            "#if (A)\nint x;\n#else\nint y;\n#endif\n# if A\n# else\n# endif\n",
        },
        "rejects": [
            ("'if'", core("if (a)\n    b();\n")),
            ("'if'", core("if (a(b)) return;\n")),
            ("'else'", core("if (a) {\n} else\n    b();\n")),
            ("'for'", core("for (;;)\n    b();\n")),
            ("'while'", core("while (a)\n    b();\n")),
        ],
    },
    "check_header_comments": {
        "accepts": {"backend/core/base/one.h": HEADER, "tests/two.h": "int x;\n"},
        "rejects": [("opens with a comment", {"backend/core/base/two.h": "#ifndef X\n"})],
    },
    "check_registered": {
        "accepts": {
            "backend/core/base/one.c": "",
            "backend/core/base/meson.build": "'one.c',\n",
            "tests/core/base/test_one.c": "",
            "tests/core/base/meson.build": "'core/base/test_one': core_base_dep,\n",
            "tests/fuzz/fuzz_one.c": "",
            "tests/fuzz/fuzz_replay.c": "",
            "tests/fuzz/meson.build": "'one': core_base_dep,\n",
            "bench/bench_one.c": "",
            "bench/meson.build": "'one': core_base_dep,\n",
        },
        "rejects": [
            ("does not name", {"backend/core/base/two.c": ""}),
            ("'core/base/test_two'", {"tests/core/base/test_two.c": ""}),
            ("'two'", {"tests/fuzz/fuzz_two.c": ""}),
            ("'two'", {"bench/bench_two.c": ""}),
        ],
    },
    "check_references": {
        "accepts": {
            "docs/references.md": "- **[Ongaro14]** Dissertation.\n",
            "a.c": "/* [Ongaro14 §3.6.2], [Ongaro14] */\nint x = a[Foo12];\n",
        },
        "rejects": [
            ("[Lamport98]", core("/* [Lamport98 §2] */\n")),
            ("[Lamport98]", {"docs/a.md": "As [Lamport98] says.\n"}),
        ],
    },
    "check_links": {
        "accepts": {
            "README.md": "[a](docs/a.md), [b](docs/a.md#part), [c](#part), [d](docs), "
            "[e](https://doi.org/x)\n",
            "docs/a.md": "[up](../README.md)\n",
        },
        "rejects": [("gone.md", {"docs/b.md": "[x](gone.md)\n"})],
    },
    "check_map": {
        "accepts": {
            "ARCHITECTURE.md": "| folder |\n|---|\n| `backend/a/` | x |\n| `docs/` | y |\n",
            "backend/a/a.c": "",
            "docs/a.md": "",
        },
        "rejects": [
            ("docs/ stands there twice", {"ARCHITECTURE.md": "| `backend/a/` |\n| `docs/` |\n"
                                                             "| `docs/` |\n"}),
            ("gone/ does not exist", {"ARCHITECTURE.md": "| `backend/a/` |\n| `docs/` |\n"
                                                         "| `gone/` |\n"}),
            ("backend/b/ does not stand", {"backend/b/b.h": ""}),
            ("deploy/ does not stand", {"deploy/a.yaml": ""}),
        ],
    },
    "check_machine_traces": {
        "accepts": {"a.md": "backend/work/x, https://doi.org/10.1, /var/lib/novacron, ./root/x\n"},
        "rejects": [
            ("/root/", {"b.md": "see /root/x\n"}),
            ("/home/", {"b.py": 'open("/home/me")\n'}),
            ("registry.", {"b.md": "from registry.example.org\n"}),
            ("example.com", {"b.md": "https://example.com/x\n"}),
        ],
    },
}


def symbol_row(obj, name, kind, section):
    return f"x.a:x.p/{obj}:{name}  |   |  {kind}  |  OBJECT|   |   |{section}"


# Symbols by file, and what must be said of them.
SWITCH_ROWS = [
    ({"novacron-sim": {"mutant_active", "probe_counts"}, "novacron": {"main"},
      "libswitched_core.a": {"mutant_active", "probe_counts"}}, []),
    ({"novacron-sim": {"mutant_active"}, "novacron": {"main", "probe_counts"},
      "libswitched_core.a": {"mutant_active", "probe_counts"}},
     ["novacron has probe_counts, which are for novacron-sim", "novacron-sim has no probe_counts"]),
    ({"novacron": {"main"}, "novacron-sim": {"mutant_active", "probe_counts"}},
     ["libswitched_core.a is not built, so that nothing proves that this check sees switches"]),
]

SYMBOL_ROWS = [
    (symbol_row("buf.c.o", "memcpy", "U", "*UND*"), []),
    (symbol_row("mem.c.o", "malloc", "U", "*UND*"), []),
    (symbol_row("err.c.o", "errors", "d", ".data.rel.ro.local"), []),
    (symbol_row("err.c.o", "names", "r", ".rodata"), []),
    (symbol_row("err.c.o", "err_name", "T", ".text"), []),
    (symbol_row("buf.c.o", "malloc", "U", "*UND*"), ["libcore_base.a(buf.c.o) imports malloc"]),
    (symbol_row("buf.c.o", "time", "U", "*UND*"), ["libcore_base.a(buf.c.o) imports time"]),
    (symbol_row("mem.c.o", "clock_gettime", "U", "*UND*"),
     ["libcore_base.a(mem.c.o) imports clock_gettime"]),
    (symbol_row("buf.c.o", "getenv", "w", "*UND*"), ["libcore_base.a(buf.c.o) imports getenv"]),
    (symbol_row("buf.c.o", "count.1", "b", ".bss"),
     ["libcore_base.a(buf.c.o) keeps state in count.1: the core has none of its own"]),
    (symbol_row("buf.c.o", "seed", "D", ".data"),
     ["libcore_base.a(buf.c.o) keeps state in seed: the core has none of its own"]),
]

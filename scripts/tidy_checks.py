"""The rules of docs/style.md that a script can check, one function each: a tree in, findings out.

scripts/tidy_samples.py holds, for each of them, a tree that it must accept and trees that it must
reject.
"""

import posixpath
import re
from collections import defaultdict

from tidy_tree import Finding, comments_of, line_at

# --- Who may include whom -------------------------------------------------------------------------

# Includes point downward: a folder may include itself and folders of a lower level. The longest
# prefix counts. docs/decisions/0001-world-below-recovery.md says why core/world is that low.
LEVELS = {
    "backend/core/base": 0,
    "backend/core/world": 1,
    "backend/core/consensus": 2,
    "backend/core/monitoring/health": 2,
    "backend/core/consensus/raft": 3,
    "backend/core/consensus/paxos": 3,
    "backend/core/consensus/bft": 3,
    "backend/core/monitoring": 4,
    "backend/core/store": 4,
    "backend/core/ha": 4,
    "backend/core/recovery": 4,
    "backend/core/node": 5,
    "backend/core/chaos": 6,
    "backend/core/chaos/check": 1,  # pure: what clients saw goes in, a verdict comes out
    "backend/core/chaos/oracle": 6,
    "backend/core/chaos/sim": 7,
    "backend/core/chaos/scenario": 8,
    "backend/core/chaos/detect": 6,  # beside the simulated world, not on it
    "backend/api": 7,
    "backend/drivers": 7,
    "backend/guard": 2,
    "backend/pki": 7,
    "backend/world": 7,
    "backend/novacrond": 8,
    "demo": 8,  # guests, which include nothing of ours
    "cli": 9,
    "cli/sim": 10,
    "tests": 11,
    "bench": 12,
}

# Folders of one level which know each other all the same.
SIDEWAYS = {
    ("backend/core/ha", "backend/core/store"),  # desired state and observations are keys
}

# The simulated world is for the simulator and for tests.
CHAOS = "backend/core/chaos"
CHAOS_USERS = ("cli/sim", "tests", "bench")

# Private headers are for their folder and for tests; and for the oracle and the simulator, which hold
# what nodes have in memory against each other and must not have to ask them.
READS_PRIVATE = (
    "tests", "backend/core/chaos/oracle", "backend/core/chaos/sim", "backend/core/chaos/scenario",
)

# The headers that the core may have: those of a freestanding compiler, and string.h.
CORE_HEADERS = {
    "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h",
    "string.h",
}
CORE_HEADERS_OF_FILE = {
    "backend/core/base/check.c": {"stdlib.h"},  # abort
    "backend/core/base/crc.c": {"isa-l/crc.h"},
    "backend/core/base/hash.c": {"xxhash.h"},
    "backend/core/base/mem.c": {"stdlib.h"},  # the allocator
    "backend/core/monitoring/health/probe_http.c": {"http_parser.h"},  # a parser without sockets
}

INCLUDE = r'(?m)^[ \t]*#[ \t]*include[ \t]+([<"])([^>"\n]+)[>"]'


def folder_of(path):
    """The folder of LEVELS that `path` is in, or None."""
    folder = posixpath.dirname(path)
    while folder and folder not in LEVELS:
        folder = posixpath.dirname(folder)
    return folder or None


def resolve(tree, included):
    return next((p for p in ("backend/" + included, included) if p in tree.texts), None)


def is_chaos(folder):
    return folder == CHAOS or folder.startswith(CHAOS + "/")


def why_not(path, target):
    """What forbids that `path` includes `target`; None where nothing does."""
    source, goal = folder_of(path), folder_of(target)
    if is_chaos(goal) and not is_chaos(source) and source not in CHAOS_USERS:
        return "only the simulator and tests include core/chaos"
    if target.endswith("_int.h") and source != goal and source not in READS_PRIVATE:
        return "is private to its folder"
    if source == goal or (source, goal) in SIDEWAYS or LEVELS[source] > LEVELS[goal]:
        return None
    return f"{source} may not include {goal}: includes point downward"


def check_includes(tree):
    for path, line, match in tree.search(INCLUDE, tree.code):
        kind, included = match.groups()
        if folder_of(path) is None:
            yield Finding(path, line, "this folder has no level in LEVELS of scripts/tidy_checks.py")
        elif kind == "<":
            allowed = CORE_HEADERS | CORE_HEADERS_OF_FILE.get(path, set())
            if path.startswith("backend/core/") and included not in allowed:
                yield Finding(path, line, f"<{included}> is not for the core")
        else:
            target = resolve(tree, included)
            if target is None:
                yield Finding(path, line, f'"{included}" is not a path from backend/ or the root')
            elif folder_of(target) is None:
                yield Finding(path, line, f'"{included}" is in a folder without a level')
            elif why_not(path, target):
                yield Finding(path, line, f'"{included}": {why_not(path, target)}')


def check_own_header_first(tree):
    for path in tree.paths(".c", under="backend/"):
        header = path[:-2] + ".h"
        first = re.search(INCLUDE, tree.texts[path])
        if header in tree.texts and (first is None or "backend/" + first[2] != header):
            yield Finding(path, 1, "a file includes its own header first")


# --- Names ----------------------------------------------------------------------------------------

# Functions that the outside calls by a fixed name, and one that programs override.
SHARED_NAMES = {"main", "LLVMFuzzerTestOneInput", "check_report"}

# Words that say nothing about what a file holds.
EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "stuff"}


# Fakes: tests link them in the place of what implements the header, so the names are the same.
FAKES = {"tests/api/fake_rpc.c": "backend/api/rpc.h"}


def is_faked(tree, function):
    header = FAKES.get(function.path)
    return header and re.search(rf"\b{function.name}\(", tree.texts.get(header, ""))


def check_function_names(tree):
    places = defaultdict(list)
    for function in tree.functions():
        if not is_faked(tree, function):
            places[function.name].append(function)
    for name, functions in sorted(places.items()):
        if len(functions) > 1 and name not in SHARED_NAMES:
            first = functions[0]
            for other in functions[1:]:
                message = f"{name} is also at {first.path}:{first.line}; names are unique"
                yield Finding(other.path, other.line, message)


def check_file_names(tree):
    seen = {}
    for path in tree.paths(".c", ".h", ".py", ".sh"):
        name = posixpath.basename(path)
        if name in seen:
            yield Finding(path, 1, f"{seen[name]} has this file name too; names are unique")
        seen.setdefault(name, path)
        for word in EMPTY_WORDS & set(re.split(r"[_.-]", name)):
            yield Finding(path, 1, f"'{word}' says nothing; name the thing")


def check_guards(tree):
    seen = {}
    for path in tree.paths(".h"):
        guard = re.search(r"(?m)^#ifndef (NOVACRON_\w+_H)\n#define \1\n", tree.texts[path])
        if guard is None:
            yield Finding(path, 1, "a header is guarded by #ifndef NOVACRON_..._H")
        elif guard[1] in seen:
            yield Finding(path, 1, f"{seen[guard[1]]} has this guard too")
        else:
            seen[guard[1]] = path


# --- Sizes ----------------------------------------------------------------------------------------

FUNCTION_LINES_MAX = 100
FUNCTION_LINES_LONG = 70
FILE_LINES_MAX = 1000


def long_functions(tree):
    """The functions above FUNCTION_LINES_LONG lines, longest first: (lines, function)."""
    sizes = [(f.end - f.line + 1, f) for f in tree.functions()]
    return sorted((s for s in sizes if s[0] > FUNCTION_LINES_LONG), reverse=True)


def check_sizes(tree):
    for lines, function in long_functions(tree):
        if lines > FUNCTION_LINES_MAX:
            message = f"{function.name} has {lines} lines, more than {FUNCTION_LINES_MAX}"
            yield Finding(function.path, function.line, message)
    for path in tree.paths(".c", ".h", ".py", ".sh"):
        lines = tree.texts[path].count("\n")
        if lines > FILE_LINES_MAX:
            message = f"{lines} lines, more than {FILE_LINES_MAX}: split it by idea"
            yield Finding(path, FILE_LINES_MAX, message)


# --- Words and calls ------------------------------------------------------------------------------

# Pretend code. This file and the samples have to name what they forbid.
PRETENCE = (
    r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b"
    r"|(?i:\bplaceholders?\b|\bstub(?:s|bed)?\b|\bunimplemented\b|\bnot (?:yet )?implemented\b"
    r"|\bfor now\b|\bsimplified\b|\bin a real (?:system|implementation)\b|\bin production,? (?:we|this|you)\b)"
)
NAMES_THE_FORBIDDEN = {"scripts/tidy_checks.py", "scripts/tidy_samples.py"}
# Words of gRPC and HTTP, where a file has to say them.
PROTOCOL_WORDS = {
    ("backend/api/rpc_status.c", "Unimplemented"),
    ("backend/api/rpc_gateway.c", "Not Implemented"),
}


def check_pretence(tree):
    paths = tree.paths(".c", ".h", ".py", ".sh", "meson.build", "Makefile")
    paths = [p for p in paths if p not in NAMES_THE_FORBIDDEN]
    for path, line, match in tree.search(PRETENCE, paths):
        if (path, match[0]) in PROTOCOL_WORDS:
            continue
        yield Finding(path, line, f"'{match[0]}': the tree holds what works, and nothing else")


# Calls, and what to call instead: everywhere, and in the core.
BANNED = {
    "alloca": "a declared limit, or mem_alloc",
    "assert": "CHECK, which stays on in every build",
    "atof": "strtod, and look at where it ended",
    "atoi": "strtol, and look at where it ended",
    "atol": "strtol, and look at where it ended",
    "gets": "fgets",
    "rand": "prng_u64 and its kin",
    "random": "prng_u64 and its kin",
    "sprintf": "snprintf",
    "srand": "prng_init",
    "strcat": "buf_put, or snprintf",
    "strcpy": "memcpy with a known length, or snprintf",
    "strncpy": "memcpy with a known length, or snprintf",
    "strtok": "strcspn and a view",
    "vsprintf": "vsnprintf",
}
BANNED_IN_CORE = {
    "calloc": "mem_alloc_zero",
    "clock_gettime": "the time that the event carries",
    "exit": "an enum err",
    "fprintf": "an effect that the driver carries out",
    "free": "mem_free",
    "getenv": "a field of the configuration",
    "getrandom": "a generator that was seeded from outside",
    "malloc": "mem_alloc",
    "printf": "an effect that the driver carries out",
    "qsort": "sort_items: qsort leaves ties to the C library, and may allocate",
    "realloc": "mem_realloc",
    "time": "the time that the event carries",
}
ALLOCATOR = "backend/core/base/mem.c"


def check_banned_calls(tree):
    call = re.compile(r"(?<![\w.>])(\w+)[ \t]*\(")
    for path, code in tree.code.items():
        banned = dict(BANNED)
        if path.startswith("backend/core/") and path != ALLOCATOR:
            banned.update(BANNED_IN_CORE)
        for match in call.finditer(code):
            if match[1] in banned:
                message = f"{match[1]}: use {banned[match[1]]}"
                yield Finding(path, line_at(code, match.start()), message)


def after_parentheses(code, at):
    """The offset behind the parenthesis that closes the one at `at`."""
    depth = 0
    for offset in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[offset], 0)
        if depth == 0:
            return offset + 1
    return len(code)


def check_braces(tree):
    """Bodies of if, else, for and while are in braces; clang-format 14 cannot add them."""
    keyword = re.compile(r"\b(?:(if|for|while)[ \t]*(?=\()|(else)\b(?!\s*if\b))")
    for path, code in tree.code.items():
        code = re.sub(r"\\\n", " \n", code)
        for match in keyword.finditer(code):
            if re.search(r"(?m)^[ \t]*#[ \t]*$", code[: match.start()][-20:]):
                continue
            if match[1] == "while" and code[: match.start()].rstrip().endswith("}"):
                continue
            end = after_parentheses(code, match.end()) if match[1] else match.end()
            if not code[end:].lstrip().startswith("{"):
                message = f"the body of '{match[1] or match[2]}' has no braces"
                yield Finding(path, line_at(code, match.start()), message)


# --- What belongs together ------------------------------------------------------------------------


def check_header_comments(tree):
    for path in tree.paths(".h", under="backend/"):
        if not tree.texts[path].startswith("/*"):
            yield Finding(path, 1, "a header opens with a comment that says what lives here")


# Prefix of a file's name, the folder where it is at home, and the meson.build that names it.
PROGRAMS = [
    ("test_", "tests/", None),
    ("fuzz_", "tests/fuzz/", "tests/fuzz/meson.build"),
    ("bench_", "bench/", "bench/meson.build"),
]
NOT_A_PROGRAM = {"tests/fuzz/fuzz_replay.c"}


def check_registered(tree):
    builds = {p: tree.texts[p] for p in tree.paths("meson.build")}
    tests = "".join(text for path, text in builds.items() if path.startswith("tests/"))
    for path in tree.paths(".c"):
        folder, name = posixpath.split(path)
        if path.startswith("backend/"):
            build = builds.get(folder + "/meson.build", "")
            if f"'{name}'" not in build:
                yield Finding(path, 1, f"{folder}/meson.build does not name this file")
        for prefix, home, build in PROGRAMS:
            if not (name.startswith(prefix) and path.startswith(home)) or path in NOT_A_PROGRAM:
                continue
            text = builds.get(build, "") if build else tests
            short = name[len(prefix) : -2] if build else path[len("tests/") : -2]
            if f"'{short}'" not in text:
                yield Finding(path, 1, f"no meson.build names '{short}'")


KEY = r"\[([A-Z][A-Za-z]*[0-9]{2,4})(?:[ ,][^\]\n]*)?\]"
REFERENCES = "docs/references.md"


def check_references(tree):
    """Keys such as the dissertation's are in docs/references.md."""
    known = set(re.findall(r"(?m)^- \*\*\[(\w+)\]\*\*", tree.texts.get(REFERENCES, "")))
    texts = {p: comments_of(tree.texts[p]) for p in tree.code}
    texts.update({p: tree.texts[p] for p in tree.paths(".md") if p != REFERENCES})
    for path, line, match in tree.search(KEY, texts, texts):
        if match[1] not in known:
            yield Finding(path, line, f"[{match[1]}] is not in {REFERENCES}")


def check_links(tree):
    """Links between our own pages lead somewhere."""
    folders = {posixpath.dirname(p) for p in tree.texts}
    folders |= {posixpath.dirname(f) for f in folders}
    for path, line, match in tree.search(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", tree.paths(".md")):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1]))
        if target not in tree.texts and target not in folders:
            yield Finding(path, line, f"{match[1]} does not exist")


MAP = "ARCHITECTURE.md"


def mapped_folders(tree):
    """What is to stand in the map: folders of the root, and those with C in what is built."""
    folders = {p.split("/")[0] for p in tree.texts if "/" in p} - {"backend"}
    return folders | {posixpath.dirname(p) for p in tree.code if p.startswith(("backend/", "cli/"))}


def check_map(tree):
    """The table of folders names each that exists, once, and no other."""
    if MAP not in tree.texts:
        return
    named = set()
    for path, line, match in tree.search(r"(?m)^\| `([\w./]+)/`", [MAP]):
        folder = match[1]
        if folder in named:
            yield Finding(path, line, f"{folder}/ stands there twice")
        if not any(p.startswith(folder + "/") for p in tree.texts):
            yield Finding(path, line, f"{folder}/ does not exist")
        named.add(folder)
    for folder in sorted(mapped_folders(tree) - named):
        yield Finding(MAP, 1, f"{folder}/ does not stand in the map")


# Hosts that a page or a licence may name; package registries are not among them.
HOSTS = {
    "www.apache.org", "doi.org", "www.rfc-editor.org", "github.com", "raft.github.io",
    "www.w3.org",  # the name space of SVG
    "127.0.0.1", "localhost", "10.0.0.1", "10.0.0.2", "10.0.0.3",
}
MACHINE = (
    r"(?<![\w.])/(?:work|root|home|Users)/[\w.]"
    r"|\b(?:registry|proxy|deb|mirrors?|index|pypi|ftp|files)\.[a-z0-9.-]+\.(?:org|com|net|io|dev)\b"
)


def check_machine_traces(tree):
    paths = [p for p in tree.texts if p not in NAMES_THE_FORBIDDEN]
    for path, line, match in tree.search(MACHINE, paths):
        yield Finding(path, line, f"'{match[0]}' belongs to one machine")
    for path, line, match in tree.search(r"\bhttps?://([\w.-]+)", paths):
        if "." in match[1] and match[1] not in HOSTS:  # without a point it is on no network
            yield Finding(path, line, f"{match[1]} is not among HOSTS of scripts/tidy_checks.py")


CHECKS = [
    check_includes,
    check_own_header_first,
    check_function_names,
    check_file_names,
    check_guards,
    check_sizes,
    check_pretence,
    check_banned_calls,
    check_braces,
    check_header_comments,
    check_registered,
    check_references,
    check_links,
    check_map,
    check_machine_traces,
]

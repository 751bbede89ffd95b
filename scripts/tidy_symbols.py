"""What the archives of the core import and keep: nothing that knows a clock, a file or a random
device, and no variable that outlives a call.

The sources are checked by name already (check_includes, check_banned_calls); this looks at what the
compiler made of them, where no macro hides a call.

And where the switches of core/base/mutant.h and probe.h are: in the program novacron-sim, and in
nothing else that is built from backend/ and cli/.
"""

import re
import subprocess
from collections import namedtuple

# Imports that every object of the core may have.
ALLOWED = {
    "memccpy", "memchr", "memcmp", "memcpy", "memmove", "memset", "bcmp",
    "strcmp", "strlen", "strncmp", "strnlen", "strchr", "strstr",
    # what the compiler itself calls
    "_GLOBAL_OFFSET_TABLE_", "__popcountdi2", "__stack_chk_fail", "__divti3", "__udivti3", "__umodti3",
}

# Imports of one object, by archive and object.
ALLOWED_IN = {
    ("libcore_base.a", "check.c.o"): r"abort",
    ("libcore_base.a", "crc.c.o"): r"crc32_iscsi",
    ("libcore_base.a", "hash.c.o"): r"XXH3_64bits_withSeed",
    ("libcore_base.a", "mem.c.o"): r"malloc|calloc|realloc|free",
    ("libcore_health.a", "probe_http.c.o"):
        r"http_parser_init|http_parser_settings_init|http_parser_execute",
}


# A row of `nm --format=sysv --print-file-name`.
ROW = re.compile(
    r"[^|]*?([^/|]+\.o):(\S+)\s*\|[^|]*\|\s*(\w)\s*\|[^|]*\|[^|]*\|[^|]*\|(\S*)"
)

# Sections that a running program writes to. Tables of pointers are in .data.rel.ro, which is not.
WRITABLE = re.compile(r"\.(?:data|bss|tdata|tbss)(?!\.rel\.ro)\b|\*COM\*")

Symbol = namedtuple("Symbol", "archive object name kind section")


def parse(archive, text):
    rows = (ROW.match(line) for line in text.splitlines())
    return [Symbol(archive, *row.groups()) for row in rows if row]


def forbidden(symbols):
    """One message a symbol of the core's archives that should not be there."""
    defined = {s.name for s in symbols if s.kind.isupper() and s.kind != "U"}
    for symbol in sorted(symbols):
        place = f"{symbol.archive}({symbol.object})"
        if symbol.kind in "Uvw":
            allowed = ALLOWED_IN.get((symbol.archive, symbol.object), r"(?!)")
            known = symbol.name in defined or symbol.name in ALLOWED
            if not known and re.fullmatch(allowed, symbol.name) is None:
                yield f"{place} imports {symbol.name}"
        elif WRITABLE.match(symbol.section):
            yield f"{place} keeps state in {symbol.name}: the core has none of its own"


# The variables behind MUTANT and PROBE, and where alone they may be.
SWITCHES = {"mutant_active", "probe_counts"}
SWITCHED = {"libswitched_core.a", "novacron-sim"}


def misplaced_switches(names):
    """One message a file whose symbols, `names[file]`, are not what SWITCHED says."""
    for file in sorted(SWITCHED - set(names)):
        yield f"{file} is not built, so that nothing proves that this check sees switches"
    for file, symbols in sorted(names.items()):
        if file in SWITCHED and SWITCHES - symbols:
            yield f"{file} has no {', '.join(sorted(SWITCHES - symbols))}"
        elif file not in SWITCHED and SWITCHES & symbols:
            yield f"{file} has {', '.join(sorted(SWITCHES & symbols))}, which are for novacron-sim"


def check_switches(build):
    """One message a file under the folder `build` that has switches and should not, or lacks them."""
    files = [f for folder in ("backend", "cli") for f in (build / folder).glob("**/*")]
    names = {}
    for file in files:
        is_program = file.is_file() and not file.suffix and file.stat().st_mode & 0o111
        if file.suffix == ".a" or is_program:
            nm = ["nm", "--format=posix", str(file)]
            text = subprocess.run(nm, check=True, capture_output=True, text=True).stdout
            names[file.name] = {line.split()[0] for line in text.splitlines() if " " in line}
    return list(misplaced_switches(names))


def check_archives(build):
    """One message a forbidden symbol, of all archives of the core under the folder `build`."""
    archives = sorted(build.glob("backend/core/**/libcore_*.a"))
    if not archives:
        return [f"{build}: no archive of the core is here"]
    symbols = []
    for archive in archives:
        nm = ["nm", "--format=sysv", "--print-file-name", str(archive)]
        text = subprocess.run(nm, check=True, capture_output=True, text=True).stdout
        symbols += parse(archive.name, text)
    return list(forbidden(symbols)) + check_switches(build)

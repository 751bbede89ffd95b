"""embed.py FILE NAME OUTPUT: writes FILE's bytes as a C array NAME, and its length as NAME_len."""

import sys
from pathlib import Path

source, name, output = sys.argv[1:]
octets = Path(source).read_bytes()
rows = (octets[at : at + 16] for at in range(0, len(octets), 16))
lines = ["    " + ", ".join(str(octet) for octet in row) + "," for row in rows]
Path(output).write_text(
    f"#include <stddef.h>\n#include <stdint.h>\n\nconst uint8_t {name}[] = {{\n"
    + "\n".join(lines)
    + f"\n}};\nconst size_t {name}_len = sizeof {name};\n",
    encoding="utf-8",
)

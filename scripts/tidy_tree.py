"""The tree as scripts/tidy.py sees it: file texts, C split into code and comments, functions."""

import re
import subprocess
import tempfile
from collections import namedtuple
from pathlib import Path

Finding = namedtuple("Finding", "path line message")
Function = namedtuple("Function", "path name line end")

# What separates code from everything else: comments, strings, characters.
C_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*")|(?P<char>'(?:\\.|[^'\\\n])*')""",
    re.DOTALL,
)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_of(text):
    """`text` with comments blanked, and strings emptied; lines and columns stay."""

    def empty(match):
        if match["comment"]:
            return blank(match[0])
        return match[0][0] + blank(match[0][1:-1]) + match[0][-1]

    return C_TOKEN.sub(empty, text)


def comments_of(text):
    """`text` with everything but comments blanked."""
    kept, at = [], 0
    for match in C_TOKEN.finditer(text):
        if match["comment"]:
            kept += [blank(text[at : match.start()]), match[0]]
            at = match.end()
    return "".join(kept) + blank(text[at:])


def line_at(text, offset):
    return text.count("\n", 0, offset) + 1


class Tree:
    """Texts by path, relative to the root. A tree of samples has no root."""

    def __init__(self, texts):
        self.texts = texts
        self.code = {p: code_of(t) for p, t in texts.items() if p.endswith((".c", ".h"))}

    @classmethod
    def of_checkout(cls, root):
        """All files that git tracks or would track; files that are not text are left out."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, check=True, capture_output=True, text=True,
        ).stdout
        texts = {}
        for path in sorted(set(listed.split("\0")) - {""}):
            try:
                texts[path] = (root / path).read_text(encoding="utf-8")
            except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                continue
        return cls(texts)

    def paths(self, *suffixes, under=""):
        return [p for p in self.texts if p.endswith(suffixes) and p.startswith(under)]

    def search(self, pattern, paths, texts=None):
        """Yields (path, line, match) for each match of `pattern`."""
        for path in paths:
            text = (texts or self.texts)[path]
            for match in re.finditer(pattern, text):
                yield path, line_at(text, match.start()), match

    def functions(self):
        """Every function that is defined in C, static ones too, by universal-ctags."""
        if not self.code:
            return []
        with tempfile.TemporaryDirectory() as folder:
            for path in self.code:
                copy = Path(folder, path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(self.texts[path], encoding="utf-8")
            tags = subprocess.run(
                ["ctags", "-x", "--languages=C", "--langmap=C:.c.h", "--kinds-C=f",
                 "--_xformat=%F\t%N\t%n\t%e", "-L", "-"],
                cwd=folder, check=True, capture_output=True, text=True,
                input="\n".join(self.code) + "\n",
            ).stdout
        rows = (row.split("\t") for row in tags.splitlines())
        return [Function(path, name, int(line), int(end or line)) for path, name, line, end in rows]

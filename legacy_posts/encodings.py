"""Which encoding a file has: by its mark, because it is UTF-8, or as the spreadsheets of our countries write.

Whoever guesses garbles names and payloads, so what is not sure is refused: the operator then says which it is.
"""

import codecs
import re
from dataclasses import dataclass

import charset_normalizer
from django.utils.translation import gettext as _

SAMPLE = 1024 * 1024  # bytes from the beginning of the file
_DETECTED = 32 * 1024  # bytes of those, of lines that are more than ASCII
_MARKS = (  # the longer ones first: that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What Excel saves as "CSV", what it saves as "CSV (MS-DOS)", and what it saved as that on a Mac. Latin-1 is cp1252
# where it has letters.
_WESTERN = ("cp1252", "cp850", "mac_roman")
_MOSTLY = 0.8  # of the lines that are more than ASCII: in another encoding hardly one is UTF-8 by chance

_LETTERS = "áàâãäçéèêëíìîïñóòôõöúùûü"
_USUAL = set(_LETTERS + _LETTERS.upper() + "ßºª°–—‘’“”…€£§©®™¿¡·•«»\u00a0")
# A capital amid small letters, or a sign amid letters: another encoding's letter.
_ODD = re.compile(f"[a-z{_LETTERS}][{_LETTERS.upper()}]|[^\\W\\d_][£§©®™¿¡·•«»°\u00a0…€][^\\W\\d_]")


class NotSure(Exception):
    """`str()` of it is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Encoding:
    name: str  # a codec's
    guessed: bool = False  # the operator is told

    @property
    def errors(self) -> str:
        """Bytes that are none of its characters are kept as they are, so that a row with them can be refused.

        UTF-16 and UTF-32 cannot do that: there is no telling where the next character begins.
        """
        return "strict" if self.name in ("utf-16", "utf-32") else "surrogateescape"


def known(name: str) -> str:
    """The codec of that name, with the mark of UTF-8 left out where one is there. Raises LookupError."""
    codec = codecs.lookup(name)
    if not codec._is_text_encoding:
        raise LookupError(name)
    return "utf-8-sig" if codec.name == "utf-8" else codec.name


def detect(sample: bytes) -> Encoding:
    """The encoding of the file that begins with `sample`. Raises NotSure."""
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return Encoding(name)
    if sample.count(0) > len(sample) // 10:
        raise NotSure(
            _(
                "Every other byte of the file is zero, and it does not begin with a mark: "
                "if it is UTF-16, add --encoding utf-16-le (or utf-16-be)."
            )
        )
    lines = sample.split(b"\n")
    if len(sample) >= SAMPLE:
        lines.pop()  # it is cut
    telling = [line for line in lines if not line.isascii()]
    if sum(map(_is_utf_8, telling)) >= _MOSTLY * len(telling):
        return Encoding("utf-8")
    return Encoding(_western(b"\n".join(telling)[:_DETECTED]), guessed=True)


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _western(text: bytes) -> str:
    found = charset_normalizer.from_bytes(text, cp_isolation=list(_WESTERN))
    decoded = {name: text.decode(name, "replace") for name in _WESTERN if _among(found, name)}
    likely = [name for name, words in decoded.items() if not _is_odd(words)]
    if len(likely) != 1:
        raise NotSure(
            _(
                "The file is not UTF-8, and its encoding cannot be told for sure: add --encoding with its name, "
                "such as latin-1, cp1252 (Windows), cp850 (DOS) or mac-roman."
            )
        )
    return likely[0]


def _among(found: charset_normalizer.CharsetMatches, name: str) -> bool:
    return any(name == match.encoding or name in match.could_be_from_charset for match in found)


def _is_odd(words: str) -> bool:
    return any(ord(c) > 127 and c not in _USUAL for c in words) or _ODD.search(words) is not None

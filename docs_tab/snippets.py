"""Programs for the receiver's side, as files that the tests run: short examples, and whole receivers."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.utils.safestring import SafeString, mark_safe
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Program:
    language: str  # as Pygments names it
    label: str
    folder: str
    name: str  # of the file

    @property
    def path(self) -> Path:
        return _HERE / self.folder / self.name

    def content(self) -> bytes:
        return self.path.read_bytes()

    @cached_property
    def html(self) -> SafeString:
        """Coloured by classes. Pygments escapes it."""
        lexer = get_lexer_by_name(self.language)
        return mark_safe(highlight(self.content().decode(), lexer, HtmlFormatter(nowrap=True)))  # noqa: S308


SNIPPETS = (
    Program("python", "Python", "examples", "verify.py"),
    Program("php", "PHP", "examples", "verify.php"),
    Program("javascript", "Node", "examples", "verify.mjs"),
    Program("ruby", "Ruby", "examples", "verify.rb"),
)
RECEIVERS = (
    Program("php", "PHP", "receivers", "receiver.php"),
    Program("javascript", "Node", "receivers", "receiver.mjs"),
    Program("python", "Python", "receivers", "receiver.py"),
)


def snippet(language: str) -> Program:
    """The example in this language; the first for a language that there is none in."""
    return next((one for one in SNIPPETS if one.language == language), SNIPPETS[0])

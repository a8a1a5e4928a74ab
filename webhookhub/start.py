"""How the pages and the commands begin: what makes it impossible is said in one line, and not as a traceback.

Of the settings that are wrong or missing, and of encryption keys that do not read what the database holds: a process
that began all the same would sign nothing, or write secrets that nobody can read later.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIHandler

REFUSED = 2  # as sales.commandkit has it
NO_BOOT = 3  # gunicorn's WORKER_BOOT_ERROR: it ends, and starts no other worker that would end the same way
# They mend what is wrong with the keys, or need none of them.
DO_NOT_LOOK = ("rotate_keys", "backup")


def command_line(argv: Sequence[str]) -> None:
    """What manage.py does."""
    from django.core.management import execute_from_command_line

    with _in_one_line(REFUSED):
        if _is_to_look(argv):
            look()
        execute_from_command_line(list(argv))


def wsgi_application() -> "WSGIHandler":
    """What gunicorn calls."""
    from django.core.wsgi import get_wsgi_application

    with _in_one_line(NO_BOOT):
        application = get_wsgi_application()
        look()
        return application


def look() -> None:
    """Raises ImproperlyConfigured where no key reads what is stored; holds all sending where the database is a copy.

    A database that is away, or that no migration has made yet, is said by whoever needs it.
    """
    from django.db import DatabaseError, connections

    from deliveries import sending

    try:
        _refuse_wrong_keys()
        sending.look()
    except DatabaseError:
        pass
    finally:
        connections.close_all()  # before anybody forks


def _refuse_wrong_keys() -> None:
    from django.core.exceptions import ImproperlyConfigured

    from configurations import encryption

    for field, pk in encryption.unreadable():
        raise ImproperlyConfigured(
            f"FIELD_ENCRYPTION_KEY does not read what this database holds ({field.model.__name__}.{field.name} of "
            f"row {pk}): put the key that it was written with behind the newest one, with a comma between."
        )


def _is_to_look(argv: Sequence[str]) -> bool:
    """Whether it is a command of ours. Django's own (`check`, `migrate`, `shell`) say themselves what is wrong."""
    import django
    from django.core.management import find_commands, get_commands

    from webhookhub.groups import OURS

    name = argv[1] if len(argv) > 1 else ""
    if not name or name in DO_NOT_LOOK or {"-h", "--help"} & {*argv}:
        return False
    if name in find_commands(django.core.management.__path__[0]):
        return False
    django.setup()
    return get_commands().get(name) in {"webhookhub", *OURS}


@contextmanager
def _in_one_line(code: int) -> Iterator[None]:
    from django.core.exceptions import ImproperlyConfigured

    try:
        yield
    except ImproperlyConfigured as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        raise SystemExit(code) from None

"""Import of the former system's posts: whole batches, each in one short transaction, with the rows that are new.

A row is the same post whenever its file is read again, so a file can be imported twice, stopped in the middle and
imported again, or imported by two people at once: each post is there once.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter

from django.db import connection, transaction
from django.utils import timezone

from sales.models import Seller

from .models import LegacyImport, LegacyPost
from .reading import Record, Source
from .rejects import Rejects
from .rows import BadRow, Cleaner, Facts

BATCH = 2000  # rows in one transaction, so that sales go on being recorded meanwhile
LISTED = 1000  # bad rows whose reasons are kept in memory; the rejects file has them all


@dataclass(slots=True)
class Result:
    """What came of the file so far."""

    rows: int = 0
    added: int = 0
    known: int = 0  # there already, or twice in the file
    bad: int = 0
    line: int = 0  # all rows up to here are dealt with
    reasons: list[tuple[int, str]] = field(
        default_factory=list
    )  # of the first LISTED bad ones: (line, reason)


def owners() -> dict[str, int | None]:
    """{e-mail in lower case or account code in lower case: the seller's id}; None where it is two sellers'."""
    found: dict[str, int | None] = {}
    rows = Seller.objects.values_list("pk", "code", "email", "user__email").iterator()
    codes: dict[str, int | None] = {}
    for pk, code, *emails in rows:
        codes[code.lower()] = pk
        for email in {address.lower() for address in emails if address}:
            found[email] = None if found.get(email, pk) != pk else pk
    return found | codes


class Importer:
    """One run over one file. `run()` yields the Result, which grows, after each batch."""

    def __init__(
        self, source: Source, cleaner: Cleaner, rejects: Rejects, *, name: str, dry_run: bool = False
    ) -> None:
        self.source, self.cleaner, self.rejects, self.name = source, cleaner, rejects, name
        self.result = Result()
        self._write = _Trial() if dry_run else _Writer(self)

    def run(self) -> Iterator[Result]:
        """Raises Unusable where the rest of the file cannot be read; what came before stays."""
        records = iter(self.source)
        while batch := list(islice(records, BATCH)):
            posts = [facts for record in batch if (facts := self._cleaned(record))]
            added = self._write.batch(posts)
            self.result.rows += len(batch)
            self.result.added += added
            self.result.known += len(posts) - added
            self.result.line = self.source.line
            self._write.note(self.result)
            yield self.result
        self._write.note(self.result, finished=True)
        self._write.finish()

    def _cleaned(self, record: Record) -> Facts | None:
        try:
            return self.cleaner.clean(record)
        except BadRow as bad:
            self.result.bad += 1
            if len(self.result.reasons) < LISTED:
                self.result.reasons.append((record.line, str(bad)))
            self.rejects.add(record, str(bad))
            return None


class _Writer:
    """Writes to the database, and to the LegacyImport, which is there from the first batch on."""

    def __init__(self, importer: Importer) -> None:
        self.importer = importer
        self.run: LegacyImport | None = None
        self.insert, self.columns = _insert_statement()
        if connection.vendor == "sqlite":
            # Of this connection alone: by default the indexes of a million rows are read and synced again and again.
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA cache_size = -65536")  # KiB
                cursor.execute("PRAGMA wal_autocheckpoint = 10000")  # pages of 4 KiB

    def batch(self, posts: list[Facts]) -> int:
        """Writes those that are new; how many they are."""
        if not posts:
            return 0
        if self.run is None:
            encoding = self.importer.source.encoding.name
            self.run = LegacyImport.objects.create(file_name=self.importer.name[:255], encoding=encoding)
        adapted = connection.ops.adapt_datetimefield_value
        for facts in posts:
            for name in ("kind", "event", "format", "version"):
                facts[name] = str(facts[name])  # psycopg takes a choice for an enum of the database
            facts["occurred_at"], facts["source_id"] = adapted(facts["occurred_at"]), self.run.pk
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(self.insert, list(map(itemgetter(*self.columns), posts)))
            return cursor.rowcount

    def note(self, result: Result, *, finished: bool = False) -> None:
        if self.run is None:
            return
        run, run.finished_at = self.run, timezone.now() if finished else None
        run.rows, run.added, run.known, run.bad = result.rows, result.added, result.known, result.bad
        run.save()

    def finish(self) -> None:
        """PostgreSQL hears at once of what is new: until then it would read a seller's posts from end to end."""
        if self.run is not None and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"ANALYZE {connection.ops.quote_name(LegacyPost._meta.db_table)}")


def _insert_statement() -> tuple[str, list[str]]:
    """With its columns. bulk_create() takes longer to write its SQL than all else of a row takes.

    Nor does it tell a post that is there already from one that breaks a rule of the table: this raises for that.
    """
    quote, meta = connection.ops.quote_name, LegacyPost._meta
    columns = [
        f.column for f in meta.concrete_fields if not f.primary_key and f.name not in ("sent_at", "delivery")
    ]
    names, places = ", ".join(map(quote, columns)), ", ".join(["%s"] * len(columns))
    unique = ", ".join(map(quote, ("owner_id", "identity")))
    table = quote(meta.db_table)
    return f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT ({unique}) DO NOTHING", columns  # noqa: S608


class _Trial:
    """Writes nothing, and finds out how many would be new."""

    def __init__(self) -> None:
        self.seen: set[int] = set()  # of this file, as hashes: a million of them are 60 MB

    def batch(self, posts: list[Facts]) -> int:
        by_owner: dict[int, set[str]] = defaultdict(set)
        for facts in posts:
            key = hash((facts["owner_id"], facts["identity"]))
            if key not in self.seen:
                self.seen.add(key)
                by_owner[facts["owner_id"]].add(facts["identity"])
        there = sum(
            LegacyPost.objects.filter(owner=owner, identity__in=identities).count()
            for owner, identities in by_owner.items()
        )
        return sum(map(len, by_owner.values())) - there

    def note(self, result: Result, *, finished: bool = False) -> None:
        """There is no row to note it in."""

    def finish(self) -> None:
        """Nor is there anything new."""

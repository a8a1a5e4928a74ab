"""The columns of an import: the names of ours, and those that old exports and spreadsheets have for them."""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from django.utils.translation import gettext as _

from sales.spreadsheets import MOST_NAMED, first_few

# docs/legacy-posts.md says what stands in each. Behind it: other names that files have for it.
COLUMNS: dict[str, tuple[str, ...]] = {
    "kind": ("type", "tipo", "situacao", "situacion"),
    "id": ("post_id", "legacy_id", "codigo", "identificador"),
    "owner": (
        *("owner_email", "owner_code", "seller", "account", "account_code", "producer", "producer_email"),
        *("produtor", "email_produtor", "conta", "codigo_conta", "productor", "cuenta", "vendedor"),
    ),
    "occurred_at": ("date", "time", "created_at", "sent_at", "data", "data_hora", "fecha", "criado_em"),
    "event": ("event_type", "evento"),
    "transaction": ("transaction_code", "transacao", "codigo_transacao", "transaccion"),
    "product_code": ("product_id", "prod", "codigo_produto", "id_produto", "codigo_producto"),
    "product_name": ("product", "produto", "nome_produto", "producto", "nombre_producto"),
    "url": ("endpoint", "endereco", "direccion", "destino"),
    "status": ("http_status", "status_code", "http_code", "code", "codigo_http", "status_http", "estado"),
    "problem": ("error", "erro", "problema"),
    "payload": ("body", "request_body", "corpo", "conteudo", "cuerpo", "contenido"),
    "content_type": ("tipo_conteudo", "tipo_contenido"),
    "version": ("versao",),
    "response": ("response_body", "answer", "resposta", "respuesta"),
    "tries": ("attempts", "tentativas", "intentos"),
    "buyer_email": ("email", "buyer_mail", "email_comprador"),
}
IGNORED = ("line", "reason")  # the importer's own, in a file of rejects
NEEDED = ("owner", "occurred_at", "event")

_BY_NAME = {name: column for column, names in COLUMNS.items() for name in (column, *names)}
_BY_NAME |= {name: name for name in IGNORED}


def plain(name: str) -> str:
    """“Código do produto” and “codigo-do produto” are codigo_produto."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(c if c.isalnum() else " " for c in decomposed if not unicodedata.combining(c))
    return "_".join(word for word in letters.split() if word not in ("do", "da", "de", "del"))


def column_of(name: str) -> str:
    """The column that a file calls `name`; empty if it is none."""
    return _BY_NAME.get(name) or _BY_NAME.get(plain(name), "")


def problem_with(header: Iterable[str]) -> str:
    """A sentence about names that are no column or stand twice; empty if all is well."""
    unknown, twice, seen = [], [], dict[str, str]()
    for name in header:
        column = column_of(name)
        if not column:
            unknown.append(name)
        elif column in seen and column not in IGNORED:
            twice.append((name, seen[column]))
        seen[column] = name
    few, more = first_few(unknown)
    sentences = [_of_unknown(name) for name in few]
    for name, other in twice[:MOST_NAMED]:
        sentences.append(
            _("“%(name)s” and “%(other)s” are the same column.") % {"name": name, "other": other}
        )
    return " ".join([*sentences, more]).strip()


def _of_unknown(name: str) -> str:
    if near := get_close_matches(plain(name), _BY_NAME, n=1):
        return _("“%(name)s” is no column; did you mean “%(near)s”?") % {"name": name, "near": near[0]}
    return _("“%(name)s” is no column.") % {"name": name}

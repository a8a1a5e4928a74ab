"""Files of rows for the tests of the import, and what a run of the command says."""

import io

from django.core.management import CommandError, call_command


class Run:
    """What a run of the command said, and its exit code."""

    def __init__(self, path, *arguments):
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command("import_transactions", str(path), *arguments, stdout=out, stderr=err)
            self.code = 0
        except SystemExit as exit_:
            self.code = exit_.code
        except CommandError as error:
            self.code = error.returncode
            err.write(str(error))
        self.out, self.err = out.getvalue(), err.getvalue()


def row(code="HP1", **facts):
    return {
        "code": code,
        "status": "APPROVED",
        "ordered_at": "2026-11-23T15:52:10Z",
        "product_code": 4102118,
        "product_name": "Pottery at home",
        "producer_code": "S0001",
        "producer_name": "Ana Lima",
        "buyer_name": "João Souza",
        "buyer_email": "joao@example.com",
        "price": "147.00",
    } | facts


def cart(code="0d1f2c3b-4a59-4687-9788-a1b2c3d4e5f6", **facts):
    made = row(code, kind="cart", abandoned_at="2026-11-23T15:52:10Z") | facts
    for name in ("status", "ordered_at", "price"):
        made.pop(name)
    return made


def csv_of(*rows, delimiter=","):
    names = list(dict.fromkeys(name for each in rows for name in each))
    quoted = [['"{}"'.format(str(each.get(name, "")).replace('"', '""')) for name in names] for each in rows]
    return "\n".join(delimiter.join(cells) for cells in [names, *quoted]) + "\n"

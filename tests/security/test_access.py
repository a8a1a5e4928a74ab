"""Who gets in where: every address of the site × every role, in the methods it takes and those it does not.

The addresses come from the URL configuration. One that is added has no rule below, and fails until it has.
"""

from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.template import Context, Template
from django.test import Client
from django.test.signals import template_rendered
from django_q.models import Failure, OrmQ, Schedule, Success

from configurations.models import WebhookConfig
from sales.models import AbandonedCart, Plan, Product, Seller, Subscription, Transaction
from tests import factories
from tests.deliveries.staff import make_member
from tests.security.every_address import EVERY, NAMELESS, Address, Rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlogged")]

ROLES = (
    "anonymous",
    "producer",  # whose the rows are
    "affiliate",  # who brought the sale
    "other",  # another producer, with rows of their own
    "staff",  # without any right
    "support",
    "operations",
    "superuser",
)
SELLERS = {"producer", "affiliate", "other"}
STAFF = {"staff", "support", "operations", "superuser"}
READERS = STAFF - {"staff"}
EDITORS = READERS - {"support"}
SUPERUSER, NOBODY = {"superuser"}, set()

# What comes of a request.
IN = "in"  # the page, a form with its mistakes, or on to the next page
LOGIN = "login"  # asked to log in
FORBIDDEN = "403"
NOT_THERE = "404"
NO_SELLER = "no seller"  # told that this login sells nothing
METHOD = "405"


# --- The sellers' pages: {address: (rule, methods it takes)} ---------------------------------------------

PUBLIC = "public"  # for everybody
LOGGED_IN = "logged in"  # for every login: the same for all, or made of one's own rows
OWN_LIST = "own list"  # what one sells; staff are told that they sell nothing
OWN_ROW = "own row"  # its owner's alone; for all others it is not there
OWN_OLD_ROW = "own old row"  # the same, but staff are told that they sell nothing
OF_A_SALE = "of a sale"  # whoever sold it, brought it, or (staff) may see all posts
OWN_FACTOR = "own factor"  # of one's own login; not there for who has set up none
BEGIN_VIEWING = "begin viewing"

READ, WRITE, BOTH = "GET", "POST", "GET POST"


def _all(names: str, rule: str, methods: str) -> dict[str, tuple[str, str]]:
    app, _, pages = names.partition(": ")
    return {(f"{app}:{page}" if app else page): (rule, methods) for page in pages.split()}


RULES: dict[str, tuple[str, str]] = {
    **_all(": home set_language account_login account_signup account_logout", PUBLIC, BOTH),
    **_all(": account_reset_password account_reset_password_from_key", PUBLIC, BOTH),
    **_all(": account_reset_password_done account_reset_password_from_key_done", PUBLIC, READ),
    **_all(": account_inactive", PUBLIC, READ),
    **_all(": account account_change_password account_set_password", LOGGED_IN, BOTH),
    **_all(": account_reauthenticate", LOGGED_IN, BOTH),
    **_all(": mfa_index mfa_authenticate", PUBLIC, BOTH),  # on to the account; without a password before: to log in
    **_all(": mfa_activate_totp mfa_deactivate_totp mfa_reauthenticate", OWN_FACTOR, BOTH),
    **_all(": mfa_view_recovery_codes mfa_generate_recovery_codes mfa_download_recovery_codes", OWN_FACTOR, BOTH),
    **_all(": sign_out_elsewhere", LOGGED_IN, WRITE),
    **_all(": view_as_leave", PUBLIC, WRITE),
    **_all(": view_as", BEGIN_VIEWING, WRITE),
    **_all("configurations: list", OWN_LIST, READ),
    **_all("configurations: add token rotate_token", OWN_LIST, BOTH),
    **_all("configurations: keep_token", OWN_LIST, WRITE),
    **_all("configurations: check_url", LOGGED_IN, WRITE),
    **_all("configurations: edit remove secret rotate_secret", OWN_ROW, BOTH),
    **_all("configurations: added changes", OWN_ROW, READ),
    **_all("configurations: disable", OWN_ROW, WRITE),
    **_all("deliveries: history live bulks export tests", OWN_LIST, READ),
    **_all("deliveries: reprocess_all", OWN_LIST, BOTH),
    **_all("deliveries: codes code", LOGGED_IN, READ),
    **_all("deliveries: find_sale", LOGGED_IN, READ),
    **_all("deliveries: detail panel curl test_result test_part bulk_part", OWN_ROW, READ),
    **_all("deliveries: enable test backfill bulk", OWN_ROW, BOTH),
    **_all("deliveries: reprocess", OWN_ROW, WRITE),
    **_all("deliveries: timeline", OF_A_SALE, BOTH),
    **_all("legacy_posts: sent pending all sent_export pending_export", OWN_LIST, READ),
    **_all("legacy_posts: send_all", OWN_LIST, BOTH),
    **_all("legacy_posts: sent_post sent_panel pending_post pending_panel", OWN_OLD_ROW, READ),
    **_all("legacy_posts: send", OWN_OLD_ROW, BOTH),
    **_all("docs_tab: index openapi receiver signature success addresses event schema sample", LOGGED_IN, READ),
}  # fmt: skip

# --- The staff's pages: {address: who gets in}; what is a model's, by its rights -------------------------

STAFF_PAGES: dict[str, set[str]] = {
    "admin:index": STAFF,
    "admin:jsi18n": STAFF,
    "admin:password_change": STAFF,
    "admin:password_change_done": STAFF,
    "admin:logout": STAFF,
    "admin:app_list": READERS,
    "admin:view_on_site": NOBODY,  # no model of ours has a page of its own on the site
    "admin:autocomplete": NOBODY,  # without the field that it completes; with one it asks for the model's right
    "admin:auth_user_password_change": SUPERUSER,
    "staff:search": STAFF,  # it finds what the one who asks may see
    "staff:sending": READERS,  # who may hold all sending it asks the right for: tests/deliveries/test_sending.py
    "staff:hosts": READERS,
    "staff:host": READERS,
    "staff:hold": EDITORS,
    "staff:release": EDITORS,
    "staff:timeline": READERS,
}
# {model: (who adds, who changes, who deletes)}; all of READERS read. Of the others nobody does any of it.
MAY_WRITE: dict[type, tuple[set[str], set[str], set[str]]] = {
    **dict.fromkeys((Seller, Product, Plan, Subscription, Transaction), (EDITORS, EDITORS, SUPERUSER)),
    AbandonedCart: (EDITORS, NOBODY, SUPERUSER),
    WebhookConfig: (EDITORS, EDITORS, NOBODY),
    **dict.fromkeys((get_user_model(), Group), (SUPERUSER, SUPERUSER, SUPERUSER)),
    **dict.fromkeys((Success, Failure, OrmQ), (NOBODY, SUPERUSER, SUPERUSER)),
    Schedule: (NOBODY, NOBODY, NOBODY),
}
EMAIL_ADDRESS = (SUPERUSER, SUPERUSER, SUPERUSER)  # allauth's model, which settings may do without
READ_A_MODEL = {"changelist", "history"}
ADD_TO_A_MODEL = {"add", "import", "process_import", "export"}


def insiders(address: Address, method: str) -> set[str]:
    """Who gets into one of the staff's pages."""
    if address.name in STAFF_PAGES:
        return STAFF_PAGES[address.name]
    assert address.model, f"{address} has no rule: say who gets in, in tests/security/test_access.py."
    other = EMAIL_ADDRESS if address.model._meta.label == "account.EmailAddress" else (NOBODY,) * 3
    add, change, delete = MAY_WRITE.get(address.model, other)
    if address.kind in READ_A_MODEL or (address.kind, method) == ("change", "GET"):
        return READERS
    if address.kind in ADD_TO_A_MODEL:
        return add
    assert address.kind in ("change", "delete"), f"{address} is a new kind of page: say who gets in."
    return change if address.kind == "change" else delete


def expected(address: Address, method: str, role: str) -> set[str]:
    """What may come of it: mostly one thing."""
    if (
        address.name == "admin:login"
    ):  # the site's own login; who is in already is told that it is not for them
        return {LOGIN} if role == "anonymous" else {IN} if role in STAFF else {FORBIDDEN}
    if address.name == "admin:logout":  # out; others to the admin, which asks them to log in
        return {METHOD, LOGIN} if role in STAFF else {IN}
    if (address.name, method) == ("staff:timeline", "POST") and role in READERS:
        return {NOT_THERE}  # it does not say which post to send
    if address.is_admins:
        if role not in STAFF:
            return {LOGIN}
        return {IN, METHOD} if role in insiders(address, method) else {FORBIDDEN, NOT_THERE, METHOD}
    assert address.name in RULES, f"{address} has no rule: add one to RULES in tests/security/test_access.py."
    rule, methods = RULES[address.name]
    if method not in methods.split():
        return {METHOD}
    if rule == PUBLIC:
        return {IN, LOGIN}  # out of the site one is asked to log in again
    if role == "anonymous":
        return {LOGIN}
    if rule == LOGGED_IN:
        return {IN, NO_SELLER}
    if rule == OWN_FACTOR:
        return {IN, NOT_THERE, METHOD}
    if rule == OWN_LIST:
        return {IN} if role in SELLERS else {NO_SELLER}
    if rule == OWN_ROW:
        return {IN} if role == "producer" else {NOT_THERE}
    if rule == OWN_OLD_ROW:
        return {IN} if role == "producer" else {NO_SELLER} if role in STAFF else {NOT_THERE}
    if rule == OF_A_SALE:
        if method == "POST":  # which post to send it does not say
            return {NOT_THERE}
        return {IN} if role in {"producer", "affiliate"} | READERS else {NOT_THERE}
    assert rule == BEGIN_VIEWING
    return {IN} if role in READERS else {FORBIDDEN} if role == "staff" else {LOGIN}


# Whose pages are looked through: nothing of the producer's may stand there. For the others who gets in is all that
# counts, and that is decided before a page is made up: theirs are not.
LOOKED_THROUGH = {"anonymous", "other", "staff"}


@pytest.fixture
def made_up_for(monkeypatch):
    """Says for which role the pages are."""
    whole = Template._render

    def bare(template: Template, context: Context) -> str:
        template_rendered.send(sender=template, template=template, context=context)
        return ""

    return lambda role: monkeypatch.setattr(Template, "_render", whole if role in LOOKED_THROUGH else bare)


@pytest.fixture
def rows() -> Rows:
    return Rows.make(name="Nobody else's business")


def client_of(role: str, rows: Rows) -> Client:
    client = Client()
    if role == "producer":
        client.force_login(rows.producer.user)
    elif role == "affiliate":
        client.force_login(rows.affiliate.user)
    elif role == "other":
        client.force_login(Rows.make().producer.user)
    elif role != "anonymous":
        client.force_login(
            {"staff": make_member, "superuser": factories.make_staff}.get(
                role, lambda: factories.make_staff(role)
            )()
        )
    return client


def answer(client: Client, method: str, path: str) -> tuple[str, str]:
    """(what came of it, the page). What the request wrote is taken back."""
    with transaction.atomic():
        response = getattr(client, method.lower())(path)
        page = b"".join(response.streaming_content) if response.streaming else response.content
        transaction.set_rollback(True)
    return _outcome(response), page.decode(errors="replace")


def _outcome(response) -> str:
    location = response.headers.get("Location", "")
    if location.startswith(("/accounts/login/", "/admin/login/")):
        return LOGIN
    if response.status_code in (403, 404, 405):
        return str(response.status_code)
    assert response.status_code in (200, 302, 422), response.status_code
    is_for_sellers = any(template.name == "sales/no_seller.html" for template in response.templates)
    return NO_SELLER if is_for_sellers else IN


def requests_of(role: str) -> Iterator[tuple[Address, str]]:
    for address in EVERY:
        yield address, "GET"
        # A POST to a list or a page that is only read is answered like a GET in the admin: not rendered twice.
        if (
            not address.is_admins
            or role not in STAFF
            or address.model is None
            or address.kind not in READ_A_MODEL
        ):
            yield address, "POST"


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_in_where_it_may_and_nowhere_else(rows, role, made_up_for):
    made_up_for(role)
    client = client_of(role, rows)
    session = {name: morsel.value for name, morsel in client.cookies.items()}
    wrong = {}
    for address, method in requests_of(role):
        client.cookies.load(session)
        came, page = answer(client, method, rows.path(address))
        may = expected(address, method, role)
        if came not in may:
            wrong[f"{method} {address}"] = f"{came}, not {' or '.join(sorted(may))}"
        elif role in LOOKED_THROUGH and rows.config.name in page:
            wrong[f"{method} {address}"] = "shows another's row"
    assert wrong == {}


def test_what_has_no_name_is_the_admins_own():
    assert {path for namespace, path in NAMELESS if namespace == "admin:"} == {
        "<path:object_id>/",  # to the row's page
        "(?P<url>.*)$",  # there is no such page
    }
    assert all(namespace == "admin:" for namespace, _path in NAMELESS), "Give the address a name."


def test_rules_are_about_addresses_that_there_are():
    names = {address.name for address in EVERY}
    assert RULES.keys() | STAFF_PAGES.keys() <= names

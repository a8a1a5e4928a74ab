"""`check_url`, as an operator runs it: a process of its own."""

import ssl

import pytest
import trustme

from tests.commands import Running, manage
from tests.outbound import AT_FORM
from tests.raw_server import RawServer
from tests.receiver import Answer

pytestmark = pytest.mark.django_db(transaction=True)

# The tests' settings allow any port, and no argument can hold a NUL.
SOME = [row for row in AT_FORM if row.reason != "port" and "\0" not in row.url][::20]
INTERNET = {"TEST_ALLOWED_NETWORKS": ""}  # where no address is allowed that the product would refuse


def test_a_good_url_is_shown_step_by_step(receiver):
    ran = manage("check_url", receiver.url)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[:2] for line in ran.out.splitlines() if not line.startswith(" ")][:5] == [
        ["Address", "ok"],
        ["Name", "ok"],
        ["Connection", "ok"],
        ["Certificate", "look"],
        ["Answer", "ok"],
    ]
    assert ran.out.endswith("As far as can be seen without a post, one would arrive.\n")
    assert [post.method for post in receiver.posts] == ["HEAD"]


def test_a_step_that_fails_is_exit_code_1(receiver):
    receiver.answers(Answer(301, headers={"Location": "https://example.com/\x1b[31mnew"}))
    ran = manage("check_url", receiver.url)
    assert ran.code == 1
    assert "FAILED" in ran.out
    assert "The address moved to https://example.com/␛[31mnew" in ran.out, "it does not act on the terminal"


@pytest.mark.parametrize("row", SOME, ids=str)
def test_an_address_that_we_do_not_post_to_is_exit_code_2(row):
    ran = manage("check_url", "--no-connect", "--json", "--", row.url, **INTERNET)
    assert ran.code == 2
    assert (ran.json["allowed"], ran.json["reason"]) == (False, row.reason)
    assert ran.err == ""


def test_no_connect_asks_nobody(receiver):
    ran = manage("check_url", receiver.url, "--no-connect", "--json")
    assert (ran.code, ran.json["allowed"], ran.json["reason"]) == (0, True, "")
    assert [step["name"] for step in ran.json["steps"]] == ["permitted"]
    assert receiver.posts == []


def test_a_refusal_says_what_to_do():
    ran = manage("check_url", "http://10.0.0.1/", **INTERNET)
    assert ran.code == 2
    assert "10.0.0.1 is a private address (10.0.0.0/8)" in ran.out
    assert "Use the public address of your server." in ran.out


def test_with_json_the_certificate_is_described(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with RawServer(lambda line: line.request() and line.answer(405), context) as server:
        ran = manage("check_url", server.url, "--json", DELIVERY_CA_FILE=str(tmp_path / "authority.pem"))
    assert (ran.code, ran.json["ok"]) == (0, True)
    by_name = {step["name"]: step for step in ran.json["steps"]}
    assert by_name["certificate"]["facts"]["names"] == "127.0.0.1"
    assert by_name["answer"]["facts"] == {"status": 405}
    assert all(step["ms"] >= 0 for step in ran.json["steps"])


def test_verbosity_0_leaves_the_exit_code_alone(receiver):
    ran = manage("check_url", receiver.url, "-v0")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_ctrl_c_while_it_waits_ends_it_with_130(receiver):
    receiver.answers(Answer(200, delay=10))
    with Running("check_url", receiver.url, "--json") as running:
        receiver.wait_for(1)
        running.press_ctrl_c()
        ran = running.ended()
    assert (ran.code, ran.json) == (130, {"stopped": True})

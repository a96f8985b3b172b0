"""Telling people, over real sockets.

One digest a night, again until it arrives, never twice, and no secret in the books.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from assay.runner.errors import UsageError
from assay.runner.nights.config import Channel, Nightly, load_nightly
from assay.runner.nights.notify import Digest, digest_for, send

AT = datetime.fromisoformat("2026-11-01T03:00:00")


class Web:
    """An HTTP server that answers what it was told to, one answer a request, and keeps what came."""

    def __init__(self, answers: list[int]) -> None:
        self.got: list[tuple[dict[str, str], dict[str, Any]]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.got.append((dict(self.headers), json.loads(body)))
                code = answers[min(len(web.got), len(answers)) - 1]
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                web.got.append((dict(self.headers), {}))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook/secret-token"


@pytest.fixture
def web(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    made = Web(getattr(request, "param", [200]))
    monkeypatch.setenv("HOOK", made.address)
    yield made
    made.server.shutdown()
    made.server.server_close()


def alert(name: str = "a1", **changes: Any) -> dict[str, Any]:
    return {
        "alert_id": name,
        "severity": "high",
        "state": "open",
        "cause_kind": "model",
        "cause": "m v2",
        "title": f"model m v2: {name} <latency> 1.2x",
        "series": 3,
        "assignee": None,
        **changes,
    }


def event(
    name: str = "e1", alert_id: str = "a1", action: str = "opened", reason: str = "version v1 -> v2"
) -> dict[str, Any]:
    return {"event_id": name, "alert_id": alert_id, "action": action, "reason": reason, "recorded_at": AT}


HOOK = Channel(name="team", kind="webhook", url_env="HOOK")


def a_digest() -> Digest:
    made = digest_for(HOOK, [event()], [alert()], [], "https://assay.example/")
    assert made is not None
    return made


def test_a_webhook_gets_one_document_with_every_alert_and_a_key_against_doubles(web: Web, tmp_path: Path):
    row = send(HOOK, a_digest(), tmp_path)
    assert (row.outcome, row.attempts, row.error, row.events) == ("sent", 1, None, ["e1"])
    ((headers, document),) = web.got
    assert headers["Idempotency-Key"] == row.digest_id
    assert document["alerts"][0]["link"] == "https://assay.example/alerts?alert=a1"
    assert document["alerts"][0]["steps"] == [{"action": "opened", "reason": "version v1 -> v2"}]
    assert "secret-token" not in json.dumps([row.text, row.channel, row.error])


def test_slack_gets_text_in_which_nothing_is_markup(web: Web, tmp_path: Path):
    row = send(Channel(name="slack", kind="slack", url_env="HOOK"), a_digest(), tmp_path)
    assert row.outcome == "sent"
    ((_, document),) = web.got
    assert set(document) == {"text"}
    assert "&lt;latency&gt;" in document["text"]


@pytest.mark.parametrize("web", [[503, 429, 200]], indirect=True)
def test_a_server_that_is_busy_is_tried_again(web: Web, tmp_path: Path):
    row = send(HOOK, a_digest(), tmp_path, wait_s=0.01)
    assert (row.outcome, row.attempts, len(web.got)) == ("sent", 3, 3)


@pytest.mark.parametrize("web", [[500]], indirect=True)
def test_a_server_that_stays_broken_is_given_up_after_four_attempts_and_said_why(web: Web, tmp_path: Path):
    row = send(HOOK, a_digest(), tmp_path, wait_s=0.01)
    assert (row.outcome, row.attempts) == ("failed", 4)
    assert row.error == "the server answered 500 Internal Server Error"


@pytest.mark.parametrize("web", [[301], [302], [307]], indirect=True)
def test_a_redirect_is_a_failure_and_not_a_message_without_its_body(web: Web, tmp_path: Path):
    row = send(HOOK, a_digest(), tmp_path, wait_s=0.01)
    assert (row.outcome, row.attempts, len(web.got)) == ("failed", 1, 1)
    assert "it is elsewhere now" in row.error


@pytest.mark.parametrize("web", [[403]], indirect=True)
def test_a_refusal_is_not_tried_again(web: Web, tmp_path: Path):
    assert send(HOOK, a_digest(), tmp_path).attempts == 1


def test_an_address_that_cannot_be_reached_or_is_none_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for address, told in (
        ("http://127.0.0.1:9/x", "not reached"),
        ("file:///etc/passwd", "no http or https address"),
        ("http://a b/secret", "it is no address"),
        ("http://[::1/secret", "it is no address"),
        ("", "HOOK, which is not set"),
    ):
        monkeypatch.setenv("HOOK", address)
        row = send(HOOK, a_digest(), tmp_path, wait_s=0.001)
        assert row.outcome == "failed"
        assert told in (row.error or "")
        assert "secret" not in (row.error or "")


class Mailbox:
    """An SMTP server's handler that keeps what it is given, after refusing what it was told to refuse."""

    def __init__(self, refusals: list[str]) -> None:
        self.refusals = refusals
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refusals:
            return self.refusals.pop(0)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 kept"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address == "nobody@example.com":
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def mail_server(mailbox: Mailbox, **options: Any) -> Controller:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port, **options)
    controller.start()
    return controller


def mail(port: int, **changes: Any) -> Channel:
    return Channel(
        **{
            "name": "mail",
            "kind": "email",
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "sender": "assay@example.com",
            "to": ("mira@example.com",),
            **changes,
        }
    )


@pytest.fixture
def mailbox(request: pytest.FixtureRequest) -> Iterator[tuple[Mailbox, int]]:
    """A real SMTP server on a free port."""
    box = Mailbox(list(getattr(request, "param", [])))
    controller = mail_server(box)
    yield box, controller.port
    controller.stop()


def test_an_email_says_in_its_subject_what_waits(mailbox: tuple[Mailbox, int], tmp_path: Path):
    box, port = mailbox
    row = send(mail(port), a_digest(), tmp_path)
    assert (row.outcome, row.attempts) == ("sent", 1), row.error
    ((sender, to, message),) = box.mails
    assert (sender, to) == ("assay@example.com", ["mira@example.com"])
    assert message["Subject"] == "Assay: 1 to look at, 0 back"
    assert "version v1 -> v2" in message.get_payload(decode=True).decode()


@pytest.mark.parametrize("mailbox", [["451 try later"]], indirect=True)
def test_a_mail_server_that_says_later_is_asked_later(mailbox: tuple[Mailbox, int], tmp_path: Path):
    row = send(mail(mailbox[1]), a_digest(), tmp_path, wait_s=0.01)
    assert (row.outcome, row.attempts, len(mailbox[0].mails)) == ("sent", 2, 1)


@pytest.mark.parametrize("mailbox", [["554 spam"]], indirect=True)
def test_a_mail_that_is_refused_for_good_is_told_and_not_repeated(mailbox: tuple[Mailbox, int], tmp_path: Path):
    row = send(mail(mailbox[1]), a_digest(), tmp_path, wait_s=0.01)
    assert (row.outcome, row.attempts) == ("failed", 1)
    assert "554" in (row.error or "")
    refused = send(mail(mailbox[1], to=("nobody@example.com",)), a_digest(), tmp_path)
    assert "refuses nobody@example.com" in (refused.error or "")


def test_a_mail_server_with_a_password_is_signed_in_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    box = Mailbox([])
    signed: list[tuple[bytes, bytes]] = []

    def check(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        signed.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    controller = mail_server(box, authenticator=check, auth_require_tls=False, auth_required=True)
    monkeypatch.setenv("MAIL_PASSWORD", "right")
    asked = mail(controller.port, user="assay", password_env="MAIL_PASSWORD")  # noqa: S106  the name of a variable
    assert send(asked, a_digest(), tmp_path).outcome == "sent"
    monkeypatch.setenv("MAIL_PASSWORD", "wrong")
    row = send(asked, a_digest(), tmp_path, wait_s=0.01)
    controller.stop()
    assert row.outcome == "failed"
    assert "wrong" not in (row.error or "")
    assert (signed[0], len(box.mails)) == ((b"assay", b"right"), 1)


def test_a_file_gets_a_line_a_digest(tmp_path: Path):
    channel = Channel(name="f", kind="file", path="told/digests.jsonl")
    assert send(channel, a_digest(), tmp_path).outcome == "sent"
    assert send(channel, a_digest(), tmp_path).outcome == "sent"
    lines = (tmp_path / "told" / "digests.jsonl").read_text().splitlines()
    assert [json.loads(line)["alerts"][0]["alert"] for line in lines] == ["a1", "a1"]
    blocked = Channel(name="f", kind="file", path="told/digests.jsonl/x")
    assert "cannot write" in (send(blocked, a_digest(), tmp_path).error or "")


def test_what_arrived_is_not_told_again_and_what_did_not_is():
    sent = {"channel": "team", "outcome": "sent", "events": ["e1"]}
    assert digest_for(HOOK, [event()], [alert()], [sent], "") is None
    assert digest_for(HOOK, [event()], [alert()], [{**sent, "outcome": "failed"}], "") is not None
    assert digest_for(HOOK, [event()], [alert()], [{**sent, "channel": "another"}], "") is not None


def test_what_is_muted_too_small_or_done_by_people_is_silent():
    assert digest_for(HOOK, [event()], [alert(state="muted")], [], "") is None
    assert digest_for(HOOK, [event(action="acknowledged")], [alert()], [], "") is None
    only_grave = Channel(name="team", kind="webhook", url_env="HOOK", least="critical")
    assert digest_for(only_grave, [event()], [alert()], [], "") is None
    assert digest_for(only_grave, [event()], [alert(severity="critical")], [], "") is not None
    assert digest_for(HOOK, [], [alert()], [], "") is None


def test_a_digest_names_the_gravest_first_what_is_back_last_and_not_more_than_people_read():
    alerts = [alert(f"a{i:02d}", severity="low") for i in range(30)] + [
        alert("worst", severity="critical"),
        alert("gone", severity="critical", state="recovered"),
    ]
    events = [
        event(f"e{row['alert_id']}", row["alert_id"], "recovered" if row["alert_id"] == "gone" else "opened")
        for row in alerts
    ]
    made = digest_for(HOOK, events, alerts, [], "")
    assert made.subject == "Assay: 31 to look at, 1 back"
    assert made.text.index("worst") < made.text.index("a00")
    assert "gone" not in made.text  # the 25 that are spelt out are those to look at
    assert "... and 7 more: assay alerts list" in made.text
    assert len(made.document["alerts"]) == 32


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("suits = []", "suits: Extra inputs are not permitted Did you mean 'suites'?"),
        ("timeout_h = 0", "timeout_h: Input should be greater than 0"),
        ("[floors]\nlatency_p5_ms = 0.1", "there is no metric 'latency_p5_ms'"),
        ("[floors]\nlatency_p50_ms = 5", "is a share such as 0.05, not 5.0"),
        ('[[notify]]\nname = "a"\nkind = "slack"', "a channel of kind 'slack' needs url_env"),
        ('[[notify]]\nname = "a"\nkind = "pigeon"', "notify.0.kind"),
        (
            '[[notify]]\nname = "a"\nkind = "file"\npath = "x"\n[[notify]]\nname = "a"\nkind = "file"\npath = "y"',
            "two channels have one name",
        ),
        ("suites = [", "is not valid TOML"),
    ],
)
def test_a_fault_in_the_nights_file_is_told_with_its_place(tmp_path: Path, text: str, told: str):
    path = tmp_path / "nightly.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_nightly(path)
    assert told in str(caught.value)


def test_a_nights_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot read"):
        load_nightly(tmp_path / "none.toml")
    assert Nightly().notify == ()

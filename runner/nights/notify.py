"""Telling people: one digest a night and channel, sent again until it arrives, never twice."""

from __future__ import annotations

import hashlib
import http.client
import smtplib
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Any

import tenacity

from assay.runner.errors import UsageError
from assay.runner.nights.config import Channel
from assay.runner.regressions.alerts.causes import SEVERITIES
from assay.schema.documents import document, strict
from assay.schema.rows.alerts import Notification
from assay.schema.store.spool import new_id, now

Row = Mapping[str, Any]
TOLD = ("opened", "reopened", "unmuted", "recovered", "grew", "confirmed", "refuted")
"""Steps that people hear of; what people did themselves they know."""
_TIMEOUT_S = 20.0
_ATTEMPTS = 4
_MOST = 25
"""Alerts that a digest spells out."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What one channel is told tonight."""

    digest_id: str
    events: tuple[str, ...]
    subject: str
    text: str
    document: dict[str, Any]


class Undelivered(Exception):
    """It did not arrive: why; `again` says whether another attempt may help."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


def digest_for(
    channel: Channel, events: Sequence[Row], alerts: Sequence[Row], sent: Sequence[Row], dashboard: str
) -> Digest | None:
    """What a channel has not been told yet; None where there is nothing.

    `events` are steps in the lives of alerts, `sent` the rows of `notification`: an event that arrived is not told
    again, one that did not is. An alert that is
    muted now, or below the channel's severity, is silent.
    """
    known = {
        event for row in sent if row["channel"] == channel.name and row["outcome"] == "sent" for event in row["events"]
    }
    by_id = {alert["alert_id"]: alert for alert in alerts}
    new: dict[str, list[Row]] = {}
    for event in events:
        alert = by_id.get(event["alert_id"])
        if alert is None or event["event_id"] in known or event["action"] not in TOLD or alert["state"] == "muted":
            continue
        if SEVERITIES.index(alert["severity"] or "low") >= SEVERITIES.index(channel.least):
            new.setdefault(event["alert_id"], []).append(event)
    if not new:
        return None
    told = sorted(
        new,
        key=lambda alert: (
            _gone(new[alert]),
            -SEVERITIES.index(by_id[alert]["severity"] or "low"),
            by_id[alert]["title"],
        ),
    )
    identities = tuple(sorted(event["event_id"] for events_ in new.values() for event in events_))
    digest_id = hashlib.sha256("/".join((channel.name, *identities)).encode()).hexdigest()[:24]
    bad = sum(not _gone(new[alert]) for alert in told)
    subject = f"Assay: {bad} to look at, {len(told) - bad} back" if bad else f"Assay: {len(told)} back"
    entries = [_entry(by_id[alert], new[alert], dashboard) for alert in told]
    more = [f"... and {len(entries) - _MOST} more: assay alerts list"] if len(entries) > _MOST else []
    text = "\n\n".join([f"{subject} ({socket.gethostname()})", *(_words(entry) for entry in entries[:_MOST]), *more])
    return Digest(
        digest_id,
        identities,
        subject,
        text,
        {"digest": digest_id, "subject": subject, "host": socket.gethostname(), "alerts": entries},
    )


def _gone(events: Sequence[Row]) -> bool:
    return bool(events[-1]["action"] == "recovered")


def _entry(alert: Row, events: Sequence[Row], dashboard: str) -> dict[str, Any]:
    return {
        "alert": alert["alert_id"],
        "severity": alert["severity"],
        "state": alert["state"],
        "cause_kind": alert["cause_kind"],
        "cause": alert["cause"],
        "title": alert["title"],
        "series": alert["series"] or 0,
        "assignee": alert["assignee"],
        "link": f"{dashboard.rstrip('/')}/alerts?alert={urllib.parse.quote(alert['alert_id'])}" if dashboard else None,
        "steps": [{"action": event["action"], "reason": event["reason"]} for event in events],
    }


def _words(entry: Mapping[str, Any]) -> str:
    mark = "back" if entry["steps"][-1]["action"] == "recovered" else entry["severity"]
    lines = [f"[{mark}] {entry['title']} ({entry['series']} series, alert {entry['alert']})"]
    lines += [f"  {step['action']}: {step['reason']}" for step in entry["steps"]]
    return "\n".join(lines + ([f"  {entry['link']}"] if entry["link"] else []))


def send(channel: Channel, digest: Digest, folder: Path, wait_s: float = 1.0) -> Notification:
    """Deliver a digest, four times at most with growing pauses where another attempt may help.

    The row says what came of it.

    `folder` is where a channel's relative `path` begins. Errors become the row's `error`; nothing is raised for them.
    """
    attempts = 0

    def once() -> None:
        nonlocal attempts
        attempts += 1
        if channel.kind == "file":
            _file(channel, digest, folder)
        else:
            {"slack": _slack, "webhook": _webhook, "email": _email}[channel.kind](channel, digest)

    retry = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_exponential(multiplier=wait_s, max=30 * wait_s),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Undelivered) and error.again),
        reraise=True,
    )
    problem: str | None = None
    try:
        retry(once)
    except (Undelivered, UsageError) as error:
        problem = str(error)
    return Notification(
        notification_id=new_id(),
        digest_id=digest.digest_id,
        recorded_at=now(),
        channel=channel.name,
        outcome="failed" if problem else "sent",
        attempts=attempts,
        error=problem,
        events=[*digest.events],
        text=digest.text,
    )


def _slack(channel: Channel, digest: Digest) -> None:
    escaped = digest.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    _post(channel, {"text": escaped[:39_000]}, digest.digest_id)


def _webhook(channel: Channel, digest: Digest) -> None:
    _post(channel, document({**digest.document, "text": digest.text}), digest.digest_id)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is a failure: urllib would follow it with a GET, without the body, and call that delivered."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def _post(channel: Channel, message: Mapping[str, Any], identity: str) -> None:
    address = channel.secret(channel.url_env or "")
    headers = {"Content-Type": "application/json", "User-Agent": "assay", "Idempotency-Key": identity}
    try:
        if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
            raise Undelivered(f"{channel.url_env} is no http or https address", again=False)
        # its scheme was checked
        request = urllib.request.Request(address, strict(message).encode(), headers, method="POST")  # noqa: S310
        with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
            answer.read(1000)
    except urllib.error.HTTPError as error:
        if 300 <= error.code < 400:
            raise Undelivered(
                f"the server answered {error.code} {error.reason}: it is elsewhere now. Put the address that it names"
                f" into {channel.url_env}",
                again=False,
            ) from None
        again = error.code >= 500 or error.code in (408, 425, 429)
        raise Undelivered(f"the server answered {error.code} {error.reason}", again=again) from None
    except (http.client.InvalidURL, ValueError):  # its message would tell the address
        raise Undelivered(f"what {channel.url_env} holds cannot be asked: it is no address", again=False) from None
    except (http.client.HTTPException, OSError) as error:
        raise Undelivered(
            f"not reached: {getattr(error, 'reason', None) or type(error).__name__}", again=True
        ) from None


def _email(channel: Channel, digest: Digest) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = digest.subject, channel.sender, ", ".join(channel.to)
    message["Date"], message["Message-ID"] = format_datetime(now()), make_msgid(digest.digest_id, "assay.invalid")
    message.set_content(digest.text)
    try:
        with _smtp(channel) as server:
            if channel.user:
                server.login(channel.user, channel.secret(channel.password_env or ""))
            server.send_message(message)
    except smtplib.SMTPResponseException as error:
        raise Undelivered(
            f"the mail server answered {error.smtp_code}: {error.smtp_error!r}", again=400 <= error.smtp_code < 500
        ) from None
    except smtplib.SMTPRecipientsRefused as error:
        raise Undelivered(f"the mail server refuses {', '.join(error.recipients)}", again=False) from None
    except (smtplib.SMTPException, OSError) as error:
        raise Undelivered(f"not reached: {error}", again=not isinstance(error, ssl.SSLError)) from None


def _smtp(channel: Channel) -> smtplib.SMTP:
    context, me = (
        ssl.create_default_context(),
        socket.gethostname(),
    )  # without a name smtplib asks DNS for one, which can take long
    if channel.security == "tls":
        return smtplib.SMTP_SSL(channel.host or "", channel.port, me, timeout=_TIMEOUT_S, context=context)
    server = smtplib.SMTP(channel.host or "", channel.port, me, timeout=_TIMEOUT_S)
    if channel.security == "starttls":
        server.starttls(context=context)
    return server


def _file(channel: Channel, digest: Digest, folder: Path) -> None:
    path = folder / (channel.path or "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(strict(document({"at": now().isoformat(), **digest.document})) + "\n")
    except OSError as error:
        raise Undelivered(f"cannot write {path}: {error.strerror}", again=False) from None

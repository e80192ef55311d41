"""People elsewhere are told by Slack, SNS and e-mail; secrets stay secret; a channel that fails is a warning."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from neurocwl import channels, s3server
from neurocwl.errors import BadInput
from neurocwl.notify import FirstFailure
from neurocwl.s3 import Access
from neurocwl.stop import Stop
from neurocwl.storage import open_location
from tests.channels import SERVICES, Channel, Topic, mails, slack_channel
from tests.unit.test_plan import receipt
from tests.unit.test_status_verify import a_run

ARN = "arn:aws:sns:us-east-1:123456789012:lab"


@pytest.fixture
def channel() -> Iterator[Channel]:
    with slack_channel() as found:
        yield found


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with s3server.running(tmp_path_factory.mktemp("aws") / "server.log", SERVICES) as variables:
        yield variables


@pytest.fixture
def aws(emulator: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in emulator.items():
        monkeypatch.setenv(name, value)
    return emulator


# Slack


def test_a_text_is_posted_as_slack_wants_it(channel: Channel) -> None:
    warnings: list[str] = []
    channels.slack({channels.SLACK: channel.url}, warnings.append)("3 units, all done")
    assert channel.sent == [("/services/T0/B0/s3cret", "application/json", {"text": "3 units, all done"})]
    assert not warnings


def test_the_url_leaves_the_environment(channel: Channel) -> None:
    environ = {channels.SLACK: channel.url}
    channels.slack(environ, print)
    assert not environ, "no process that is started later gets it"


def test_a_refusal_is_a_warning_without_the_url(channel: Channel) -> None:
    channel.answer = 404
    warnings: list[str] = []
    channels.slack({channels.SLACK: channel.url}, warnings.append)("text")
    assert warnings == ["warning: Slack was not told: it answered 404"]


def test_nobody_there_is_a_warning_without_the_url() -> None:
    warnings: list[str] = []
    channels.slack({channels.SLACK: "http://127.0.0.1:9/s3cret"}, warnings.append)("text")
    assert len(warnings) == 1
    assert "s3cret" not in warnings[0]


@pytest.mark.parametrize(
    ("environ", "why"), [({}, "is not set"), ({channels.SLACK: "s3cret"}, "is no https:// URL")]
)
def test_without_a_url_it_is_refused_and_not_shown(environ: dict[str, str], why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        channels.slack(environ, print)
    assert "s3cret" not in str(caught.value)


# SNS, seen by a queue that subscribes to the topic


def test_a_text_is_published_with_its_first_line_as_subject(aws: Mapping[str, str]) -> None:
    topic, warnings = Topic(aws, "lab"), list[str]()
    channels.sns(topic.arn, Access(), warnings.append)("m2g: 3 units\nsub-01: fièvre")
    assert topic.messages() == [("m2g: 3 units", "m2g: 3 units\nsub-01: fièvre")]
    assert not warnings


def test_a_topic_that_is_gone_is_a_warning(aws: Mapping[str, str]) -> None:
    warnings: list[str] = []
    channels.sns(ARN, Access(), warnings.append)("text")
    assert warnings == ["warning: SNS was not told: NotFound"]


@pytest.mark.parametrize(
    ("arn", "why"),
    [("lab", "must be the ARN"), ("arn:aws:sqs:us-east-1:123456789012:lab", "ARN"), (f"{ARN}.fifo", "FIFO")],
)
def test_what_is_no_standard_topic_is_refused(arn: str, why: str) -> None:
    with pytest.raises(BadInput, match=f"--notify-sns {arn}: .*{why}"):
        channels.sns(arn, Access(), print)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("\nfMRIPrep: 12 Einheiten für Zoë\nmore", "fMRIPrep: 12 Einheiten f?r Zo?"),
        ("a\tb", "a b"),
        ("x" * 200, "x" * 96 + "..."),
    ],
)
def test_a_subject_is_short_and_plain(text: str, subject: str) -> None:
    """SNS takes fewer than 100 characters of ASCII, without control characters."""
    assert channels.subject(text) == subject


# E-mail


def test_a_text_arrives_as_e_mail(aws: Mapping[str, str]) -> None:
    warnings: list[str] = []
    channels.email("me@lab.example", "neurocwl@lab.example", Access(), warnings.append)(
        "done\n3 units: fièvre"
    )
    (mail,) = mails(aws, "me@lab.example")
    assert (mail["Source"], mail["Subject"]) == ("neurocwl@lab.example", "done")
    assert mail["BodyText"] == "done\n3 units: fièvre"
    assert not warnings


@pytest.mark.parametrize(
    ("to", "sender", "why"),
    [
        ("me@lab.example", "", "--notify-email me@lab.example: nobody sends it; give --notify-from"),
        ("me", "you@lab.example", "--notify-email me: must be one e-mail address"),
        ("me@lab.example", "lab", "--notify-from lab: must be one e-mail address"),
        ("a@lab.example,b@lab.example", "you@lab.example", "must be one e-mail address"),
    ],
)
def test_an_e_mail_needs_two_addresses(to: str, sender: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        channels.email(to, sender, Access(), print)


def test_nobody_who_answers_is_a_warning(aws: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    warnings: list[str] = []
    channels.email("me@lab.example", "you@lab.example", Access(), warnings.append)("text")
    assert warnings == ["warning: e-mail was not told: EndpointConnectionError"]


# What is told, and when


def test_everybody_is_told() -> None:
    told: list[Any] = []
    channels.all_of([lambda text: told.append((1, text)), lambda text: told.append((2, text))])("text")
    assert told == [(1, "text"), (2, "text")]


def test_the_first_failure_is_told_once_and_at_once(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), Access())
    told: list[str] = []
    watch = FirstFailure(told.append)
    watch.begin(a_run(output), output, Stop(print))
    watch.ended("sub-1", receipt("sub-1", "k"))
    watch.ended("sub-2", None)
    assert not told
    watch.ended("sub-3", receipt("sub-3", "k", status="failed", reason="exit code 1: no such brain"))
    watch.ended("sub-4", receipt("sub-4", "k", status="failed", reason="exit code 2"))
    assert len(told) == 1
    assert "sub-3 failed, the first one" in told[0]
    assert "exit code 1: no such brain" in told[0]
    assert f"neurocwl logs {tmp_path} sub-3" in told[0]


def test_a_unit_that_went_with_its_node_is_no_failure_since_it_runs_again(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), Access())
    told: list[str] = []
    watch = FirstFailure(told.append)
    watch.begin(a_run(output), output, Stop(print))
    gone = receipt("sub-1", "k", status="failed", reason="preempted")
    watch.ended("sub-1", dataclasses.replace(gone, attempts=({"lost": True},)))
    assert not told
    watch.ended("sub-2", receipt("sub-2", "k", status="failed", reason="exit code 1"))
    assert len(told) == 1


def test_a_unit_that_may_run_again_with_more_hides_no_failure_that_nothing_helps(tmp_path: Path) -> None:
    output = open_location(str(tmp_path), Access())
    told: list[str] = []
    watch = FirstFailure(told.append)
    watch.begin(a_run(output), output, Stop(print))
    short = receipt("sub-1", "k", status="failed", reason="out of memory with 8192 MiB")
    for unit in ("sub-1", "sub-2"):
        watch.ended(unit, dataclasses.replace(short, unit=unit, attempts=({"short_of": "memory"},)))
    watch.ended("sub-3", receipt("sub-3", "k", status="failed", reason="exit code 1"))
    watch.ended("sub-4", receipt("sub-4", "k", status="failed", reason="exit code 1"))
    assert [text.split()[1] for text in told] == ["sub-1", "sub-3"]
    assert "it runs again if it may have more" in told[0]

"""Ways to tell people who are elsewhere: Slack, SNS, e-mail. What goes wrong with one is a warning, never a run's end."""

import re
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from neurocwl.aws import session
from neurocwl.errors import BadInput
from neurocwl.s3 import Access

SLACK = "NEUROCWL_SLACK_WEBHOOK"
SENDER = "NEUROCWL_EMAIL_FROM"
TIMEOUT = 10.0  # seconds
ATTEMPTS = 3  # a run goes on meanwhile, but is not followed
SUBJECT = 99  # characters; SNS takes fewer than 100, of ASCII
ARN = re.compile(r"arn:[\w-]+:sns:([a-z0-9-]+):\d{12}:[\w-]+(\.fifo)?")
ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")

Tell = Callable[[str], None]
Warn = Callable[[str], None]


def all_of(tells: Sequence[Tell]) -> Tell:
    """One after the other."""

    def tell(text: str) -> None:
        for one in tells:
            one(text)

    return tell


def slack(environ: MutableMapping[str, str], warn: Warn) -> Tell:
    """Posts to the channel behind an incoming webhook.

    Takes the URL, which is a secret, out of the environment, so that no process that is started later gets it.
    Raises BadInput when it is not there, or is no URL.
    """
    url = environ.pop(SLACK, "")
    if not url.startswith(("https://", "http://")):
        what = "is not set" if not url else "is no https:// URL"
        raise BadInput(f"--notify-slack: {SLACK} {what}; set it to the URL of an incoming webhook")

    def tell(text: str) -> None:
        import urllib3

        try:
            answer = urllib3.request(
                "POST", url, json={"text": text}, timeout=TIMEOUT, retries=urllib3.Retry(2, redirect=0)
            )
            if answer.status >= 300:
                warn(f"warning: Slack was not told: it answered {answer.status}")
        except (urllib3.exceptions.HTTPError, ValueError) as error:  # their texts hold the URL
            warn(f"warning: Slack was not told: {type(error).__name__}")

    return tell


def sns(arn: str, access: Access, warn: Warn) -> Tell:
    """Publishes to an SNS topic.

    Raises BadInput for what is no ARN of a topic.
    """
    named = ARN.fullmatch(arn)
    if not named:
        raise BadInput(f"--notify-sns {arn}: must be the ARN of a topic, arn:aws:sns:REGION:ACCOUNT:NAME")
    if named[2]:
        raise BadInput(f"--notify-sns {arn}: a FIFO topic tells no people; name a standard one")
    client = session.client(access, "sns", named[1], ATTEMPTS)

    def tell(text: str) -> None:
        _asked("SNS", warn, lambda: client.publish(TopicArn=arn, Subject=subject(text), Message=text))

    return tell


def email(to: str, sender: str, access: Access, warn: Warn) -> Tell:
    """Sends e-mail by Amazon SES.

    Raises BadInput without a sender, and for what is no address.
    """
    if not sender:
        raise BadInput(
            f"--notify-email {to}: nobody sends it; give --notify-from or set {SENDER} to an address that SES knows"
        )
    for option, address in (("--notify-email", to), ("--notify-from", sender)):
        if not ADDRESS.fullmatch(address):
            raise BadInput(f"{option} {address}: must be one e-mail address")
    client = session.client(access, "sesv2", attempts=ATTEMPTS)

    def tell(text: str) -> None:
        content = {"Subject": {"Data": subject(text)}, "Body": {"Text": {"Data": text}}}
        _asked(
            "e-mail",
            warn,
            lambda: client.send_email(
                FromEmailAddress=sender,
                Destination={"ToAddresses": [to]},
                Content={"Simple": content},
            ),
        )

    return tell


def subject(text: str) -> str:
    """The first line of a text as a subject: ASCII, short."""
    line = text.strip().partition("\n")[0].encode("ascii", "replace").decode()
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    return line if len(line) <= SUBJECT else f"{line[: SUBJECT - 3]}..."


def _asked(what: str, warn: Warn, ask: Callable[[], Any]) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        ask()
    except ClientError as error:
        warn(f"warning: {what} was not told: {error.response.get('Error', {}).get('Code')}")
    except BotoCoreError as error:
        warn(f"warning: {what} was not told: {type(error).__name__}")

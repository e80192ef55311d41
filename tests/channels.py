"""Where messages arrive: a real HTTP server in Slack's place; SNS, SQS and SES of an emulator, all on loopback."""

import http.server
import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3

SERVICES = "s3,sns,sqs,ses"  # of ministack


class Channel:
    """What a webhook was sent, and what it answers."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answer = 200
        self.url = ""

    @property
    def texts(self) -> list[str]:
        return [body["text"] for _, _, body in self.sent]


@contextmanager
def slack_channel() -> Iterator[Channel]:
    """A channel's webhook."""
    found = Channel()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.sent.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(found.answer)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/services/T0/B0/s3cret"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Topic:
    """An SNS topic with a queue that gets what is published."""

    def __init__(self, variables: Mapping[str, str], name: str) -> None:
        sns = _client(variables, "sns")
        self.sqs: Any = _client(variables, "sqs")
        self.arn: str = sns.create_topic(Name=name)["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        asked = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=asked["Attributes"]["QueueArn"])

    def messages(self) -> list[tuple[str, str]]:
        """(subject, text) of all that arrived."""
        found = []
        while True:
            got = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
            if not got:
                return found
            for one in got:
                body = json.loads(one["Body"])
                found.append((body["Subject"], body["Message"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])


def mails(variables: Mapping[str, str], to: str) -> list[dict[str, Any]]:
    """The e-mails that somebody got."""
    with urllib.request.urlopen(f"{variables['AWS_ENDPOINT_URL']}/_ministack/ses/messages") as answer:
        found: Any = json.load(answer)
    return [one for sent in found["messages"].values() for one in sent if one["To"] == [to]]


def _client(variables: Mapping[str, str], service: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
    )

"""Tell a Slack channel that a launch began and how it ended. The webhook's URL is a secret: it is never shown."""

from collections.abc import Callable, MutableMapping

from neurocwl.errors import BadInput
from neurocwl.status import Status, summary

VARIABLE = "NEUROCWL_SLACK_WEBHOOK"
TIMEOUT = 10.0  # seconds
FAILURES = 5  # named in a message

Tell = Callable[[str], None]


def teller(environ: MutableMapping[str, str], warn: Callable[[str], None]) -> Tell:
    """A function that posts a text; what goes wrong with it is a warning, never the end of a launch.

    Takes the URL out of the environment, so that no process that is started later gets it.
    Raises BadInput when it is not there, or is no URL.
    """
    url = environ.pop(VARIABLE, "")
    if not url.startswith(("https://", "http://")):
        what = "is not set" if not url else "is no https:// URL"
        raise BadInput(f"--notify-slack: {VARIABLE} {what}; set it to the URL of an incoming webhook")

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


def begun(pipeline: str, units: int, output: str) -> str:
    """What is said when a launch begins."""
    return f"{pipeline}: {units} units begin, results go to {output}"


def ended(found: Status) -> str:
    """What is said when a launch has ended."""
    run = found.run
    failed = [unit for unit in found.units if unit.status == "failed"]
    lines = [f"{run.pipeline}: {run.status}: {summary(found.counts)}. {run.output} (run {run.run})"]
    lines += [f"{unit.unit}: {unit.reason}" for unit in failed[:FAILURES]]
    if len(failed) > FAILURES:
        lines.append(f"and {len(failed) - FAILURES} more")
    return "\n".join(lines)


def broken(pipeline: str, output: str, error: Exception) -> str:
    """What is said when a launch could not go on."""
    return f"{pipeline}: broken: {error} ({output})"

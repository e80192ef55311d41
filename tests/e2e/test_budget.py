"""A launch that reaches its budget while units run and fail: who is told what and when, and what it cost.

The tool sleeps and then fails, in a real container, two units at a time. This machine is said to cost a dollar a second,
so that the budget is reached while the first two units run.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurocwl import containers, cwlfile, images, s3server, template, workflow
from tests.channels import SERVICES, Topic, mails, slack_channel
from tests.e2e.conftest import Lab, Result, write_dataset
from tests.e2e.test_own_pipeline import TEMPLATE, TOOL

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

LABELS = ["01", "02", "03", "04"]
CAP = 40  # dollars, and seconds
TO, FROM = "me@lab.example", "neurocwl@lab.example"


class Launched(Lab):
    """A lab after a launch that reached its budget, and before the same one with more."""

    dear: Result
    first: Result
    status: Result
    slack: list[str]
    topic: list[tuple[str, str]]
    mail: list[str]


def pipelines(folder: Path) -> Path:
    """The pipeline env; its tool sleeps and fails where the word says so."""
    (folder / "jobs").mkdir(parents=True)
    (folder / "cwl" / "tools").mkdir(parents=True)
    (folder / "jobs" / "env.yml").write_text(TEMPLATE)
    sleeps = TOOL.replace("IMAGE", images.ensure("nifti-check")).replace(
        "mkdir out &&", 'case $2 in sleep) sleep 40; echo "no such brain" >&2; exit 1 ;; esac; mkdir out &&'
    )
    (folder / "cwl" / "tools" / "env.cwl").write_text(sleeps)
    return folder


def launch(lab: Lab, *words: str, **variables: str) -> Result:
    given = ("--pipeline", "env", "--pipeline-dir", str(lab.folder / "pipelines"), "--output", lab.url("out"))
    price = ("--dollars-per-hour", "3600", "--hours-per-unit", str(1 / 3600))
    return lab.run("launch", "dataset", str(lab.folder / "ds"), *given, *price, *words, **variables)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("budget")
    write_dataset(folder / "ds", LABELS)
    pipelines(folder / "pipelines")
    with s3server.running(folder / "aws.log", SERVICES) as variables, slack_channel() as channel:
        lab = Launched(variables, folder)
        topic = Topic(variables, "lab")
        lab.dear = launch(lab, "--max-cost", "1.5")
        lab.first = launch(
            lab,
            *("--max-cost", str(CAP), "--word", "sleep"),
            *("--notify-slack", "--notify-sns", topic.arn, "--notify-email", TO),
            NEUROCWL_SLACK_WEBHOOK=channel.url,
            NEUROCWL_EMAIL_FROM=FROM,
        )
        lab.status = lab.run("status", lab.url("out"), "--json")
        lab.slack, lab.topic = channel.texts, topic.messages()
        lab.mail = [one["BodyText"] for one in mails(variables, TO)]
        yield lab


def test_a_launch_that_is_estimated_at_more_is_refused_with_what_fits(launched: Launched) -> None:
    at_once = min(2, os.cpu_count() or 1)
    assert launched.dear.code == 2
    assert (
        f"--max-cost $1.5000: 4 units are estimated at ${4 / at_once:.4f} on this machine"
        in launched.dear.err
    )
    assert f"--limit {at_once} fits" in launched.dear.err


def test_the_run_ends_over_budget_and_says_so(launched: Launched) -> None:
    assert launched.first.code == 1, launched.first.err
    assert "no unit starts any more" in launched.first.err
    assert "over-budget. --max-cost $40.00 is reached" in launched.first.out
    assert "2 units were not started; the same launch with more goes on" in launched.first.out
    assert launched.status.json["state"] == "over-budget"


def test_units_that_ran_have_ended_and_the_others_have_not_begun(launched: Launched) -> None:
    statuses = list(launched.status.statuses().values())
    assert sorted(statuses) == ["failed", "failed", "not-started", "not-started"]
    kept_back = [unit for unit in launched.status.json["units"] if unit["status"] == "not-started"]
    assert all(unit["reason"].startswith("budget: ") for unit in kept_back)
    receipts = {key.split("/")[2] for key in launched.keys("out") if key.endswith("/receipt.json")}
    assert not receipts & {unit["unit"] for unit in kept_back}


def test_what_it_cost_stands_beside_the_estimate(launched: Launched) -> None:
    money = launched.status.json["money"]
    assert (money["max_cost"], money["tariff"]["units"]) == (CAP, 4)
    assert money["spent"]["by"] == "the hours of nodes", "a machine is paid from beginning to end"
    assert money["spent"]["dollars"] > CAP
    assert money["spent"]["hours_per_unit"] >= 40 / 3600
    assert f"cost: ${money['spent']['dollars']:.2f} by the hours of nodes" in launched.first.out
    assert f"estimated: ${money['tariff']['dollars']:.4f} for 4 units" in launched.first.out


def test_people_are_told_in_order_by_every_channel(launched: Launched) -> None:
    texts = launched.slack
    assert texts == [text for _, text in launched.topic] == launched.mail
    assert texts[0].startswith("env: 4 units begin")
    failures = [n for n, text in enumerate(texts) if "failed, the first one" in text]
    edges = [n for n, text in enumerate(texts) if "no unit starts any more" in text]
    early = [n for n, text in enumerate(texts) if "of --max-cost $40.00 are spent" in text]
    assert (len(failures), len(edges)) == (1, 1)
    assert early in ([], [1]), "before the edge, if somebody looked in time"
    assert "no such brain" in texts[failures[0]]
    assert max(*failures, *edges) < len(texts) - 1, "while the run went on"
    assert texts[-1].startswith("env: over-budget: 2 failed, 2 not-started")
    assert "cost: $" in texts[-1]


def test_the_same_launch_with_more_goes_on(launched: Launched) -> None:
    again = launch(launched, "--max-cost", "1000")
    assert again.code == 0, again.err
    statuses = launched.run("status", launched.url("out"), "--json").statuses()
    assert statuses == {f"sub-{label}": "done" for label in LABELS}
    assert launched.run("verify", launched.url("out")).code == 0


@pytest.mark.parametrize("container", [True, False], ids=["in a container", "without one"])
def test_toil_goes_on_to_its_end_when_every_unit_is_kept_back(lab: Lab, container: bool) -> None:
    """The workflow of a gated run, with a gate that is closed from the beginning."""
    write_dataset(lab.folder / "ds", ["01", "02"])
    own = str(pipelines(lab.folder / "pipelines"))
    written = lab.run(
        *("job-order", "dataset", str(lab.folder / "ds"), "--pipeline", "env", "--pipeline-dir", own),
        *("--output", lab.url("out"), "-o", str(lab.folder / "orders")),
    )
    assert written.code == 0, written.err
    chosen = template.load("env", lab.folder / "pipelines")
    resources = {"cpus": 1}
    gated = workflow.dataset_workflow(
        chosen, inline=True, gated=True, container=container, resources=resources
    )
    (lab.folder / "gated.cwl").write_text(cwlfile.as_json(gated))
    lab.s3.put_object(Bucket=lab.bucket, Key="out/.neurocwl/runs/by-hand/closed", Body=b"{}")
    path = f"{containers.wrapper_folder()}{os.pathsep}{lab.environment['PATH']}"
    (lab.folder / "tmp").mkdir()
    done = subprocess.run(
        [
            *("toil-cwl-runner", "--reference-inputs", "--no-prepull", "--workDir", "tmp"),
            *([] if container else ["--no-container"]),
            *("gated.cwl", "orders/job-order-001.json"),
        ],
        capture_output=True,
        text=True,
        env={**lab.environment, **containers.environment("by-hand", lab.url("out")), "PATH": path},
        cwd=lab.folder,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("Issued job 'CWLJob'") == 2, "delivery still runs in the worker of its tool"
    assert set(lab.keys("out")) == {".neurocwl/runs/by-hand/closed"}

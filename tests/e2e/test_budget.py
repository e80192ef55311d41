"""A launch whose units take longer than estimated, and of which some fail: who is told what and when, and what it cost.

nifti-check opens six participants with broken images in real containers. The estimate says half a second each, so the
budget is reached when the first ones end, if not before. Prices are those of the table for m5.large.
"""

from collections.abc import Iterator

import pytest

from neurocwl import images, s3server
from tests.channels import SERVICES, Topic, mails, slack_channel
from tests.e2e.conftest import Lab, Result, write_dataset
from tests.e2e.test_own_pipeline import TEMPLATE, TOOL

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

LABELS = [f"{n:02}" for n in range(1, 7)]
ESTIMATE = ("--node-types", "m5.large", "--hours-per-unit", str(0.5 / 3600))
CAP = 0.045  # dollars; the estimate is 0.0302
TO, FROM = "me@lab.example", "neurocwl@lab.example"


class Launched(Lab):
    """A lab after a launch that reached its budget, and after the same one with more."""

    dear: Result
    first: Result
    status: Result
    slack: list[str]
    topic: list[tuple[str, str]]
    mail: list[str]


def launch(lab: Lab, *words: str, **variables: str) -> Result:
    given = ("--pipeline", "nifti-check", "--output", lab.url("out"), *ESTIMATE)
    return lab.run("launch", "dataset", str(lab.folder / "ds"), *given, *words, **variables)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("budget")
    root = write_dataset(folder / "ds", LABELS)
    for label in LABELS:
        image = root / f"sub-{label}/anat/sub-{label}_T1w.nii.gz"
        image.write_bytes(image.read_bytes()[:200])
    with s3server.running(folder / "aws.log", SERVICES) as variables, slack_channel() as channel:
        lab = Launched(variables, folder)
        topic = Topic(variables, "lab")
        lab.dear = launch(lab, "--max-cost", "0.02")
        lab.first = launch(
            lab,
            *("--max-cost", str(CAP)),
            *("--notify-slack", "--notify-sns", topic.arn, "--notify-email", TO),
            NEUROCWL_SLACK_WEBHOOK=channel.url,
            NEUROCWL_EMAIL_FROM=FROM,
        )
        lab.status = lab.run("status", lab.url("out"), "--json")
        lab.slack, lab.topic = channel.texts, topic.messages()
        lab.mail = [one["BodyText"] for one in mails(variables, TO)]
        yield lab


def test_a_launch_that_is_estimated_at_more_is_refused_with_ways_out(launched: Launched) -> None:
    assert launched.dear.code == 2
    assert "--max-cost $0.0200: 6 units are estimated at $0.0302 on m5.large on demand" in launched.dear.err
    assert "$0.0102 more; the cheapest way is $0.0104: --spot --node-types m5a.large" in launched.dear.err


def test_the_run_ends_over_budget_and_says_so(launched: Launched) -> None:
    assert launched.first.code == 1, launched.first.err
    assert "estimated: $0.0302 for 6 units on m5.large on demand" in launched.first.err
    assert "no unit starts any more" in launched.first.err
    assert "over-budget. --max-cost $0.0450 is reached" in launched.first.out
    assert launched.status.json["state"] == "over-budget"


def test_units_that_ran_have_ended_and_the_others_have_not_begun(launched: Launched) -> None:
    statuses = list(launched.status.statuses().values())
    assert set(statuses) == {"failed", "not-started"}
    kept_back = [unit for unit in launched.status.json["units"] if unit["status"] == "not-started"]
    assert all(unit["reason"].startswith("budget: ") for unit in kept_back)
    receipts = {key.split("/")[2] for key in launched.keys("out") if key.endswith("/receipt.json")}
    assert not receipts & {unit["unit"] for unit in kept_back}


def test_what_it_cost_stands_beside_the_estimate(launched: Launched) -> None:
    money = launched.status.json["money"]
    spent, tariff = money["spent"], money["tariff"]
    assert (money["max_cost"], round(tariff["dollars"], 4), tariff["units"]) == (CAP, 0.0302, 6)
    assert spent["by"] == "receipts"
    assert spent["dollars"] == pytest.approx(spent["units"] * spent["dollars_per_unit"], rel=1e-4)
    per_unit = [unit["dollars"] for unit in launched.status.json["units"]]
    assert sum(per_unit) == pytest.approx(spent["dollars"], rel=1e-3)
    assert f"cost: ${spent['dollars']:.4f} by receipts" in launched.first.out


def test_people_are_told_in_order_by_every_channel(launched: Launched) -> None:
    texts = launched.slack
    assert texts == [text for _, text in launched.topic] == launched.mail
    assert texts[0].startswith("nifti-check: 6 units begin")
    failures = [n for n, text in enumerate(texts) if "failed, the first one" in text]
    edges = [n for n, text in enumerate(texts) if "no unit starts any more" in text]
    assert (len(failures), len(edges)) == (1, 1)
    last = len(texts) - 1
    assert max(*failures, *edges) < last, "while the run went on"
    assert texts[last].startswith("nifti-check: over-budget: ")
    assert "cost: $" in texts[last]


def test_the_same_launch_with_more_goes_on(launched: Launched) -> None:
    write_dataset(launched.folder / "ds", LABELS)  # and somebody has mended the images
    again = launch(launched, "--max-cost", "100")
    assert again.code == 0, again.err
    statuses = launched.run("status", launched.url("out"), "--json").statuses()
    assert statuses == {f"sub-{label}": "done" for label in LABELS}
    assert launched.run("verify", launched.url("out")).code == 0


def test_a_tool_without_a_container_is_kept_back_as_well(lab: Lab) -> None:
    (lab.folder / "pipelines/jobs").mkdir(parents=True)
    (lab.folder / "pipelines/cwl/tools").mkdir(parents=True)
    (lab.folder / "pipelines/jobs/env.yml").write_text(TEMPLATE)
    (lab.folder / "pipelines/cwl/tools/env.cwl").write_text(
        TOOL.replace("IMAGE", images.ensure("nifti-check"))
    )
    write_dataset(lab.folder / "ds", LABELS)
    done = lab.run(
        *("launch", "dataset", str(lab.folder / "ds"), "--pipeline", "env", "--no-container"),
        *("--pipeline-dir", str(lab.folder / "pipelines"), "--output", str(lab.folder / "out")),
        *("--node-types", "m5.large", "--hours-per-unit", str(0.05 / 3600), "--max-cost", "0.041"),
    )
    assert done.code == 1, done.err
    found = lab.run("status", str(lab.folder / "out"), "--json")
    statuses = found.statuses()
    assert {"done", "not-started"} == set(statuses.values()), done.err
    for unit, status in statuses.items():
        seen = lab.folder / "out" / f"{unit}_env.txt"
        assert seen.exists() == (status == "done")
        assert status != "done" or "AWS_" not in seen.read_text()

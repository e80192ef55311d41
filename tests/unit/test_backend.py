"""Backend profiles: data that says where units run."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocwl import backend, runs
from neurocwl.errors import BadInput

OWN = """\
class: Backend
backend: mine
label: A cluster of ours
doc: For the tests.
batch_system: slurm
job_store: folder
container: singularity
leader: slurm
options: ["--statePollingWait=5", "--slurmPartition={partition}"]
on_demand: ["--retryCount=1"]
spot: ["--retryCount=9", "--slurmArgs=--account={account}"]
environment: {TOIL_SLURM_ARGS: "--qos={qos}", CACHE: "/scratch/{partition}"}
settings:
  partition: {doc: "The partition.", required: true}
  account: {doc: "Who pays."}
  qos: {doc: "Its quality of service."}
node: {cpus: 16, memory_mib: 64000}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "mine.yml"
    file.write_text(OWN)
    return file


@pytest.mark.parametrize("name", backend.names())
def test_every_profile_that_we_bring_is_valid(name: str) -> None:
    file = backend.assets.path(backend.FOLDER) / f"{name}.yml"
    raw = backend._valid(file)
    needed = [key for key, one in (raw.get("settings") or {}).items() if one.get("required")]
    found = backend.load(name, [f"{key}=x" for key in needed], {"region": "us-east-1"})
    assert found.name == name
    assert found.doc.endswith(".")


def test_the_local_one_runs_here_with_enforced_memory() -> None:
    local = backend.load("local")
    assert local.here
    assert local.toil_options() == ["--batchSystem=single_machine", "--strict-memory-limit"]
    assert local.toil_options(container=False)[1] == "--no-container"


def test_settings_fill_options_and_environment_and_those_without_a_value_are_left_out(own: Path) -> None:
    found = backend.load(str(own), ["partition=long"])
    assert "--slurmPartition=long" in found.toil_options()
    assert found.variables() == {"CACHE": "/scratch/long"}
    assert not any("account" in option for option in found.toil_options(backend.SPOT))
    paid = backend.load(str(own), ["partition=long", "account=brains"])
    assert "--slurmArgs=--account=brains" in paid.toil_options(backend.SPOT)


def test_on_demand_and_spot_are_options_of_their_own(own: Path) -> None:
    found = backend.load(str(own), ["partition=long"])
    assert "--retryCount=1" in found.toil_options(backend.ON_DEMAND)
    assert "--retryCount=9" in found.toil_options(backend.SPOT)


def test_the_digest_of_the_output_and_the_run_stand_in_options_too(own: Path) -> None:
    own.write_text(OWN.replace("--statePollingWait=5", "--slurmArgs=--comment={digest}.{run}"))
    found = backend.load(str(own), ["partition=long"])
    assert "--slurmArgs=--comment=abc.r1" in found.toil_options(digest="abc", run="r1")


def test_a_profile_may_be_like_another_and_differ_in_a_few_keys(own: Path) -> None:
    other = own.parent / "lab.yml"
    other.write_text("like: mine.yml\nbackend: lab\nset: {partition: short, account: brains}\n")
    found = backend.load(str(other))
    assert (found.name, found.batch_system, found.container) == ("lab", "slurm", "singularity")
    assert found.values == {"partition": "short", "account": "brains"}
    assert backend.load(str(other), ["partition=long"]).values["partition"] == "long"


def test_variables_are_passed_on_to_workers_only_when_they_are_set(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write_text(OWN + "pass_on: [ONE_OF_OURS, ANOTHER]\n")
    monkeypatch.setenv("ONE_OF_OURS", "x")
    monkeypatch.delenv("ANOTHER", raising=False)
    options = backend.load(str(own), ["partition=long"]).toil_options()
    assert "--setEnv=ONE_OF_OURS" in options
    assert "--setEnv=ANOTHER" not in options


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (OWN, [], "partition=...: The partition."),
        (OWN, ["partition"], "must be KEY=VALUE"),
        (OWN, ["partition=a", "queue=b"], "no setting is called 'queue'; there are account, partition, qos"),
        (OWN.replace("container: singularity", "container: lxc"), ["partition=a"], "container is 'lxc'"),
        (OWN.replace("{partition}", "{queue}"), ["partition=a"], "{queue} stands for no setting"),
        (OWN.replace("batch_system: slurm\n", ""), ["partition=a"], "not a valid backend profile"),
        (OWN + "batchsystem: slurm\n", ["partition=a"], "not a valid backend profile"),
        (OWN.replace('doc: "Who pays."', 'text: "Who pays."'), ["partition=a"], "settings.account"),
        (OWN.replace("job_store: folder", "job_store: s3"), ["partition=a"], "needs a region"),
        ("like: mine.yml\n", [], "circle"),
        ("[1, 2]\n", [], "is no YAML map"),
        ("a: [\n", [], "is no YAML map"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_with_its_file(
    own: Path, text: str, words: list[str], said: str
) -> None:
    own.write_text(text)
    with pytest.raises(BadInput, match=re.escape(said)) as refused:
        backend.load(str(own), words)
    assert own.name in str(refused.value) or "--backend-setting" in str(refused.value)


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"must be one of .*local"):
        backend.load("sge")
    with pytest.raises(BadInput, match="no such file"):
        backend.load("nope.yml")


@given(st.text(min_size=1), st.sampled_from(["001", "group", "r12-014"]))
def test_the_names_of_job_stores_are_names_that_toil_and_s3_take(output: str, name: str) -> None:
    digest = backend.output_digest(output, {})
    found = backend.job_store_name(digest, runs.new_id(), name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]+[a-z0-9]", found)
    assert "--" not in found
    assert len(found) <= 56
    assert found.startswith(f"neurocwl-{digest}-")


def test_one_output_on_two_servers_is_two_outputs() -> None:
    url = "s3://lab/out"
    assert backend.output_digest(url, {}) != backend.output_digest(
        url, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    )


@pytest.mark.parametrize("name", backend.names())
def test_on_spot_nodes_toil_does_not_retry_without_end_behind_the_launch_s_back(name: str) -> None:
    """Else a loss would never be counted, and no unit would ever go to capacity that stays."""
    found = backend.load(name, known={"region": "us-west-2", "cluster": "c", "image": "i", "queue": "q"})
    told = [option for option in found.toil_options(backend.SPOT) if "PreemptibleRetries" in option]
    assert told[-1:] in ([], ["--enableUnlimitedPreemptibleRetries=False"])

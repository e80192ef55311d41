"""Images: which there are, when one is built anew, and what is said when one cannot be."""

from pathlib import Path

import pytest

from neurocwl import assets, images
from neurocwl.errors import BadInput, InfrastructureError


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "images" / "tool"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY shared/common.py /\n")
    (folder / "run.py").write_text("print(1)\n")
    (tmp_path / "images" / "shared").mkdir()
    (tmp_path / "images" / "shared" / "common.py").write_text("print(2)\n")
    return folder


def test_every_dockerfile_is_an_image() -> None:
    assert images.names() == [
        "appliance",
        "imagej",
        "nifti-check",
        "nipype",
        "rehearsal-fmriprep",
        "rehearsal-m2g",
        "rehearsal-ndmg",
        "rehearsal-recon-all",
        "toil",
    ]


@pytest.mark.parametrize("name", ["nifti-check", "localhost/neurocwl/nifti-check:0.1.0"])
def test_a_name_and_a_reference_mean_the_same_image(name: str) -> None:
    assert images.reference(name) == "localhost/neurocwl/nifti-check:0.1.0"


@pytest.mark.parametrize("name", ["nifti-czech", "localhost/neurocwl/nifti-check:9.9"])
def test_an_unknown_image_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BadInput, match=r"localhost/neurocwl/nifti-check:0\.1\.0"):
        images.reference(name)


def test_the_digest_of_a_context_stays_the_same_for_the_same_files(context: Path) -> None:
    before = images.context_digest(context)
    (context / "__pycache__").mkdir()
    (context / "__pycache__" / "run.cpython-311.pyc").write_bytes(b"x")

    assert images.context_digest(context) == before


@pytest.mark.parametrize("file", ["run.py", "Dockerfile", "../shared/common.py"])
def test_a_changed_file_changes_the_digest(context: Path, file: str) -> None:
    before = images.context_digest(context)
    with (context / file).open("a") as stream:
        stream.write("# changed\n")

    assert images.context_digest(context) != before


def test_a_file_made_executable_changes_the_digest(context: Path) -> None:
    before = images.context_digest(context)
    (context / "run.py").chmod(0o755)

    assert images.context_digest(context) != before


def test_the_certificates_are_those_the_caller_names(tmp_path: Path) -> None:
    bundle = tmp_path / "own.pem"
    bundle.write_text("certificate")

    assert images.ca_bundle({"SSL_CERT_FILE": "/nowhere", "PIP_CERT": str(bundle)}) == bundle


def test_the_mirror_comes_from_the_machines_own_sources(tmp_path: Path) -> None:
    folder = tmp_path / "sources.list.d"
    folder.mkdir()
    (folder / "a-vendor.list").write_text("deb https://vendor.example/apt stable main\n")
    (folder / "b-debian.sources").write_text(
        "Types: deb\n# a comment\nURIs: http://mirror.example/security\nSuites: bookworm-security\n\n"
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\n"
    )

    assert images.debian_mirror(tmp_path) == "http://mirror.example/debian"


def test_the_mirror_may_be_in_the_old_one_line_form(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb [arch=amd64] http://mirror.example/debian bookworm main\n")

    assert images.debian_mirror(tmp_path) == "http://mirror.example/debian"


def test_without_sources_the_mirror_is_debians_own(tmp_path: Path) -> None:
    assert images.debian_mirror(tmp_path) == "http://deb.debian.org/debian"


def test_without_docker_there_is_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert images.engine() is None


def test_without_an_engine_ensure_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InfrastructureError, match="dockerd"):
        images.ensure("nifti-check")


def test_an_engine_that_does_not_answer_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")

    assert images.engine() is None


def test_a_base_image_cannot_be_made_without_debootstrap(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InfrastructureError, match="apt-get install debootstrap"):
        images.make_local_base("http://mirror.example/debian")


def test_no_final_stage_of_an_image_takes_the_certificates() -> None:
    for dockerfile in assets.path("provisioning").glob("images/*/Dockerfile"):
        final = dockerfile.read_text().rpartition("\nFROM ")[2]
        assert "ca-bundle" not in final, dockerfile

"""What unit tests share: CWL tools as cwltool sees them, and fMRIPrep's own parser."""

from collections.abc import Iterator

import pytest

from tests.unit.cwl_command import Tool
from tests.unit.real_fmriprep import FmriprepParser, parser_python


@pytest.fixture(scope="session")
def fmriprep_parser() -> Iterator[FmriprepParser]:
    """fMRIPrep's own parser."""
    parser = FmriprepParser(parser_python())
    yield parser
    parser.close()


@pytest.fixture(scope="session")
def fmriprep_tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """cwl/tools/fmriprep.cwl."""
    return Tool("fmriprep", tmp_path_factory.mktemp("fmriprep") / "room")


@pytest.fixture(scope="session")
def recon_all_tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """cwl/tools/recon-all.cwl."""
    return Tool("recon-all", tmp_path_factory.mktemp("recon-all") / "room")

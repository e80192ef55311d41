"""A launch with --max-cost whose units take longer than estimated, and of which some fail: who is told what, and when.

nifti-check opens six participants in real containers, two at a time; five have a broken image. The estimate says half
a second each, so the budget is reached when the first ones end.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from neurocwl import s3server
from tests.channels import Channel, messages_of, slack_channel
from tests.e2e.conftest import Lab, Result, write_dataset

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.usefixtures("engine")]

LABELS = [f"{n:02}" for n in range(1, 7)]
ESTIMATE = ("--node-types", "m5.large", "--hours-per-unit", str(0.5 / 3600))


class Launched(Lab):
    """A lab after a launch that reached its budget."""

    first: Result
    slack: list[str]
    mail: list[str]

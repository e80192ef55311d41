"""nipype_s3 as a step of a workflow, without a container: with the AWS settings of the worker that started it."""

from __future__ import annotations

import sys

import worker_environment
from nipype_s3.__main__ import main

if __name__ == "__main__":
    worker_environment.adopt()
    sys.exit(main())

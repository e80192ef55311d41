"""Stand-ins for the libraries that m2g and ndmg import, so that their own code runs without them.

Whatever is asked of such a library is there and does nothing: command lines, checks and the search for files
are real, everything that computes is not.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Sequence
from types import ModuleType
from unittest.mock import MagicMock

LIBRARIES = frozenset(
    {
        "numpy",
        "nibabel",
        "dipy",
        "nilearn",
        "scipy",
        "matplotlib",
        "mpl_toolkits",
        "skimage",
        "sklearn",
        "vtk",
    }
    | {"fury", "plotly", "networkx", "pandas", "requests", "bids", "boto3", "botocore", "graspy", "seaborn"}
    | {"dateutil", "pytest", "PIL", "igraph"}
)


class Nothing(ModuleType):
    """A module in which every name is there."""

    # `import *` from the packages brings these along, and ndmg counts on it.
    __all__ = ("os", "sys", "op")
    __version__ = "rehearsal"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.os, self.sys, self.op = os, sys, os.path

    def __getattr__(self, name: str) -> MagicMock:
        if name.startswith("__"):
            raise AttributeError(name)
        made = MagicMock(name=f"{self.__name__}.{name}")
        setattr(self, name, made)
        return made


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the stand-ins."""

    def __init__(self, libraries: frozenset[str]) -> None:
        self.libraries = libraries

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A stand-in for every module of the libraries."""
        if name.partition(".")[0] not in self.libraries:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The stand-in itself."""
        return Nothing(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def install(keep: frozenset[str] = frozenset()) -> None:
    """Put the stand-ins before the real libraries; `keep`: libraries that are there."""
    sys.meta_path.insert(0, Finder(LIBRARIES - keep))

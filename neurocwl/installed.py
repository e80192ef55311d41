"""What must be on this machine before a pipeline runs: its images, or its commands."""

import shutil
from collections.abc import Callable

from neurocwl import images
from neurocwl.errors import BadInput
from neurocwl.template import Template, image_of


def prepare(template: Template, image: str, *, container: bool, say: Callable[[str], None]) -> None:
    """Have every image, or every command, that the tools of a pipeline need. image: instead of the template's own."""
    if not container:
        check_installed(template)
        return
    for one in {image if own == template.image else own for own in map(image_of, template.tools)}:
        if one:
            prepare_image(one, say)


def prepare_image(image: str, say: Callable[[str], None]) -> None:
    """Have the tool's image in the local engine: built here, or pulled.

    Raises InfrastructureError without an engine, BadInput for an image that nobody has.
    """
    if image.startswith(images.PREFIX):
        images.ensure(image, say=say)
    elif images.engine() is None:
        images.ensure(image)  # raises, with the fix
    elif not images.exists(image):
        images.pull(image, say=say)


def check_installed(template: Template) -> None:
    """Refuse to run a tool without its container where its command is not there.

    Raises BadInput.
    """
    for tool in template.tools:
        command = tool.get("baseCommand")
        first = command if isinstance(command, str) else (command or [""])[0]
        if not first:
            raise BadInput(
                f"--no-container: {template.pipeline} is started by its image's entry point; it needs the container"
            )
        if shutil.which(first) is None:
            raise BadInput(f"--no-container: {first} is not installed here (not on PATH)")

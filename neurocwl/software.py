"""The software of a run as entities of an RO-Crate: tools, container images, engines."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from neurocwl.template import image_of

Entity = dict[str, Any]

WFRUN = "https://w3id.org/ro/terms/workflow-run#"
HOMES = {
    "neurocwl": "https://pypi.org/project/neurocwl/",
    "toil": "https://toil.readthedocs.io/",
    "cwltool": "https://github.com/common-workflow-language/cwltool",
}


def ref(id_: str) -> Entity:
    """A reference to an entity."""
    return {"@id": id_}


def image_id(image: str) -> str:
    """The id of an image's entity."""
    return f"#image-{quote(image, safe='/:@.')}"


def tool_entities(id_: str, tool: Mapping[str, Any]) -> Iterator[Entity]:
    """The tool, and the packages that its CWL says it needs, by version and RRID."""
    packages = tool.get("hints", {}).get("SoftwareRequirement", {}).get("packages", {})
    needs = [ref(f"{id_}-{quote(name)}") for name in packages]
    tags = [image_parts(image)[2] for image in container_images(tool)]
    yield {
        "@id": id_,
        "@type": "SoftwareApplication",
        "name": tool.get("label", id_),
        "softwareVersion": tags[0] if tags else "unknown",
        "softwareRequirements": needs,
    }
    for name, package in packages.items():
        versions, specs = (package or {}).get("version", []), (package or {}).get("specs", [])
        yield {
            "@id": f"{id_}-{quote(name)}",
            "@type": "SoftwareApplication",
            "name": name,
            **({"softwareVersion": versions[0]} if versions else {}),
            **({"url": ref(specs[0])} if specs else {}),
        }


def container_images(tool: Mapping[str, Any]) -> list[str]:
    """The images of a tool, or of the tools that are its steps."""
    steps = [step["run"] for step in tool.get("steps", {}).values() if isinstance(step["run"], Mapping)]
    found = [image for inner in steps for image in container_images(inner)]
    return list(dict.fromkeys([image for image in (image_of(dict(tool)),) if image] + found))


def images(digests: Mapping[str, str | None]) -> Iterator[Entity]:
    """Container images with what docker says of their identity: a registry's digest, else the id of the image."""
    for image, digest in digests.items():
        registry, name, tag = image_parts(image)
        sha256 = {"sha256": digest.rpartition("sha256:")[2]} if digest else {}
        yield {
            "@id": image_id(image),
            "@type": "ContainerImage",
            "additionalType": ref(f"{WFRUN}DockerImage"),
            "registry": registry,
            "name": name,
            "tag": tag,
            **sha256,
            **({"identifier": digest} if digest else {}),
        }


def image_parts(image: str) -> tuple[str, str, str]:
    """Registry, name and tag of an image's reference, by docker's rules for what is left out."""
    place, _, tag = image.partition("@")[0].rpartition(":")
    if "/" in tag or not place:
        place, tag = image.partition("@")[0], "latest"
    first, _, rest = place.partition("/")
    if rest and ({*".:"} & {*first} or first == "localhost"):
        return first, rest, tag
    return "docker.io", place, tag


def engines(versions: Mapping[str, str]) -> Iterator[Entity]:
    """neurocwl and the engines that it ran by."""
    for name, version in versions.items():
        yield {
            "@id": f"#{name}",
            "@type": "SoftwareApplication",
            "name": name,
            "softwareVersion": version,
            "url": ref(HOMES.get(name, f"https://pypi.org/project/{name}/")),
        }

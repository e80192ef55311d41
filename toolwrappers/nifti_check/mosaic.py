"""Draw an image so that a person can judge it at a glance."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .checks import CheckedImage
from .findings import ERROR, PASS, WARNING
from .geometry import SERIES, best_affine
from .images import Array, Header, nib
from .voxels import Voxels

Picture = Image.Image
RGB = tuple[int, int, int]

BACKGROUND, TITLE, TEXT, FAINT = (16, 18, 22), (30, 34, 40), (225, 228, 232), (140, 148, 158)
BLUE, DARK_RED = (88, 166, 255), (96, 28, 30)
COLOURS: dict[str, RGB] = {PASS: (46, 160, 67), WARNING: (210, 153, 34), ERROR: (218, 54, 51)}
VERDICTS = {PASS: "PASS", WARNING: "PASS, with warnings", ERROR: "FAIL"}
WIDTH, MARGIN, COLUMNS = 1400, 92, 8
CELL = (WIDTH - MARGIN - 8) / COLUMNS
VIEWS = (("axial", 2, "LR"), ("coronal", 1, "LR"), ("sagittal", 0, "PA"))
CURVE, CARPET = 74, 150


def write_mosaic(image: CheckedImage, file: Path) -> bool:
    """Draw name, verdict, three rows of slices and the course of a series; False if no voxels were read."""
    voxels, header = image.voxels, image.header
    if voxels is None or header is None or not voxels.planes_seen.any():
        return False
    strips = [title_strip(image), *slice_strips(header, voxels)]
    if header.volumes > 1:
        strips.append(series_strip(voxels, 10 if image.suffix in SERIES else 100))
    picture, _ = blank(sum(strip.height for strip in strips))
    top = 0
    for strip in strips:
        picture.paste(strip, (0, top))
        top += strip.height
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)
    return True


def slice_strips(header: Header, voxels: Voxels) -> list[Picture]:
    """Rows of axial, coronal and sagittal slices of the mean, and of axial ones of the deviation of a series.

    Anterior or superior is up and right is right, where the orientation is known.
    """
    affine = best_affine(header)
    oriented = affine is not None
    if affine is None:
        affine = np.diag([*(edge if 0 < edge < math.inf else 1.0 for edge in header.pixdim), 1.0])
    affine = affine @ np.diag([voxels.step] * 3 + [1])
    volume, turned = canonical(voxels.mean_volume(), affine)
    rows = [(name if oriented else "slices", axis, sides, volume) for name, axis, sides in VIEWS]
    if header.volumes > 1:
        rows.append(("std dev\nover time", 2, "  ", canonical(voxels.deviation_volume(), affine)[0]))
    edges = nib.affines.voxel_sizes(turned)
    extent = edges * volume.shape
    scale = min((CELL - 6) / extent[:2].max(), 420 / extent.max())
    strips = []
    for name, axis, sides, shown in rows:
        numbers = slice_numbers(volume, axis)
        limits = window(shown)
        size = [max(1, round(extent[a] * scale)) for a in range(3) if a != axis]
        planes = (grey(np.take(shown, number, axis=axis).T[::-1], limits) for number in numbers)
        pictures = [plane.resize((size[0], size[1]), Image.Resampling.BILINEAR) for plane in planes]
        middle = [(n - 1) / 2 for n in volume.shape]
        centres = [[*middle[:axis], number, *middle[axis + 1 :]] for number in numbers]
        places = nib.affines.apply_affine(turned, centres)[:, axis]
        strips.append(
            row_strip(
                name, pictures, [f"{'xyz'[axis]} {round(mm)}" for mm in places], sides if oriented else "  "
            )
        )
    return strips


def canonical(volume: Array, affine: Array) -> tuple[Array, Array]:
    """A volume turned to right-anterior-superior axes, and its affine."""
    turned = nib.as_closest_canonical(nib.Nifti1Image(volume, affine))
    return np.asarray(turned.dataobj), np.asarray(turned.affine)


def window(volume: Array) -> tuple[float, float]:
    """Robust grey window of a volume."""
    inside = volume[volume != 0] if np.count_nonzero(volume) >= 10 else volume
    low = float(np.percentile(volume, 0.5)) if volume.min() < 0 else 0.0
    high = float(np.percentile(inside, 99.5))
    return (low, high) if high > low else (low, low + 1.0)


def grey(values: Array, limits: tuple[float, float]) -> Picture:
    """A grey picture of numbers."""
    low, high = limits
    return Image.fromarray(np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8))


def slice_numbers(volume: Array, axis: int) -> list[int]:
    """Up to eight slices over the part of an axis that has signal."""
    low, high = window(volume)
    bright = volume > low + 0.15 * (high - low)
    counts = bright.sum(axis=tuple(a for a in range(3) if a != axis))
    inside = np.flatnonzero(counts >= 0.05 * counts.max())
    return [int(n) for n in np.unique(np.linspace(inside[0], inside[-1], COLUMNS + 2)[1:-1].round())]


def row_strip(name: str, pictures: Sequence[Picture], places: Sequence[str], sides: str) -> Picture:
    """One row of slices with its name, positions in mm and side letters."""
    height = pictures[0].height
    strip, draw = blank(height + 24)
    draw.text((12, max(0, height // 2 - 12)), name, TEXT, font(17))
    for column, (picture, place) in enumerate(zip(pictures, places, strict=True)):
        middle = round(MARGIN + (column + 0.5) * CELL)
        strip.paste(picture, (middle - picture.width // 2, 4))
        draw.text((middle, height + 5), place, FAINT, font(13), "ma")
    for x, letter in zip((MARGIN + 9, MARGIN + CELL - 9), sides, strict=True):
        where = (x, 4 + height // 2)
        draw.text(where, letter, COLOURS[WARNING], font(16), "mm", stroke_width=2, stroke_fill=BACKGROUND)
    return strip


def series_strip(voxels: Voxels, reach: int) -> Picture:
    """Mean of each volume as a curve over a carpet of time series; volumes with findings are red.

    The carpet shows per cent of each voxel's mean, as is usual, from -reach to +reach.
    """
    strip, draw = blank(CURVE + CARPET + 44)
    width, total, means = WIDTH - MARGIN - 16, len(voxels.low), voxels.means
    step = width / total
    for volume in voxels.bad_volumes:
        left = MARGIN + volume * step
        draw.rectangle((left, 6, left + max(step, 2), CURVE + CARPET + 16), fill=DARK_RED)
    if (known := np.flatnonzero(np.isfinite(means))).size:
        low, high = float(means[known].min()), float(means[known].max())
        # A run that varies by less than 2 % is drawn nearly flat, so that noise does not look like a problem.
        span = max(high - low, 0.02 * abs(high), 1e-12)
        heights = CURVE / 2 - (means - (low + high) / 2) / span * (CURVE - 16)
        draw.line([(MARGIN + (v + 0.5) * step, float(heights[v])) for v in known], fill=BLUE, width=2)
        draw.text((12, 8), f"mean of\nvolumes\n{low:.4g} to\n{high:.4g}", TEXT, font(15))
    series = voxels.time_series()
    if series.size:
        level = series.mean(axis=1, keepdims=True)
        change = (series / np.where(level == 0, 1, level) - 1) * 100
        size = (max(1, round(step * series.shape[1])), CARPET)
        strip.paste(grey(change, (-reach, reach)).resize(size, Image.Resampling.BOX), (MARGIN, CURVE + 10))
    note = f"volumes 0 to {total - 1}; sampled voxels, brightest at the top, from -{reach} % (black) to +{reach} %"
    draw.text((12, CURVE + CARPET // 2), "carpet", TEXT, font(17))
    draw.text((MARGIN, CURVE + CARPET + 18), note, FAINT, font(13))
    return strip


def title_strip(image: CheckedImage) -> Picture:
    """Name, numbers, verdict and findings of an image."""
    lines = [(f"{f.title}: {f.message}", COLOURS[f.severity]) for f in image.findings]
    strip, draw = blank(74 + 20 * len(lines), TITLE)
    colour, verdict = COLOURS[image.status], VERDICTS[image.status]
    badge = WIDTH - draw.textlength(verdict, font(24)) - 40
    draw.rectangle((0, 0, 7, strip.height), fill=colour)
    draw.text((20, 11), image.file.rpartition("/")[2], TEXT, font(22))
    draw.rounded_rectangle((badge, 10, WIDTH - 12, 46), 6, fill=colour)
    draw.text((badge + 14, 13), verdict, (255, 255, 255), font(24))
    row = image.row()
    facts = [
        row["dims"],
        row["dtype"],
        f"{row['voxel_size']} mm",
        row["orientation"] or "orientation unknown",
    ]
    facts += [f"TR {row['tr']:.4g} s"] if row["tr"] else []
    facts += [f"{name} {row[name]:.4g}" for name in ("min", "max", "mean") if row.get(name) is not None]
    draw.text((20, 46), "     ".join(facts), FAINT, font(17))
    for number, (text, line_colour) in enumerate(lines):
        draw.text((20, 71 + 20 * number), text, line_colour, font(15))
    return strip


def blank(height: int, colour: RGB = BACKGROUND) -> tuple[Picture, ImageDraw.ImageDraw]:
    """An empty strip of full width and what draws on it."""
    strip = Image.new("RGB", (WIDTH, height), colour)
    return strip, ImageDraw.Draw(strip)


def font(size: int) -> Any:
    """Pillow's own font: nothing has to be installed."""
    return ImageFont.load_default(size)

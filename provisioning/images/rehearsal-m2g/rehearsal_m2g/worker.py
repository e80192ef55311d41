"""In place of m2g.scripts.m2g_dwi_pipeline.m2g_dwi_worker: its checks, its folders, invented results."""

from pathlib import Path

from m2g.utils import gen_utils
from rehearsal_neurodata import scan


def work(
    dwi: str,
    bvals: str,
    bvecs: str,
    t1w: str,
    atlas: str,
    mask: str,
    parcellations: list[str],
    outdir: str,
    vox_size: str,
    mod_type: str,
    track_type: str,
    mod_func: str,
    seeds: str,
    **options: object,
) -> None:
    """Rehearse one scan."""
    if vox_size not in ("1mm", "2mm"):
        raise ValueError("Voxel size not supported. Use 2mm or 1mm")
    for path in (t1w, bvals, bvecs, dwi, atlas, mask, *parcellations):
        if not Path(path).is_file():
            raise FileNotFoundError(f"Input {path} not found. Exiting m2g.")
    if (
        mod_type not in ("det", "prob")
        or track_type not in ("local", "particle")
        or mod_func not in ("csa", "csd")
    ):
        raise ValueError(f"{mod_type}, {track_type}, {mod_func}: not a way of tracking")
    int(seeds)
    folder = Path(outdir)
    session = folder.name
    fault = scan.fault(folder.parent.name, f"{folder.parent.name}_{session}")
    gen_utils.make_initial_directories(folder, parcellations=parcellations)
    found = scan.read(t1w, dwi, bvals, bvecs)
    if fault == "fail":
        raise RuntimeError("rehearsal fail: eddy correction failed")
    scan.write(folder, found, "m2g", Path(t1w).name.partition(".")[0])
    if fault == "crash-late":
        raise RuntimeError("rehearsal crash-late: no graph could be made")
    if fault != "missing-report":
        for path in parcellations:
            name = Path(path).name.partition(".")[0]
            file = f"{Path(dwi).name.partition('.')[0]}_{name}_connectome.csv"
            (folder / "connectomes" / name / file).write_text(scan.connectome(found, name))
    print("M2G Complete. (rehearsal)")

"""In place of ndmg.scripts.ndmg_dwi_pipeline.ndmg_dwi_worker: its checks, its folders, invented results."""

from pathlib import Path

from ndmg.utils.bids_utils import name_resource
from rehearsal_neurodata import scan

FOLDERS = {
    "prep_dwi": "dwi/preproc",
    "prep_anat": "anat/preproc",
    "reg_anat": "anat/registered",
    "fiber": "dwi/fiber",
    "tensor": "dwi/tensor",
    "conn": "dwi/roi-connectomes",
}


def work(
    dwi: str,
    bvals: str,
    bvecs: str,
    t1w: str,
    atlas: str,
    mask: str,
    labels: list[str],
    outdir: str,
    vox_size: str,
    mod_type: str,
    track_type: str,
    mod_func: str,
    seeds: str,
    reg_style: str,
    *options: object,
    **more: object,
) -> None:
    """Rehearse one scan."""
    given = (dwi, bvals, bvecs, t1w, atlas, mask, labels, outdir, vox_size, mod_type, track_type, mod_func)
    if not all((*given, seeds, reg_style)):
        raise AssertionError("Missing a default argument.")
    if vox_size not in ("1mm", "2mm"):
        raise ValueError("Voxel size not supported. Use 2mm or 1mm")
    if (
        mod_type not in ("det", "prob")
        or track_type not in ("local", "particle")
        or mod_func not in ("csa", "csd")
    ):
        raise ValueError(f"{mod_type}, {track_type}, {mod_func}: not a way of tracking")
    int(seeds)
    folder = Path(outdir)
    fault = scan.fault(folder.parent.name, f"{folder.parent.name}_{folder.name}")
    namer = name_resource(dwi, t1w, atlas, outdir)
    namer.add_dirs_dwi(FOLDERS, labels, ["conn"])
    found = scan.read(t1w, dwi, bvals, bvecs)
    if fault == "fail":
        raise RuntimeError("rehearsal fail: eddy correction failed")
    scan.write(folder, found, "ndmg", namer.get_anat_source())
    if fault == "crash-late":
        raise RuntimeError("rehearsal crash-late: no graph could be made")
    if fault != "missing-report":
        for path in labels:
            name = namer.get_label(path)
            file = f"{namer.get_mod_source()}_{name}_measure-spatial-ds_adj.ssv"
            (Path(namer.dirs["output"]["conn"][name]) / file).write_text(scan.connectome(found, name))
    print("NDMG Complete. (rehearsal)")

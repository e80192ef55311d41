"""Made-up statistics in the form of FreeSurfer 7: names, columns and units are FreeSurfer's, numbers are not."""

from collections.abc import Iterator

MARK = "REHEARSAL by neurocwl: not a result of FreeSurfer"

PAIRED = {
    4: "Lateral-Ventricle", 5: "Inf-Lat-Vent", 7: "Cerebellum-White-Matter", 8: "Cerebellum-Cortex",
    10: "Thalamus", 11: "Caudate", 12: "Putamen", 13: "Pallidum", 17: "Hippocampus", 18: "Amygdala",
    26: "Accumbens-area", 28: "VentralDC", 30: "vessel", 31: "choroid-plexus",
}  # fmt: skip
RIGHT = {
    4: 43,
    5: 44,
    7: 46,
    8: 47,
    10: 49,
    11: 50,
    12: 51,
    13: 52,
    17: 53,
    18: 54,
    26: 58,
    28: 60,
    30: 62,
    31: 63,
}
SINGLE = {
    14: "3rd-Ventricle", 15: "4th-Ventricle", 16: "Brain-Stem", 24: "CSF", 72: "5th-Ventricle",
    77: "WM-hypointensities", 78: "Left-WM-hypointensities", 79: "Right-WM-hypointensities",
    80: "non-WM-hypointensities", 81: "Left-non-WM-hypointensities", 82: "Right-non-WM-hypointensities",
    85: "Optic-Chiasm", 251: "CC_Posterior", 252: "CC_Mid_Posterior", 253: "CC_Central",
    254: "CC_Mid_Anterior", 255: "CC_Anterior",
}  # fmt: skip
ASEG = dict(
    sorted(
        {
            **SINGLE,
            **{number: f"Left-{name}" for number, name in PAIRED.items()},
            **{RIGHT[number]: f"Right-{name}" for number, name in PAIRED.items()},
        }.items()
    )
)
DESIKAN = {
    1: "bankssts", 2: "caudalanteriorcingulate", 3: "caudalmiddlefrontal", 5: "cuneus", 6: "entorhinal",
    7: "fusiform", 8: "inferiorparietal", 9: "inferiortemporal", 10: "isthmuscingulate", 11: "lateraloccipital",
    12: "lateralorbitofrontal", 13: "lingual", 14: "medialorbitofrontal", 15: "middletemporal",
    16: "parahippocampal", 17: "paracentral", 18: "parsopercularis", 19: "parsorbitalis", 20: "parstriangularis",
    21: "pericalcarine", 22: "postcentral", 23: "posteriorcingulate", 24: "precentral", 25: "precuneus",
    26: "rostralanteriorcingulate", 27: "rostralmiddlefrontal", 28: "superiorfrontal", 29: "superiorparietal",
    30: "superiortemporal", 31: "supramarginal", 32: "frontalpole", 33: "temporalpole", 34: "transversetemporal",
    35: "insula",
}  # fmt: skip
WMPARC = {
    **{3000 + number: f"wm-lh-{name}" for number, name in DESIKAN.items()},
    **{4000 + number: f"wm-rh-{name}" for number, name in DESIKAN.items()},
    5001: "Left-UnsegmentedWhiteMatter",
    5002: "Right-UnsegmentedWhiteMatter",
}
DESTRIEUX = (
    "G_and_S_frontomargin", "G_and_S_occipital_inf", "G_and_S_paracentral", "G_and_S_subcentral",
    "G_and_S_transv_frontopol", "G_and_S_cingul-Ant", "G_and_S_cingul-Mid-Ant", "G_and_S_cingul-Mid-Post",
    "G_cingul-Post-dorsal", "G_cingul-Post-ventral", "G_cuneus", "G_front_inf-Opercular", "G_front_inf-Orbital",
    "G_front_inf-Triangul", "G_front_middle", "G_front_sup", "G_Ins_lg_and_S_cent_ins", "G_insular_short",
    "G_occipital_middle", "G_occipital_sup", "G_oc-temp_lat-fusifor", "G_oc-temp_med-Lingual",
    "G_oc-temp_med-Parahip", "G_orbital", "G_pariet_inf-Angular", "G_pariet_inf-Supramar", "G_parietal_sup",
    "G_postcentral", "G_precentral", "G_precuneus", "G_rectus", "G_subcallosal", "G_temp_sup-G_T_transv",
    "G_temp_sup-Lateral", "G_temp_sup-Plan_polar", "G_temp_sup-Plan_tempo", "G_temporal_inf",
    "G_temporal_middle", "Lat_Fis-ant-Horizont", "Lat_Fis-ant-Vertical", "Lat_Fis-post", "Pole_occipital",
    "Pole_temporal", "S_calcarine", "S_central", "S_cingul-Marginalis", "S_circular_insula_ant",
    "S_circular_insula_inf", "S_circular_insula_sup", "S_collat_transv_ant", "S_collat_transv_post",
    "S_front_inf", "S_front_middle", "S_front_sup", "S_interm_prim-Jensen", "S_intrapariet_and_P_trans",
    "S_oc_middle_and_Lunatus", "S_oc_sup_and_transversal", "S_occipital_ant", "S_oc-temp_lat",
    "S_oc-temp_med_and_Lingual", "S_orbital_lateral", "S_orbital_med-olfact", "S_orbital-H_Shaped",
    "S_parieto_occipital", "S_pericallosal", "S_postcentral", "S_precentral-inf-part", "S_precentral-sup-part",
    "S_suborbital", "S_subparietal", "S_temporal_inf", "S_temporal_sup", "S_temporal_transverse",
)  # fmt: skip
EXVIVO = tuple(
    f"{area}_exvivo"
    for area in ("BA1", "BA2", "BA3a", "BA3b", "BA4a", "BA4p", "BA6", "BA44", "BA45", "V1", "V2", "MT",
                 "perirhinal", "entorhinal")
)  # fmt: skip
NOT_KLEIN = ("bankssts", "frontalpole", "temporalpole")
PARCELLATIONS = {
    "aparc": tuple(DESIKAN.values()),
    "aparc.pial": tuple(DESIKAN.values()),
    "aparc.a2009s": DESTRIEUX,
    "aparc.DKTatlas": tuple(name for name in DESIKAN.values() if name not in NOT_KLEIN),
    "BA_exvivo": EXVIVO,
    "BA_exvivo.thresh": EXVIVO,
}
ASEG_COLUMNS = (
    ("Index", "Index", "NA"), ("SegId", "Segmentation Id", "NA"), ("NVoxels", "Number of Voxels", "unitless"),
    ("Volume_mm3", "Volume", "mm^3"), ("StructName", "Structure Name", "NA"),
    ("normMean", "Intensity normMean", "MR"), ("normStdDev", "Intensity normStdDev", "MR"),
    ("normMin", "Intensity normMin", "MR"), ("normMax", "Intensity normMax", "MR"),
    ("normRange", "Intensity normRange", "MR"),
)  # fmt: skip
APARC_COLUMNS = (
    ("StructName", "Structure Name", "NA"), ("NumVert", "Number of Vertices", "unitless"),
    ("SurfArea", "Surface Area", "mm^2"), ("GrayVol", "Gray Matter Volume", "mm^3"),
    ("ThickAvg", "Average Thickness", "mm"), ("ThickStd", "Thickness StdDev", "mm"),
    ("MeanCurv", "Integrated Rectified Mean Curvature", "mm^-1"),
    ("GausCurv", "Integrated Rectified Gaussian Curvature", "mm^-2"),
    ("FoldInd", "Folding Index", "unitless"),
    ("CurvInd", "Intrinsic Curvature Index", "unitless"),
)  # fmt: skip
CONTRAST_COLUMNS = "Index SegId NVertices Area_mm2 StructName Mean StdDev Min Max Range SNR"


def statistics(name: str, subject: str, own: bytes) -> str:
    """A table of statistics. own: bytes that belong to this file, from which its numbers come."""
    hemi, _, rest = name.removesuffix(".stats").partition(".")
    if name == "brainvol.stats":
        lines = [f"# Measure {a}, {b}, {c}, {v:.12f}, {u}" for a, b, c, v, u in _brain(own)]
        return f"# Brain Volume Statistics\n# {MARK}\n" + "\n".join(lines) + "\n"
    if rest == "w-g.pct":
        return _contrast(hemi, subject, own)
    if rest == "curv":
        return f"\n{MARK}\nRaw <mean> +- <std> (using '{name[:7]}'):  {-own[0] / 10000:.5f} +- 0.1500\n"
    if rest in PARCELLATIONS:
        return _parcellation(hemi, rest, subject, own)
    labels = {"aseg": ASEG, "wmparc": WMPARC}.get(
        name.removesuffix(".stats"), {1: "Whole"}
    )  # others: subfields
    return _segmentation(labels, name, subject, own)


def _head(title: str, program: str, subject: str) -> list[str]:
    return [f"# {title} ", "# ", f"# generating_program {program}", f"# cvs_version {MARK}", "# sysname  Linux",
            "# machine  x86_64", f"# subjectname {subject}"]  # fmt: skip


def _columns(columns: tuple[tuple[str, str, str], ...]) -> list[str]:
    """What each column is: its header, its name in words, its unit."""
    return [
        f"# TableCol {number:2d} {key:<9s} {value} "
        for number, column in enumerate(columns, 1)
        for key, value in zip(("ColHeader", "FieldName", "Units"), column, strict=True)
    ]


def _brain(own: bytes) -> Iterator[tuple[str, str, str, float, str]]:
    """The measures of a whole brain: structure, measure, words, value, unit."""
    brain, left, right = 1_100_000 + own[0] * 1000.0, 220_000 + own[1] * 100.5, 221_000 + own[2] * 100.25
    white, grey, etiv = 230_000 + own[3] * 100.5, 60_000 + own[4] * 10.0, 1_400_000 + own[5] * 1000.125
    holes = (own[6] % 40, own[7] % 40)
    volumes = (
        ("BrainSeg", "BrainSegVol", "Brain Segmentation Volume", brain),
        ("BrainSegNotVent", "BrainSegVolNotVent", "Brain Segmentation Volume Without Ventricles", brain - 20_000),
        ("VentricleChoroidVol", "VentricleChoroidVol", "Volume of ventricles and choroid plexus", 20_000.0),
        ("lhCortex", "lhCortexVol", "Left hemisphere cortical gray matter volume", left),
        ("rhCortex", "rhCortexVol", "Right hemisphere cortical gray matter volume", right),
        ("Cortex", "CortexVol", "Total cortical gray matter volume", left + right),
        ("lhCerebralWhiteMatter", "lhCerebralWhiteMatterVol", "Left hemisphere cerebral white matter volume", white),
        ("rhCerebralWhiteMatter", "rhCerebralWhiteMatterVol", "Right hemisphere cerebral white matter volume", white),
        ("CerebralWhiteMatter", "CerebralWhiteMatterVol", "Total cerebral white matter volume", 2 * white),
        ("SubCortGray", "SubCortGrayVol", "Subcortical gray matter volume", grey),
        ("TotalGray", "TotalGrayVol", "Total gray matter volume", left + right + grey),
        ("SupraTentorial", "SupraTentorialVol", "Supratentorial volume", brain - 140_000),
        ("SupraTentorialNotVent", "SupraTentorialVolNotVent", "Supratentorial volume", brain - 160_000),
        ("Mask", "MaskVol", "Mask Volume", brain + 400_000),
    )  # fmt: skip
    yield from ((*volume, "mm^3") for volume in volumes)
    for measure, value in (("BrainSegVol", brain), ("MaskVol", brain + 400_000)):
        name = f"{measure}-to-eTIV"
        yield name, name, f"Ratio of {measure} to eTIV", value / etiv, "unitless"
    for side, count in (("lh", holes[0]), ("rh", holes[1]), ("", sum(holes))):
        words = f"Number of defect holes in {side} surfaces prior to fixing"
        yield f"{side}SurfaceHoles", f"{side}SurfaceHoles", words, count, "unitless"
    yield "EstimatedTotalIntraCranialVol", "eTIV", "Estimated Total Intracranial Volume", etiv, "mm^3"


def _segmentation(labels: dict[int, str], name: str, subject: str, own: bytes) -> str:
    lines = _head("Title Segmentation Statistics", "mri_segstats", subject)
    lines += [
        f"# Measure {a}, {b}, {c}, {v}, {u}" if "Holes" in a else f"# Measure {a}, {b}, {c}, {v:.6f}, {u}"
        for a, b, c, v, u in _brain(own)
        if name == "aseg.stats" or "WhiteMatter" in a or a in ("VentricleChoroidVol", "Mask") or b == "eTIV"
    ]
    lines += [*_columns(ASEG_COLUMNS), f"# NRows {len(labels)} ", "# NTableCols 10 ",
              f"# ColHeaders  {' '.join(column[0] for column in ASEG_COLUMNS)}  "]  # fmt: skip
    for row, (number, structure) in enumerate(labels.items(), 1):
        voxels = 1000 + own[row % 32] * 30 + row
        lines.append(
            f"{row:3d} {number:3d}  {voxels:8d} {voxels * 1.01:9.1f}  {structure:<30s} 85.1000    9.2000     30.0000"
            "    120.0000     90.0000 "
        )
    return "\n".join(lines) + "\n"


def _parcellation(hemi: str, name: str, subject: str, own: bytes) -> str:
    area = "PialSurfArea, Pial Surface" if name == "aparc.pial" else "WhiteSurfArea, White Surface"
    lines = [
        *_head(
            "Table of FreeSurfer cortical parcellation anatomical statistics",
            "mris_anatomical_stats",
            subject,
        ),
        "# anatomy_type surface",
        f"# hemi {hemi}",
        f"# AnnotationFile ../label/{hemi}.{name}.annot",
        f"# Measure Cortex, NumVert, Number of Vertices, {120_000 + own[1] * 10}, unitless",
        f"# Measure Cortex, {area} Total Area, {80_000 + own[2] * 10.5:g}, mm^2",
        f"# Measure Cortex, MeanThickness, Mean Thickness, {2 + own[0] / 255:.5f}, mm",
        *(
            # mris_anatomical_stats forgets a comma after CortexVol
            f"# Measure {a}, {b}{' ' if b == 'CortexVol' else ', '}{c}, {v:.6f}, {u}"
            for a, b, c, v, u in _brain(own)
            if a in ("BrainSeg", "BrainSegNotVent", "Cortex", "SupraTentorial") or b == "eTIV"
        ),
        "# NTableCols 10 ",
        *_columns(APARC_COLUMNS),
        f"# ColHeaders {' '.join(column[0] for column in APARC_COLUMNS)}",
    ]
    for row, region in enumerate(PARCELLATIONS[name]):
        size = 500 + own[row % 32] * 10 + row
        thickness = 2 + own[(row + 7) % 32] / 255
        lines.append(
            f"{region:<40s} {size:5d} {size * 2 // 3:6d} {size * 2:6d}  {thickness:.3f} 0.480"
            f"     0.118     0.022      {own[(row + 3) % 32] % 90:3d}     1.3"
        )
    return "\n".join(lines) + "\n"


def _contrast(hemi: str, subject: str, own: bytes) -> str:
    """Grey/white contrast; regions where nothing was measured have no signal to noise ratio (-nan)."""
    start = 1000 if hemi == "lh" else 2000
    lines = _head("Title Segmentation Statistics", "mri_segstats", subject)
    lines += [f"# NRows {len(DESIKAN) + 1} ", f"# ColHeaders  {CONTRAST_COLUMNS}  "]
    lines += [f"  1 {start}      8797     5346.4  {'unknown':<30s} 0.0000 0.0000 0.0000 0.0000 0.0000 -nan "]
    lines += [
        f"{row:3d} {start + number}  {800 + own[row % 32]:8d}  {600 + own[row % 32] / 10:9.1f}  {name:<30s}"
        f" {20 + own[row % 32] / 20:.4f} 5.0000 10.0000 50.0000 40.0000 5.5000 "
        for row, (number, name) in enumerate(DESIKAN.items(), 2)
    ]
    return "\n".join(lines) + "\n"

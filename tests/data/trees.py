"""Small dataset trees in the manner of bids-examples, as data, with what is to be found in each.

A tree says which files each unit has; its listing is these, what all share, and what is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Unit = tuple[str, str | None]  # participant label, session label or None


@dataclass(frozen=True)
class Tree:
    """A dataset's listing and its meaning; paths relative to its root."""

    units: Mapping[Unit, tuple[str, ...]]
    root: tuple[str, ...] = ("dataset_description.json",)  # every unit gets these
    left_out: tuple[str, ...] = ("README",)  # in the listing, in no unit
    empty: frozenset[str] = frozenset()  # objects without bytes
    bidsignore: str = ""
    participants_tsv: str | None = None
    only_listed: tuple[str, ...] = ()  # participants in the table alone
    problems: frozenset[tuple[str, str]] = field(default=frozenset())  # (path, code)

    @property
    def paths(self) -> list[str]:
        """The listing, in S3's order."""
        return sorted(
            [*self.root, *self.left_out, *(path for files in self.units.values() for path in files)]
        )

    @property
    def participants(self) -> list[str]:
        """All labels, also those only listed."""
        return sorted({label for label, _ in self.units} | set(self.only_listed))

    def sessions(self, participant: str) -> list[str]:
        """The session labels of a participant."""
        return sorted(ses for label, ses in self.units if label == participant and ses is not None)


def _named(folder: str, prefix: str, *names: str) -> tuple[str, ...]:
    """Files from "func/task-rest_bold.nii.gz": the prefix goes behind the datatype."""
    paths = []
    for name in names:
        datatype, slash, rest = name.partition("/")
        paths.append(f"{folder}/{datatype}/{prefix}_{rest}" if slash else f"{folder}/{prefix}_{name}")
    return tuple(paths)


def _unit(participant: str, session: str | None, *names: str) -> tuple[str, ...]:
    if session is None:
        return _named(f"sub-{participant}", f"sub-{participant}", *names)
    return _named(f"sub-{participant}/ses-{session}", f"sub-{participant}_ses-{session}", *names)


_ROOT = ("dataset_description.json", "participants.tsv", "participants.json", "task-rest_bold.json")
_ANAT_FUNC = ("anat/T1w.nii.gz", "anat/T1w.json", "func/task-rest_bold.nii.gz")

TREES: dict[str, Tree] = {
    "single session": Tree(
        {(label, None): _unit(label, None, *_ANAT_FUNC) for label in ("01", "02", "10")},
        root=_ROOT,
        left_out=("README", "CHANGES", "LICENSE", "CITATION.cff"),
        participants_tsv="participant_id\tage\nsub-01\t30\nsub-02\t31\nsub-10\t32\n",
    ),
    "sessions with labels that are words": Tree(
        {
            (label, session): _unit(label, session, *_ANAT_FUNC, "func/task-a_events.tsv", "scans.tsv")
            for label in ("0", "A1")
            for session in ("test", "retest")
        },
    ),
    "some with sessions, some without, files above the sessions": Tree(
        {
            ("01", "1"): _unit("01", "1", "anat/T1w.nii.gz"),
            ("01", None): _unit("01", None, "sessions.tsv", "task-rest_bold.json"),
            ("02", None): _unit("02", None, "anat/T1w.nii"),
        },
    ),
    "diffusion with gradients at the root": Tree(
        {("01", "1"): _unit("01", "1", "dwi/dwi.nii.gz", "dwi/acq-b3000_dir-AP_dwi.nii.gz")},
        root=("dataset_description.json", "dwi.bval", "dwi.bvec", "acq-b3000_dwi.bval", "acq-b3000_dwi.bvec"),
    ),
    "several echoes, phase, references": Tree(
        {
            ("01", None): _unit(
                "01",
                None,
                *(
                    f"func/task-stroop+whitebg_acq-MB4_dir-AP_run-{run}_echo-{echo}_part-{part}_{suffix}.nii.gz"
                    for run in ("1", "02")
                    for echo in (1, 2, 3)
                    for part in ("mag", "phase")
                    for suffix in ("bold", "sbref")
                ),
                "func/task-stroop+whitebg_recording-eyes_physio.tsv.gz",
                "func/task-stroop+whitebg_recording-eyes_physio.json",
            )
        },
        root=("dataset_description.json", "echo-1_bold.json", "task-stroop+whitebg_bold.json"),
    ),
    "fieldmaps": Tree(
        {
            ("01", None): _unit(
                "01",
                None,
                "anat/T1w.nii.gz",
                "fmap/phasediff.nii.gz",
                "fmap/magnitude1.nii.gz",
                "fmap/magnitude2.nii.gz",
                "fmap/dir-AP_run-1_epi.nii.gz",
                "fmap/dir-AP_run-1_epi.json",
            )
        },
        root=("dataset_description.json", "acq-fullbrain_run-1_physio.json", "phasediff.json"),
    ),
    "quantitative maps, perfusion, PET, spectroscopy": Tree(
        {
            ("01", None): _unit(
                "01",
                None,
                "anat/acq-a_run-1_echo-1_flip-2_mt-off_part-mag_MPM.nii.gz",
                "anat/inv-1_part-phase_MP2RAGE.nii.gz",
                "anat/UNIT1.nii.gz",
                "anat/mod-T1w_defacemask.nii.gz",
                "fmap/acq-tr1_TB1AFI.nii.gz",
                "perf/asl.nii.gz",
                "perf/aslcontext.tsv",
                "perf/m0scan.nii.gz",
                "perf/asllabeling.jpg",
                "pet/trc-FDG_rec-acdyn_pet.nii.gz",
                "pet/recording-manual_blood.tsv",
                "mrs/acq-press_voi-acc_nuc-1H_svs.nii.gz",
            )
        },
        root=("dataset_description.json", "genetic_info.json"),
    ),
    "EEG next to MRI": Tree(
        {
            ("01", None): _unit(
                "01",
                None,
                *_ANAT_FUNC,
                "eeg/task-rest_eeg.vhdr",
                "eeg/task-rest_eeg.vmrk",
                "eeg/task-rest_eeg.eeg",
                "eeg/task-rest_channels.tsv",
                "eeg/space-CapTrak_electrodes.tsv",
                "eeg/space-CapTrak_coordsystem.json",
                "beh/task-rest_beh.tsv",
            ),
            ("02", None): _unit("02", None, "eeg/task-rest_eeg.set", "eeg/task-rest_eeg.fdt"),
            ("03", None): _unit("03", None, "motion/task-walk_tracksys-IMU_motion.tsv"),
            ("04", None): _unit("04", None, "nirs/task-tap_nirs.snirf"),
        },
        left_out=("README.md", "stimuli/face01.png", "code/run.m"),
    ),
    "MEG in folders, and an empty room": Tree(
        {
            ("0001", None): _unit(
                "0001",
                None,
                "anat/T1w.nii.gz",
                "meg/task-AEF_run-01_meg.ds/BadChannels",
                "meg/task-AEF_run-01_meg.ds/hz.ds/hz.res4",
                "meg/task-AEF_run-01_meg.ds/.bak/old.meg4",
                "meg/task-AEF_run-01_meg.json",
                "meg/task-rest_meg/c,rfDC",
                "meg/acq-calibration_meg.dat",
                "meg/headshape.pos",
                "meg/photo.jpg",
                "scans.tsv",
            ),
            ("emptyroom", "20090409"): _unit("emptyroom", "20090409", "meg/task-noise_meg.fif"),
        },
        left_out=("README", "sub-0001/meg/sub-0001_task-AEF_run-01_meg.ds/.DS_Store"),
    ),
    "microscopy alone": Tree(
        {
            ("01", None): _unit(
                "01",
                None,
                "micr/sample-A_stain-LFB_chunk-01_SPIM.ome.tif",
                "micr/sample-A_photo.png",
                "micr/sample-B_SPIM.ome.zarr/.zattrs",
                "micr/sample-B_SPIM.ome.zarr/0/.zarray",
                "micr/sample-B_SPIM.ome.zarr/0/0/0/0",
            ),
            ("01", "01"): _unit("01", "01", "micr/sample-A_SEM.png"),
        },
        root=("dataset_description.json", "participants.tsv", "samples.json", "samples.tsv"),
        participants_tsv="participant_id\nsub-01\n",
    ),
    "intracranial recordings in folders": Tree(
        {("01", "pre"): _unit("01", "pre", "ieeg/task-x_ieeg.mefd/x.timd/x.segd/x.tdat")}
    ),
    "litter": Tree(
        {
            ("01", None): (
                *_unit("01", None, "anat/T1w.nii.gz"),
                "sub-01/anat/notes.txt",
                "sub-01/anat/sub-02_T1w.nii.gz",
                "sub-01/old/sub-01_T1w.nii.gz",
            )
        },
        left_out=(
            "README",
            "scratch/a.nii.gz",
            "scratch/b/c.txt",
            ".git/annex/objects/sub-01/x",
            ".datalad/config",
            ".DS_Store",
            "._participants.json",
            ".neurocwl/runs/1/run.json",
            "sub-01/.DS_Store",
            "sub-01/anat/._sub-01_T1w.nii.gz",
            "sub-01/anat/.cache/x.nii.gz",
        ),
        problems=frozenset(
            {
                ("scratch/", "NOT_INCLUDED"),
                ("sub-01/old/", "NOT_INCLUDED"),
                ("sub-01/anat/notes.txt", "INVALID_LOCATION"),
                ("sub-01/anat/sub-02_T1w.nii.gz", "INVALID_LOCATION"),
            }
        ),
    ),
    ".bidsignore": Tree(
        {("01", None): _unit("01", None, "anat/T1w.nii.gz", "anat/acq-keep_CT.nii.gz")},
        left_out=(
            ".bidsignore",
            "sub-01/anat/sub-01_CT.nii.gz",
            "sub-01/extra/sub-01_T1w.nii.gz",
            "extra/x.txt",
            "sub-99/anat/sub-99_T1w.nii.gz",
        ),
        bidsignore="# scanner's own\n*_ct.nii.gz\n!*acq-keep*\nextra/\n\n/sub-99/**\n",
    ),
    "derivatives inside": Tree(
        {("01", None): _unit("01", None, "anat/T1w.nii.gz")},
        left_out=(
            "derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
            "derivatives/fmriprep/dataset_description.json",
            "sourcedata/sub-02/anat/sub-02_T1w.nii.gz",
            "rawdata/sub-03/anat/sub-03_T1w.nii.gz",
            "phenotype/measure.tsv",
            "models/smdl.json",
            "code/bold.json",
        ),
    ),
    "a table that does not agree with the folders": Tree(
        {(label, None): _unit(label, None, "anat/T1w.nii.gz") for label in ("01", "03")},
        root=("dataset_description.json", "participants.tsv"),
        participants_tsv="\ufeffage\tparticipant_id\r\n30\tsub-01\r\n31\t02\r\n32\tsub-02\r\n40\tn/a\r\n",
        only_listed=("02",),
        problems=frozenset(
            {
                ("sub-02/", "PARTICIPANT_ID_MISMATCH"),
                ("sub-03/", "PARTICIPANT_ID_MISMATCH"),
                ("participants.tsv", "PARTICIPANTS_TABLE"),
            }
        ),
    ),
    "odd labels": Tree(
        {
            (label, None): _unit(label, None, "anat/T1w.nii.gz")
            for label in ("01_bad", "é", "a b", "x.1", "-1", "A+b", "$(touch x)")
        },
        problems=frozenset(
            (f"sub-{label}/", "INVALID_ENTITY_LABEL")
            for label in ("01_bad", "é", "a b", "x.1", "-1", "$(touch x)")
        ),
    ),
    "unsafe keys": Tree(
        {("01", None): _unit("01", None, "anat/T1w.nii.gz")},
        left_out=(
            "sub-01/../../etc/passwd",
            "../sub-02/anat/sub-02_T1w.nii.gz",
            "/sub-03/anat/sub-03_T1w.nii.gz",
            "sub-01//anat/sub-01_T2w.nii.gz",
            "sub-01/./anat/sub-01_T2w.nii.gz",
            "sub-01\\anat\\sub-01_T2w.nii.gz",
            "sub-01/anat/sub-01_T1w\n.nii.gz",
            "sub-01/anat/sub-01_\x1b[2JT1w.nii.gz",
            "sub-01/anat/..",
            "sub-04/anat/sub-04_" + "x" * 300 + "_T1w.nii.gz",
        ),
        problems=frozenset(
            (path, "UNSAFE_KEY")
            for path in (
                "sub-01/../../etc/passwd",
                "../sub-02/anat/sub-02_T1w.nii.gz",
                "/sub-03/anat/sub-03_T1w.nii.gz",
                "sub-01//anat/sub-01_T2w.nii.gz",
                "sub-01/./anat/sub-01_T2w.nii.gz",
                "sub-01\\\\anat\\\\sub-01_T2w.nii.gz",
                "sub-01/anat/sub-01_T1w\\n.nii.gz",
                "sub-01/anat/sub-01_\\x1b[2JT1w.nii.gz",
                "sub-01/anat/..",
                "sub-04/anat/sub-04_" + "x" * 300 + "_T1w.nii.gz",
            )
        ),
    ),
    "objects without bytes, and folder markers": Tree(
        {("01", None): _unit("01", None, "anat/T1w.nii.gz", "anat/T1w.json")},
        left_out=("sub-01/", "sub-01/anat/", "sub-02/", "sub-02/anat/", "sub-03_$folder$", "derivatives/"),
        empty=frozenset(
            {
                "sub-01/anat/sub-01_T1w.nii.gz",
                *("sub-01/", "sub-01/anat/", "sub-02/", "sub-02/anat/", "sub-03_$folder$", "derivatives/"),
            }
        ),
        problems=frozenset({("sub-01/anat/sub-01_T1w.nii.gz", "EMPTY_FILE")}),
    ),
    "names that are one name to some": Tree(
        {
            ("01", None): _unit(
                "01",
                None,
                *("anat/T1w.nii", "anat/T1w.nii.gz", "func/task-a_bold.nii", "func/task-A_bold.nii"),
            ),
            ("A", None): _unit("A", None, "anat/T1w.nii"),
            ("a", None): _unit("a", None, "anat/T1w.nii"),
        },
        problems=frozenset(
            {
                ("sub-01/anat/sub-01_T1w.nii.gz", "DUPLICATE_FILES"),
                ("sub-01/func/sub-01_task-a_bold.nii", "CASE_COLLISION"),
                ("sub-a/", "CASE_COLLISION"),
            }
        ),
    ),
    "session folders that are no sessions": Tree(
        {
            ("01", None): ("sub-01/ses-/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_ses-1_T1w.nii.gz"),
            ("01", "a b"): _unit("01", "a b", "anat/T1w.nii.gz"),
        },
        left_out=("sub-/anat/sub-_T1w.nii.gz",),
        problems=frozenset(
            {
                ("sub-/", "NOT_INCLUDED"),
                ("sub-01/ses-/anat/", "NOT_INCLUDED"),
                ("sub-01/anat/sub-01_ses-1_T1w.nii.gz", "INVALID_LOCATION"),
                ("sub-01/ses-a b/", "INVALID_ENTITY_LABEL"),
            }
        ),
    ),
}  # fmt: skip

"""Open every NIfTI image of one BIDS participant whole, say what is wrong with it, and draw it.

A package that needs only Python 3.11, numpy, nibabel and pillow, so that it runs in a small container:
python3 -m nifti_check --help.
"""

VERSION = "0.1.0"

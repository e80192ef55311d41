"""neurocwl: from a BIDS dataset in a bucket to verified derivatives in a bucket."""

__version__ = "0.1.0"

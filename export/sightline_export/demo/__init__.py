"""The demo detector: drawn pictures (`draw`), a small network (`network`), its training (`train`) and its score."""

"""Torchvision's detectors, and those of Detecto, which are the same: from a state_dict to a raw network."""

from __future__ import annotations

from .load import STATE_DICT_SUFFIXES, build_random, load_state_dict

__all__ = ["STATE_DICT_SUFFIXES", "build_random", "load_state_dict"]

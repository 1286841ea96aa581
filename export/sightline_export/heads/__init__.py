"""Layouts of raw network outputs: how each is recognised and decoded.

A head is one module with one `Head`; a new layout is a new module and a new entry of `HEADS`.
"""

from __future__ import annotations

from ._head import Candidates, Head
from .anchors_first import ANCHORS_FIRST
from .anchors_last import ANCHORS_LAST
from .end_to_end import END_TO_END
from .recognise import HEADS, recognise

__all__ = ["ANCHORS_FIRST", "ANCHORS_LAST", "END_TO_END", "HEADS", "Candidates", "Head", "recognise"]

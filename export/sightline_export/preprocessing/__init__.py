"""The preprocessing model: `dali.py` is what Triton loads, and `render_dali` makes it for each `Preprocessing`."""

from __future__ import annotations

import re
from importlib.resources import files

from sightline import contract
from sightline.preprocessing import Preprocessing

_KIND_AND_SIDES = re.compile(r'^KIND = "\w+"\nSIDES = \([\d, ]+\)$', re.MULTILINE)


def render_dali(preprocessing: Preprocessing) -> str:
    """The text of `1/dali.py`."""
    # Read, not imported: the exporter need not have DALI.
    text = (files(__package__) / contract.DALI_FILE).read_text(encoding="utf-8")
    stated = f'KIND = "{preprocessing.kind}"\nSIDES = {preprocessing.sides}'
    rendered, replaced = _KIND_AND_SIDES.subn(stated, text)
    assert replaced == 1, "the template states KIND and SIDES once"
    return rendered

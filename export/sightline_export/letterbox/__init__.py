"""The letterbox model: `dali.py` is what Triton loads, and `render_dali` makes it for another input size."""

from __future__ import annotations

import re
from importlib.resources import files

from sightline import contract

_SIZE_LINE = re.compile(r"^IMAGE_SIZE = \d+$", re.MULTILINE)


def render_dali(image_size: int) -> str:
    """The text of `1/dali.py` for square inputs of `image_size` pixels.

    Raises:
        InvalidOptionError: not a multiple of 32 from 320 to 1920.
    """
    contract.check_image_size(image_size)
    # Read, not imported: the exporter need not have DALI.
    text = (files(__package__) / contract.DALI_FILE).read_text(encoding="utf-8")
    rendered, replaced = _SIZE_LINE.subn(f"IMAGE_SIZE = {image_size}", text)
    assert replaced == 1, "the template states IMAGE_SIZE once"
    return rendered

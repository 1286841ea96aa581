"""Writing results to disk: JSON Lines, COCO results, YOLO labels and annotated pictures.

Every writer works by itself (`writer.write(result)`), and all of them behind a `WriterPool`, which writes in other
threads so that no disk ever holds up the stream of results.
"""

from __future__ import annotations

from sightline.writers.annotated import AnnotatedWriter
from sightline.writers.base import Writer
from sightline.writers.coco import CocoIds, CocoWriter
from sightline.writers.grouped import GroupWriter
from sightline.writers.jsonl import ErrorLog, JsonLinesWriter
from sightline.writers.pool import WriterPool
from sightline.writers.yolo import YoloWriter

__all__ = [
    "AnnotatedWriter",
    "CocoIds",
    "CocoWriter",
    "ErrorLog",
    "GroupWriter",
    "JsonLinesWriter",
    "Writer",
    "WriterPool",
    "YoloWriter",
]

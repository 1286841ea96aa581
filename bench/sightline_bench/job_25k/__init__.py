"""The articles' whole job: five detectors over 25,000 files, with results written, measured while it runs.

    make job-25k
    python -m sightline_bench.job_25k --images coco/val2017 --weights checkpoints/ --count 300

The given pictures stand under as many names as are wanted, as links, so nothing is copied. The job itself is what a
user runs: an embedded server that serves a group of five, and `sightline detect` over the folder.
"""

"""How things are measured: in turns, with the processor time and memory of every process involved.

`rounds` lets contestants take turns and makes ratios of their passes, `usage` counts processor time and memory of
process trees, `machine` says on what it ran, `results` is the JSON that all of it ends in.
"""

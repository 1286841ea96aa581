"""The table of precisions, docs/models-precision.md: the same models in fp32, bf16, fp16 and int8, and five as a group.

python -m sightline_bench.precision_table
"""

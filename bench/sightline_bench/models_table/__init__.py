"""The table of supported models, docs/models.md: every row is an export that was run and judged.

python -m sightline_bench.models_table
"""

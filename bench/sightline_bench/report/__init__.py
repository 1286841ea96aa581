"""What `sightline bench` shows of its results: the table on the terminal, and a page that stands alone.

Both are made of the JSON file's content alone (`measure.results`), so that they can be made again without measuring.
"""

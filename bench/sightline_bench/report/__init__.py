"""What `sightline bench` shows of its results: a page that stands alone, and the words of it and of the terminal.

It is made of the JSON file's content alone (`measure.results`), so that it can be made again without measuring.
"""

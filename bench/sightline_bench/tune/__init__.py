"""`sightline tune`: a short measured search for the settings in `config.pbtxt` that are fastest on this machine.

`setups` says what can be varied, `trial` serves a setup and measures it, `search` compares setups in turns and takes
only what is better by more than the spread, `keep` writes what was found.
"""

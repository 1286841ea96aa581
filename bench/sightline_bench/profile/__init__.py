"""Where a model's time goes, beside what this machine can do: behind `sightline profile`.

`engine_process` runs a graph in a process of its own, `peak` what the machine can do at most, and `rounds` of
`sightline_bench.measure` has both take turns. `recorders` and `layer_tables` read what the engines tell about their
layers, `served` takes a served picture's time apart, `profile` joins everything, and `as_json`, `terminal` and `page`
show it.
"""

"""Load on a server: how fast, how late, and where the time goes.

`perf_analyzer` runs NVIDIA's program and `generator` is what takes its place where that cannot run; `driver` chooses
between them and reads the server's own statistics around each run; `sweep` goes through many loads, `queue_model` says
how late answers would have to be, `crowd` is many clients at once.
"""

"""How fast Sightline is on an NVIDIA GPU, beside what its parts can do alone: `bench/gpu.sh`.

`survey` says what is there and what is missing, `material` makes detectors and photos, on another machine if need be,
`alone` runs engine, decoder and letterbox without a server, `chain` serves, `smi` samples the GPU meanwhile, `figures`
does the arithmetic, `report` shows it. On `device="cpu"` all of it runs likewise, as a rehearsal whose figures are none
of a GPU.
"""

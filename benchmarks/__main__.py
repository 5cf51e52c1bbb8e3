"""Run every benchmark; one JSON line per figure, with its name and ratio."""

from __future__ import annotations

import json

from benchmarks import attack_iteration, guided_step, hamming_map, reading

for benchmark in (guided_step, attack_iteration, hamming_map, reading):
    for figure in benchmark.run():
        print(json.dumps(figure), flush=True)

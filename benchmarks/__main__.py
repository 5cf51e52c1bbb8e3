"""Run every benchmark; one JSON line per figure, with its name and ratio."""

from __future__ import annotations

import json

from benchmarks import attack_iteration, bit_flips, guided_step, hamming_map, purify_45, reading

for benchmark in (guided_step, purify_45, bit_flips, attack_iteration, hamming_map, reading):
    for figure in benchmark.run():
        print(json.dumps(figure), flush=True)

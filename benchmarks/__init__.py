"""What we claim of speed, measured: ``python -m benchmarks``, one JSON line per figure."""

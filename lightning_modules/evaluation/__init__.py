"""Evaluation: plans of cells, the artefact store, the test loop, results and report."""

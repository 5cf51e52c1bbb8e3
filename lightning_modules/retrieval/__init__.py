"""Retrieval in Hamming space: metrics and target labels."""

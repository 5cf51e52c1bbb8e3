"""Hashing networks, attacks, purification, defences and their evaluation."""

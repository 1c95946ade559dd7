"""Hyperparameter search from a W&B sweep file: space, suggestions, and the trial queue on the ledger."""

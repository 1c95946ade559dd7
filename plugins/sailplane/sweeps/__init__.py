"""Hyperparameter search from a W&B sweep file: space, suggest, and the trial queue on the ledger."""

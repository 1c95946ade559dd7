"""Algorithmia's API on the project's own store: data, algorithms and insights, for unmodified clients.

API keys and insights are in the ledger. Everything else is objects in the store under `algorithmia/`, so that several
servers on one store agree.
"""

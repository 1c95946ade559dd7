"""Algorithmia's API over the project's own store: data, algorithms and insights, for unmodified clients.

Everything but API keys and insights, which are on the ledger, is objects of the store under `algorithmia/`, so that
several of these servers over one store agree.
"""

"""Algorithmia: a client of its Data API, a storage backend on it, and a twin that replaces the hosted service."""

"""Algorithmia: a client of its Data API, a storage backend over it, and a twin that answers for the hosted service."""

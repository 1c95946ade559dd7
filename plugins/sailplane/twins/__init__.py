"""Local servers of hosted APIs, over the project's own store."""

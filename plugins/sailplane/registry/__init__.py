"""The register of models: versions, aliases, lineage, holds and garbage collection."""

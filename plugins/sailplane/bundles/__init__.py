"""Model bundles: what a model is, and what a prediction needs."""

"""Registers the plugin from a plain checkout. Steps aside when the package is installed: its entry point has
registered the plugin then, and Airflow would report a duplicate."""

from importlib.metadata import PackageNotFoundError, distribution

try:
    distribution("sailplane")
except PackageNotFoundError:
    from sailplane.views.plugin import SailplanePlugin as SailplanePlugin

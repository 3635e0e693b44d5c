"""What Prometheus reads: the catalogue, one target's families, the bytes a scrape serves."""

from exporter.metrics.exposition import Exposition, Scrape, new_registry
from exporter.metrics.instruments import Instruments

__all__ = ["Exposition", "Instruments", "Scrape", "new_registry"]

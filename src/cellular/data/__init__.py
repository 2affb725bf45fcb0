"""Fields on disk: reading, downloading, preparing, simulating and exporting them."""

from cellular.data.prepare import PrepareResult, PrepareSettings, prepare

__all__ = ["PrepareResult", "PrepareSettings", "prepare"]

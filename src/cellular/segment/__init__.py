"""Images to labelled cells: the network, the flows it predicts, and what follows them."""

from cellular.lazy import attach, callable_room

_NAMES = {
    "Segmenter": "cellular.segment.segmenter",
    "SegmentSettings": "cellular.segment.settings",
    "flows_to_labels": "cellular.segment.flows.to_labels",
    "labels_to_flows": "cellular.segment.flows.to_flows",
}
__all__ = ["SegmentSettings", "Segmenter", "flows_to_labels", "labels_to_flows"]
__getattr__, __dir__ = attach(__name__, _NAMES)
callable_room(__name__)

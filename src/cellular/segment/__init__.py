from cellular.segment.flows import labels_to_flows
from cellular.segment.masks import flows_to_labels

__all__ = ["flows_to_labels", "labels_to_flows"]

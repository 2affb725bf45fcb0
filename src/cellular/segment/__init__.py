from cellular.segment.flows.to_flows import labels_to_flows
from cellular.segment.flows.to_labels import flows_to_labels

__all__ = ["flows_to_labels", "labels_to_flows"]

"""Basal or activated, cell by cell: trees and a network on crops."""

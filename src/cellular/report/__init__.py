"""Tables and arrays to figures and pages."""

"""Which fields can be trusted: focus, saturation, background, signal; flags by plate; the flat field."""

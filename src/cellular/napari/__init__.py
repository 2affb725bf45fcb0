"""The napari plugin: a field of a plate or run as layers, and a widget that calls the stages and jobs."""

"""Tables and arrays to figures and pages."""

from cellular.lazy import callable_room

callable_room(__name__)

"""One file a verb: options, a call of the job of the same name, and what is printed."""

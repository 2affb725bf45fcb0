"""One file a verb: files in; files, tables and pictures out, resumable. Jobs compose stages and each other."""

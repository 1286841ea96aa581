"""The figures of `sightline bench`, in groups that are measured together."""

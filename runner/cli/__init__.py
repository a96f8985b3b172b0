"""The `assay` command: one file for each family of verbs. Parse, call one function, print."""

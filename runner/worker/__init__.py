"""A case's own process: `process` is its outside, `main` its inside, `jobs` what it can be asked to do."""

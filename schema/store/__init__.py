"""Where the books are kept: bundles in a spool, one writer, published snapshots, migrations."""

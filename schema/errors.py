"""What can go wrong with the books.

StoreError
├── StoreBusy        another process holds the database
├── StoreTooNew      the database was written by a newer version of Assay
├── StoreFull        the disk is full; what was recorded before is intact
└── BadBundle        a bundle's files are not what its manifest says
"""


class StoreError(Exception):
    """A problem with the database or its spool, in words for the person who meets it."""


class StoreBusy(StoreError):
    pass


class StoreTooNew(StoreError):
    pass


class StoreFull(StoreError):
    pass


class BadBundle(StoreError):
    pass

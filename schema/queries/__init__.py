"""Every question asked of the books: a module a topic, one function each, rows as dictionaries.

`base.Filters` bounds all of them; questions over history are bounded by a number of runs, so that zone maps can prune.
"""

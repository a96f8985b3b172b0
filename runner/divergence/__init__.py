"""Where two graphs part: one walk over both, each tensor dropped after its last use.

Every node of the candidate gets two errors against the reference. The *accumulated* one is what came out of the whole
graph so far. The *local* one is what came out of this node when it was fed the reference's own inputs: it is small
everywhere but where something is wrong. Read `explain.py` first.
"""

"""What a worker says: one frozen class an event, sent as a line of JSON, checked when it arrives.

Events that become rows have that row's columns but its keys, which only the parent knows. `wire.decode` refuses a kind
or a field that there is not, and a field that is missing, so that both sides of the pipe have to agree.
"""

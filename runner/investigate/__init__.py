"""Something recorded is run again to answer a question: why, is it real, since when, what to leave in float."""

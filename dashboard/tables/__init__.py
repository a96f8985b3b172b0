"""Frames as tables for people: which columns, in which words and units. Pure; a module a topic."""

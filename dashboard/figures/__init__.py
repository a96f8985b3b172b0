"""Figures: frame in, plotly figure out. Pure; a module a topic."""

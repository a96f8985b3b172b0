"""Pages: scripts that Streamlit runs, each of ask, draw, show."""

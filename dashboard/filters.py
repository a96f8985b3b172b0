"""The filters that every page shares.

They are drawn by the entry script, so that a page switch keeps them in the URL.
"""

from __future__ import annotations

import streamlit as st

from assay.schema.queries.base import Filters


def draw(choices: dict[str, list[str]]) -> Filters:
    """Sidebar widgets, bound to the URL: ?suite=..&model=..&variant=..&backend=..&hardware=.."""
    with st.sidebar:
        suite = st.selectbox("Suite", ["all", *choices["suite"]], key="suite", bind="query-params")
        models = st.multiselect("Model", choices["model"], key="model", bind="query-params", placeholder="all models")
        variants = st.multiselect(
            "Variant", choices["variant"], key="variant", bind="query-params", placeholder="all variants"
        )
        backends = st.multiselect(
            "Backend", choices["backend"], key="backend", bind="query-params", placeholder="all backends"
        )
        hardware = st.selectbox("Hardware", ["all", *choices["hardware"]], key="hardware", bind="query-params")
    return Filters(
        suite="" if suite in (None, "all") else suite,
        models=tuple(models),
        variants=tuple(variants),
        backends=tuple(backends),
        hardware="" if hardware in (None, "all") else hardware,
    )


def chosen() -> Filters:
    """What the entry script drew in this run of the page."""
    filters: Filters = st.session_state["_filters"]
    return filters


def nothing_matches(what: str) -> None:
    """The empty state of a page whose filters removed everything."""
    st.info(
        f"No {what} match these filters. Remove one in the sidebar, or record some: `assay run quickstart`",
        icon=":material/filter_alt_off:",
    )
    st.link_button("Reset all filters", "?")
    st.stop()

"""The frame of every page: title, navigation, shared filters, and what to do when there is nothing to show."""

import streamlit as st

from assay.dashboard import data, filters

st.set_page_config(page_title="Assay", page_icon=":material/balance:", layout="wide")

PAGES = {
    "overview": ("Overview", ":material/grid_view:"),
    "trends": ("Trends", ":material/show_chart:"),
    "parity": ("Parity", ":material/rule:"),
    "speed": ("Speed", ":material/speed:"),
    "trade_offs": ("Trade-offs", ":material/scatter_plot:"),
    "quantization": ("Quantization", ":material/compress:"),
    "compare": ("Compare", ":material/compare_arrows:"),
    "alerts": ("Alerts", ":material/notifications:"),
    "changes": ("Changes", ":material/trending_up:"),
    "health": ("Health", ":material/monitor_heart:"),
    "runs": ("Runs", ":material/list:"),
    "run": ("Run", ":material/article:"),
}

page = st.navigation(
    [
        st.Page(f"views/{name}.py", title=title, icon=icon, url_path=name.replace("_", "-"), default=name == "overview")
        for name, (title, icon) in PAGES.items()
    ]
)

if (problem := data.problem()) is not None:
    st.error(problem)
    st.stop()
if data.current() is None:
    st.title("Nothing is recorded yet")
    st.write("Assay shows what its runner has measured. Measure something, then reload this page:")
    st.code("assay run quickstart", language="bash")
    st.caption(f"Looked for a snapshot of {data.store().database}. Another place: `assay dashboard --db PATH`.")
    st.stop()

st.session_state["_filters"] = filters.draw(data.choices())
page.run()
st.sidebar.caption(f"Snapshot {data.number()} of {data.store().database.name}")
st.html("<div id='assay-done'></div>")

"""Who is looking: triage needs a name.

It is that of the sign-in where one is configured, else the one that the dashboard was started with. Without either,
pages only read.
"""

from __future__ import annotations

import os

import streamlit as st


def name() -> str | None:
    """The name that steps are recorded under; None where nobody has one."""
    if configured():
        if not st.user.is_logged_in:
            return None
        return str(st.user.get("email") or st.user.get("name") or st.user.get("sub") or "") or None
    return os.environ.get("ASSAY_TRIAGE_AS", "").strip() or None


def configured() -> bool:
    """Whether a sign-in (OIDC, in Streamlit's secrets) is set up."""
    return hasattr(st.user, "is_logged_in")


def sign_in() -> None:
    """The way to a name, where there is none yet."""
    if configured():
        st.button("Sign in to decide", on_click=st.login, key="sign_in", icon=":material/login:")
    else:
        st.caption(
            "Nobody is signed in, so this page only reads. Decide by command (`assay alerts --help`), configure a"
            " sign-in, or start the dashboard for one person: `assay dashboard --triage-as NAME`"
        )

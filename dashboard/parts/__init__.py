"""Parts of pages: each asks, draws and shows one thing, and says what to do where there is nothing."""

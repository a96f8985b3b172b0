"""The models that ship, so that every kind of check has something real to run on, offline, on a CPU.

`scaling`: quantile, IQR and median, with the operators that people get wrong. `digits`: a small CNN trained on
scikit-learn's real digits. `silero_vad`: a real voice-activity network, weights from its own package.
"""

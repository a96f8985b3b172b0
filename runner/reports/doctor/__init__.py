"""Three questions that quantized models raise, answered from rows: accuracy fell, it is not faster, two runs differ.

Every diagnosis has its evidence; where nothing that is recorded explains a problem, it says so, and what to measure.
"""

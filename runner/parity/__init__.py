"""Does the optimized model still compute what the original computes?"""

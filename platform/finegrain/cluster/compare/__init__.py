"""Recorded benchmarks against one another.

pool.py    trials of several benchmarks as one table's rows     figure.py  the picture
run.py     read, compare, write
"""

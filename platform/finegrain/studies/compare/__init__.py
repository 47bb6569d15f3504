"""Recorded benchmarks against one another.

pool.py    trials of several benchmarks as one table's rows     figure.py  the picture
tables.py  the differences as Markdown and CSV              run.py     read, compare, write
"""

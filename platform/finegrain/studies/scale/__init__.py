"""Recorded benchmarks on 1 to 256 simulated workers.

replay.py  what each recorded trial took    simulate.py  workers that take them in an order
report.py  the table and the plot
"""

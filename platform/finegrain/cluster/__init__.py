"""Benchmarks spread over a Ray cluster.

plan.py     the grid of trials, and a trial's result      trial.py   one trial, without Ray
bench.py    the missing trials over Ray Tune              report.py  tables, CSV, heatmap sheets
record.py   results into MLflow                           full.py    all of these in one call
ablations.py  the paper's ablations as variants          curves.py  figure 7
compare/    recorded benchmarks against one another
"""

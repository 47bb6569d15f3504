"""Benchmarks spread over a Ray cluster.

plan.py     the grid of trials, and a trial's result      trial.py   one trial, without Ray
bench.py    the missing trials over Ray Tune              report.py  tables, CSV, heatmap sheets
record.py   results into MLflow                           full.py    all of these in one call
ablations.py  the paper's ablations as variants          curves.py  figure 7
order.py, costs.py  which trial starts when, and what it probably takes
scale.py, replay.py, scale_report.py  recorded benchmarks on many simulated workers
compare/    recorded benchmarks against one another
search/     hyperparameter searches              paper/     the paper's tables and figures
connect.py  Ray Tune's connection and shares     local.py   a Ray head on this machine
"""

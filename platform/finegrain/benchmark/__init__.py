"""What a benchmark is, without Ray and MLflow.

grid.py     what is asked for                           methods.py    their options, shots, words
plan.py     the trials of a grid, and a trial's result
selection.py  shots and views that are not drawn by seed
trial.py    one trial from beginning to end             store.py      a benchmark on disk
report.py   tables, CSV, heatmap sheets
order.py, costs.py  which trial starts when, and what it probably takes
"""

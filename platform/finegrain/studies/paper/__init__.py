"""The paper's tables and figures, measured and beside what is published.

exhibits.py  which rows each table and figure has, and the benchmarks that they come from
inputs.py    data, weights and seeds of a run; what of it is missing
estimate.py  how long it will take, from measured seconds a trial
subjects.py  the rows of each table: as published, and the run that measures them
layout.py    a table: measured, published, difference
run.py       run what is missing, write the table or draw the figure
figures.py   heatmaps by method, regions by component, curves
"""

"""How good a detector is, and how that is shown.

metrics.py    exact AUROC, AUPRO, AP, F1-max      evaluate.py   a detector on a test set
tables.py     Markdown that lines up              figures.py    heatmap sheets
compare.py    methods in pairs, with intervals    compare_tables.py  their tables
"""

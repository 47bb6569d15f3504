"""How good a detector is, and how that is shown.

metrics.py    exact AUROC, AUPRO, AP, F1-max      evaluate.py    a detector on a test set
compare.py    methods in pairs, with intervals    published.py   the paper's numbers
figures.py    heatmap sheets                      regions.py     regions against true masks
validation.py the K shots alone as a test set, with the defects that synthetic.py paints
"""

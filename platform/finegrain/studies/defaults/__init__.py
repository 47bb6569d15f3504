"""Choosing the defaults of FineGrainedAD with evidence: `finegrain study defaults`.

candidates.py  the changes of the default that are tried
subjects.py    the data: the factory and its turned parts, and photographs
run.py         every candidate on every category and seed, a line each, what is there is skipped
report.py      what the lines say: paired intervals, the rule, leave-one-category-out
"""

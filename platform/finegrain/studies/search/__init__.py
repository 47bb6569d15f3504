"""Hyperparameter searches that never look at a test image, over Ray Tune.

choice.py    what a user chooses        spaces.py    the options of each detector that may be varied
spec.py      what is searched: a benchmark of one method, a space, a scheduler, an objective
worker.py    one setting, learning on all categories side by side; no Ray
run.py       Ray Tune: the settings that are missing
report.py    the best setting, and the plots
confirm.py   whether it beats the default on other shots
job.py       all of these in one call
study.py     how well the validation score ranks settings as the test set does
"""

"""Benchmarks spread over a Ray cluster; the only place, beside serving, that imports Ray.

connect.py  a connection to Ray, each trial's share    tune.py    a run of Ray Tune
bench.py    the missing trials of a benchmark          full.py    run, report, record in one call
record.py   results into MLflow                        head.py    a Ray head on this machine
train.py    the bundled CLIP over Ray Train
"""

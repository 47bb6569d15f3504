"""Benchmarks spread over a Ray cluster; the only place, beside serving, that imports Ray.

connect.py  a connection to Ray, each trial's share    bench.py   the missing trials over Ray Tune
record.py   results into MLflow                        full.py    run, report, record in one call
train.py    the bundled CLIP over Ray Train            head.py    a Ray head on this machine
"""

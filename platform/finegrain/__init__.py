"""finegrain: benchmark and serve few-shot visual anomaly detection."""

"""A search of metrics at work: what a metric is judged by, its loop, its log."""

"""Makes the Grafana dashboards in ``dashboards``: ``python -m grafana`` writes them.

One module for each dashboard; ``board`` has the frame that all share, ``panels`` the kinds of
panels, ``promql`` what queries are made of. Metrics are named through the catalogue only.
"""

"""The configurations that the reference shows; tests load them as they stand."""

from __future__ import annotations

EXAMPLE = """\
# restate-medic.yaml
max_mode: observe                   # until you have seen what the policies would do
interval: 15s
invocations_interval: 60s
drift_interval: 5m

targets:
  - name: prod-eu
    ingress_url: https://restate.internal:8080
    admin_url: https://restate.internal:9070
    node_url: http://restate.internal:5122
    ingress_token: {env: RESTATE_AUTH_TOKEN}
    admin_token: {file: secrets/admin-token}
    workers:
      - {url: "http://billing:9080", services: [Billing]}
      - {url: "http://signup:9080"}
    expected_services: [Billing, Signup]
    protect: {deployment_metadata: {managed-by: restate-operator}}
    heartbeat: {service: Heartbeat, handler: run, every: 6h, within: 30s}
    labels: {tier: critical}
    invocations_interval: 2m        # a busy server: scan it half as often
  - name: platform
    dalp: {url: "https://platform.internal", api_key: {file: secrets/platform-key}}
target_files: [targets/*.yaml]      # lists of more targets

policies: [policies/*.yaml]
limits: [{max: 20, per: 1h}]        # over everything that policies do
allowed_service_urls: ["http://canary:9080"]
storage: {url: "sqlite:///data/medic.db"}
history: {keep: 7d, max_bytes: 1GB}

alertmanager:
  url: http://alertmanager:9093
  basic_auth: {username: medic, password: {file: secrets/alertmanager-password}}
  watchdog: 'alertname="Watchdog"'
notifiers:
  ops: {webhook: {file: secrets/slack}}
  log: {webhook: {env: RELAY_URL}, format: json}
report: {notifier: ops, at: "07:00", timezone: Europe/Berlin}

web_listen_address: 0.0.0.0:9970
web_config_file: web.yaml
reading_needs_key: true
"""
WEB_EXAMPLE = """\
# web.yaml
tls_server_config:
  cert_file: tls/medic.crt
  key_file: tls/medic.key
  min_version: TLS13
http_server_config:
  headers: {Strict-Transport-Security: max-age=31536000}
basic_auth_users:                   # hashes, as `htpasswd -nBC 10 prometheus` prints them
  prometheus: $2y$10$6AQd4yxEZfCdjTUFO8vMSuGMz4gwmbBR/DdGVmTITVeAUyASS4Onq
"""

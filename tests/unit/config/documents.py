"""Configuration files of the reference: the documented source and sink, and a whole file of rivven-connect."""

SOURCE = """
type: kafka-source
topic: kafka-events             # Rivven topic (destination for consumed messages)
config:
  brokers: "kafka1:9092,kafka2:9092"
  topic: orders                 # Kafka topic (external source to consume from)
  consumer_group: rivven-migration  # default: "rivven-connect"
  start_offset: earliest        # earliest (default), latest

  # Consumer tuning
  max_poll_records: 500           # default: 500
  max_poll_interval_ms: 300000    # default: 300000
  session_timeout_ms: 30000       # default: 30000
  heartbeat_interval_ms: 3000     # default: 3000
  fetch_min_bytes: 1              # default: 1
  fetch_max_bytes: 52428800       # default: 50 MB
  request_timeout_ms: 30000       # default: 30000
  empty_poll_delay_ms: 100        # default: 100

  # Transactional reads
  isolation_level: read_uncommitted  # read_uncommitted (default), read_committed

  # Consumer offsets
  enable_auto_commit: true        # default: true
  auto_commit_interval_ms: 5000   # default: 5000

  # Data options
  include_headers: true           # include Kafka headers in event metadata
  include_key: true               # include message key in event metadata
  client_id: my-consumer          # optional client ID

  # Security (optional)
  security:
    protocol: PLAINTEXT
"""
SINK = """
type: kafka-sink
topics: [events]                # Rivven topics to consume from
consumer_group: kafka-producer
config:
  brokers: "kafka1:9092"
  topic: orders-replica         # Kafka topic (external destination)

  # Producer settings
  acks: all                     # none, leader, all (default: all)
  compression: lz4              # none, gzip, snappy, lz4, zstd (default: none)
  batch_size_bytes: 16384       # default: 16384 (16 KB)
  linger_ms: 5                  # default: 5
  request_timeout_ms: 30000     # default: 30000
  retries: 3                    # default: 3
  retry_backoff_ms: 100         # default: 100

  # Exactly-once (optional)
  idempotent: true
  transactional_id: rivven-producer-1

  # Message options
  key_field: order_id           # extract key from event JSON data
  include_headers: true         # include Rivven metadata as Kafka headers
  custom_headers:               # static headers added to every message
    source: rivven
    environment: production
  client_id: my-producer        # optional client ID

  # Security (optional)
  security:
    protocol: PLAINTEXT
"""
SASL = """
  protocol: SASL_SSL
  sasl_mechanism: PLAIN
  sasl_username: user
  sasl_password: ${KAFKA_PASSWORD}
  ssl_ca_cert: /etc/ssl/ca.pem
  ssl_client_cert: /etc/ssl/client.pem
  ssl_client_key: /etc/ssl/client-key.pem
"""
OAUTH = """
  protocol: SASL_SSL
  sasl_mechanism: OAUTHBEARER
  oauth_token: ${OAUTH_TOKEN}
"""
AWS = """
  protocol: SASL_SSL
  sasl_mechanism: AWS_MSK_IAM
  aws_access_key_id: ${AWS_ACCESS_KEY_ID}
  aws_secret_access_key: ${AWS_SECRET_ACCESS_KEY}
  aws_region: us-east-1
"""
ENV = {
    "KAFKA_PASSWORD": "hunter2",
    "OAUTH_TOKEN": "hunter2",
    "AWS_ACCESS_KEY_ID": "AKIA1",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
}
CONNECT = """
version: "1.0"
broker:
  bootstrap_servers: [localhost:9092, "rivven2:9092"]
  metadata_refresh_ms: 300000
  connection_timeout_ms: 5000
  request_timeout_ms: 20000
  tls: {enabled: false, cert_path: c.pem, key_path: k.pem, ca_path: ca.pem, insecure: false, server_name: localhost}
sources:
  orders:
    connector: kafka
    topic: kafka.orders
    topic_config: {partitions: 6, replication_factor: 1, auto_create: true}
    config: {brokers: [kafka1:9092], topic: orders}
    tables: []
    enabled: true
    rate_limit: {events_per_second: 0, max_in_flight: 0, burst_size: 0}
    schema_registry_url: ""
    transforms: []
  paused:
    connector: kafka-source
    topic: kafka.paused
    config: {brokers: kafka1:9092, topic: paused}
    enabled: false
sinks:
  replica:
    connector: kafka
    topics: [kafka.orders]
    consumer_group: replica
    config: {brokers: kafka1:9092, topic: orders-replica}
    start_offset: earliest
    rate_limit: {events_per_second: 0}
    transforms: []
    offset_commit_interval: 100
  since:
    connector: kafka-sink
    topics: [kafka.orders]
    consumer_group: since
    config: {brokers: kafka1:9092, topic: orders-since}
    start_offset: {timestamp: 2026-01-31T12:00:00Z}
settings:
  state_dir: ./data/connect-state
  topic:
    auto_create: true
    default_partitions: 3
    default_replication_factor: 1
    require_topic_exists: true
    validate_existing: false
  retry: {max_retries: 10, initial_backoff_ms: 100, max_backoff_ms: 30000, backoff_multiplier: 2.0}
  health: {enabled: false, port: 8080, path: /health}
  metrics: {enabled: false, port: 9091}
  telemetry: {enabled: false, service_name: rivven-connect, sample_ratio: 1.0}
  log_level: info
distributed:
  enabled: false
  node_id: node-1
  cluster_topic: _connect_status
  heartbeat_interval_ms: 1000
  heartbeat_timeout_ms: 10000
  rebalance_delay_ms: 3000
  failover: {heartbeat_interval_ms: 1000, failure_timeout_ms: 10000}
"""

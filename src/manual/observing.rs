//! Audit events, alerts and metrics of a service in operation.
//!
//! # Events
//!
//! [`AuditLayer`](crate::layer::AuditLayer) records one event for each request; the module [`audit`](crate::audit) has
//! sinks and formats. For security tools there is [`Ocsf`](crate::audit::Ocsf), for everything else
//! [`FlatJson`](crate::audit::FlatJson) with its schema.
//!
//! [`TracingSink`](crate::audit::TracingSink) emits one log line for each request. With
//! [`AuditLayer::span`](crate::layer::AuditLayer::span), log lines of handlers are in a span that has the id of the
//! request, and at its end the fields of the decision.
//!
//! # Alerts
//!
//! A [`Detector`](crate::audit::Detector) around the sinks adds an alert to the events where they look like abuse. Its
//! documentation lists the detections with their thresholds. An alert can be acted on: [`AbuseGuard`](crate::audit::AbuseGuard)
//! refuses the caller with 429, and a hook can revoke its key.
//!
//! Behind a proxy or a CDN, a [`ClientAddressLayer`](crate::layer::ClientAddressLayer) between the `AuditLayer` and the
//! `AuthLayer` is required for it: without it, the addresses are those of the proxies, and each key is soon in many networks.
//!
//! It counts on each node for itself, and forgets its counts when the process ends. For a whole deployment, count the
//! alerts where the events of all nodes are collected.
//!
//! # Metrics
//!
//! With the feature `metrics`, these are emitted through the crate `metrics`. Install a recorder before the layers are
//! built. Rows marked with \* need a `MetricsSink` in the audit log. The duration of requests has the name and the
//! attributes of OpenTelemetry; for authentication, OpenTelemetry has no names.
//!
//! | metric | kind | labels | meaning |
//! |---|---|---|---|
//! | `http.server.request.duration` \* | histogram, s | `http.request.method`, `http.response.status_code`, `http.route`, `error.type` | duration of requests, until the end of the response |
//! | `warden.requests` \* | counter | `decision`, `reason` | requests by decision, and the [reason](crate::Reason) of refusals |
//! | `warden.alerts` \* | counter | `detection`, `state` | alerts of a detector that were raised or cleared |
//! | `warden.notices` \* | counter | `notice` | events that are not requests, such as changed keys |
//! | `warden.dependency.outages` \* | gauge | `dependency` | dependencies of this kind that do not respond, such as the key sets of several issuers; absent before the first outage |
//! | `warden.audit.lost` | counter | `sink` | events for which a sink had no room |
//! | `warden.audit.queue` | gauge | `sink` | events that wait in the queue of a sink |
//! | `warden.cache.lookups` | counter | `cache`, `result` | look-ups of credentials, keys, issuers, scopes by role and remote decisions in caches: `hit`, `refused` for a cached refusal, `miss` |
//! | `warden.verification.duration` | histogram, s | `method`, `outcome` | duration of the verification of credentials, with look-ups, except for identities that are cached; `method` is the kind of the credential if it was refused |
//! | `warden.key_set.refreshes` | counter | `issuer`, `outcome` | fetches of key sets: `ok` or `failed` |
//! | `warden.key_set.last_refresh` | gauge, s | `issuer` | the time of the last successful fetch, in seconds since the epoch |
//! | `warden.limiter.decisions` | counter | `decision` | decisions of rate limiters: `admitted` or `refused`; in an outage of its store, `on_this_node` for both, `not_counted`, or `unavailable` |
//!
//! No label has a value that a client can choose: `http.request.method` is `_OTHER` for unknown methods, and
//! `http.route` is the template of the route. `error.type` is `credential_ended`, `disconnected`, `failed`, `panicked`, or the
//! status of a refusal or of an error of the server, or the code of a refusal by gRPC, whose status is 200; the reason of a refusal
//! is in `warden.requests`. `issuer` of a key set that was set by its URL is the host and the first 8 digits of the SHA-256 of the
//! URL, because a path may contain a secret.
//!
//! Counters of alerts and of lost events begin with zero when the sink is made, so that the first one is an increase.
//! Outages are counted by the notices about them: give the `AuditLog` with the `MetricsSink` to the
//! [`Environment`](crate::Environment) of all layers. With one `MetricsSink` in two logs, each outage is counted twice.
//!
//! The age of a key set in Prometheus is `time() - warden_key_set_last_refresh_seconds`. The folder `examples/observed`
//! of the repository has a dashboard for Grafana and rules for alerts of Prometheus.

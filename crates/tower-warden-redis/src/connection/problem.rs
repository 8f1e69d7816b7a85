//! The reasons why Redis cannot be used.

use std::fmt;

use redis::{ErrorKind, RedisError};

/// The reason why Redis cannot be used.
///
/// Only [`Unreachable`](Self::Unreachable) ends by itself. The others last until somebody changes a configuration: they
/// are logged at the level error, when they begin and once a minute while they last.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RedisProblem {
    /// The configuration of the client cannot be used, as an unknown name of a master, or TLS without the feature `tls`.
    Client,
    /// The server is a node of a cluster, and the client is not a cluster client.
    Cluster,
    /// The server requires a password, or refuses the one of the client.
    NotAuthenticated,
    /// The user lacks a right.
    NotPermitted,
    /// The server accepts no writes: it is a replica, lacks replicas, is out of memory or cannot persist.
    NotWritable,
    /// The server refused a command for another reason.
    Refused,
    /// Subscriptions in a cluster need the protocol RESP3.
    Resp3Needed,
    /// The server does not reply.
    Unreachable,
    /// The server lacks a command.
    Unsupported,
    /// A key has a value of another type.
    WrongType,
}

impl RedisProblem {
    const ALL: [Self; 10] = [
        Self::Client,
        Self::Cluster,
        Self::NotAuthenticated,
        Self::NotPermitted,
        Self::NotWritable,
        Self::Refused,
        Self::Resp3Needed,
        Self::Unreachable,
        Self::Unsupported,
        Self::WrongType,
    ];

    /// The problem that an error of the client reports.
    pub(crate) fn of(error: &RedisError) -> Self {
        let (code, detail) = (error.code().unwrap_or_default(), error.detail().unwrap_or_default());
        // Servers before Redis 7 report an error within a script as `ERR`, with the other code in the text.
        let has = |words: &[&str]| words.iter().any(|word| code == *word || detail.contains(word));
        if error.kind() == ErrorKind::AuthenticationFailed || has(&["NOAUTH", "WRONGPASS", "invalid password"]) {
            Self::NotAuthenticated
        } else if has(&["NOPERM", "ACL failure", "The user executing the script can't"]) {
            Self::NotPermitted
        } else if has(&["MOVED", "ASK", "CROSSSLOT"]) {
            Self::Cluster
        } else if has(&["READONLY", "NOREPLICAS", "MISCONF", "OOM"]) {
            Self::NotWritable
        } else if has(&["WRONGTYPE"]) {
            Self::WrongType
        } else if has(&["unknown command", "Unknown Redis command"]) {
            Self::Unsupported
        } else if error.kind() == ErrorKind::RESP3NotSupported || error.to_string().contains("RESP3") {
            Self::Resp3Needed
        } else if matches!(error.kind(), ErrorKind::InvalidClientConfig | ErrorKind::MasterNameNotFoundBySentinel) {
            Self::Client
        } else if has(&["LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"])
            || !matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
        {
            Self::Unreachable
        } else {
            Self::Refused
        }
    }

    /// Returns `true` if a connection with this problem is of no use, and a new one may be.
    pub(crate) const fn needs_reconnect(self) -> bool {
        matches!(self, Self::Client | Self::Cluster | Self::NotAuthenticated | Self::Unreachable)
    }

    pub(super) const fn code(self) -> u8 {
        self as u8 + 1
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Client => {
                "the client cannot be used: see its addresses, the name of the master, and the feature `tls`"
            }
            Self::Cluster => {
                "the server is a node of a cluster: connect with a ClusterClient (cargo feature `cluster`)"
            }
            Self::NotAuthenticated => "the server requires authentication: set the user and the password of the client",
            Self::NotPermitted => "the user lacks a right",
            Self::NotWritable => {
                "the server accepts no writes: it is a replica, lacks replicas, is out of memory, or cannot persist"
            }
            Self::Refused => "the server refused a command",
            Self::Resp3Needed => {
                "subscriptions in a cluster need ClusterClientBuilder::use_protocol(ProtocolVersion::RESP3)"
            }
            Self::Unreachable => "the server does not reply",
            Self::Unsupported => "the server lacks a command: Redis 5 or any Valkey is required",
            Self::WrongType => "a key has a value of another type: other software uses the same keys",
        }
    }
}

impl fmt::Display for RedisProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_each_problem_is_its_own() {
        for problem in RedisProblem::ALL {
            assert_eq!(RedisProblem::from_code(problem.code()), Some(problem));
        }
        assert_eq!(RedisProblem::from_code(0), None);
        assert_eq!(RedisProblem::from_code(200), None);
    }
}

//! Why a connection ended, and what its client is told.

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The client hung up.
    ClientClosed,
    /// It did not say in time who it is.
    AuthenticationTimeout,
    /// It is not admitted.
    AuthenticationFailure,
    /// What admitted it has ended.
    AuthenticationExpired,
    /// What admitted it was taken back.
    Revoked,
    /// It has to be admitted anew.
    Readmission,
    /// Too much waits to be written to it.
    SlowConsumerPendingBytes,
    /// It took no byte for too long.
    SlowConsumerWriteDeadline,
    /// Writing failed.
    WriteError,
    /// Reading failed.
    ReadError,
    /// It sent what is no operation.
    ParseError,
    /// It sent an operation that cannot be.
    ProtocolViolation,
    /// It asked for what needs headers, without them.
    NoRespondersWithoutHeaders,
    /// It speaks a protocol that does not exist.
    InvalidClientProtocol,
    /// Its line is too long.
    MaxControlLine,
    /// Its message is too long.
    MaxPayload,
    /// There are too many connections.
    MaxConnections,
    /// It did not answer pings.
    Stale,
    /// TLS could not be agreed on.
    TlsHandshake,
    /// The server ends.
    ServerShutdown,
}

impl Reason {
    /// What stands between the quotes of `-ERR` before the connection is closed.
    pub(crate) fn error(self) -> Option<&'static str> {
        Some(match self {
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationFailure => "Authorization Violation",
            Self::AuthenticationExpired => "User Authentication Expired",
            Self::Revoked => "User Authentication Revoked",
            Self::ParseError => "Unknown Protocol Operation",
            Self::NoRespondersWithoutHeaders => "no responders requires headers support",
            Self::InvalidClientProtocol => "invalid client protocol",
            Self::MaxControlLine => "maximum control line exceeded",
            Self::MaxPayload => "Maximum Payload Violation",
            Self::MaxConnections => "maximum connections exceeded",
            Self::Stale => "Stale Connection",
            Self::TlsHandshake => "Secure Connection - TLS Required",
            Self::ClientClosed
            | Self::Readmission
            | Self::SlowConsumerPendingBytes
            | Self::SlowConsumerWriteDeadline
            | Self::WriteError
            | Self::ReadError
            | Self::ProtocolViolation
            | Self::ServerShutdown => return None,
        })
    }

    /// How monitoring names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClientClosed => "Client Closed",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationFailure => "Authentication Failure",
            Self::AuthenticationExpired => "Authentication Expired",
            Self::Revoked => "Credentials Revoked",
            Self::Readmission => "Permissions Changed",
            Self::SlowConsumerPendingBytes => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerWriteDeadline => "Slow Consumer (Write Deadline)",
            Self::WriteError => "Write Error",
            Self::ReadError => "Read Error",
            Self::ParseError => "Parse Error",
            Self::ProtocolViolation | Self::NoRespondersWithoutHeaders | Self::InvalidClientProtocol => {
                "Protocol Violation"
            }
            Self::MaxControlLine => "Maximum Control Line Exceeded",
            Self::MaxPayload => "Maximum Message Payload Exceeded",
            Self::MaxConnections => "Maximum Connections Exceeded",
            Self::Stale => "Stale Connection",
            Self::TlsHandshake => "TLS Handshake Failure",
            Self::ServerShutdown => "Server Shutdown",
        }
    }

    /// Whether what waits is still worth writing.
    pub(crate) fn flushes(self) -> bool {
        !matches!(self, Self::SlowConsumerPendingBytes | Self::SlowConsumerWriteDeadline | Self::WriteError)
    }

    /// Whether the client was too slow.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::SlowConsumerPendingBytes | Self::SlowConsumerWriteDeadline)
    }
}

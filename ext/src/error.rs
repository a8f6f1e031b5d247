//! One error type for the whole crate, and its one way into Python.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is; each kind is one exception class of `rivven_kafka.errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // the Python classes carry the meaning
pub enum Kind {
    Config,
    UnusableFile,
    Connect,
    Timeout,
    Protocol,
    CorruptRecord,
    UnsupportedCodec,
    DecompressionLimit,
    RecordTooLarge,
    EventFormat,
    Delivery,
    Broker,
    RetriableBroker,
    Throttled,
    Storage,
    NotLeader,
    RebalanceNeeded,
    OutOfOrderSequence,
    Fenced,
    ForeignWriter,
    UnknownProducer,
    UnknownTopic,
    TopicExists,
    InvalidRequest,
    OffsetOutOfRange,
    LogDamaged,
    Transaction,
    Authentication,
    Authorization,
}

impl Kind {
    /// Name of the class in `rivven_kafka.errors`.
    pub fn class_name(self) -> &'static str {
        match self {
            Kind::Config => "ConfigError",
            Kind::UnusableFile => "UnusableFileError",
            Kind::Connect => "ConnectError",
            Kind::Timeout => "TimeoutExpired",
            Kind::Protocol => "ProtocolError",
            Kind::CorruptRecord => "CorruptRecordError",
            Kind::UnsupportedCodec => "UnsupportedCodecError",
            Kind::DecompressionLimit => "DecompressionLimitError",
            Kind::RecordTooLarge => "RecordTooLargeError",
            Kind::EventFormat => "EventFormatError",
            Kind::Delivery => "DeliveryError",
            Kind::Broker => "BrokerError",
            Kind::RetriableBroker => "RetriableBrokerError",
            Kind::Throttled => "ThrottledError",
            Kind::Storage => "StorageError",
            Kind::NotLeader => "NotLeaderError",
            Kind::RebalanceNeeded => "RebalanceNeededError",
            Kind::OutOfOrderSequence => "OutOfOrderSequenceError",
            Kind::Fenced => "FencedError",
            Kind::ForeignWriter => "ForeignWriterError",
            Kind::UnknownProducer => "UnknownProducerError",
            Kind::UnknownTopic => "UnknownTopicError",
            Kind::TopicExists => "TopicExistsError",
            Kind::InvalidRequest => "InvalidRequestError",
            Kind::OffsetOutOfRange => "OffsetOutOfRangeError",
            Kind::LogDamaged => "LogDamagedError",
            Kind::Transaction => "TransactionError",
            Kind::Authentication => "AuthenticationError",
            Kind::Authorization => "AuthorizationError",
        }
    }

    /// Whether the same call can succeed later; agrees with the class attribute `retriable`.
    pub fn retriable(self) -> bool {
        matches!(
            self,
            Kind::Connect
                | Kind::Timeout
                | Kind::RetriableBroker
                | Kind::Throttled
                | Kind::Storage
                | Kind::NotLeader
                | Kind::RebalanceNeeded
        )
    }
}

/// An error with the place it concerns.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Which exception class it becomes.
    pub kind: Kind,
    /// What happened, for a person.
    pub message: String,
    /// The other side's name for it.
    pub code: Option<String>,
    /// Topic concerned.
    pub topic: Option<String>,
    /// Partition concerned.
    pub partition: Option<i32>,
    /// Offset concerned.
    pub offset: Option<i64>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), code: None, topic: None, partition: None, offset: None }
    }

    /// Adds the other side's name for it.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds the place, keeping what is known already.
    #[must_use]
    pub fn at(mut self, topic: &str, partition: i32, offset: Option<i64>) -> Self {
        self.topic.get_or_insert_with(|| topic.to_owned());
        self.partition.get_or_insert(partition);
        if self.offset.is_none() {
            self.offset = offset;
        }
        self
    }
}

/// Words of the other side that it could have chosen as it liked, fit for a log.
pub fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        Python::attach(|py| {
            let build = || -> PyResult<PyErr> {
                let class = py.import("rivven_kafka.errors")?.getattr(error.kind.class_name())?;
                let kwargs = PyDict::new(py);
                kwargs.set_item("code", &error.code)?;
                kwargs.set_item("topic", &error.topic)?;
                kwargs.set_item("partition", error.partition)?;
                kwargs.set_item("offset", error.offset)?;
                Ok(PyErr::from_value(class.call((&error.message,), Some(&kwargs))?))
            };
            build().unwrap_or_else(|failure| failure)
        })
    }
}

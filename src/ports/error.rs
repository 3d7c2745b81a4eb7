//! What can go wrong between the gateway and the rows of a port.
//!
//! INVARIANT: `Display` names the product, the port, a column, a line and a type; never a value, a path, a host or a credential.
//! Causes, which may hold them, are `source()` only.

use std::sync::Arc;

use datafusion::error::DataFusionError;

use crate::error::{ClientError, ErrorNames, SqlState};
use crate::product::{PortName, ProductRef};

/// Whatever the layer below reported.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The port that an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    names: Arc<(ProductRef, PortName)>,
}

impl Place {
    /// A port of a product.
    pub fn new(product: ProductRef, port: PortName) -> Self {
        Self { names: Arc::new((product, port)) }
    }

    /// Its product.
    pub fn product(&self) -> &ProductRef {
        &self.names.0
    }

    /// Its name.
    pub fn port(&self) -> &PortName {
        &self.names.1
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "data product \"{}\", port \"{}\"", self.product(), self.port())
    }
}

/// Why a port does not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The contract asks for something that is not built.
    #[error("{at}: {what} is not supported")]
    NotSupported {
        /// The port.
        at: Place,
        /// What was asked.
        what: String,
    },
    /// The contract's location is no location.
    #[error("{at}: its location is not valid: {reason}")]
    Location {
        /// The port.
        at: Place,
        /// What is wrong with its form.
        reason: &'static str,
    },
    /// No file, folder, match or table.
    #[error("{at}: no data at its location")]
    NoData {
        /// The port.
        at: Place,
        /// The cause, if there is one.
        #[source]
        source: Option<Cause>,
    },
    /// The source lacks a column of the contract.
    #[error("{at}: the contract's column \"{column}\" is missing at the source")]
    MissingColumn {
        /// The port.
        at: Place,
        /// The contract's name of the column.
        column: String,
    },
    /// The source has the column in another type.
    #[error("{at}: column \"{column}\" is {found} at the source, but {expected} in the contract")]
    ColumnType {
        /// The port.
        at: Place,
        /// The contract's name of the column.
        column: String,
        /// The source's type.
        found: String,
        /// The contract's type.
        expected: String,
    },
    /// A text that is no value of the contract's type.
    #[error("{at}: line {line}, column \"{column}\": not a valid {expected}")]
    BadValue {
        /// The port.
        at: Place,
        /// The line of the file, from 1.
        line: u64,
        /// The contract's name of the column.
        column: String,
        /// The contract's type.
        expected: String,
    },
    /// A value that the contract's type cannot hold.
    #[error("{at}: column \"{column}\": a value does not fit {expected}")]
    Unfit {
        /// The port.
        at: Place,
        /// The contract's name of the column.
        column: String,
        /// The contract's type.
        expected: String,
    },
    /// A line that is no record of the file.
    #[error("{at}: line {line}: {reason}")]
    BadRecord {
        /// The port.
        at: Place,
        /// The line of the file, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that are not in the format.
    #[error("{at}: its data is damaged")]
    Damaged {
        /// The port.
        at: Place,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// A file changed while it was read.
    #[error("{at}: its data changed while it was read")]
    Changed {
        /// The port.
        at: Place,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// Reading failed.
    #[error("{at}: its data cannot be read")]
    Unreadable {
        /// The port.
        at: Place,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The reference does not lead to credentials.
    #[error("{at}: no usable credentials: {reason}")]
    Credentials {
        /// The port.
        at: Place,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The store does not take the credentials.
    #[error("{at}: its store refuses the gateway's credentials")]
    Refused {
        /// The port.
        at: Place,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The server does not answer, or does not let us in.
    #[error("{at}: its server cannot be reached")]
    Unreachable {
        /// The port.
        at: Place,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// All connections of the pool are in use.
    #[error("{at}: all connections to its server are in use")]
    Exhausted {
        /// The port.
        at: Place,
    },
    /// The connection broke during a scan.
    #[error("{at}: the connection to its server was lost")]
    ConnectionLost {
        /// The port.
        at: Place,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The server refused the query.
    #[error("{at}: its server failed")]
    Failed {
        /// The port.
        at: Place,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// Our own fault.
    #[error("{at}: {broken}")]
    Internal {
        /// The port.
        at: Place,
        /// The invariant that does not hold.
        broken: &'static str,
    },
}

impl Error {
    /// The port that the error is about.
    pub fn place(&self) -> &Place {
        match self {
            Self::NotSupported { at, .. }
            | Self::Location { at, .. }
            | Self::NoData { at, .. }
            | Self::MissingColumn { at, .. }
            | Self::ColumnType { at, .. }
            | Self::BadValue { at, .. }
            | Self::Unfit { at, .. }
            | Self::BadRecord { at, .. }
            | Self::Damaged { at, .. }
            | Self::Changed { at, .. }
            | Self::Unreadable { at, .. }
            | Self::Credentials { at, .. }
            | Self::Refused { at, .. }
            | Self::Unreachable { at, .. }
            | Self::Exhausted { at }
            | Self::ConnectionLost { at, .. }
            | Self::Failed { at, .. }
            | Self::Internal { at, .. } => at,
        }
    }

    /// The `ports::Error` inside an engine error, if there is one.
    pub fn find(error: &DataFusionError) -> Option<&Self> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            cause = match error.downcast_ref::<DataFusionError>() {
                Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
                Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
                _ => error.source(),
            };
        }
        None
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

impl ClientError for Error {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::NotSupported { .. } => SqlState::FEATURE_NOT_SUPPORTED,
            Self::Location { .. } => SqlState::FDW_ERROR,
            Self::NoData { .. } | Self::Changed { .. } | Self::Unreadable { .. } => SqlState::IO_ERROR,
            Self::MissingColumn { .. } | Self::ColumnType { .. } => SqlState::FDW_INCONSISTENT_DESCRIPTOR_INFORMATION,
            // Not class 22: the client's statement is sound, the stored data is not, and no other statement will mend it.
            Self::BadValue { .. } | Self::Unfit { .. } | Self::BadRecord { .. } | Self::Damaged { .. } => SqlState::DATA_CORRUPTED,
            Self::Credentials { .. } | Self::Refused { .. } | Self::Unreachable { .. } => SqlState::FDW_UNABLE_TO_ESTABLISH_CONNECTION,
            Self::Exhausted { .. } => SqlState::TOO_MANY_CONNECTIONS,
            Self::ConnectionLost { .. } => SqlState::CONNECTION_FAILURE,
            Self::Failed { .. } => SqlState::FDW_ERROR,
            Self::Internal { .. } => SqlState::INTERNAL_ERROR,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::MissingColumn { .. } | Self::ColumnType { .. } => {
                Some("The data no longer follows its contract. Tell the owner of the data product.".to_owned())
            }
            Self::BadValue { .. } | Self::Unfit { .. } | Self::BadRecord { .. } | Self::Damaged { .. } | Self::NoData { .. } => {
                Some("Tell the owner of the data product.".to_owned())
            }
            Self::Changed { .. } | Self::ConnectionLost { .. } | Self::Exhausted { .. } => Some("Run the statement again.".to_owned()),
            _ => None,
        }
    }

    fn names(&self) -> ErrorNames {
        let column = match self {
            Self::MissingColumn { column, .. } | Self::ColumnType { column, .. } => Some(column.clone()),
            Self::BadValue { column, .. } | Self::Unfit { column, .. } => Some(column.clone()),
            _ => None,
        };
        let product = self.place().product();
        ErrorNames { schema: Some(product.domain.to_sql()), table: Some(product.name.to_sql()), column }
    }
}

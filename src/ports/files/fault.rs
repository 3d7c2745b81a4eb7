//! What a failing store means for a port.

use datafusion::error::DataFusionError;
use object_store::client::{HttpError, HttpErrorKind};

use super::super::error::{Cause, Error, Place};

/// What a store's error is to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum StoreFault {
    Missing,
    Changed,
    Refused,
    Unreachable,
    Lost,
    Unreadable,
}

impl StoreFault {
    /// The kind of a store's error.
    pub(in super::super) fn of(error: &object_store::Error) -> Self {
        use object_store::Error as E;
        match error {
            E::NotFound { .. } => Self::Missing,
            E::Precondition { .. } | E::NotModified { .. } => Self::Changed,
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Self::Refused,
            E::Generic { .. } if is_denied(error) => Self::Refused,
            other => match connection(other) {
                Some(HttpErrorKind::Connect) => Self::Unreachable,
                Some(HttpErrorKind::Request | HttpErrorKind::Timeout | HttpErrorKind::Interrupted) => Self::Lost,
                _ => Self::Unreadable,
            },
        }
    }

    /// The port's error.
    pub(in super::super) fn into_error(self, at: &Place, source: Cause) -> Error {
        let at = at.clone();
        match self {
            Self::Missing => Error::NoData { at, source: Some(source) },
            Self::Changed => Error::Changed { at, source },
            Self::Refused => Error::Refused { at, source },
            Self::Unreachable => Error::Unreachable { at, source },
            Self::Lost => Error::ConnectionLost { at, source },
            Self::Unreadable => Error::Unreadable { at, source },
        }
    }
}

/// The port's error for a store's.
pub(super) fn of_store(at: &Place, error: object_store::Error) -> Error {
    StoreFault::of(&error).into_error(at, Box::new(error))
}

/// Tells the log which file it was: clients are told of none.
pub(in super::super) fn tell(error: &Error, file: &object_store::path::Path) {
    let (product, port) = (error.place().product(), error.place().port());
    tracing::warn!(target: "meshgate::ports", %product, %port, %file, %error, "a file could not be read");
}

/// Whether it was a service that gives out keys and did not: of that the client library tells in words only.
fn is_denied(error: &object_store::Error) -> bool {
    let text = error.to_string();
    ["status code: 401", "status code: 403"].iter().any(|status| text.contains(status))
}

/// What went wrong between us and the store, if it was that.
fn connection(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<HttpError>() {
            return Some(found.kind());
        }
        cause = error.source();
    }
    None
}

/// The store's error inside of the engine's.
pub(in super::super) fn find_store_error(error: &DataFusionError) -> Option<&object_store::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(DataFusionError::ObjectStore(found)) = error.downcast_ref::<DataFusionError>() {
            return Some(found);
        }
        if let Some(found) = error.downcast_ref::<object_store::Error>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

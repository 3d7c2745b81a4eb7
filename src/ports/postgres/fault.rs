//! What the log tells of a server's failure: product, port, column and the server's own SQLSTATE. Never its message, which quotes values.

use tokio_postgres::Error as ServerError;

use crate::error::ClientError as _;
use crate::ports::error::Error;

/// Tells the log why rows of a server did not come: clients hear less.
pub(super) fn tell(error: &Error) {
    let (product, port, names) = (error.place().product(), error.place().port(), error.names());
    let (sqlstate, column) = (error.sqlstate().as_str(), names.column.as_deref());
    let at_server = std::error::Error::source(error).and_then(|source| source.downcast_ref::<ServerError>()).and_then(ServerError::code);
    let at_server = at_server.map(tokio_postgres::error::SqlState::code);
    tracing::warn!(target: "meshgate::ports", %product, %port, column, sqlstate, at_server, "a server's rows could not be read");
}

//! What a session is opened with.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::catalog::Connection;
use crate::identity::Principal;

use super::signals::Stopper;
use super::stream::StopCause;

/// What a client asks for when it connects.
pub struct SessionRequest {
    /// The database.
    pub database: String,
    /// Settings.
    pub parameters: Vec<(String, String)>,
    /// Where the client is.
    pub client_address: Option<SocketAddr>,
    /// What else there is to know of its connection.
    pub connection: Connection,
    /// The session's number.
    pub process_id: i32,
    /// Tells why a running statement was stopped.
    pub stop_cause: StopCause,
    /// Stops it from another session of the same login.
    pub stopper: Stopper,
    /// Who the login is by now.
    pub whoever: Whoever,
    /// Who the other logins are.
    pub everyone: Everyone,
}

/// The principal of a session's login, asked at every statement, so that a role that was taken away is gone at once. `None`: the login
/// itself is gone.
pub type Whoever = Arc<dyn Fn() -> Option<Arc<Principal>> + Send + Sync>;

/// The principal of any login by its name, for explanations of what it may see. `None`: there is no such login.
pub type Everyone = Arc<dyn Fn(&str) -> Option<Arc<Principal>> + Send + Sync>;

//! What the records of a session's statements say of where they come from.
//!
//! INVARIANT: it is put into words anew whenever the login, a setting or the world is another than before.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use uuid::Uuid;

use crate::audit::{Origin, StatementOpened, WrittenOrigin};
use crate::engine::{InForce, World};
use crate::identity::Principal;

/// The words, and what they were made from.
pub(super) struct Recorded {
    session_id: Uuid,
    client_address: Option<SocketAddr>,
    database: String,
    last: Mutex<Option<Last>>,
}

/// Kept with what it hangs on, which therefore cannot be something else at the same address.
struct Last {
    principal: Arc<Principal>,
    settings: Arc<InForce>,
    /// A world that has gone must not stay for an idle session.
    world: Weak<World>,
    origin: WrittenOrigin,
    snapshot_revision: Arc<str>,
    bundle_revision: Arc<str>,
}

impl Last {
    fn is_of(&self, principal: &Arc<Principal>, settings: &Arc<InForce>, world: &Arc<World>) -> bool {
        let same_world = std::ptr::eq(self.world.as_ptr(), Arc::as_ptr(world));
        same_world && Arc::ptr_eq(&self.principal, principal) && Arc::ptr_eq(&self.settings, settings)
    }
}

impl Recorded {
    /// Of a session that opens.
    pub(super) fn new(session_id: Uuid, client_address: Option<SocketAddr>, database: String) -> Self {
        Self { session_id, client_address, database, last: Mutex::default() }
    }

    /// The opening record of a statement that begins.
    pub(super) fn opened(
        &self,
        text: &str,
        class: &'static str,
        principal: &Arc<Principal>,
        settings: &Arc<InForce>,
        world: &Arc<World>,
    ) -> StatementOpened {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.take().filter(|last| last.is_of(principal, settings, world));
        let known = last.insert(known.unwrap_or_else(|| self.written(principal, settings, world)));
        StatementOpened {
            query_id: Uuid::now_v7(),
            origin: known.origin.clone(),
            sql: Some(text.to_owned()),
            statement_class: class,
            snapshot_revision: Arc::clone(&known.snapshot_revision),
            bundle_revision: Arc::clone(&known.bundle_revision),
            sql_fingerprint: String::new(),
            products: Vec::new(),
        }
    }

    fn written(&self, principal: &Arc<Principal>, settings: &Arc<InForce>, world: &Arc<World>) -> Last {
        let origin = Origin {
            session_id: self.session_id.to_string(),
            principal: principal.name.clone(),
            roles: principal.roles.iter().cloned().collect(),
            stands_for: principal.product.clone(),
            application_name: settings.application_name.clone(),
            purpose: settings.purpose.clone(),
            client_address: self.client_address.map(|address| address.to_string()),
            database: self.database.clone(),
        };
        Last {
            origin: origin.written(),
            snapshot_revision: world.snapshot.revision().into(),
            bundle_revision: world.bundle_revision.as_str().into(),
            principal: Arc::clone(principal),
            settings: Arc::clone(settings),
            world: Arc::downgrade(world),
        }
    }
}

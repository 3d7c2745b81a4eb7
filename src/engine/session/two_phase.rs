//! Two-phase commit, as on a server that is set to prepare no transactions.

use crate::engine::reply::{Notice, TransactionStatus};
use crate::error::{ClientMessage, SqlState};

use super::Session;

impl Session {
    /// PREPARE TRANSACTION: what was done is over, and as nothing is prepared, it is rolled back.
    pub(super) fn prepare_transaction(&mut self) -> Result<String, ClientMessage> {
        let before = self.transaction.status();
        if before == TransactionStatus::Idle {
            self.notices.push(Notice::warning(SqlState::NO_ACTIVE_TRANSACTION, "there is no transaction in progress"));
            return Ok("ROLLBACK".to_owned());
        }
        self.transaction.abort();
        self.end_transaction(false);
        if before == TransactionStatus::Failed {
            return Ok("ROLLBACK".to_owned());
        }
        Err(ClientMessage::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "prepared transactions are disabled")
            .with_hint("Set max_prepared_transactions to a nonzero value."))
    }

    /// COMMIT PREPARED and ROLLBACK PREPARED find none.
    pub(super) fn no_prepared_transaction(&self, verb: &str, name: &str) -> ClientMessage {
        if self.several || self.transaction.status() != TransactionStatus::Idle {
            return ClientMessage::new(SqlState::ACTIVE_TRANSACTION, format!("{verb} cannot run inside a transaction block"));
        }
        ClientMessage::new(SqlState::UNDEFINED_OBJECT, format!("prepared transaction with identifier \"{name}\" does not exist"))
    }
}

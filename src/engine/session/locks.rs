//! LOCK TABLE … IN ACCESS SHARE MODE, which keeps nobody from anything.

use crate::engine::reply::{Reply, TransactionStatus};
use crate::engine::sql::Query;
use crate::error::{ClientMessage, SqlState};

use super::Session;

impl Session {
    /// The tables are there, and that is all.
    pub(super) async fn lock_shared(&mut self, tables: &[Query]) -> Result<Reply, ClientMessage> {
        if !self.several && self.transaction.status() == TransactionStatus::Idle {
            return Err(ClientMessage::new(SqlState::NO_ACTIVE_TRANSACTION, "LOCK TABLE can only be used in transaction blocks"));
        }
        for table in tables {
            self.describe_query(table, &[]).await?;
        }
        Ok(Reply::Done("LOCK TABLE".to_owned()))
    }
}

//! The transaction that a session is in. There is nothing to undo in the data; what counts is the state that clients rely on.

use crate::error::{ClientMessage, SqlState};

use super::reply::{Notice, TransactionStatus};
use super::sql::Kind;

/// A session's transaction.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    status: TransactionStatus,
    savepoints: Vec<String>,
}

/// What a transaction word did.
#[derive(Debug)]
pub(super) struct Applied {
    /// The command's tag.
    pub(super) tag: String,
    /// A transaction ended: whether it committed.
    pub(super) ended: Option<bool>,
    /// A transaction began.
    pub(super) began: bool,
    /// What became of savepoints.
    pub(super) savepoint: Option<Savepoint>,
    /// A warning for the client.
    pub(super) warning: Option<Notice>,
}

/// What became of a savepoint; which one, by how many stood before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Savepoint {
    /// It was set, on top of all others.
    Set,
    /// It was released, with those after it.
    Released(usize),
    /// What came after it was undone; it stands.
    RolledBack(usize),
}

impl Applied {
    fn tag(tag: &str) -> Self {
        Self { tag: tag.to_owned(), ended: None, began: false, savepoint: None, warning: None }
    }
}

impl Transaction {
    pub(super) fn status(&self) -> TransactionStatus {
        self.status
    }

    /// How many savepoints stand.
    pub(super) fn savepoints(&self) -> usize {
        self.savepoints.len()
    }

    /// A statement failed; answers whether a transaction was open.
    pub(super) fn fail(&mut self) -> bool {
        let open = self.status != TransactionStatus::Idle;
        if open {
            self.status = TransactionStatus::Failed;
        }
        open
    }

    /// It is over, and nothing of it stays.
    pub(super) fn abort(&mut self) {
        *self = Self::default();
    }

    /// BEGIN, COMMIT, ROLLBACK and the savepoints.
    pub(super) fn apply(&mut self, kind: &Kind) -> Result<Applied, ClientMessage> {
        match kind {
            Kind::Begin(modes) => Ok(self.begin(if modes.start { "START TRANSACTION" } else { "BEGIN" })),
            Kind::Commit { chain } => self.end(true, *chain),
            Kind::Rollback { chain } => self.end(false, *chain),
            Kind::Savepoint(name) => {
                self.needs_block("SAVEPOINT")?;
                self.savepoints.push(name.clone());
                Ok(Applied { savepoint: Some(Savepoint::Set), ..Applied::tag("SAVEPOINT") })
            }
            Kind::Release(name) => {
                self.needs_block("RELEASE SAVEPOINT")?;
                let at = self.savepoint(name)?;
                self.savepoints.truncate(at);
                Ok(Applied { savepoint: Some(Savepoint::Released(at)), ..Applied::tag("RELEASE") })
            }
            Kind::RollbackTo(name) => {
                self.needs_block("ROLLBACK TO SAVEPOINT")?;
                let at = self.savepoint(name)?;
                self.savepoints.truncate(at + 1);
                self.status = TransactionStatus::Active;
                Ok(Applied { savepoint: Some(Savepoint::RolledBack(at)), ..Applied::tag("ROLLBACK") })
            }
            _ => Err(ClientMessage::new(SqlState::INTERNAL_ERROR, "a statement was taken for a transaction word")),
        }
    }

    fn begin(&mut self, tag: &str) -> Applied {
        if self.status != TransactionStatus::Idle {
            let warning = Notice::warning(SqlState::ACTIVE_TRANSACTION, "there is already a transaction in progress");
            return Applied { warning: Some(warning), ..Applied::tag(tag) };
        }
        self.status = TransactionStatus::Active;
        Applied { began: true, ..Applied::tag(tag) }
    }

    fn end(&mut self, commit: bool, chain: bool) -> Result<Applied, ClientMessage> {
        if self.status == TransactionStatus::Idle {
            if chain {
                let verb = if commit { "COMMIT" } else { "ROLLBACK" };
                return Err(ClientMessage::new(
                    SqlState::NO_ACTIVE_TRANSACTION,
                    format!("{verb} AND CHAIN can only be used in transaction blocks"),
                ));
            }
            let warning = Notice::warning(SqlState::NO_ACTIVE_TRANSACTION, "there is no transaction in progress");
            return Ok(Applied { warning: Some(warning), ..Applied::tag(if commit { "COMMIT" } else { "ROLLBACK" }) });
        }
        // COMMIT of a failed transaction rolls it back, and its tag says so.
        let committed = commit && self.status == TransactionStatus::Active;
        self.status = if chain { TransactionStatus::Active } else { TransactionStatus::Idle };
        self.savepoints.clear();
        Ok(Applied { ended: Some(committed), began: chain, ..Applied::tag(if committed { "COMMIT" } else { "ROLLBACK" }) })
    }

    fn needs_block(&self, verb: &str) -> Result<(), ClientMessage> {
        if self.status == TransactionStatus::Idle {
            return Err(ClientMessage::new(SqlState::NO_ACTIVE_TRANSACTION, format!("{verb} can only be used in transaction blocks")));
        }
        Ok(())
    }

    fn savepoint(&self, name: &str) -> Result<usize, ClientMessage> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint == name)
            .ok_or_else(|| ClientMessage::new(SqlState::INVALID_SAVEPOINT_SPECIFICATION, format!("savepoint \"{name}\" does not exist")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql::TransactionModes;
    use super::*;

    #[test]
    fn commit_of_a_failed_transaction_is_a_rollback() {
        let mut transaction = Transaction::default();
        transaction.apply(&Kind::Begin(Default::default())).unwrap();
        assert!(transaction.fail());
        let applied = transaction.apply(&Kind::Commit { chain: false }).unwrap();
        assert_eq!((applied.tag.as_str(), applied.ended), ("ROLLBACK", Some(false)));
        assert_eq!(transaction.status(), TransactionStatus::Idle);
    }

    #[test]
    fn the_tag_says_how_it_was_written() {
        let start = TransactionModes { start: true, ..TransactionModes::default() };
        assert_eq!(Transaction::default().apply(&Kind::Begin(start)).unwrap().tag, "START TRANSACTION");
        assert_eq!(Transaction::default().apply(&Kind::Begin(TransactionModes::default())).unwrap().tag, "BEGIN");
    }

    #[test]
    fn rollback_to_a_savepoint_heals_a_failed_transaction() {
        let mut transaction = Transaction::default();
        transaction.apply(&Kind::Begin(Default::default())).unwrap();
        transaction.apply(&Kind::Savepoint("a".to_owned())).unwrap();
        transaction.fail();
        transaction.apply(&Kind::RollbackTo("a".to_owned())).unwrap();
        assert_eq!(transaction.status(), TransactionStatus::Active);
        assert_eq!(transaction.savepoints(), 1);
        let missing = transaction.apply(&Kind::RollbackTo("b".to_owned())).unwrap_err();
        assert_eq!(missing.sqlstate, SqlState::INVALID_SAVEPOINT_SPECIFICATION);
    }

    #[test]
    fn outside_of_a_transaction_its_words_warn_or_fail() {
        let mut transaction = Transaction::default();
        assert!(transaction.apply(&Kind::Commit { chain: false }).unwrap().warning.is_some());
        assert!(transaction.apply(&Kind::Savepoint("a".to_owned())).is_err());
        assert!(!transaction.fail());
    }
}

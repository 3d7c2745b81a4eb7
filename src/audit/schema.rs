//! The JSON Schema of the log's records, which is shipped with the program.

use serde_json::Value;

/// The schema of one line of a segment.
pub fn schema() -> Value {
    // INVARIANT: a test reads it.
    serde_json::from_str(include_str!("record.schema.json")).unwrap_or_default()
}

#[cfg(test)]
mod tests {

    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::audit::event::{
        Closing, ConnectionClosed, ConnectionOpened, ContractInForce, Contracts, Event, LoginFailed, RecordsLost, Registration, Reload,
        SegmentsRemoved, StatementOpened,
    };
    use crate::audit::{AuditLog, StatementNote};

    #[tokio::test]
    async fn every_kind_of_record_follows_the_schema() {
        let (log, memory) = AuditLog::in_memory().unwrap();
        let at = DateTime::UNIX_EPOCH;
        let opened = StatementOpened { query_id: Uuid::from_u128(7), sql: Some("SELECT 1".to_owned()), ..StatementOpened::default() };
        log.note_statement(
            None,
            StatementNote { at, opened, decisions: Vec::new(), ended: at, closing: Closing::denied(), rows: 0, stages: Vec::new() },
        );
        for event in [
            Event::ConnectionOpened(ConnectionOpened::default()),
            Event::ConnectionClosed(ConnectionClosed::default()),
            Event::LoginFailed(LoginFailed::default()),
            Event::Reload(Reload::default()),
            Event::Registration(Registration { change: "changed".to_owned(), ..Registration::default() }),
            Event::SegmentsRemoved(SegmentsRemoved { segments: 1, through_seq: 3, through_hash: "0".repeat(64) }),
            Event::RecordsLost(RecordsLost { count: 2 }),
            Event::Contracts(Contracts { contracts: vec![ContractInForce::default()], ..Contracts::default() }),
        ] {
            log.note(at, event);
        }
        log.close().await.unwrap();
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let records = memory.records();
        assert_eq!(records.len(), 11);
        for record in &records {
            assert!(validator.is_valid(record), "{record}");
        }
        let mut other = records[1].clone();
        other["surprise"] = true.into();
        assert!(!validator.is_valid(&other));
    }
}

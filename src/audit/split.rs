//! Parts a closed segment into the statements that begin and end in it, and the lines of those that do not.
//!
//! INVARIANT: every record of a statement is in one of the two, in its order, but for void ones; so a reader who has the statements and reads
//! the lines in place of the segment misses nothing and reads nothing twice.

use std::collections::HashMap;
use std::io::BufRead;

use super::Error;
use super::past::{PastEnd, PastJudgement, PastStatement, RawClosing, RawJudgement};
use super::record::kind_of;
use super::scan::{Numbered, read, unreadable};

/// A statement whose end has not been read yet, and its lines by their numbers in the segment.
struct Begun {
    statement: PastStatement,
    lines: Vec<(usize, Vec<u8>)>,
}

/// Hands over each whole statement; gives back the lines of the others.
pub(super) fn split(
    mut segment: impl BufRead,
    void_from: Option<u64>,
    mut each: impl FnMut(PastStatement) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    let mut begun: HashMap<String, Begun> = HashMap::new();
    let mut rest: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        segment.read_until(b'\n', &mut line).map_err(Error::Read)?;
        let Some(text) = line.strip_suffix(b"\n") else { break };
        let kind = kind_of(text).ok_or_else(unreadable)?;
        if !matches!(kind, "statement_opened" | "decision" | "statement_closed") {
            continue;
        }
        if let Some(from) = void_from
            && read::<Numbered>(text)?.seq >= from
        {
            break;
        }
        match kind {
            "statement_opened" => {
                let statement: PastStatement = read(text)?;
                begun.insert(statement.query_id.clone(), Begun { statement, lines: vec![(number, line.clone())] });
            }
            "decision" => {
                let raw: RawJudgement = read(text)?;
                match begun.get_mut(&raw.query_id) {
                    Some(begun) => {
                        begun.statement.decisions.push(PastJudgement::from(raw));
                        begun.lines.push((number, line.clone()));
                    }
                    None => rest.push((number, line.clone())),
                }
            }
            _ => {
                let closing: RawClosing = read(text)?;
                match begun.remove(&closing.query_id) {
                    Some(mut begun) => {
                        begun.statement.end = Some(read::<PastEnd>(text)?);
                        each(begun.statement)?;
                    }
                    None => rest.push((number, line.clone())),
                }
            }
        }
    }
    rest.extend(begun.into_values().flat_map(|begun| begun.lines));
    rest.sort();
    Ok(rest.into_iter().flat_map(|(_, line)| line).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;
    use crate::audit::event::{Closing, StatementOpened};
    use crate::audit::storage::Segments as _;
    use crate::audit::{AuditLog, AuditOptions, During, MemoryLog, Reader};

    #[tokio::test]
    async fn a_segment_is_its_whole_statements_and_the_lines_of_the_others() {
        let memory = MemoryLog::default();
        let options = AuditOptions { segment_bytes: 3000, linger: Duration::ZERO, ..AuditOptions::new("") };
        let log = AuditLog::with_storage(Box::new(memory.clone()), options).unwrap();
        let mut running = Vec::new();
        for number in 0..40_u128 {
            let opened = StatementOpened::by(number, &format!("p{number}"));
            let reserved = log.reserve().await.unwrap();
            let open = log.open_statement(reserved, DateTime::UNIX_EPOCH, opened, Vec::new(), Arc::new(Closing::aborted)).await.unwrap();
            if number % 5 == 0 { running.push(open) } else { open.close(DateTime::UNIX_EPOCH, Closing::completed()) }
        }
        running.into_iter().for_each(|open| open.close(DateTime::UNIX_EPOCH, Closing::completed()));
        log.close().await.unwrap();
        let reader = Reader::new(Arc::new(memory.clone()));
        let (mut whole, mut rests) = (0, 0);
        for place in reader.places().unwrap() {
            let rest = split(memory.open(&place.name).unwrap(), place.void_from, |statement| {
                assert!(statement.end.is_some());
                whole += 1;
                Ok(())
            });
            rests += rest.unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        }
        assert!(whole >= 8 && rests >= 8, "{whole} {rests}");
        assert_eq!(whole * 2 + rests, 80, "each statement has an opening and a closing");
        assert_eq!(reader.statements(During::default()).unwrap().count(), 40);
    }
}

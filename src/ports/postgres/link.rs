//! A connection and what is known of it: what its server was last told of a statement, and the queries that are prepared on it.
//!
//! A query that comes a second time over one connection is prepared there: from then on the server has its plan, and one packet asks for
//! its rows. What the server must know of the statement goes ahead in the same packet, and only as far as it has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Statement as PreparedStatement};

use super::driver::Driver;
use crate::ports::statement::Statement;

/// The server ends a statement so much later than the gateway does, so that it is the gateway that tells.
const GRACE: Duration = Duration::from_secs(1);
/// A limit that the server knows already may be so much too long.
const SLACK: Duration = Duration::from_secs(1);
/// Queries that are known of one connection.
const QUERIES_MAX: usize = 64;
/// Longer queries are not prepared.
const QUERY_BYTES_MAX: usize = 4 << 10;
/// What the server shows of a connection without a statement.
const NAME: &str = "meshgate";

/// A connection that nobody else uses.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) driver: Driver,
    /// `None`: nothing is sure.
    told: Option<Told>,
    queries: HashMap<(String, Vec<Type>), Option<PreparedStatement>>,
}

/// What a server knows of the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    name: String,
    /// The limit of its time in milliseconds; `None`: the login's own.
    timeout: Option<u64>,
}

/// What is said ahead of a query, and what the server knows once it has answered.
pub(super) struct Telling {
    pub(super) sql: String,
    known: Told,
}

impl Link {
    /// A connection that has just been made.
    pub(super) fn new(client: Client, driver: Driver) -> Self {
        Self { client, driver, told: Some(Told { name: NAME.to_owned(), timeout: None }), queries: HashMap::new() }
    }

    /// What the server has to be told ahead of a query of the statement. Until that has been confirmed, nothing is sure.
    ///
    /// INVARIANT: a query without a transaction of its own runs in one that only reads, whatever became of the session before.
    pub(super) fn telling(&mut self, statement: Option<&Arc<Statement>>, own_timeout: u64) -> Telling {
        let before = self.told.take();
        let mut known = Told { name: name(statement), timeout: timeout(statement, own_timeout) };
        let mut sql = "SET default_transaction_read_only = on".to_owned();
        if before.as_ref().is_none_or(|before| before.name != known.name) {
            sql.push_str(&format!("; SET application_name = '{}'", known.name));
        }
        // A limit of the login's own is never lengthened.
        let most = if own_timeout == 0 { u64::from(i32::MAX.unsigned_abs()) } else { own_timeout };
        match (before.map(|before| before.timeout), known.timeout) {
            (Some(Some(before)), Some(now)) if (now..=now.saturating_add(millis(SLACK)).min(most)).contains(&before) => {
                known.timeout = Some(before);
            }
            (Some(None), None) => {}
            (_, None) => sql.push_str("; SET statement_timeout TO DEFAULT"),
            (_, Some(now)) => {
                // To the second, so that the same will do for the next statement.
                let rounded = now.div_ceil(millis(SLACK)).saturating_mul(millis(SLACK)).min(most);
                known.timeout = Some(rounded);
                sql.push_str(&format!("; SET statement_timeout = {rounded}"));
            }
        }
        Telling { sql, known }
    }

    /// The server has answered to that.
    pub(super) fn confirmed(&mut self, telling: Telling) {
        self.told = Some(telling.known);
    }

    /// The query as it is prepared here; `None` if it comes for the first time.
    pub(super) async fn prepared(&mut self, sql: &str, types: &[Type]) -> Result<Option<PreparedStatement>, Error> {
        if sql.len() > QUERY_BYTES_MAX {
            return Ok(None);
        }
        let key = (sql.to_owned(), types.to_owned());
        match self.queries.get(&key).cloned() {
            Some(Some(prepared)) => Ok(Some(prepared)),
            Some(None) => {
                let prepared = self.driver.wait_for(self.client.prepare_typed(sql, types)).await?;
                self.queries.insert(key, Some(prepared.clone()));
                Ok(Some(prepared))
            }
            None => {
                if self.queries.len() >= QUERIES_MAX {
                    self.queries.clear();
                }
                self.queries.insert(key, None);
                Ok(None)
            }
        }
    }

    /// The server does not run the prepared query any more. Whether it was prepared.
    pub(super) fn forget(&mut self, sql: &str, types: &[Type]) -> bool {
        self.queries.remove(&(sql.to_owned(), types.to_owned())).flatten().is_some()
    }
}

/// What opens a transaction for a statement. `own_timeout` is the login's own limit in milliseconds, 0 for none.
pub(super) fn transaction(statement: Option<&Arc<Statement>>, own_timeout: u64) -> String {
    let timeout = timeout(statement, own_timeout).map_or_else(|| "DEFAULT".to_owned(), |timeout| timeout.to_string());
    let name = name(statement);
    format!("BEGIN READ ONLY; SET LOCAL application_name = '{name}'; SET LOCAL statement_timeout TO {timeout}")
}

/// What the server shows of the connection. 63 bytes of it are shown.
fn name(statement: Option<&Arc<Statement>>) -> String {
    let Some(statement) = statement else { return NAME.to_owned() };
    let id: String = statement.query_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(50).collect();
    format!("{NAME} {id}")
}

/// The server's limit in milliseconds. A limit of the login's own is never lengthened.
fn timeout(statement: Option<&Arc<Statement>>, own_timeout: u64) -> Option<u64> {
    let left = statement?.deadline?.saturating_duration_since(Instant::now()) + GRACE;
    let left = millis(left).min(i32::MAX.unsigned_abs().into());
    (own_timeout == 0 || left < own_timeout).then_some(left)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(deadline: Option<Duration>) -> Option<Arc<Statement>> {
        let deadline = deadline.map(|left| Instant::now() + left);
        Some(Arc::new(Statement { query_id: "0198c0de-1'; DROP".to_owned(), deadline }))
    }

    #[test]
    fn a_transaction_names_its_statement_and_ends_with_it() {
        let unnamed = "BEGIN READ ONLY; SET LOCAL application_name = 'meshgate'; SET LOCAL statement_timeout TO DEFAULT";
        assert_eq!(transaction(None, 0), unnamed);
        assert_eq!(transaction(statement(None).as_ref(), 0), unnamed.replace("'meshgate'", "'meshgate 0198c0de-1DROP'"));
        let ending = transaction(statement(Some(Duration::from_secs(60))).as_ref(), 0);
        let left: u64 = ending.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((60_000..=61_000).contains(&left), "{ending}");
    }

    #[test]
    fn a_limit_of_the_login_is_not_lengthened() {
        let minute = statement(Some(Duration::from_secs(60)));
        assert_eq!(timeout(minute.as_ref(), 5_000), None);
        assert!(timeout(minute.as_ref(), 500_000).is_some_and(|left| left <= 61_000));
    }
}

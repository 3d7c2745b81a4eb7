//! `pg_cancel_backend()` and `pg_terminate_backend()`: who is there, and what stops them.
//!
//! INVARIANT: a login reaches its own sessions alone; of all others it learns no more than that a number is taken.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility};

use crate::error::{ClientMessage, SqlState};

/// How a session is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopping {
    /// Its statement ends.
    Cancel,
    /// Its connection ends.
    Terminate,
}

/// Stops one session.
pub type Stopper = Arc<dyn Fn(Stopping) + Send + Sync>;

struct Entry {
    principal: String,
    stopper: Stopper,
}

/// The sessions that are open, by their numbers.
#[derive(Default)]
pub(super) struct Sessions {
    open: Mutex<HashMap<i32, Entry>>,
}

/// A session's place among them; dropping it leaves.
pub(super) struct Presence {
    sessions: Arc<Sessions>,
    process_id: i32,
}

impl Sessions {
    /// Enters a session.
    pub(super) fn enter(self: &Arc<Self>, process_id: i32, principal: &str, stopper: Stopper) -> Presence {
        let entry = Entry { principal: principal.to_owned(), stopper };
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(process_id, entry);
        Presence { sessions: Arc::clone(self), process_id }
    }

    /// Stops a session of this login; false if there is none of that number.
    fn stop(&self, process_id: i32, principal: &str, stopping: Stopping) -> Result<bool, ClientMessage> {
        let stopper = match self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&process_id) {
            None => return Ok(false),
            Some(entry) if entry.principal == principal => Arc::clone(&entry.stopper),
            Some(_) => {
                let what = if stopping == Stopping::Cancel { "query is being canceled" } else { "process is being terminated" };
                let text = format!("must be a member of the role whose {what} or member of pg_signal_backend");
                return Err(ClientMessage::new(SqlState::INSUFFICIENT_PRIVILEGE, text));
            }
        };
        stopper(stopping);
        Ok(true)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.sessions.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.process_id);
    }
}

/// The functions by which this login stops its sessions.
pub(super) fn functions(sessions: &Arc<Sessions>, principal: &str) -> [ScalarUDF; 2] {
    [Stopping::Cancel, Stopping::Terminate].map(|stopping| {
        // A number that is written is a bigint to the planner. How long to wait for the end is not waited.
        let numbers = [DataType::Int32, DataType::Int64];
        let waits = numbers.iter().map(|number| TypeSignature::Exact(vec![number.clone(), DataType::Int64]));
        let numbers = numbers.iter().map(|number| TypeSignature::Exact(vec![number.clone()]));
        let signature = match stopping {
            Stopping::Cancel => TypeSignature::OneOf(numbers.collect()),
            Stopping::Terminate => TypeSignature::OneOf(numbers.chain(waits).collect()),
        };
        let signature = Signature::new(signature, Volatility::Volatile);
        ScalarUDF::new_from_impl(Stop { signature, stopping, sessions: Arc::clone(sessions), principal: principal.to_owned() })
    })
}

struct Stop {
    signature: Signature,
    stopping: Stopping,
    sessions: Arc<Sessions>,
    principal: String,
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stop").field("stopping", &self.stopping).finish_non_exhaustive()
    }
}

impl PartialEq for Stop {
    fn eq(&self, other: &Self) -> bool {
        self.stopping == other.stopping && self.principal == other.principal && Arc::ptr_eq(&self.sessions, &other.sessions)
    }
}

impl Eq for Stop {}

impl Hash for Stop {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
        self.principal.hash(state);
    }
}

impl ScalarUDFImpl for Stop {
    fn name(&self) -> &'static str {
        match self.stopping {
            Stopping::Cancel => "pg_cancel_backend",
            Stopping::Terminate => "pg_terminate_backend",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let numbers = args.args.first().map(|numbers| numbers.to_array(args.number_rows)).transpose()?;
        let numbers = numbers.map(|numbers| arrow::compute::cast(&numbers, &DataType::Int32)).transpose()?;
        let numbers = numbers.as_ref().and_then(|numbers| numbers.as_primitive_opt::<Int32Type>());
        let stop = |number: Option<i32>| number.map(|number| self.sessions.stop(number, &self.principal, self.stopping)).transpose();
        let stopped = numbers.into_iter().flat_map(|numbers| numbers.iter()).map(stop).collect::<Result<BooleanArray, _>>();
        let stopped = stopped.map_err(|refusal| DataFusionError::External(Box::new(refusal)))?;
        Ok(ColumnarValue::Array(Arc::new(stopped)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_stops_its_own_sessions_alone() {
        let sessions = Arc::new(Sessions::default());
        let stopped = Arc::new(Mutex::new(Vec::new()));
        let stopper: Stopper = {
            let stopped = Arc::clone(&stopped);
            Arc::new(move |stopping| stopped.lock().unwrap().push(stopping))
        };
        let presence = sessions.enter(7, "analyst", stopper);
        assert_eq!(sessions.stop(8, "analyst", Stopping::Cancel), Ok(false));
        let refusal = sessions.stop(7, "steward", Stopping::Terminate).unwrap_err();
        assert_eq!(refusal.sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
        assert!(stopped.lock().unwrap().is_empty());
        assert_eq!(sessions.stop(7, "analyst", Stopping::Terminate), Ok(true));
        assert_eq!(*stopped.lock().unwrap(), [Stopping::Terminate]);
        drop(presence);
        assert_eq!(sessions.stop(7, "analyst", Stopping::Cancel), Ok(false));
    }
}

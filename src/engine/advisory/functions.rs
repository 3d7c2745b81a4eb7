//! The functions that take and give up advisory locks.
//!
//! INVARIANT: only those that wait do so, as a future that holds no thread and ends with its statement.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::catalog::TYPE_KEY;
use crate::error::{ClientMessage, SqlState};

use super::table::{Key, Mode};
use super::{AdvisorySession, Span};

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    Take(Mode, Span),
    Attempt(Mode, Span),
    Release(Mode),
    ReleaseAll,
}

const ACTIONS: [(&str, Action); 11] = [
    ("pg_advisory_lock", Action::Take(Mode::Exclusive, Span::Session)),
    ("pg_advisory_lock_shared", Action::Take(Mode::Shared, Span::Session)),
    ("pg_advisory_xact_lock", Action::Take(Mode::Exclusive, Span::Transaction)),
    ("pg_advisory_xact_lock_shared", Action::Take(Mode::Shared, Span::Transaction)),
    ("pg_try_advisory_lock", Action::Attempt(Mode::Exclusive, Span::Session)),
    ("pg_try_advisory_lock_shared", Action::Attempt(Mode::Shared, Span::Session)),
    ("pg_try_advisory_xact_lock", Action::Attempt(Mode::Exclusive, Span::Transaction)),
    ("pg_try_advisory_xact_lock_shared", Action::Attempt(Mode::Shared, Span::Transaction)),
    ("pg_advisory_unlock", Action::Release(Mode::Exclusive)),
    ("pg_advisory_unlock_shared", Action::Release(Mode::Shared)),
    ("pg_advisory_unlock_all", Action::ReleaseAll),
];

/// The functions of one session, which wait at most so long.
pub(in crate::engine) fn all(session: &Arc<AdvisorySession>, longest: Option<Duration>) -> impl Iterator<Item = Arc<ScalarUDF>> {
    ACTIONS.into_iter().map(move |(name, action)| {
        let signature = Signature::new(taken(action), Volatility::Volatile);
        let lock = Lock { name, action, signature, session: Arc::clone(session), longest };
        match action {
            Action::Take(..) => Arc::new(AsyncScalarUDF::new(Arc::new(lock)).into_scalar_udf()),
            Action::Attempt(..) | Action::Release(_) | Action::ReleaseAll => Arc::new(ScalarUDF::new_from_impl(lock)),
        }
    })
}

/// What an action takes: one number, or two. A number that is written is a bigint to the planner.
fn taken(action: Action) -> TypeSignature {
    match action {
        Action::ReleaseAll => TypeSignature::Nullary,
        Action::Take(..) | Action::Attempt(..) | Action::Release(_) => {
            TypeSignature::OneOf([1, 2].map(|count| TypeSignature::Exact(vec![DataType::Int64; count])).to_vec())
        }
    }
}

#[derive(Debug)]
struct Lock {
    name: &'static str,
    action: Action,
    signature: Signature,
    session: Arc<AdvisorySession>,
    longest: Option<Duration>,
}

impl PartialEq for Lock {
    fn eq(&self, other: &Self) -> bool {
        self.action == other.action && self.longest == other.longest && Arc::ptr_eq(&self.session, &other.session)
    }
}

impl Eq for Lock {}

impl Hash for Lock {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.action.hash(state);
    }
}

impl Lock {
    /// Whether it answers nothing, and only does.
    fn is_void(&self) -> bool {
        matches!(self.action, Action::Take(..) | Action::ReleaseAll)
    }

    /// What it does to one lock.
    fn done(&self, key: Key) -> Result<bool, ClientMessage> {
        match self.action {
            Action::Attempt(mode, span) => self.session.attempt(key, mode, span),
            Action::Release(mode) => Ok(self.session.release(key, mode)),
            Action::Take(..) | Action::ReleaseAll => Err(ClientMessage::new(SqlState::INTERNAL_ERROR, "a lock is waited for elsewhere")),
        }
    }
}

impl ScalarUDFImpl for Lock {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(if self.is_void() { DataType::Utf8 } else { DataType::Boolean })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef, DataFusionError> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name, self.return_type(&types)?, true);
        let void = self.is_void().then(|| (TYPE_KEY.to_owned(), "void".to_owned()));
        Ok(Arc::new(field.with_metadata(void.into_iter().collect())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        if self.action == Action::ReleaseAll {
            self.session.release_all();
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(String::new()))));
        }
        let done = |key: Option<Key>| key.map(|key| self.done(key)).transpose();
        let answers = keys(&args)?.into_iter().map(done).collect::<Result<BooleanArray, _>>().map_err(refusal)?;
        Ok(ColumnarValue::Array(Arc::new(answers)))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Lock {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let Action::Take(mode, span) = self.action else { return self.invoke_with_args(args) };
        let mut answers = Vec::with_capacity(args.number_rows);
        for key in keys(&args)? {
            if let Some(key) = key {
                self.session.take(key, mode, span, self.longest).await.map_err(refusal)?;
            }
            answers.push(ScalarValue::Utf8(key.map(|_| String::new())));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(answers)?))
    }
}

/// The lock that each row names; `None` if one of its numbers is NULL.
fn keys(args: &ScalarFunctionArgs) -> Result<Vec<Option<Key>>, DataFusionError> {
    let arrays: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect::<Result<_, _>>()?;
    Ok(match arrays.as_slice() {
        [whole] => whole.as_primitive::<Int64Type>().iter().map(|number| number.map(Key::Whole)).collect(),
        [high, low] => {
            let rows = high.as_primitive::<Int64Type>().iter().zip(low.as_primitive::<Int64Type>());
            rows.map(|(high, low)| high.zip(low).map(halves).transpose()).collect::<Result<_, _>>().map_err(refusal)?
        }
        _ => Vec::new(),
    })
}

/// The lock of two numbers, of which each is an integer.
fn halves((high, low): (i64, i64)) -> Result<Key, ClientMessage> {
    let half =
        |number: i64| i32::try_from(number).map_err(|_| ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"));
    Ok(Key::Halves(half(high)?, half(low)?))
}

fn refusal(message: ClientMessage) -> DataFusionError {
    DataFusionError::External(Box::new(message))
}

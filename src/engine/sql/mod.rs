//! From text to statements: split, bounded, classified. Nothing is planned here.
//!
//! INVARIANT: only what this module classifies as a query ever reaches the planner; everything that writes, defines or
//! touches the server's files is a [`Kind::Refused`] with its SQLSTATE before planning.

mod aggregates;
mod analysis;
mod apart;
mod arguments;
mod casting;
mod ctes;
mod dialect;
mod distinct_order;
mod foreign;
mod frames;
mod grammar;
mod group_keys;
mod grouping_sets;
mod hypothetical;
mod intervals;
mod join_queries;
mod labels;
mod laterals;
mod lexer;
mod limits;
mod long_names;
mod malformed;
mod members;
mod merging;
mod misplaced;
mod modifiers;
mod nested_joins;
mod no_list;
mod offsets;
mod once;
mod one_group;
mod operator_calls;
mod operators;
mod order_names;
mod outer_aggregates;
mod parameters;
mod patterns;
mod places;
mod quantified;
mod query;
mod quoted;
mod recursion;
mod rows;
mod scalars;
mod sizes;
mod spelling;
mod spread_order;
mod steps;
mod tables;
mod ties;
mod tokens;
mod unions;
mod unterminated;
mod using;
mod whole_rows;
mod widths;
mod windows;

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement as Ast;
use datafusion::sql::sqlparser::ast;

use crate::error::ClientMessage;

use super::client_encoding::ClientEncoding;
use super::fault;
use super::reply::CopyFormat;

pub(super) use analysis::{Analysis, analysis};
pub(super) use apart::apart;
pub(super) use group_keys::{Keyed, grouped};
pub(super) use long_names::notices as cut_names;
pub(super) use merging::resolved as merged;
pub(super) use modifiers::Modifiers;
pub(super) use operators::PgOperators;
pub(super) use parameters::{ParameterTypes, names_of, number_of, typed, unwrapped};
pub(super) use places::placed;
pub(super) use query::parse_text;
pub(super) use whole_rows::{ROWS_MAX, expanded};

/// Bounds on what is parsed, so that no text can exhaust the stack or the memory.
#[derive(Debug, Clone, Copy)]
pub struct TextLimits {
    /// Bytes of one text.
    pub bytes_max: usize,
    /// Nesting of parentheses and subqueries.
    pub depth_max: usize,
    /// Operators (arithmetic, comparison, AND, OR, UNION, …) in one statement.
    pub operators_max: usize,
    /// Operators among them that compute a value (arithmetic, concatenation): a chain of them nests as deep as it is long, and the time to
    /// plan it grows with the square of that.
    pub computations_max: usize,
    /// Tokens in one statement.
    pub tokens_max: usize,
}

impl Default for TextLimits {
    fn default() -> Self {
        Self { bytes_max: 4 << 20, depth_max: 100, operators_max: 5_000, computations_max: 1_000, tokens_max: 400_000 }
    }
}

/// One statement of a text.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its own text, without the separator.
    pub text: String,
    /// What it is.
    pub kind: Kind,
}

/// What a statement is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// SELECT, VALUES, TABLE, WITH.
    Query(Query),
    /// EXPLAIN of a query.
    Explain {
        /// What is asked for.
        options: ExplainOptions,
        /// The query.
        query: Query,
    },
    /// EXPLAIN POLICY [AS user] query.
    ExplainPolicy {
        /// For whom; `None` is the caller.
        user: Option<String>,
        /// The query.
        query: Query,
    },
    /// COPY … TO STDOUT.
    Copy {
        /// The query.
        query: Query,
        /// How rows are written.
        options: CopyOptions,
    },
    /// SET [SESSION | LOCAL] name TO values.
    Set {
        /// The setting.
        name: String,
        /// `None` is DEFAULT.
        value: Option<String>,
        /// Until the end of the transaction.
        local: bool,
    },
    /// SET TRANSACTION …, SET SESSION CHARACTERISTICS …: accepted when it asks for what we are (read only).
    SetTransaction(TransactionModes),
    /// RESET name; `None` is ALL.
    Reset(Option<String>),
    /// SHOW name; `None` is ALL.
    Show(Option<String>),
    /// BEGIN, START TRANSACTION.
    Begin(TransactionModes),
    /// COMMIT, END.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT name.
    Savepoint(String),
    /// RELEASE name.
    Release(String),
    /// ROLLBACK TO name.
    RollbackTo(String),
    /// PREPARE name (types) AS query.
    Prepare {
        /// Its name.
        name: String,
        /// The type names as written.
        types: Vec<String>,
        /// The query.
        query: Query,
    },
    /// EXECUTE name (arguments).
    Execute {
        /// Its name.
        name: String,
        /// A `SELECT arguments` that computes them; `None` without arguments.
        arguments: Option<Query>,
    },
    /// DEALLOCATE name; `None` is ALL.
    Deallocate(Option<String>),
    /// DECLARE name CURSOR FOR query.
    Declare {
        /// Its name.
        name: String,
        /// What it asks for.
        options: DeclareOptions,
        /// The query.
        query: Query,
    },
    /// FETCH or MOVE.
    Fetch {
        /// The cursor.
        name: String,
        /// How far.
        direction: Direction,
        /// MOVE: rows are skipped, not shown.
        skip: bool,
    },
    /// CLOSE name; `None` is ALL.
    Close(Option<String>),
    /// DISCARD ALL | PLANS | SEQUENCES | TEMP.
    Discard(String),
    /// EXPLAIN EXECUTE name (arguments).
    ExplainExecute {
        /// What is asked for.
        options: ExplainOptions,
        /// The prepared statement's name.
        name: String,
        /// A `SELECT arguments` that computes them; `None` without arguments.
        arguments: Option<Query>,
    },
    /// LISTEN: nobody can notify on a server for reading, so there is nothing to wait for.
    Listen,
    /// UNLISTEN, which for the same reason ends nothing.
    Unlisten,
    /// LOCK TABLE … IN ACCESS SHARE MODE: a query of each of the tables.
    LockShared(Vec<Query>),
    /// PREPARE TRANSACTION.
    PrepareTransaction,
    /// COMMIT PREPARED, ROLLBACK PREPARED.
    FinishPrepared {
        /// The statement.
        verb: &'static str,
        /// The transaction, of which there is none.
        name: String,
    },
    /// Known and not done here.
    Refused(ClientMessage),
}

/// A query ready to be planned.
#[derive(Debug, Clone)]
pub struct Query {
    /// The tree, in the planner's words.
    pub ast: Arc<Ast>,
    /// The tree as written, of a query that reads the catalog and nothing else.
    pub catalog: Option<Arc<ast::Statement>>,
    /// What the text says of its columns' types.
    pub(super) modifiers: Modifiers,
    /// Its text, for positions in errors and for the audit log.
    pub text: String,
    /// Characters before it in the text that the client sent; `None` if the text is not the client's own.
    pub offset: Option<usize>,
}

impl Query {
    /// What the client is told of a fault before there are rows, with the place in the text that it sent.
    pub(super) fn fault(&self, error: &DataFusionError) -> ClientMessage {
        self.placed(fault::client_message(error, &self.text))
    }

    /// What the client is told of a fault while rows are computed.
    pub(super) fn fault_of_rows(&self, error: &DataFusionError) -> ClientMessage {
        self.placed(fault::in_phase(fault::Phase::Running, error, &self.text))
    }

    fn placed(&self, mut message: ClientMessage) -> ClientMessage {
        message.position = message.position.and_then(|position| Some(position + self.offset?));
        message
    }
}

/// The options of EXPLAIN that have an effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExplainOptions {
    /// Whether the query is run.
    pub analyze: bool,
    /// Whether costs are left out.
    pub costless: bool,
    /// Whether the time that it took is told.
    pub summary: bool,
    /// How the plan is written.
    pub format: ExplainFormat,
}

/// How EXPLAIN writes a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExplainFormat {
    /// Lines.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// One XML document.
    Xml,
}

/// The options of COPY as written; the columns are known only after planning.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// The format with its options.
    pub format: CopyFormat,
    /// ENCODING.
    pub encoding: Option<ClientEncoding>,
    /// FORCE_QUOTE columns; `None` in the vector's place of `*`.
    pub force_quote: ForceQuote,
}

/// FORCE_QUOTE of COPY.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ForceQuote {
    /// None.
    #[default]
    None,
    /// `*`
    All,
    /// By name.
    Columns(Vec<String>),
}

/// What DECLARE asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeclareOptions {
    /// WITH HOLD.
    pub hold: bool,
    /// SCROLL or NO SCROLL.
    pub scroll: Option<bool>,
    /// BINARY.
    pub binary: bool,
}

/// How far FETCH goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// So many rows forward.
    Forward(u64),
    /// To the end.
    All,
    /// To before the first row.
    Start,
    /// So many rows backward; `None` is all of them.
    Backward(Option<u64>),
    /// To the row of this number; below zero from the end.
    Absolute(i64),
    /// To the row so far from where the cursor is.
    Relative(i64),
}

/// Modes of BEGIN and SET TRANSACTION.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// The isolation level as asked for, in lower case.
    pub isolation: Option<String>,
    /// READ WRITE (false) or READ ONLY (true).
    pub read_only: Option<bool>,
    /// [NOT] DEFERRABLE.
    pub deferrable: Option<bool>,
    /// SET SESSION CHARACTERISTICS: for all later transactions.
    pub session: bool,
    /// Written as START TRANSACTION, which the command's tag repeats.
    pub start: bool,
    /// The snapshot that is to be imported.
    pub snapshot: Option<String>,
}

impl Statement {
    /// The word for the audit log.
    pub fn class(&self) -> &'static str {
        match &self.kind {
            Kind::Query(_) => "query",
            Kind::Explain { .. } | Kind::ExplainExecute { .. } => "explain",
            Kind::ExplainPolicy { .. } => "explain_policy",
            Kind::Copy { .. } => "copy_out",
            Kind::Set { .. } | Kind::SetTransaction(_) | Kind::Reset(_) | Kind::Show(_) | Kind::Discard(_) => "setting",
            Kind::Begin(_)
            | Kind::Commit { .. }
            | Kind::Rollback { .. }
            | Kind::Savepoint(_)
            | Kind::Release(_)
            | Kind::RollbackTo(_)
            | Kind::PrepareTransaction
            | Kind::FinishPrepared { .. } => "transaction",
            Kind::Prepare { .. } | Kind::Execute { .. } | Kind::Deallocate(_) => "prepared",
            Kind::Declare { .. } | Kind::Fetch { .. } | Kind::Close(_) => "cursor",
            Kind::Listen | Kind::Unlisten => "notification",
            Kind::LockShared(_) => "lock",
            Kind::Refused(_) => "refused",
        }
    }

    /// The query, if it is one.
    pub fn query(&self) -> Option<&Query> {
        match &self.kind {
            Kind::Query(query) => Some(query),
            _ => None,
        }
    }

    /// Whether it is accepted in a failed transaction.
    pub fn ends_transaction(&self) -> bool {
        matches!(self.kind, Kind::Commit { .. } | Kind::Rollback { .. } | Kind::RollbackTo(_) | Kind::PrepareTransaction)
    }
}

/// Splits a text into its statements and classifies each.
///
/// A fault anywhere refuses the whole text, as PostgreSQL does; its position counts characters of the whole text from 1.
pub(super) fn parse(text: &str, limits: &TextLimits) -> Result<Vec<Statement>, ClientMessage> {
    lexer::split(text, limits)?.iter().map(|piece| grammar::classify(piece, limits)).collect()
}

#[cfg(test)]
mod tests;

//! A statement over the catalog after its names and types are known.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::error::DataFusionError;

use crate::catalog::relations::Relation;

use super::datum::{Datum, Ty};

/// What computing a value may end with.
pub(super) type Outcome = Result<Datum, DataFusionError>;

/// What a call computes from its arguments.
pub(super) type Compute = Arc<dyn Fn(&[Datum]) -> Outcome + Send + Sync>;

/// An expression.
#[derive(Clone)]
pub(super) enum Node {
    /// A constant.
    Const(Datum),
    /// A parameter by its place.
    Param(usize),
    /// A column of the row that the query `up` levels out stands at.
    Col { up: usize, at: usize },
    /// What is computed beside the row at this level: an aggregate, a window function, a set of rows.
    Extra(usize),
    /// A call; a strict one is NULL where any argument is.
    Call { compute: Compute, strict: bool, args: Vec<Node> },
    /// AND.
    And(Vec<Node>),
    /// OR.
    Or(Vec<Node>),
    /// CASE: the first arm whose condition is true.
    Case { arms: Vec<(Node, Node)>, otherwise: Box<Node> },
    /// COALESCE.
    Coalesce(Vec<Node>),
    /// `left op ANY (array)`, or ALL.
    Quantified { left: Box<Node>, right: Box<Node>, compute: Compute, all: bool },
    /// `left op ANY (query)`, or ALL.
    QuantifiedQuery { left: Box<Node>, query: Subquery, compute: Compute, all: bool },
    /// `left IN (query)`; of a list, all fields must be equal.
    InQuery { left: Vec<Node>, query: Subquery },
    /// EXISTS.
    Exists(Subquery),
    /// A query that stands for its one value.
    Scalar(Subquery),
    /// ARRAY(query).
    Collect(Subquery),
    /// ROW(…).
    Row(Vec<Node>),
    /// ARRAY[…].
    List(Vec<Node>),
}

/// A query within an expression.
#[derive(Clone)]
pub(super) struct Subquery {
    /// Its own number in the statement.
    pub(super) id: usize,
    /// Whether its rows depend on where it stands.
    pub(super) correlated: bool,
    /// The query.
    pub(super) plan: Arc<Plan>,
}

/// A query.
pub(super) struct Plan {
    /// Its WITH queries.
    pub(super) ctes: Vec<Cte>,
    /// Where its rows come from.
    pub(super) body: Body,
    /// By which of the body's columns it is sorted.
    pub(super) sort: Vec<SortKey>,
    /// OFFSET.
    pub(super) offset: Option<Node>,
    /// LIMIT.
    pub(super) limit: Option<Node>,
    /// The columns it answers; the body may have more, for sorting.
    pub(super) columns: Vec<Output>,
}

/// A column of a query's result.
#[derive(Debug, Clone)]
pub(super) struct Output {
    /// Its label.
    pub(super) name: String,
    /// Its type.
    pub(super) ty: Ty,
    /// A constant or parameter whose type nothing has told yet.
    pub(super) unknown: bool,
    /// The column of a relation that it is, unchanged.
    pub(super) origin: Origin,
}

/// The OID of a relation and the number of a column of it.
pub(super) type Origin = Option<(u32, i16)>;

/// A WITH query.
pub(super) struct Cte {
    /// Its number in the statement.
    pub(super) id: usize,
    /// Its first rows.
    pub(super) plan: Arc<Plan>,
    /// Of a recursive one: what follows from the rows of before, and whether equal rows are kept.
    pub(super) step: Option<(Arc<Plan>, bool)>,
}

/// Where a query's rows come from.
pub(super) enum Body {
    /// SELECT.
    Select(Box<Select>),
    /// VALUES.
    Values(Vec<Vec<Node>>),
    /// A query in parentheses.
    Query(Box<Plan>),
    /// UNION and its kin.
    Set { kind: SetKind, all: bool, left: Box<Plan>, right: Box<Plan> },
}

/// UNION, EXCEPT, INTERSECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetKind {
    /// The rows of both.
    Union,
    /// The rows of the first that are not in the second.
    Except,
    /// The rows that are in both.
    Intersect,
}

/// SELECT.
pub(super) struct Select {
    /// FROM.
    pub(super) from: From,
    /// What of WHERE could not be moved into FROM.
    pub(super) filters: Vec<Node>,
    /// GROUP BY; `None` if the query neither groups nor aggregates.
    pub(super) groups: Option<Vec<Node>>,
    /// HAVING.
    pub(super) having: Option<Node>,
    /// What is computed beside the rows.
    pub(super) extras: Vec<Extra>,
    /// The select list, and what is sorted by beside it.
    pub(super) items: Vec<Node>,
    /// DISTINCT over these columns.
    pub(super) distinct: Option<Vec<usize>>,
    /// The width of a row of FROM.
    pub(super) width: usize,
}

/// What is computed beside a row.
#[derive(Clone)]
pub(super) enum Extra {
    /// An aggregate of a group.
    Aggregate(Aggregate),
    /// A function over a window.
    Window { function: Ranking, partition: Vec<Node>, order: Vec<(Node, SortKey)> },
    /// A set of rows in a select list.
    Rows(SetCall),
}

/// A function over a window.
#[derive(Clone)]
pub(super) enum Ranking {
    /// row_number
    RowNumber,
    /// rank
    Rank,
    /// dense_rank
    DenseRank,
    /// An aggregate over the partition, or up to the row's peers if the window is sorted.
    Aggregate(Aggregate),
}

/// What an aggregate does with the values that it is given.
pub(super) type Fold = Arc<dyn Fn(Vec<Vec<Datum>>) -> Outcome + Send + Sync>;

/// A call of an aggregate.
#[derive(Clone)]
pub(super) struct Aggregate {
    /// Its arguments.
    pub(super) args: Vec<Node>,
    /// Each value once.
    pub(super) distinct: bool,
    /// FILTER.
    pub(super) filter: Option<Node>,
    /// ORDER BY within the call.
    pub(super) order: Vec<(Node, SortKey)>,
    /// Whether NULLs are left out.
    pub(super) skips_nulls: bool,
    /// The aggregate itself.
    pub(super) fold: Fold,
}

/// What a function that answers rows does with its arguments.
pub(super) type Produce = Arc<dyn Fn(&[Datum]) -> Result<Vec<Vec<Datum>>, DataFusionError> + Send + Sync>;

/// A call of a function that answers rows.
#[derive(Clone)]
pub(super) struct SetCall {
    /// Its arguments.
    pub(super) args: Vec<Node>,
    /// The rows.
    pub(super) produce: Produce,
    /// How many columns each has.
    pub(super) width: usize,
}

/// A key to sort by.
#[derive(Debug, Clone, Copy)]
pub(super) struct SortKey {
    /// The column.
    pub(super) at: usize,
    /// DESC.
    pub(super) descending: bool,
    /// NULLS FIRST.
    pub(super) nulls_first: bool,
}

/// A part of FROM. Its columns are those from `start` on, `width` of them, of the query's row.
pub(super) struct From {
    /// The first column.
    pub(super) start: usize,
    /// How many columns.
    pub(super) width: usize,
    /// What it is.
    pub(super) kind: FromKind,
}

/// Kinds of parts of FROM.
pub(super) enum FromKind {
    /// No FROM: one row without columns.
    Unit,
    /// A relation, a query, a function.
    Leaf {
        /// Where rows come from.
        source: Source,
        /// Conditions on its rows.
        filters: Vec<Node>,
        /// A column that must equal a value from outside of it.
        lookup: Option<(usize, Node)>,
    },
    /// Parts of which every row goes with every other that the conditions take; in which order they are joined is free.
    Group {
        /// The parts.
        parts: Vec<Part>,
        /// What must be true of several of them.
        conditions: Vec<Condition>,
    },
    /// An outer join.
    Join {
        /// Which.
        kind: JoinKind,
        /// The left side.
        left: Box<From>,
        /// The right side.
        right: Box<From>,
        /// Whether the right side depends on the row of the left.
        lateral: bool,
        /// What must be true of both.
        on: Vec<Node>,
        /// What must be equal: of the left, of the right.
        equal: Vec<(Node, Node)>,
    },
}

/// A part of a group.
pub(super) struct Part {
    /// The part.
    pub(super) from: From,
    /// Whether it depends on the parts before it.
    pub(super) lateral: bool,
}

/// A condition and the columns of the query at hand that it names.
pub(super) struct Condition {
    /// The condition.
    pub(super) node: Node,
    /// The columns.
    pub(super) touched: BTreeSet<usize>,
    /// Of `a = b`: both sides.
    pub(super) equal: Option<(Side, Side)>,
}

/// One side of an equality, with the columns that it names.
pub(super) struct Side {
    /// The expression.
    pub(super) node: Node,
    /// The columns.
    pub(super) touched: BTreeSet<usize>,
}

/// Kinds of outer joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JoinKind {
    /// LEFT.
    Left,
    /// RIGHT.
    Right,
    /// FULL.
    Full,
}

/// Where the rows of a leaf come from.
pub(super) enum Source {
    /// A system relation.
    Relation(&'static Relation),
    /// A WITH query.
    Cte(usize),
    /// A subquery.
    Query(Subquery),
    /// Functions that answer rows, side by side, and whether the rows are numbered.
    Calls(Vec<SetCall>, bool),
}

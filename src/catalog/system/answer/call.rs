//! Binds calls: of scalar functions, aggregates, window functions and functions that answer rows.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function as Call, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, ObjectName,
    OrderByExpr, WindowType,
};

use crate::catalog::PgType;
use crate::catalog::functions::{Function, Kind};
use crate::catalog::statics::is_aggregate;
use crate::catalog::system::{last_part, qualifier};

use super::bind::{Binder, Bound, Typed, unsupported};
use super::datum::{Datum, Family, Ty, from_value, to_value};
use super::tree::{Aggregate, Compute, Extra, Node, Ranking, SetCall, SortKey};
use super::{aggregates, builtins, sets};

impl Binder {
    /// A call.
    pub(super) fn call(&mut self, call: &Call) -> Bound<Typed> {
        let name = function_name(&call.name)?;
        if let FunctionArguments::Subquery(query) = &call.args {
            if name != "array" {
                return unsupported("a query as an argument");
            }
            let query = self.subquery(query)?;
            let [column] = query.plan.columns.as_slice() else { return unsupported("an array of several columns") };
            let ty = column.ty.array();
            return Ok(Typed::new(Node::Collect(query), ty));
        }
        if call.over.is_some() {
            return self.windowed(&name, call);
        }
        if is_aggregate(&name) {
            let (aggregate, ty) = self.aggregate(&name, call)?;
            let level = self.level()?;
            level.aggregates = true;
            level.extras.push(Extra::Aggregate(aggregate));
            return Ok(Typed::new(Node::Extra(level.extras.len() - 1), ty));
        }
        let exprs = arguments(call)?;
        if call.filter.is_some() || !call.within_group.is_empty() {
            return unsupported("FILTER or WITHIN GROUP of this function");
        }
        if name == "row" {
            let exprs: Vec<Expr> = exprs.into_iter().cloned().collect();
            return self.row(&exprs);
        }
        let mut args = Vec::with_capacity(exprs.len());
        for expr in exprs {
            args.push(self.expr(expr)?);
        }
        if let Some(set) = sets::bind(self, &name, &args)? {
            let level = self.level()?;
            level.extras.push(Extra::Rows(set.call));
            let node = Node::Extra(level.extras.len() - 1);
            let ty = match set.columns.as_slice() {
                [(_, ty)] if set.scalar => ty.clone(),
                columns => Ty::row(columns.to_vec()),
            };
            return Ok(Typed::new(node, ty));
        }
        self.plain_call(&name, args)
    }

    /// A word that PostgreSQL reserves for what a session knows of itself.
    pub(super) fn session_word(&mut self, word: &str) -> Bound<Option<Typed>> {
        let words = [
            "current_user",
            "session_user",
            "user",
            "current_role",
            "current_catalog",
            "current_schema",
            "current_timestamp",
            "current_date",
            "localtimestamp",
        ];
        if words.contains(&word) { self.plain_call(word, Vec::new()).map(Some) } else { Ok(None) }
    }

    /// A call of a scalar function with its arguments bound.
    pub(super) fn plain_call(&mut self, name: &str, args: Vec<Typed>) -> Bound<Typed> {
        if let Some(typed) = builtins::bind(self, name, &args)? {
            return Ok(typed);
        }
        let found = self.functions.iter().find(|function| function.name() == name).cloned();
        match found {
            Some(function) => self.system_call(&function, args),
            None => unsupported(format!("function {name}")),
        }
    }

    /// A call of a function over the facts of the session.
    fn system_call(&mut self, function: &Arc<Function>, args: Vec<Typed>) -> Bound<Typed> {
        let Some(kinds) = function.kinds(args.len()) else { return unsupported(format!("{} with these arguments", function.name())) };
        let mut nodes = Vec::with_capacity(args.len());
        for (typed, kind) in args.into_iter().zip(kinds) {
            nodes.push(self.argument(function.name(), typed, kind)?);
        }
        let ty = returned(function);
        let (function, strict) = (Arc::clone(function), !function.reads_null_arguments());
        let compute: Compute = Arc::new(move |args| {
            let values: Vec<_> = args.iter().map(to_value).collect();
            function.evaluated(&values).map(from_value)
        });
        Ok(Typed::new(Node::Call { compute, strict, args: nodes }, ty))
    }

    fn argument(&mut self, function: &str, typed: Typed, kind: Kind) -> Bound<Node> {
        let text = Ty::from(PgType::TEXT);
        match kind {
            Kind::Text => self.coerce(typed, &text),
            Kind::Int => self.coerce(typed, &PgType::INT4.into()),
            Kind::Bool => self.coerce(typed, &PgType::BOOL.into()),
            Kind::Object if typed.unknown => match &typed.node {
                // Privileges are asked for by name or by OID; what else takes an object takes its OID.
                Node::Param(_) if !function.starts_with("has_") && function != "pg_has_role" => self.coerce(typed, &PgType::OID.into()),
                _ => self.coerce(typed, &text),
            },
            Kind::Object => match typed.ty.family() {
                Family::Int | Family::Oid | Family::Named => Ok(typed.node),
                _ => self.coerce(typed, &text),
            },
            Kind::Any => match typed.ty.family() {
                Family::List => match typed.ty.element().map(|element| element.family()) {
                    Some(Family::Text | Family::Int | Family::Oid | Family::Named) => Ok(typed.node),
                    _ => self.coerce(typed, &PgType::TEXT_ARRAY.into()),
                },
                Family::Int | Family::Oid | Family::Bool => Ok(typed.node),
                _ => self.coerce(typed, &text),
            },
        }
    }

    /// An aggregate with its type.
    fn aggregate(&mut self, name: &str, call: &Call) -> Bound<(Aggregate, Ty)> {
        if self.level()?.inside > 0 {
            return unsupported("an aggregate of an aggregate");
        }
        self.level()?.inside += 1;
        let made = self.aggregate_inside(name, call);
        self.level()?.inside -= 1;
        made
    }

    fn aggregate_inside(&mut self, name: &str, call: &Call) -> Bound<(Aggregate, Ty)> {
        let exprs = arguments(call)?;
        let mut args = Vec::with_capacity(exprs.len());
        for expr in exprs {
            args.push(self.expr(expr)?);
        }
        let filter = match &call.filter {
            Some(filter) => Some(self.truth(filter)?),
            None => None,
        };
        let FunctionArguments::List(list) = &call.args else { return unsupported("an aggregate without arguments") };
        let mut order = Vec::new();
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(keys) => order = self.keys(keys)?,
                _ => return unsupported("a clause of an aggregate"),
            }
        }
        if !call.within_group.is_empty() {
            return unsupported("WITHIN GROUP");
        }
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let (args, fold, skips_nulls, ty) = aggregates::bind(self, name, args)?;
        Ok((Aggregate { args, distinct, filter, order, skips_nulls, fold }, ty))
    }

    /// Keys of an ORDER BY within a call.
    pub(super) fn keys(&mut self, keys: &[OrderByExpr]) -> Bound<Vec<(Node, SortKey)>> {
        let mut found = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            let typed = self.expr(&key.expr)?;
            found.push((self.settled(typed)?.node, sort_key(at, key)));
        }
        Ok(found)
    }

    fn windowed(&mut self, name: &str, call: &Call) -> Bound<Typed> {
        let Some(WindowType::WindowSpec(spec)) = &call.over else { return unsupported("a named window") };
        if spec.window_frame.is_some() || spec.window_name.is_some() {
            return unsupported("a window frame");
        }
        let mut partition = Vec::with_capacity(spec.partition_by.len());
        for expr in &spec.partition_by {
            let typed = self.expr(expr)?;
            partition.push(self.settled(typed)?.node);
        }
        let order = self.keys(&spec.order_by)?;
        let (function, ty) = match name {
            "row_number" => (Ranking::RowNumber, PgType::INT8.into()),
            "rank" => (Ranking::Rank, PgType::INT8.into()),
            "dense_rank" => (Ranking::DenseRank, PgType::INT8.into()),
            name if is_aggregate(name) => {
                let (aggregate, ty) = self.aggregate_inside(name, call)?;
                (Ranking::Aggregate(aggregate), ty)
            }
            other => return unsupported(format!("the window function {other}")),
        };
        let level = self.level()?;
        level.extras.push(Extra::Window { function, partition, order });
        Ok(Typed::new(Node::Extra(level.extras.len() - 1), ty))
    }
}

/// A function that answers rows, bound.
pub(super) struct BoundSet {
    /// The call.
    pub(super) call: SetCall,
    /// The names and types of its columns.
    pub(super) columns: Vec<(String, Ty)>,
    /// Whether it answers values, not rows.
    pub(super) scalar: bool,
}

/// How a key sorts: NULLs are above everything.
pub(super) fn sort_key(at: usize, key: &OrderByExpr) -> SortKey {
    let descending = key.options.asc == Some(false);
    SortKey { at, descending, nulls_first: key.options.nulls_first.unwrap_or(descending) }
}

/// The arguments of a call; `count(*)` has none.
fn arguments(call: &Call) -> Bound<Vec<&Expr>> {
    let list = match &call.args {
        FunctionArguments::None => return Ok(Vec::new()),
        FunctionArguments::List(list) => list,
        FunctionArguments::Subquery(_) => return unsupported("a query as an argument"),
    };
    expressions(&list.args)
}

/// Positional arguments.
pub(super) fn expressions(args: &[FunctionArg]) -> Bound<Vec<&Expr>> {
    let mut found = Vec::with_capacity(args.len());
    for arg in args {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => found.push(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {}
            _ => return unsupported("a named argument"),
        }
    }
    Ok(found)
}

/// The name of a function of the system.
pub(super) fn function_name(name: &ObjectName) -> Bound<String> {
    if qualifier(name).is_some_and(|schema| !matches!(schema.as_str(), "pg_catalog" | "information_schema")) {
        return unsupported(format!("function {name}"));
    }
    Ok(last_part(name).unwrap_or_default())
}

/// What a system function answers, in PostgreSQL's types.
fn returned(function: &Function) -> Ty {
    // What is a number until it is shown is a number to the engine.
    let number = function.name().strip_prefix("to_").filter(|name| name.starts_with("reg")).and_then(PgType::named);
    let named = number.or_else(|| function.pg_type()).or_else(|| (function.name() == "acldefault").then_some(PgType::ACLITEM_ARRAY));
    named.unwrap_or_else(|| PgType::of_arrow_type(function.returned())).into()
}

/// Constant NULL.
pub(super) fn null() -> Node {
    Node::Const(Datum::Null)
}

//! Calls: which function is meant, and what its arguments become.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    OrderByExpr, Spanned, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::PgType;
use crate::catalog::resolution::{self, Argument, Choice};
use crate::error::SqlState;

use super::super::arguments::VARIADIC;
use super::super::misplaced;
use super::types::folded;
use super::{Analyst, NOWHERE, Result, Typed};

/// Arguments, and the names that some of them are given by.
type Given = Vec<(Option<String>, Typed)>;

/// `"any"`: what it is given stays what it is.
const ANY: u32 = 2276;

const NO_FUNCTION: &str = "No function matches the given name and argument types. You might need to add explicit type casts.";
const NO_BEST_FUNCTION: &str = "Could not choose a best candidate function. You might need to add explicit type casts.";

/// Names that PostgreSQL reads without parentheses, and their types.
const BARE: [(&str, u32); 12] = [
    ("current_date", PgType::DATE.oid),
    ("current_time", PgType::TIMETZ.oid),
    ("current_timestamp", PgType::TIMESTAMPTZ.oid),
    ("localtime", PgType::TIME.oid),
    ("localtimestamp", PgType::TIMESTAMP.oid),
    ("current_user", PgType::NAME.oid),
    ("current_role", PgType::NAME.oid),
    ("session_user", PgType::NAME.oid),
    ("user", PgType::NAME.oid),
    ("current_catalog", PgType::NAME.oid),
    ("current_schema", PgType::NAME.oid),
    ("system_user", PgType::TEXT.oid),
];

impl Analyst<'_> {
    pub(super) fn call(&mut self, call: &Function) -> Result<Typed> {
        let before = self.scopes.forget();
        let value = self.called_by_name(call)?;
        if call.over.is_none() && misplaced::is_aggregate(call) && self.scopes.of_others() {
            let text = "an aggregate of the rows of a query around is not supported";
            let fault = self.message(SqlState::FEATURE_NOT_SUPPORTED, text, call.name.span().start);
            return Err(Box::new(fault.with_hint("Compute it in that query.")));
        }
        self.scopes.remember(before);
        Ok(value)
    }

    fn called_by_name(&mut self, call: &Function) -> Result<Typed> {
        let parts: Vec<String> = call.name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        let place = call.name.span().start;
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name.as_str()),
            [schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return self.unread(call),
        };
        let list = match &call.args {
            FunctionArguments::List(list) => list,
            FunctionArguments::None => {
                return Ok(BARE.iter().find(|(known, _)| *known == name).map_or_else(Typed::open, |(_, oid)| Typed::of(*oid)));
            }
            FunctionArguments::Subquery(subquery) => {
                let value = self.scalar(subquery)?;
                return Ok(Typed::of(resolution::array(value.oid).unwrap_or(resolution::OPEN)));
            }
        };
        self.windowed(call)?;
        let Some((arguments, star)) = self.arguments(list)? else { return self.unread(call) };
        if schema.is_some_and(|schema| schema != "pg_catalog") || variadic(list) {
            arguments.iter().for_each(|(_, value)| self.leave(value));
            return Ok(Typed::open());
        }
        match name {
            "coalesce" | "greatest" | "least" if schema.is_none() => {
                let values: Vec<Typed> = arguments.into_iter().map(|(_, value)| value).collect();
                return self.together(&name.to_uppercase(), &values);
            }
            "nullif" => {
                if let [(_, one), (_, other)] = arguments.as_slice() {
                    self.two_sided("=", one, other, place)?;
                    // One without a type has become what it is compared as.
                    return if one.is_unknown() && !other.is_unknown() { Ok(Typed::of(other.oid).at(place)) } else { self.settled(one) };
                }
            }
            "row" | VARIADIC => return Ok(Typed::open()),
            "grouping" => return Ok(Typed::of(PgType::INT4.oid)),
            _ => {}
        }
        let mut arguments = arguments;
        for order in &call.within_group {
            let value = self.expr(&order.expr)?;
            arguments.push((None, value));
        }
        let given: Vec<Argument> = arguments.iter().map(|(name, value)| Argument { oid: value.oid, name: name.clone() }).collect();
        let shown = schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"));
        let values: Vec<Typed> = arguments.into_iter().map(|(_, value)| value).collect();
        let choice = resolution::function(name, &given);
        if let Choice::Function { kind: 'f', .. } = &choice {
            self.aggregate_only(call, list, star, &shown, place)?;
        }
        self.meant(choice, &shown, &given, &values, place)
    }

    /// What a call answers of which neither the name nor the arguments are PostgreSQL's.
    fn unread(&mut self, call: &Function) -> Result<Typed> {
        if let FunctionArguments::List(list) = &call.args {
            for value in list.args.iter().filter_map(value_of) {
                let value = self.expr(value)?;
                self.leave(&value);
            }
        }
        Ok(Typed::open())
    }

    /// What is written around a call: FILTER, OVER, and ORDER BY within it.
    fn windowed(&mut self, call: &Function) -> Result<()> {
        if let Some(filter) = &call.filter {
            self.truth(filter, "FILTER")?;
        }
        if let Some(WindowType::WindowSpec(window)) = &call.over {
            self.window(window)?;
        }
        if let FunctionArguments::List(list) = &call.args {
            for clause in &list.clauses {
                if let FunctionArgumentClause::OrderBy(keys) = clause {
                    self.keys(keys)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn window(&mut self, window: &WindowSpec) -> Result<()> {
        for key in &window.partition_by {
            let value = self.expr(key)?;
            self.settled(&value)?;
        }
        self.keys(&window.order_by)?;
        let Some(frame) = &window.window_frame else { return Ok(()) };
        for bound in std::iter::once(&frame.start_bound).chain(&frame.end_bound) {
            let (WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset))) = bound else { continue };
            let value = self.expr(offset)?;
            match frame.units {
                WindowFrameUnits::Range => {
                    self.leave(&value);
                    self.ranged(window, &value, offset)?;
                }
                WindowFrameUnits::Rows => self.assigned(offset, &value, PgType::INT8.oid, "ROWS")?,
                WindowFrameUnits::Groups => self.assigned(offset, &value, PgType::INT8.oid, "GROUPS")?,
            }
        }
        Ok(())
    }

    /// Moments lie an interval apart, and not a number.
    fn ranged(&mut self, window: &WindowSpec, offset: &Typed, written: &Expr) -> Result<()> {
        let [key] = window.order_by.as_slice() else { return Ok(()) };
        let key = self.expr(&key.expr)?;
        if resolution::category(key.oid) != 'D' || resolution::category(offset.oid) != 'N' {
            return Ok(());
        }
        let (column, given) = (resolution::shown(key.oid), resolution::shown(offset.oid));
        let text = format!("RANGE with offset PRECEDING/FOLLOWING is not supported for column type {column} and offset type {given}");
        let fault = self.message(SqlState::FEATURE_NOT_SUPPORTED, text, self.spots.start(written));
        Err(Box::new(fault.with_hint("Cast the offset value to an appropriate type.")))
    }

    /// Keys of an order, which are texts if they have no type.
    pub(super) fn keys(&mut self, keys: &[OrderByExpr]) -> Result<()> {
        for key in keys {
            let value = self.expr(&key.expr)?;
            self.settled(&value)?;
        }
        Ok(())
    }

    /// The arguments with their names, and whether they are `*`; `None` if they are not PostgreSQL's.
    fn arguments(&mut self, list: &FunctionArgumentList) -> Result<Option<(Given, bool)>> {
        let mut arguments = Vec::new();
        for argument in &list.args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => arguments.push((None, self.expr(value)?)),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => return Ok(Some((Vec::new(), true))),
                FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                    arguments.push((Some(folded(name)), self.expr(value)?));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some((arguments, false)))
    }

    /// Refuses around a plain function what only aggregates have.
    fn aggregate_only(&self, call: &Function, list: &FunctionArgumentList, star: bool, shown: &str, place: Location) -> Result<()> {
        let ordered = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
        let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
        let text = if star {
            format!("{shown}(*) specified, but {shown} is not an aggregate function")
        } else if distinct {
            format!("DISTINCT specified, but {shown} is not an aggregate function")
        } else if !call.within_group.is_empty() {
            format!("WITHIN GROUP specified, but {shown} is not an aggregate function")
        } else if ordered {
            format!("ORDER BY specified, but {shown} is not an aggregate function")
        } else if call.filter.is_some() {
            format!("FILTER specified, but {shown} is not an aggregate function")
        } else if call.over.is_some() {
            format!("OVER specified, but {shown} is not a window function nor an aggregate function")
        } else {
            return Ok(());
        };
        self.refuse(SqlState::WRONG_OBJECT_TYPE, text, place)
    }

    /// What the function of this name answers for these arguments.
    pub(super) fn resolved(&mut self, name: &str, shown: &str, values: &[Typed], place: Location) -> Result<Typed> {
        let given: Vec<Argument> = values.iter().map(|value| Argument { oid: value.oid, name: None }).collect();
        self.meant(resolution::function(name, &given), shown, &given, values, place)
    }

    fn meant(&mut self, choice: Choice, shown: &str, given: &[Argument], values: &[Typed], place: Location) -> Result<Typed> {
        match choice {
            Choice::Function { takes, returns, .. } => {
                for (value, wanted) in values.iter().zip(takes) {
                    if wanted != ANY {
                        self.becomes(value, wanted)?;
                    }
                }
                Ok(Typed::of(returns))
            }
            Choice::Cast(oid) => {
                for value in values {
                    self.becomes(value, oid)?;
                }
                Ok(Typed::of(oid))
            }
            Choice::Open => {
                values.iter().for_each(|value| self.leave(value));
                Ok(Typed::open())
            }
            Choice::Undetermined => {
                self.refuse(SqlState::DATATYPE_MISMATCH, "could not determine polymorphic type because input has type unknown", NOWHERE)
            }
            Choice::Missing => {
                let text = format!("function {shown}({}) does not exist", types_of(given));
                Err(Box::new(self.message(SqlState::UNDEFINED_FUNCTION, text, place).with_hint(NO_FUNCTION)))
            }
            Choice::Ambiguous => {
                let text = format!("function {shown}({}) is not unique", types_of(given));
                Err(Box::new(self.message(SqlState::AMBIGUOUS_FUNCTION, text, place).with_hint(NO_BEST_FUNCTION)))
            }
        }
    }
}

/// Whether the last argument is an array of arguments.
fn variadic(list: &FunctionArgumentList) -> bool {
    let named = |call: &Function| call.name.0.last().and_then(|part| part.as_ident()).is_some_and(|name| name.value == VARIADIC);
    list.args.last().and_then(value_of).is_some_and(|value| matches!(value, Expr::Function(call) if named(call)))
}

fn value_of(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) | FunctionArg::Named { arg: FunctionArgExpr::Expr(value), .. } => Some(value),
        _ => None,
    }
}

fn types_of(given: &[Argument]) -> String {
    let one = |argument: &Argument| match &argument.name {
        Some(name) => format!("{name} => {}", resolution::shown(argument.oid)),
        None => resolution::shown(argument.oid),
    };
    given.iter().map(one).collect::<Vec<_>>().join(", ")
}

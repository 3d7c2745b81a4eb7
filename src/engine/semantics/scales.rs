//! How many digits behind the point each numeric of a result shows.
//!
//! A column of the engine has one scale, where each value of PostgreSQL's has its own. So beside a column whose values differ in that, the
//! plan carries how many digits each of them has, by PostgreSQL's rules, up to the result; there the numerics become texts of so many
//! digits, which are known to be numerics. INVARIANT: nothing but the result sees these texts.

mod digits;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, ScalarValue};
use datafusion::functions::core::expr_fn::greatest;
use datafusion::logical_expr::expr::{Case, ScalarFunction, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{Aggregate, Projection, SubqueryAlias, Union, Values, Window};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, cast};

use self::digits::Made;
use super::exact::Kind;
use super::function::Result;
use super::{numeric, steps};

/// Digits behind the point of the values of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Scale {
    /// As many for all of them.
    All(i32),
    /// As many as this integer says for each.
    Each(Expr),
    /// As many as a quotient of the size of this value has.
    BySize(Expr),
}

impl Scale {
    fn into_expr(self) -> Expr {
        match self {
            Self::All(scale) => Expr::Literal(ScalarValue::Int32(Some(scale)), None),
            Self::Each(expr) => expr,
            Self::BySize(value) => digits::by_size(Made::Quotient).call(vec![value]),
        }
    }

    /// Where the digits of each value are not known: a type that is made by dividing says that they hang on its size.
    fn unknown(value: Expr, own: i32) -> Self {
        if numeric::computed_scale(own) { Self::BySize(value) } else { Self::All(own) }
    }

    fn larger(self, other: Self) -> Self {
        match (self, other) {
            (Self::All(one), Self::All(other)) => Self::All(one.max(other)),
            (one, other) => Self::Each(greatest(vec![one.into_expr(), other.into_expr()])),
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::All(one), Self::All(other)) => Self::All(one + other),
            (one, other) => Self::Each(Expr::BinaryExpr(BinaryExpr {
                left: Box::new(one.into_expr()),
                op: Operator::Plus,
                right: Box::new(other.into_expr()),
            })),
        }
    }
}

/// The function that counts the digits that a numeric needs.
pub(super) fn min_scale() -> Arc<ScalarUDF> {
    digits::least().udf()
}

/// The plan whose numerics have the digits that PostgreSQL shows.
pub(super) fn shown(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let scale = |column: &Column| plan.schema().field_from_column(column).ok().and_then(|field| own_scale(field.data_type()));
    let numerics: Vec<(Column, i32)> = columns.iter().filter_map(|column| Some((column.clone(), scale(column)?))).collect();
    if numerics.is_empty() || distinct(&columns) < columns.len() {
        return Ok(plan);
    }
    let mut carrying = Carrying { plan: plan.clone(), names: 0 };
    let mut differing: Vec<(Column, Scale)> = Vec::new();
    for (column, own) in numerics {
        let scale = carrying.of_column(&column)?;
        if scale != Scale::All(own) {
            differing.push((column, scale));
        }
    }
    if differing.is_empty() {
        return Ok(plan);
    }
    let shown = columns.into_iter().map(|column| {
        let value = Expr::Column(column.clone());
        match differing.iter().find(|(known, _)| *known == column) {
            Some((_, scale)) => of_scale(value, scale.clone()).alias_qualified(column.relation, column.name),
            None => value,
        }
    });
    let shown: Vec<Expr> = shown.collect();
    LogicalPlanBuilder::from(carrying.plan).project(shown)?.build()
}

fn distinct(columns: &[Column]) -> usize {
    columns.iter().collect::<std::collections::HashSet<_>>().len()
}

/// Digits behind the point of a numeric's type.
fn own_scale(data_type: &DataType) -> Option<i32> {
    match data_type {
        DataType::Decimal128(_, scale @ 0..) => Some(i32::from(*scale)),
        _ => None,
    }
}

/// The value with so many digits behind the point.
fn of_scale(value: Expr, scale: Scale) -> Expr {
    match scale {
        Scale::All(scale) => match i8::try_from(scale) {
            Ok(scale @ 0..=37) => cast(value, DataType::Decimal128(38, scale)),
            _ => value,
        },
        scale => digits::text().answers("numeric").call(vec![value, scale.into_expr()]),
    }
}

/// The plan in which numerics that become texts have the digits that PostgreSQL writes.
pub(super) fn written(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Projection(projection) if projection.expr.iter().any(writes) => {
            let (exprs, input) = of_texts(projection.expr, &projection.input)?;
            Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?)))
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.aggr_expr.iter().any(writes) => {
            let (exprs, input) = of_texts(aggregate.aggr_expr, &aggregate.input)?;
            Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), aggregate.group_expr, exprs)?)))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(done.data)
}

/// Whether a value in it may be written as a text.
fn writes(expr: &Expr) -> bool {
    let text = |expr: &Expr| match expr {
        Expr::Cast(cast) => cast.field.data_type().is_string(),
        Expr::BinaryExpr(binary) => binary.op == Operator::StringConcat,
        Expr::ScalarFunction(call) => made_of_texts(call.func.name()).is_some(),
        _ => false,
    };
    expr.exists(|expr| Ok(text(expr))).unwrap_or(false)
}

/// Whether a function writes its arguments, and, if so, as JSON.
fn made_of_texts(function: &str) -> Option<bool> {
    match function {
        "concat" | "concat_ws" | "format" => Some(false),
        "row_to_json" | "meshgate_json_line" | "to_json" | "to_jsonb" | "json_build_object" | "jsonb_build_object" | "json_build_array"
        | "jsonb_build_array" => Some(true),
        _ => None,
    }
}

/// The numeric that is written, with its digits; of a row that becomes JSON each of its columns.
fn text(carrying: &mut Carrying, value: Expr, json: bool, schema: &DFSchema) -> Result<Expr> {
    if let (true, Expr::ScalarFunction(mut row)) = (json, value.clone())
        && row.func.name() == "named_struct"
    {
        for member in row.args.iter_mut().skip(1).step_by(2) {
            *member = text(carrying, std::mem::take(member), json, schema)?;
        }
        return Ok(Expr::ScalarFunction(row));
    }
    let Some(own) = value.get_type(schema).ok().and_then(|found| own_scale(&found)) else { return Ok(value) };
    match carrying.of(&value)? {
        Scale::All(scale) if scale == own => Ok(value),
        scale if json => Ok(digits::text().answers("numeric").call(vec![value, scale.into_expr()])),
        scale => Ok(digits::text().call(vec![value, scale.into_expr()])),
    }
}

/// Expressions over a plan, and the plan with what they need to know of digits.
fn of_texts(exprs: Vec<Expr>, input: &LogicalPlan) -> Result<(Vec<Expr>, LogicalPlan)> {
    let schema = Arc::clone(input.schema());
    let mut carrying = Carrying { plan: input.clone(), names: 0 };
    let mut text = |value: Expr, json: bool| text(&mut carrying, value, json, &schema);
    let mut one = |expr: Expr| -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::Cast(mut cast) if cast.field.data_type().is_string() => {
                *cast.expr = text(*cast.expr, false)?;
                Transformed::yes(Expr::Cast(cast))
            }
            Expr::BinaryExpr(mut binary) if binary.op == Operator::StringConcat => {
                *binary.left = text(*binary.left, false)?;
                *binary.right = text(*binary.right, false)?;
                Transformed::yes(Expr::BinaryExpr(binary))
            }
            Expr::ScalarFunction(mut call) => {
                let Some(json) = made_of_texts(call.func.name()) else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
                call.args = call.args.into_iter().map(|arg| text(arg, json)).collect::<Result<_>>()?;
                Transformed::yes(Expr::ScalarFunction(call))
            }
            other => Transformed::no(other),
        })
    };
    let names = NamePreserver::new_for_projection();
    let mut named = |expr: Expr| {
        let name = names.save(&expr);
        Ok(name.restore(expr.transform_up(&mut one)?.data))
    };
    let exprs = exprs.into_iter().map(&mut named).collect::<Result<Vec<_>>>()?;
    Ok((exprs, carrying.plan))
}

/// A plan that carries scales beside its columns.
struct Carrying {
    plan: LogicalPlan,
    /// Columns that were added.
    names: usize,
}

impl Carrying {
    /// The scale of a column of the plan, which may have to carry it.
    fn of_column(&mut self, column: &Column) -> Result<Scale> {
        let schema = self.plan.schema();
        let at = schema.index_of_column(column)?;
        let data_type = schema.field(at).data_type().clone();
        let Some(own) = own_scale(&data_type) else { return Ok(Scale::All(0)) };
        let plan = self.plan.clone();
        Ok(match plan {
            LogicalPlan::Projection(projection) => self.of_projection(&projection, at)?,
            LogicalPlan::SubqueryAlias(alias) => {
                let Some(inner) = alias.input.schema().columns().get(at).cloned() else { return Ok(Scale::All(own)) };
                self.plan = alias.input.as_ref().clone();
                let scale = self.of_column(&inner)?;
                let below = std::mem::replace(&mut self.plan, LogicalPlan::SubqueryAlias(alias.clone()));
                match scale {
                    Scale::Each(Expr::Column(carried)) => {
                        self.plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(below), alias.alias.clone())?);
                        Scale::Each(Expr::Column(Column::new(Some(alias.alias), carried.name)))
                    }
                    Scale::All(scale) => Scale::All(scale),
                    _ => Scale::unknown(Expr::Column(column.clone()), own),
                }
            }
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Filter(_) => self.of_input(&plan, 0, column)?,
            LogicalPlan::Window(ref window) if at < window.input.schema().fields().len() => self.of_input(&plan, 0, column)?,
            LogicalPlan::Window(ref window) => {
                let call = at.checked_sub(window.input.schema().fields().len()).and_then(|at| window.window_expr.get(at));
                match call.map(|call| call.clone().unalias()) {
                    Some(Expr::WindowFunction(call)) if matches!(call.fun.name(), "lag" | "lead") && call.params.args.len() > 2 => {
                        self.of_shifted(*call, window, own)?
                    }
                    Some(Expr::WindowFunction(call)) => match spread(call.fun.name()) {
                        Some(made) => Scale::Each(digits::by_size(made).call(vec![Expr::Column(column.clone())])),
                        None => of_all(call.params.args.first().cloned(), &window.input, column, own)?,
                    },
                    _ => Scale::All(own),
                }
            }
            LogicalPlan::Join(ref join)
                if matches!(join.join_type, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full) =>
            {
                let side = usize::from(at >= join.left.schema().fields().len());
                self.of_input(&plan, side, column)?
            }
            LogicalPlan::Aggregate(ref aggregate) => of_aggregate(aggregate, at, column, own)?,
            LogicalPlan::TableScan(_) => Scale::All(own),
            // Steps give numerics the digits that they need.
            LogicalPlan::RecursiveQuery(_) if own == i32::from(numeric::STEP_SCALE) => {
                Scale::Each(digits::least().call(vec![Expr::Column(column.clone())]))
            }
            LogicalPlan::Union(ref union) => self.of_union(union, at)?,
            LogicalPlan::Values(ref values) => self.of_values(values, at, own)?,
            _ => Scale::unknown(Expr::Column(column.clone()), own),
        })
    }

    /// Of a value of another row or a default, which may have other digits: as many as come from where it comes from.
    fn of_shifted(&mut self, mut call: WindowFunction, window: &Window, own: i32) -> Result<Scale> {
        let mut below = Carrying { plan: window.input.as_ref().clone(), names: self.names };
        let scales = match call.params.args.as_slice() {
            [value, _, default] => (below.of(value)?, below.of(default)?),
            _ => return Ok(Scale::All(own)),
        };
        let (of_value, of_default) = match scales {
            (Scale::All(of_value), Scale::All(of_default)) if of_value == of_default => return Ok(Scale::All(of_value)),
            (Scale::All(of_value), Scale::All(of_default)) => (of_value, of_default),
            _ => return Ok(Scale::All(own)),
        };
        for (arg, scale) in call.params.args.iter_mut().step_by(2).zip([of_value, of_default]) {
            *arg = Expr::Literal(ScalarValue::Int32(Some(scale)), None);
        }
        let mut calls = window.window_expr.clone();
        calls.push(Expr::WindowFunction(Box::new(call)));
        self.plan = LogicalPlan::Window(Window::try_new(calls, Arc::clone(&window.input))?);
        Ok(self.last_column())
    }

    /// Of one of several queries, each of which may have to carry it.
    fn of_union(&mut self, union: &Union, at: usize) -> Result<Scale> {
        let (mut plans, mut scales) = (Vec::new(), Vec::new());
        for input in &union.inputs {
            let mut carrying = Carrying { plan: input.as_ref().clone(), names: self.names };
            let Some(column) = input.schema().columns().get(at).cloned() else { return Ok(Scale::All(0)) };
            scales.push(carrying.of_column(&column)?);
            self.names = carrying.names;
            plans.push(carrying.plan);
        }
        if let Some(scale) = alike(scales.clone()) {
            return Ok(scale);
        }
        self.names += 1;
        let name = format!("meshgate_scale_{}", self.names);
        let inputs = union.inputs.iter().zip(plans).zip(scales).map(|((input, plan), scale)| {
            let kept = input.schema().columns().into_iter().map(Expr::Column);
            let scale = cast(scale.into_expr(), DataType::Int32).alias(&name);
            LogicalPlanBuilder::from(plan).project(kept.chain([scale]))?.build().map(Arc::new)
        });
        self.plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs.collect::<Result<_>>()?)?);
        Ok(self.last_column())
    }

    /// Of a constant.
    fn of_values(&mut self, values: &Values, at: usize, own: i32) -> Result<Scale> {
        let scale = |row: &Vec<Expr>| row.get(at).and_then(written_scale).unwrap_or(own);
        let scales: Vec<i32> = values.values.iter().map(scale).collect();
        if let Some(scale) = alike(scales.iter().map(|scale| Scale::All(*scale)).collect()) {
            return Ok(scale);
        }
        let literal = |scale: i32| Expr::Literal(ScalarValue::Int32(Some(scale)), None);
        let rows = values.values.iter().zip(scales).map(|(row, scale)| row.iter().cloned().chain([literal(scale)]).collect());
        self.plan = LogicalPlanBuilder::values(rows.collect())?.build()?;
        Ok(self.last_column())
    }

    fn last_column(&self) -> Scale {
        self.plan.schema().columns().pop().map_or(Scale::All(0), |column| Scale::Each(Expr::Column(column)))
    }

    fn of_projection(&mut self, projection: &Projection, at: usize) -> Result<Scale> {
        let Some(expr) = projection.expr.get(at) else { return Ok(Scale::All(0)) };
        self.plan = projection.input.as_ref().clone();
        let scale = self.of(expr)?;
        let input = std::mem::replace(&mut self.plan, LogicalPlan::Projection(projection.clone()));
        let each = match scale {
            Scale::All(scale) => return Ok(Scale::All(scale)),
            Scale::BySize(_) => {
                let column = projection.schema.columns().get(at).cloned();
                return Ok(column.map_or(Scale::All(0), |column| Scale::BySize(Expr::Column(column))));
            }
            Scale::Each(each) => each,
        };
        let name = self.unused(projection);
        let mut exprs = projection.expr.clone();
        exprs.push(each.alias(&name));
        self.plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?);
        Ok(Scale::Each(Expr::Column(Column::from_name(name))))
    }

    /// A name that no column of the projection has.
    fn unused(&mut self, projection: &Projection) -> String {
        loop {
            self.names += 1;
            let name = format!("meshgate_scale_{}", self.names);
            if projection.schema.fields().iter().all(|field| *field.name() != name) {
                return name;
            }
        }
    }

    /// The scale of a column that comes from an input as it is.
    fn of_input(&mut self, plan: &LogicalPlan, side: usize, column: &Column) -> Result<Scale> {
        let mut inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
        let Some(input) = inputs.get_mut(side) else { return Ok(Scale::All(0)) };
        self.plan = input.clone();
        let scale = self.of_column(column)?;
        *input = std::mem::replace(&mut self.plan, plan.clone());
        if matches!(scale, Scale::Each(_)) {
            self.plan = plan.with_new_exprs(plan.expressions(), inputs)?;
        }
        Ok(scale)
    }

    /// The scale of an expression over the plan.
    fn of(&mut self, expr: &Expr) -> Result<Scale> {
        let data_type = expr.get_type(self.plan.schema())?;
        let own = own_scale(&data_type).unwrap_or(0);
        if expr.is_volatile() {
            return Ok(Scale::All(own));
        }
        Ok(match expr {
            Expr::Alias(alias) => self.of(&alias.expr)?,
            Expr::Column(column) => self.of_column(column)?,
            Expr::Negative(inner) => self.of(inner)?,
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (left, right) = (self.of(left)?, self.of(right)?);
                match op {
                    Operator::Multiply => left.plus(right),
                    Operator::Plus | Operator::Minus | Operator::Modulo => left.larger(right),
                    _ => Scale::All(own),
                }
            }
            Expr::Case(case) => self.of_case(case)?,
            Expr::ScalarFunction(call) => self.of_call(call, own)?,
            Expr::ScalarSubquery(_) => Scale::unknown(expr.clone(), own),
            _ => Scale::All(own),
        })
    }

    fn of_case(&mut self, case: &Case) -> Result<Scale> {
        let mut case = case.clone();
        let thens = case.when_then_expr.iter_mut().map(|(_, then)| then);
        let mut scales = Vec::new();
        for branch in thens.chain(case.else_expr.iter_mut()) {
            let null = matches!(branch.as_ref(), Expr::Literal(value, _) if value.is_null());
            let scale = self.of(branch)?;
            **branch = scale.clone().into_expr();
            if !null {
                scales.push(scale);
            }
        }
        Ok(alike(scales).unwrap_or(Scale::Each(Expr::Case(case))))
    }

    fn of_call(&mut self, call: &ScalarFunction, own: i32) -> Result<Scale> {
        let args = call.args.as_slice();
        Ok(match (call.func.name(), args) {
            ("numeric_divide" | "numeric_mean", [left, right]) => {
                let scales = [self.of(left)?.into_expr(), self.of(right)?.into_expr()];
                Scale::Each(digits::quotient().call([left.clone(), right.clone()].into_iter().chain(scales).collect()))
            }
            ("numeric_multiply", [left, right]) => self.of(left)?.plus(self.of(right)?),
            ("numeric_sqrt", [value]) => {
                let scale = self.of(value)?.into_expr();
                Scale::Each(digits::root().call(vec![value.clone(), scale]))
            }
            ("numeric_exp", _) => self.computed(Kind::Exp, args)?,
            ("numeric_ln", _) => self.computed(Kind::Ln, args)?,
            ("numeric_log", _) => self.computed(Kind::Log, args)?,
            ("numeric_power", _) => self.computed(Kind::Power, args)?,
            (numeric::UNCONSTRAINED, [value]) => match value.get_type(self.plan.schema())? {
                found if found.is_string() || found.is_floating() => Scale::Each(digits::written().call(vec![value.clone()])),
                _ => self.of(value)?,
            },
            ("round" | "trunc", [_, Expr::Literal(places, _)]) => match places.cast_to(&DataType::Int32) {
                Ok(ScalarValue::Int32(Some(places))) => Scale::All(places.clamp(0, 37)),
                _ => Scale::All(own),
            },
            ("trim_scale", [value]) => Scale::Each(digits::least().call(vec![value.clone()])),
            ("abs" | "nullif" | "meshgate_value" | numeric::COMMON, [value, ..]) => self.of(value)?,
            ("coalesce" | "greatest" | "least", _) => self.of_one(call)?,
            _ => Scale::All(own),
        })
    }

    fn computed(&mut self, kind: Kind, args: &[Expr]) -> Result<Scale> {
        let scales = args.iter().map(|arg| self.of(arg).map(Scale::into_expr)).collect::<Result<Vec<_>>>()?;
        Ok(Scale::Each(digits::computed(kind).call(args.iter().cloned().chain(scales).collect())))
    }

    /// Of the argument that a function chooses.
    fn of_one(&mut self, call: &ScalarFunction) -> Result<Scale> {
        let null = |arg: &&Expr| !matches!(arg, Expr::Literal(value, _) if value.is_null());
        let mut scales = Vec::new();
        for arg in call.args.iter().filter(null) {
            scales.push((arg, self.of(arg)?));
        }
        if let Some(scale) = alike(scales.iter().map(|(_, scale)| scale.clone()).collect()) {
            return Ok(scale);
        }
        let chosen = |arg: &Expr| match call.func.name() {
            "coalesce" => arg.clone().is_not_null(),
            _ => Expr::ScalarFunction(call.clone()).eq(arg.clone()),
        };
        let whens = scales.into_iter().map(|(arg, scale)| (Box::new(chosen(arg)), Box::new(scale.into_expr())));
        Ok(Scale::Each(Expr::Case(Case { expr: None, when_then_expr: whens.collect(), else_expr: None })))
    }
}

/// Digits behind the point of a constant as it is written; `None` of what is none, and of NULL.
fn written_scale(value: &Expr) -> Option<i32> {
    match value {
        Expr::ScalarFunction(call) if call.func.name() == numeric::COMMON => call.args.first().and_then(written_scale),
        Expr::Cast(cast) => own_scale(cast.field.data_type()),
        value if steps::named_type(value).is_some() => steps::named_type(value).and_then(own_scale),
        Expr::Literal(value, _) if value.is_null() => None,
        Expr::Literal(value, _) if value.data_type().is_integer() => Some(0),
        Expr::Literal(value, _) => own_scale(&value.data_type()),
        _ => None,
    }
}

/// The scale that all have.
fn alike(scales: Vec<Scale>) -> Option<Scale> {
    let first = scales.first().filter(|scale| matches!(scale, Scale::All(_)))?.clone();
    scales.iter().all(|scale| *scale == first).then_some(first)
}

/// Of an expression whose values are chosen or added up: if they are all of one scale.
fn of_all(value: Option<Expr>, input: &LogicalPlan, column: &Column, own: i32) -> Result<Scale> {
    let Some(value) = value else { return Ok(Scale::All(own)) };
    match (Carrying { plan: input.clone(), names: 0 }).of(&value)? {
        Scale::All(scale) => Ok(Scale::All(scale)),
        _ => Ok(Scale::unknown(Expr::Column(column.clone()), own)),
    }
}

/// What an aggregate of exact numbers makes, if that is a deviation or a variance.
fn spread(name: &str) -> Option<Made> {
    let made = name.strip_prefix("numeric_")?;
    Some(if made.starts_with("stddev") { Made::Deviation } else { Made::Variance })
}

fn of_aggregate(aggregate: &Aggregate, at: usize, column: &Column, own: i32) -> Result<Scale> {
    if aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
        return Ok(Scale::All(own));
    }
    if let Some(key) = aggregate.group_expr.get(at) {
        return of_all(Some(key.clone()), &aggregate.input, column, own);
    }
    let call = at.checked_sub(aggregate.group_expr.len()).and_then(|at| aggregate.aggr_expr.get(at));
    match call.map(|call| call.clone().unalias()) {
        Some(Expr::AggregateFunction(call)) => match spread(call.func.name()) {
            Some(made) => Ok(Scale::Each(digits::by_size(made).call(vec![Expr::Column(column.clone())]))),
            None => of_all(call.params.args.first().cloned(), &aggregate.input, column, own),
        },
        _ => Ok(Scale::All(own)),
    }
}

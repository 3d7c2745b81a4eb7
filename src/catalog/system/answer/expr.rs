//! Binds expressions.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, DateTimeField, Expr, Ident, Query, Subscript, TrimWhereField, UnaryOperator, Value,
};

use crate::catalog::PgType;
use crate::catalog::system::folded;

use super::bind::{Binder, Bound, Typed, unsupported};
use super::casts;
use super::datum::{Datum, Family, Ty};
use super::operators;
use super::tree::{Compute, Node};

/// A call that answers something for NULL, too.
pub(super) fn lenient(compute: impl Fn(&[Datum]) -> Datum + Send + Sync + 'static, args: Vec<Node>) -> Node {
    Node::Call { compute: Arc::new(move |args| Ok(compute(args))), strict: false, args }
}

/// A truth value's opposite.
pub(super) fn not(node: Node) -> Node {
    let compute: Compute = Arc::new(|args| Ok((!args.first().is_some_and(Datum::is_true)).into()));
    Node::Call { compute, strict: true, args: vec![node] }
}

fn boolean(node: Node) -> Typed {
    Typed::new(node, PgType::BOOL)
}

fn negated(node: Node, negated: bool) -> Typed {
    boolean(if negated { not(node) } else { node })
}

/// A field of a row.
pub(super) fn field(row: Typed, name: &str) -> Bound<Typed> {
    let at = row.ty.fields.as_ref().and_then(|fields| fields.iter().position(|(field, _)| field == name));
    let Some((at, ty)) = at.and_then(|at| Some((at, row.ty.fields.as_ref()?.get(at)?.1.clone()))) else {
        return unsupported(format!("field \"{name}\" does not exist"));
    };
    if row.ty.family() != Family::Row {
        return unsupported("a field of what is no row");
    }
    if let Node::Row(nodes) = &row.node {
        return Ok(Typed::new(nodes.get(at).cloned().unwrap_or(Node::Const(Datum::Null)), ty));
    }
    let compute: Compute = Arc::new(move |args| {
        Ok(match args.first() {
            Some(Datum::Row(fields)) => fields.get(at).cloned().unwrap_or(Datum::Null),
            _ => Datum::Null,
        })
    });
    Ok(Typed::new(Node::Call { compute, strict: true, args: vec![row.node] }, ty))
}

impl Binder {
    /// An expression.
    pub(super) fn expr(&mut self, expr: &Expr) -> Bound<Typed> {
        let grouped = self.levels.last().is_some_and(|level| level.groups.contains(expr));
        let loose = grouped.then(|| self.levels.last().map(|level| level.loose.clone())).flatten();
        let typed = self.any_expr(expr)?;
        if let (Some(loose), Some(level)) = (loose, self.levels.last_mut()) {
            level.loose = loose;
        }
        Ok(typed)
    }

    fn any_expr(&mut self, expr: &Expr) -> Bound<Typed> {
        match expr {
            Expr::Identifier(ident) => self.identifier(ident),
            Expr::CompoundIdentifier(parts) => self.compound(parts),
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            Expr::Nested(inner) => self.expr(inner),
            Expr::Collate { expr, .. } => self.expr(expr),
            Expr::Value(value) => self.value(&value.value),
            Expr::TypedString(typed) => {
                let text = self.value(&typed.value.value)?;
                self.cast(text, &casts::ty_of(&typed.data_type)?)
            }
            Expr::Cast { expr, data_type, .. } => {
                let to = casts::ty_of(data_type)?;
                let typed = self.array_of(expr, &to)?;
                self.cast(typed, &to)
            }
            Expr::BinaryOp { left, op, right } => self.operation(left, op, right),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::IsNull(..)
            | Expr::IsNotNull(..)
            | Expr::IsTrue(..)
            | Expr::IsNotTrue(..)
            | Expr::IsFalse(..)
            | Expr::IsNotFalse(..)
            | Expr::IsUnknown(..)
            | Expr::IsNotUnknown(..) => self.tested(expr),
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, true),
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, false),
            Expr::Between { expr, negated: not, low, high } => {
                let low = self.compare(expr, ">=", low)?;
                let high = self.compare(expr, "<=", high)?;
                Ok(negated(Node::And(vec![low, high]), *not))
            }
            Expr::Like { negated: not, expr, pattern, escape_char, .. } => self.like(expr, "~~", pattern, escape_char.is_some(), *not),
            Expr::ILike { negated: not, expr, pattern, escape_char, .. } => self.like(expr, "~~*", pattern, escape_char.is_some(), *not),
            Expr::InList { expr, list, negated: not } => self.listed(expr, list, *not),
            Expr::Case { operand, conditions, else_result, .. } => self.case(operand.as_deref(), conditions, else_result.as_deref()),
            Expr::Tuple(fields) => self.row(fields),
            Expr::Array(array) => self.list(&array.elem),
            Expr::Function(function) => self.call(function),
            _ => self.other(expr),
        }
    }

    /// Subqueries and what has a grammar of its own.
    fn other(&mut self, expr: &Expr) -> Bound<Typed> {
        match expr {
            Expr::AnyOp { left, compare_op, right, .. } => self.quantified(left, compare_op, right, false),
            Expr::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, true),
            Expr::InSubquery { expr, subquery, negated } => self.in_query(expr, subquery, *negated),
            Expr::Exists { subquery, negated: not } => Ok(negated(Node::Exists(self.subquery(subquery)?), *not)),
            Expr::Subquery(query) => {
                let query = self.subquery(query)?;
                let [column] = query.plan.columns.as_slice() else { return unsupported("a subquery of several columns") };
                let ty = column.ty.clone();
                Ok(Typed::new(Node::Scalar(query), ty))
            }
            Expr::Extract { field, expr, .. } => self.extract(field, expr),
            Expr::AtTimeZone { timestamp, time_zone } => {
                let zone = self.expr(time_zone)?;
                let at = self.expr(timestamp)?;
                self.at_zone(at, &zone)
            }
            Expr::Position { expr, r#in } => {
                let args = vec![self.expr(r#in)?, self.expr(expr)?];
                self.plain_call("strpos", args)
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![self.expr(expr)?];
                match (substring_from, substring_for) {
                    (Some(from), _) => args.push(self.expr(from)?),
                    (None, _) => args.push(Typed::constant(1i64, PgType::INT4)),
                }
                if let Some(length) = substring_for {
                    args.push(self.expr(length)?);
                }
                self.plain_call("substring", args)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut args = vec![self.expr(expr)?];
                for what in trim_what.iter().map(AsRef::as_ref).chain(trim_characters.iter().flatten()) {
                    args.push(self.expr(what)?);
                }
                self.plain_call(name, args)
            }
            Expr::Ceil { expr, .. } => {
                let args = vec![self.expr(expr)?];
                self.plain_call("ceil", args)
            }
            Expr::Floor { expr, .. } => {
                let args = vec![self.expr(expr)?];
                self.plain_call("floor", args)
            }
            other => unsupported(format!("the form {other}")),
        }
    }

    /// `ARRAY[…]::t[]`: the elements take the type of the cast.
    fn array_of(&mut self, expr: &Expr, to: &Ty) -> Bound<Typed> {
        if let (Expr::Array(array), Some(element)) = (expr, to.element()) {
            let mut nodes = Vec::with_capacity(array.elem.len());
            for part in &array.elem {
                let typed = self.expr(part)?;
                nodes.push(self.cast(typed, &element)?.node);
            }
            return Ok(Typed::new(Node::List(nodes), to.clone()));
        }
        self.expr(expr)
    }

    fn value(&mut self, value: &Value) -> Bound<Typed> {
        Ok(match value {
            Value::Number(text, _) => match text.parse::<i64>() {
                Ok(number) if i32::try_from(number).is_ok() => Typed::constant(number, PgType::INT4),
                Ok(number) => Typed::constant(number, PgType::INT8),
                Err(_) => match text.parse::<f64>() {
                    Ok(number) => Typed::new(Node::Const(Datum::Float(number)), PgType::NUMERIC),
                    Err(_) => return unsupported("this number"),
                },
            },
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) | Value::UnicodeStringLiteral(text) => {
                Typed::unknown(Node::Const(text.as_str().into()))
            }
            Value::DollarQuotedString(text) => Typed::unknown(Node::Const(text.value.as_str().into())),
            Value::Boolean(truth) => Typed::constant(*truth, PgType::BOOL),
            Value::Null => Typed::unknown(Node::Const(Datum::Null)),
            Value::Placeholder(name) => self.parameter(name)?,
            other => return unsupported(format!("the constant {other}")),
        })
    }

    /// A cast that the statement asks for.
    pub(super) fn cast(&mut self, typed: Typed, to: &Ty) -> Bound<Typed> {
        Ok(Typed::new(self.coerce(typed, to)?, to.clone()))
    }

    fn operation(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Bound<Typed> {
        match op {
            BinaryOperator::And => Ok(boolean(Node::And(vec![self.truth(left)?, self.truth(right)?]))),
            BinaryOperator::Or => Ok(boolean(Node::Or(vec![self.truth(left)?, self.truth(right)?]))),
            op => {
                let name = operators::spelled(op)?;
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                self.operator(left, &name, right)
            }
        }
    }

    /// An operator over two bound sides; rows are compared field by field.
    pub(super) fn operator(&mut self, left: Typed, op: &str, right: Typed) -> Bound<Typed> {
        if let (Node::Row(lefts), Node::Row(rights)) = (&left.node, &right.node) {
            let (Some(left_types), Some(right_types)) = (&left.ty.fields, &right.ty.fields) else { return unsupported("these rows") };
            if lefts.len() != rights.len() {
                return unsupported("rows of different lengths");
            }
            let mut sides = (Vec::new(), Vec::new());
            let pairs = lefts.iter().zip(left_types.iter()).zip(rights.iter().zip(right_types.iter()));
            for ((one, (_, one_ty)), (other, (_, other_ty))) in pairs {
                let as_typed = |node: &Node, ty: &Ty| match node {
                    Node::Const(_) if ty.is(PgType::TEXT) => Typed::unknown(node.clone()),
                    node => Typed::new(node.clone(), ty.clone()),
                };
                let (one, other, ..) = operators::resolved(self, as_typed(one, one_ty), "=", as_typed(other, other_ty))?;
                sides.0.push(one);
                sides.1.push(other);
            }
            let row = |nodes, ty: &Ty| Typed::new(Node::Row(nodes), ty.clone());
            let (left, right) = (row(sides.0, &left.ty), row(sides.1, &left.ty));
            return operators::binary(self, left, op, right);
        }
        operators::binary(self, left, op, right)
    }

    fn compare(&mut self, left: &Expr, op: &str, right: &Expr) -> Bound<Node> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        Ok(self.operator(left, op, right)?.node)
    }

    /// An expression that must be a truth value.
    pub(super) fn truth(&mut self, expr: &Expr) -> Bound<Node> {
        let typed = self.expr(expr)?;
        if !typed.unknown && typed.ty.family() != Family::Bool {
            return unsupported("a condition that is no boolean");
        }
        self.coerce(typed, &PgType::BOOL.into())
    }

    fn unary(&mut self, op: UnaryOperator, expr: &Expr) -> Bound<Typed> {
        match op {
            UnaryOperator::Not => Ok(boolean(not(self.truth(expr)?))),
            UnaryOperator::Plus => self.expr(expr),
            UnaryOperator::Minus => {
                let typed = self.expr(expr)?;
                self.operator(Typed::constant(0i64, PgType::INT4), "-", typed)
            }
            other => unsupported(format!("the operator {other}")),
        }
    }

    fn tested(&mut self, expr: &Expr) -> Bound<Typed> {
        let (inner, test, not): (_, fn(&Datum) -> bool, bool) = match expr {
            Expr::IsNull(inner) => (inner, Datum::is_null, false),
            Expr::IsNotNull(inner) => (inner, Datum::is_null, true),
            Expr::IsTrue(inner) => (inner, Datum::is_true, false),
            Expr::IsNotTrue(inner) => (inner, Datum::is_true, true),
            Expr::IsFalse(inner) => (inner, |value| matches!(value, Datum::Bool(false)), false),
            Expr::IsNotFalse(inner) => (inner, |value| matches!(value, Datum::Bool(false)), true),
            Expr::IsUnknown(inner) => (inner, Datum::is_null, false),
            Expr::IsNotUnknown(inner) => (inner, Datum::is_null, true),
            other => return unsupported(format!("the test {other}")),
        };
        let typed = self.expr(inner)?;
        let typed = match expr {
            Expr::IsNull(_) | Expr::IsNotNull(_) => self.settled(typed)?,
            _ => self.cast(typed, &PgType::BOOL.into())?,
        };
        let node = lenient(
            move |args| {
                Datum::Bool(match args.first() {
                    // A row is NULL if all its fields are, and not NULL if none is.
                    Some(Datum::Row(fields)) if not => fields.iter().all(|field| !test(field)),
                    Some(Datum::Row(fields)) => fields.iter().all(test),
                    value => value.is_some_and(test) != not,
                })
            },
            vec![typed.node],
        );
        Ok(boolean(node))
    }

    fn distinct(&mut self, left: &Expr, right: &Expr, distinct: bool) -> Bound<Typed> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let (left, right, ..) = operators::resolved(self, left, "=", right)?;
        Ok(boolean(lenient(move |args| Datum::Bool((args.first() != args.get(1)) == distinct), vec![left, right])))
    }

    fn like(&mut self, expr: &Expr, op: &str, pattern: &Expr, escaped: bool, not: bool) -> Bound<Typed> {
        let (left, mut right) = (self.expr(expr)?, self.expr(pattern)?);
        if escaped {
            let Expr::Value(_) = pattern else { return unsupported("ESCAPE over what is no constant") };
            right = self.escaped(right)?;
        }
        let typed = self.operator(left, op, right)?;
        Ok(negated(typed.node, not))
    }

    /// Only the backslash escapes, which is what clients write.
    fn escaped(&mut self, pattern: Typed) -> Bound<Typed> {
        match &pattern.node {
            Node::Const(Datum::Text(text)) if !text.contains('\\') && !text.contains('!') && !text.contains('/') => Ok(pattern),
            _ => unsupported("ESCAPE"),
        }
    }

    fn listed(&mut self, expr: &Expr, list: &[Expr], not: bool) -> Bound<Typed> {
        let mut arms = Vec::with_capacity(list.len());
        for item in list {
            arms.push(self.compare(expr, "=", item)?);
        }
        Ok(negated(Node::Or(arms), not))
    }

    fn case(&mut self, operand: Option<&Expr>, conditions: &[CaseWhen], otherwise: Option<&Expr>) -> Bound<Typed> {
        let mut tests = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for CaseWhen { condition, result } in conditions {
            tests.push(match operand {
                Some(operand) => self.compare(operand, "=", condition)?,
                None => self.truth(condition)?,
            });
            results.push(self.expr(result)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.expr(otherwise)?,
            None => Typed::unknown(Node::Const(Datum::Null)),
        });
        let (mut nodes, typed) = self.unified(results)?;
        let otherwise = Box::new(nodes.pop().unwrap_or(Node::Const(Datum::Null)));
        let arms = tests.into_iter().zip(nodes).collect();
        Ok(Typed { node: Node::Case { arms, otherwise }, ..typed })
    }

    /// All expressions in one type; the second is that type.
    pub(super) fn unified(&mut self, all: Vec<Typed>) -> Bound<(Vec<Node>, Typed)> {
        let ty = operators::unify(all.iter())?;
        let mut nodes = Vec::with_capacity(all.len());
        for typed in all {
            nodes.push(self.coerce(typed, &ty)?);
        }
        Ok((nodes, Typed::new(Node::Const(Datum::Null), ty)))
    }

    pub(super) fn row(&mut self, fields: &[Expr]) -> Bound<Typed> {
        let mut nodes = Vec::with_capacity(fields.len());
        let mut types = Vec::with_capacity(fields.len());
        for (number, field) in (1..).zip(fields) {
            let typed = self.expr(field)?;
            if matches!(typed.node, Node::Param(_)) && typed.unknown {
                return unsupported("a parameter in a row");
            }
            types.push((format!("f{number}"), typed.ty));
            nodes.push(typed.node);
        }
        Ok(Typed::new(Node::Row(nodes), Ty::row(types)))
    }

    fn list(&mut self, elements: &[Expr]) -> Bound<Typed> {
        let mut all = Vec::with_capacity(elements.len());
        for element in elements {
            all.push(self.expr(element)?);
        }
        let (nodes, typed) = self.unified(all)?;
        if typed.ty.family() == Family::List {
            return unsupported("an array of arrays");
        }
        Ok(Typed::new(Node::List(nodes), typed.ty.array()))
    }

    /// `x.y`, `x[1]`, `x[1:2]`, `(row).field`.
    fn access(&mut self, root: &Expr, chain: &[AccessExpr]) -> Bound<Typed> {
        let mut names: Vec<Ident> = match root {
            Expr::Identifier(ident) => vec![ident.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => Vec::new(),
        };
        let mut chain = chain.iter().peekable();
        while let Some(AccessExpr::Dot(Expr::Identifier(ident))) = chain.peek() {
            if names.is_empty() {
                break;
            }
            names.push(ident.clone());
            chain.next();
        }
        let mut typed = match names.as_slice() {
            [] => self.expr(root)?,
            [name] => self.identifier(name)?,
            names => self.compound(names)?,
        };
        for access in chain {
            typed = match access {
                AccessExpr::Dot(Expr::Identifier(name)) => field(typed, &folded(name))?,
                AccessExpr::Subscript(subscript) => self.subscript(typed, subscript)?,
                AccessExpr::Dot(_) => return unsupported("this field"),
            };
        }
        Ok(typed)
    }

    fn subscript(&mut self, array: Typed, subscript: &Subscript) -> Bound<Typed> {
        let int: Ty = PgType::INT4.into();
        if let (true, Subscript::Index { index }) = (array.ty.is(PgType::NAME), subscript) {
            // A name is an array of letters that counts from 0.
            let index = self.expr(index)?;
            let index = self.coerce(index, &int)?;
            let compute: Compute = Arc::new(|args| {
                let [Datum::Text(text), Datum::Int(index)] = args else { return Ok(Datum::Null) };
                let letter = usize::try_from(*index).ok().and_then(|at| text.chars().nth(at));
                Ok(letter.map(String::from).into())
            });
            return Ok(Typed::new(Node::Call { compute, strict: true, args: vec![array.node, index] }, PgType::CHAR));
        }
        let Some(element) = array.ty.element() else { return unsupported("a subscript of what is no array") };
        match subscript {
            Subscript::Index { index } => {
                let index = self.expr(index)?;
                let index = self.coerce(index, &int)?;
                let compute: Compute = Arc::new(|args| {
                    let [Datum::List(list), Datum::Int(index)] = args else { return Ok(Datum::Null) };
                    let at = usize::try_from(index - list.first).ok();
                    Ok(at.and_then(|at| list.items.get(at)).cloned().unwrap_or(Datum::Null))
                });
                Ok(Typed::new(Node::Call { compute, strict: true, args: vec![array.node, index] }, element))
            }
            Subscript::Slice { lower_bound, upper_bound, .. } => {
                let mut bounds = Vec::new();
                for (bound, open) in [(lower_bound, i64::from(i32::MIN)), (upper_bound, i64::from(i32::MAX))] {
                    bounds.push(match bound {
                        Some(bound) => {
                            let bound = self.expr(bound)?;
                            self.coerce(bound, &int)?
                        }
                        None => Node::Const(open.into()),
                    });
                }
                let compute: Compute = Arc::new(|args| {
                    let [Datum::List(list), Datum::Int(low), Datum::Int(high)] = args else { return Ok(Datum::Null) };
                    let kept = (list.first..).zip(&list.items).filter(|(at, _)| low <= at && at <= high);
                    Ok(Datum::list(kept.map(|(_, item)| item.clone()).collect()))
                });
                let ty = array.ty.clone();
                let args = std::iter::once(array.node).chain(bounds).collect();
                Ok(Typed::new(Node::Call { compute, strict: true, args }, ty))
            }
        }
    }

    fn quantified(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, all: bool) -> Bound<Typed> {
        let op = operators::spelled(op)?;
        let left = self.expr(left)?;
        let inner = if let Expr::Nested(inner) = right { inner } else { right };
        if let Expr::Subquery(query) = inner {
            let query = self.subquery(query)?;
            let Some(column) = query.plan.columns.first() else { return unsupported("a subquery without columns") };
            let element = Typed::new(Node::Const(Datum::Null), column.ty.clone());
            let (left, _, compute, _) = operators::resolved(self, left, &op, element)?;
            return Ok(boolean(Node::QuantifiedQuery { left: Box::new(left), query, compute, all }));
        }
        let array = self.expr(right)?;
        let array = match (array.unknown, left.unknown) {
            (true, _) => {
                let ty = if left.ty.is(PgType::CHAR) { PgType::TEXT.into() } else { left.ty.clone() };
                self.cast(array, &ty.array())?
            }
            _ => array,
        };
        let Some(element) = array.ty.element() else { return unsupported("ANY of what is no array") };
        let (left, _, compute, _) = operators::resolved(self, left, &op, Typed::new(Node::Const(Datum::Null), element))?;
        Ok(boolean(Node::Quantified { left: Box::new(left), right: Box::new(array.node), compute, all }))
    }

    fn in_query(&mut self, expr: &Expr, query: &Query, not: bool) -> Bound<Typed> {
        let left = self.expr(expr)?;
        let query = self.subquery(query)?;
        let (lefts, types): (Vec<Node>, Vec<Ty>) = match (&left.node, &left.ty.fields) {
            (Node::Row(nodes), Some(fields)) => (nodes.clone(), fields.iter().map(|(_, ty)| ty.clone()).collect()),
            _ => (vec![left.node.clone()], vec![left.ty.clone()]),
        };
        if lefts.len() != query.plan.columns.len() {
            return unsupported("IN over another number of columns");
        }
        let mut sides = Vec::with_capacity(lefts.len());
        for ((node, ty), column) in lefts.into_iter().zip(types).zip(&query.plan.columns) {
            let unknown = left.unknown || (matches!(node, Node::Const(_)) && ty.is(PgType::TEXT));
            let typed = Typed { node, ty, unknown };
            let (side, ..) = operators::resolved(self, typed, "=", Typed::new(Node::Const(Datum::Null), column.ty.clone()))?;
            sides.push(side);
        }
        Ok(negated(Node::InQuery { left: sides, query }, not))
    }

    fn extract(&mut self, part: &DateTimeField, expr: &Expr) -> Bound<Typed> {
        let typed = self.expr(expr)?;
        self.part_of_time(&part.to_string().to_lowercase(), typed)
    }
}
